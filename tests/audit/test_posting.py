"""Posting: signed batches, one key for the same batch, halves for what is too large, partial success."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from coatcheck.audit.posting import OtlpSink, WebhookSink
from coatcheck.core.copies.signing import is_signed
from coatcheck.errors import SinkFailed, UpstreamUnreachable
from coatcheck.model.secret import Secret
from doubles.clock import HandClock
from doubles.copies import a_change_copy, a_copy

KEY = Secret("0123456789abcdef")


class Posts:
    """Takes posts as a receiver of at most `most` bytes would."""

    def __init__(self, status: int = 204, most: int = 1 << 30, body: bytes = b"") -> None:
        self.status = status
        self.most = most
        self.body = body
        self.taken: list[tuple[bytes, dict[str, str]]] = []

    async def __call__(self, body: bytes, headers: Mapping[str, Secret]) -> tuple[int, bytes]:
        if len(body) > self.most:
            return 413, b""
        self.taken.append((body, {name: value.reveal() for name, value in headers.items()}))
        return self.status, self.body


def seqs(posts: Posts) -> list[list[int]]:
    return [[entry["seq"] for entry in json.loads(body)["entries"]] for body, _ in posts.taken]


async def test_a_batch_is_signed_and_has_one_key() -> None:
    posts = Posts()
    sink = WebhookSink("siem", posts, KEY, HandClock())
    batch = [a_copy(4), a_change_copy(7)]
    await sink.deliver(batch)
    await sink.deliver(batch)
    await sink.close()
    (body, headers), again = posts.taken
    assert (body, headers) == again
    said = json.loads(body)
    assert (said["first"], said["last"]) == (4, 7)
    assert [entry["kind"] for entry in said["entries"]] == ["record", "change"]
    assert headers["Idempotency-Key"] == "siem-4-7"
    assert is_signed(KEY, int(headers["Coatcheck-Timestamp"]), body, headers["Coatcheck-Signature"])


async def test_too_large_a_batch_goes_in_halves_and_too_large_an_entry_shortened() -> None:
    posts = Posts(most=20_000)
    sink = WebhookSink("siem", posts, KEY, HandClock())
    huge = a_copy(50, arguments=json.dumps({"q": "x" * 40_000}))
    await sink.deliver([a_copy(seq) for seq in range(1, 50)] + [huge])
    assert [seq for batch in seqs(posts) for seq in batch] == list(range(1, 51))
    assert json.loads(posts.taken[-1][0])["entries"][-1]["cut"] == ["arguments"]
    with pytest.raises(SinkFailed, match="answered 413"):
        await WebhookSink("siem", Posts(most=100), KEY, HandClock()).deliver([a_copy(1)])


@pytest.mark.parametrize("status", [302, 400, 401, 404, 429, 500, 503])
async def test_everything_but_success_is_failure(status: int) -> None:
    with pytest.raises(SinkFailed, match=f"answered {status}"):
        await WebhookSink("siem", Posts(status), KEY, HandClock()).deliver([a_copy(1)])
    with pytest.raises(SinkFailed, match=f"answered {status}"):
        await OtlpSink(Posts(status), {}, HandClock(), "gate").deliver([a_copy(1)])


async def test_no_answer_is_failure_in_the_words_of_who_posts() -> None:
    async def nobody(body: bytes, headers: Mapping[str, Secret]) -> tuple[int, bytes]:
        raise UpstreamUnreachable("the receiver cannot be reached", fix="start it")

    with pytest.raises(SinkFailed, match="cannot be reached") as caught:
        await WebhookSink("siem", nobody, KEY, HandClock()).deliver([a_copy(1)])
    assert caught.value.fix == "start it"


@pytest.mark.parametrize(
    ("body", "fails"),
    [(b"", False), (b"{}", False), (b'{"partialSuccess":{"rejectedLogRecords":"1"}}', False), (b'{"partialSuccess":{"rejectedLogRecords":"2"}}', True), (b"[" * 10_000, False)],
    ids=["nothing", "empty", "some", "all", "odd"],
)  # fmt: skip
async def test_partial_success(body: bytes, fails: bool) -> None:
    posts = Posts(200, body=body)
    sink = OtlpSink(posts, {"Api-Key": Secret("k")}, HandClock(), "gate")
    if fails:
        with pytest.raises(SinkFailed, match="rejected all of 2"):
            await sink.deliver([a_copy(1), a_copy(2)])
    else:
        await sink.deliver([a_copy(1), a_copy(2)])
    assert len(posts.taken) == 1
    assert posts.taken[0][1] == {"Api-Key": "k"}
    assert len(json.loads(posts.taken[0][0])["resourceLogs"][0]["scopeLogs"][0]["logRecords"]) == 2
