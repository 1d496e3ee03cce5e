"""Notices by webhook, against a real HTTP receiver: what is sent, what is tried again, and what stays secret."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Sequence

import pytest

from coatcheck.app.notifying import webhook_at
from coatcheck.audit.webhook import Webhook, body_of
from coatcheck.config import load_config
from coatcheck.model.secret import Secret
from upstream.raw_servers import RawServer, Request

PLANTED = "planted-7731"
TEXT = "Coatcheck, credentials:\n- github-authorization: <!channel> & expired"


class Receiver:
    """Answers with the statuses given, one after the other, the last one for ever."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        where = b"Location: http://127.0.0.1:1/\r\n" if status == 302 else b""
        body = b"" if status == 204 else b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
        writer.write(b"HTTP/1.1 %d X\r\n%b%b" % (status, where, body or b"\r\n"))


def webhook(url: str, pauses: Sequence[float] = (0.0, 0.0), waiting: int = 100) -> Webhook:
    made = webhook_at(Secret(url), load_config({"data": "/nowhere"}, {}))
    return Webhook(made._post, pauses=pauses, waiting=waiting)


async def delivered(to: Webhook) -> None:
    assert to._task is not None
    await asyncio.wait_for(to._task, 10)


async def test_a_notice_is_posted_as_slack_takes_it() -> None:
    async with RawServer(Receiver(200)) as receiver:
        hook = webhook(receiver.url)
        hook.notify(TEXT)
        hook.notify("second")
        await delivered(hook)
    first, second = receiver.requests
    assert first.line == "POST /mcp HTTP/1.1"
    assert first.headers["content-type"] == "application/json"
    assert json.loads(first.body) == {
        "text": "Coatcheck, credentials:\n- github-authorization: &lt;!channel&gt; &amp; expired"
    }
    assert (json.loads(second.body), hook.lost) == ({"text": "second"}, 0)


@pytest.mark.parametrize(
    ("statuses", "tries", "lost"),
    [((204,), 1, 0), ((503, 429, 200), 3, 0), ((500,), 3, 1), ((404,), 1, 1), ((302,), 1, 1)],
)
async def test_what_may_pass_is_tried_three_times(
    statuses: tuple[int, ...], tries: int, lost: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with RawServer(Receiver(*statuses)) as receiver:
        hook = webhook(f"{receiver.url}/{PLANTED}")
        hook.notify(TEXT)
        await delivered(hook)
    assert (len(receiver.requests), hook.lost) == (tries, lost)
    assert len({request.body for request in receiver.requests}) == 1
    assert (str(statuses[-1]) in caplog.text, PLANTED in caplog.text) == (bool(lost), False)


async def test_a_dead_receiver_costs_nothing_but_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/{PLANTED}"
    hook = webhook(url)
    hook.notify(TEXT)
    await delivered(hook)
    assert hook.lost == 1
    (line,) = [each for each in caplog.records if each.name == "coatcheck.audit.webhook"]
    assert (line.levelno, "does not accept connections" in line.getMessage()) == (logging.WARNING, True)
    assert PLANTED not in caplog.text


@pytest.mark.parametrize("url", ["https://169.254.169.254/hook", "https://10.1.2.3/hook"])
async def test_addresses_that_servers_may_not_have_are_not_dialled(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    hook = webhook(url)
    hook.notify(TEXT)
    await delivered(hook)
    assert (hook.lost, "not dialled" in caplog.text) == (1, True)


async def test_a_receiver_that_hangs_is_left_and_nothing_grows() -> None:
    async def hang(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with RawServer(hang) as receiver:
        hook = webhook(receiver.url, waiting=2)
        for number in range(6):
            hook.notify(str(number))
            await asyncio.sleep(0)
        while not receiver.requests:
            await asyncio.sleep(0.01)
        await hook.close(0.05)
        assert [json.loads(request.body) for request in receiver.requests] == [{"text": "0"}]
    assert hook.lost == 3  # of five that waited for two places


async def test_a_post_that_fails_as_nobody_foresaw_does_not_end_the_rest() -> None:
    seen: list[bytes] = []

    async def post(body: bytes) -> int:
        seen.append(body)
        if len(seen) == 1:
            raise RuntimeError(PLANTED)
        return 200

    hook = Webhook(post, pauses=())
    hook.notify("a")
    hook.notify("b")
    await delivered(hook)
    assert (seen, hook.lost) == ([body_of("a"), body_of("b")], 1)
