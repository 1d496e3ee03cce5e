"""What the load reads and counts, on bytes by hand and on the raw servers."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from bench import machine
from bench.calls import BEFORE_ID, FIRST_ID, after_id, is_answered, length
from bench.cases import CallsFailed, Reach, burst, pipe
from bench.heads import Framing, Heads, read_head
from bench.programs import raw_upstream
from bench.tally import Tally, percentile

HEAD = b"HTTP/1.1 200 OK\r\ndate: now\r\nContent-Length: 5\r\n\r\n"


def test_the_call_is_as_long_as_its_headers_say_and_is_json() -> None:
    whole = BEFORE_ID + b"%d" % FIRST_ID + after_id("echo")
    assert len(whole) == length("echo")
    assert json.loads(whole)["params"]["name"] == "echo"


@pytest.mark.parametrize(
    ("body", "answered"),
    [
        (b'{"id":1000000007,"result":{"isError":false}}', True),
        (b'{"id": 1000000007, "result": {"isError": false}}', True),
        (b'{"id":1000000008,"result":{"isError":false}}', False),
        (b'{"id":1000000007,"result":{"isError":true}}', False),
        (b'{"id":1000000007,"error":{"code":-32603,"message":"no"}}', False),
        (b"", False),
    ],
)
def test_only_the_result_of_this_very_call_is_its_answer(body: bytes, answered: bool) -> None:
    assert is_answered(body, 1_000_000_007) is answered


def test_an_answer_is_framed_by_its_head_once_that_is_whole() -> None:
    heads = Heads()
    assert [heads.read(HEAD[:end]) for end in range(len(HEAD))] == [None] * len(HEAD)
    assert heads.read(HEAD) == heads.read(HEAD + b"hello") == Framing(200, len(HEAD) + 5)
    assert heads.read(HEAD.replace(b"200", b"503")) == Framing(503, len(HEAD) + 5)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked",
        b"HTTP/1.1 200 OK\r\nx-content-length: 5",
        b"HTTP/1.1 200 OK\r\ncontent-length: five",
        b"HTTP/1.0 200 OK\r\ncontent-length: 5",
        b"nonsense",
    ],
)
def test_an_answer_without_length_is_refused_rather_than_guessed(head: bytes) -> None:
    assert read_head(b"HTTP/1.1 200 OK\r\ncontent-length: 5").status == 200
    with pytest.raises(ValueError, match="Content-Length"):
        read_head(head)


def test_the_warm_up_counts_for_all_answers_and_for_no_time() -> None:
    tally = Tally()
    tally.begin(1000)
    tally.count(900, 5000)
    tally.count(1000, 3000)
    tally.count(1500, 2500)
    tally.count(1600, 2600, b"HTTP/1.1 503")
    tally.end(1000 + 10**9)
    seen = tally.summary()
    assert (seen["calls"], seen["all_calls"], seen["failed"], seen["rps"]) == (2, 4, 1, 2.0)
    assert (seen["p50_us"], seen["p99_us"]) == (1.0, 2.0)
    assert "503" in str(seen["example"])


def test_percentiles_are_values_that_were_measured() -> None:
    ordered = list(range(1, 101))
    assert [percentile(ordered, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    assert percentile([7], 0.99) == 7


def test_a_burst_on_the_raw_server_counts_answers_and_one_refused_ends_the_run() -> None:
    with raw_upstream() as upstream:
        reach = Reach(upstream.port, "/mcp", upstream.credential, (upstream.pid,))
        for seen in (burst(reach, 4, 0.1), burst(reach, 4, 0.2, rate=100.0)):
            assert min(seen.rps, seen.p50_us, seen.cpu_us_per_call, seen.rss_mib, seen.load_us) > 0
            assert seen.p50_us <= seen.p99_us
        with pytest.raises(CallsFailed, match="401"):
            burst(replace(reach, bearer="another"), 4, 0.1)


def test_a_burst_on_a_bare_pipe_counts_answers() -> None:
    seen = pipe(64, 0.1)
    assert min(seen.rps, seen.p50_us, seen.cpu_us_per_call, seen.rss_mib, seen.load_us) > 0


def test_the_kernel_tells_of_a_process_and_of_its_children() -> None:
    before = machine.cpu_seconds([os.getpid()])
    assert sum(range(1_000_000)) > 0
    assert machine.cpu_seconds([os.getpid()]) > before
    assert machine.memory_mib([os.getpid(), os.getpid()]) > machine.memory_mib([os.getpid()]) > 0
    with raw_upstream() as upstream:
        assert upstream.pid in machine.children(os.getpid())
    assert upstream.pid not in machine.children(os.getpid())


def test_a_burst_whose_processes_did_nothing_ends_the_run() -> None:
    with raw_upstream() as upstream:
        reach = Reach(upstream.port, "/mcp", upstream.credential, (upstream.pid,))
        assert burst(reach, 1, 0.1).cpu_us_per_call > 0
        with pytest.raises(CallsFailed, match="none of the processes"):
            burst(replace(reach, pids=()), 1, 0.1)
