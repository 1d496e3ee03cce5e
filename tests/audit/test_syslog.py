"""The syslog sink on every transport, with receivers that are real, hang, die and come back."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coatcheck.audit.syslog import SyslogSink
from coatcheck.core.copies.syslog import Sender
from coatcheck.errors import SinkFailed
from coatcheck.model.sink import Format, SyslogOptions, Transport
from doubles.copies import a_copy
from doubles.receivers import SyslogReceiver, authority

SENDER = Sender(13, "gate", "coatcheck", 1)
PATIENCE = 20.0


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.005)


def seqs(messages: list[bytes]) -> list[int]:
    return [json.loads(message[message.index(b"{") :])["seq"] for message in messages]


@pytest.fixture
def receiver() -> Iterator[SyslogReceiver]:
    made = SyslogReceiver()
    yield made
    made.reading.set()
    made.stop()


def at(port: int, transport: Transport = Transport.TCP, **more: object) -> SyslogOptions:
    return SyslogOptions(transport=transport, host="127.0.0.1", port=port, **more)  # type: ignore[arg-type]


async def test_unix_datagrams(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        sink = SyslogSink(SyslogOptions(transport=Transport.UNIX, path=tmp_path / "log"), SENDER)
        await sink.deliver([a_copy(1), a_copy(2)])
        await sink.close()
        assert seqs([log.recv(65_536), log.recv(65_536)]) == [1, 2]


async def test_udp_keeps_to_the_size_of_a_datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as log:
        log.bind(("127.0.0.1", 0))
        sink = SyslogSink(at(log.getsockname()[1], Transport.UDP, most=1_200), SENDER)
        await sink.deliver([a_copy(1, reason="x" * 500, arguments=json.dumps({"q": "y" * 60_000}))])
        await sink.close()
        message = log.recv(65_536)
        assert len(message) <= 1_200
        assert seqs([message]) == [1]


async def test_tcp_counts_octets(receiver: SyslogReceiver) -> None:
    sink = SyslogSink(at(receiver.port, format=Format.CEF), SENDER)
    for start in range(0, 600, 200):
        await sink.deliver([a_copy(start + number, reason="line\nbreak") for number in range(200)])
    await sink.close()
    until(lambda: len(receiver.messages) == 600)
    assert receiver.connections == 1
    assert all(b"CEF:0|Coatcheck" in message and b"\n" not in message for message in receiver.messages)


async def test_tls_with_a_ca_of_ones_own(tmp_path: Path) -> None:
    ca, context = authority(tmp_path)
    receiver = SyslogReceiver(context)
    sink = SyslogSink(at(receiver.port, Transport.TLS, ca=ca), SENDER)
    await sink.deliver([a_copy(1)])
    await sink.deliver([a_copy(2)])
    until(lambda: len(receiver.messages) == 2)
    await sink.close()
    assert seqs(receiver.messages) == [1, 2]
    stranger = SyslogSink(at(receiver.port, Transport.TLS), SENDER)
    with pytest.raises(SinkFailed, match="not trusted"):
        await stranger.deliver([a_copy(3)])
    await stranger.close()
    receiver.stop()
    assert len(receiver.messages) == 2


async def test_a_receiver_that_dies_and_comes_back_misses_nothing(receiver: SyslogReceiver) -> None:
    sink = SyslogSink(at(receiver.port), SENDER)
    wanted = list(range(1, 201))
    for start in range(0, 200, 20):
        if start in (60, 140):
            receiver.stop()
            with pytest.raises(SinkFailed):
                await sink.deliver([a_copy(seq) for seq in wanted[start : start + 20]])
            receiver.start()
        await sink.deliver([a_copy(seq) for seq in wanted[start : start + 20]])
    await sink.close()
    until(lambda: set(seqs(receiver.messages)) == set(wanted))


async def test_what_a_dead_receiver_took_and_never_read_is_sent_again(receiver: SyslogReceiver) -> None:
    sink = SyslogSink(at(receiver.port), SENDER)
    await sink.deliver([a_copy(1)])
    until(lambda: len(receiver.messages) == 1)
    receiver.reading.clear()
    await sink.deliver([a_copy(2)])  # read at most in the very call that is under way
    await sink.deliver([a_copy(3)])
    receiver.messages.clear()
    receiver.stop()
    receiver.reading.set()
    receiver.start()
    await sink.deliver([a_copy(4)])
    await sink.close()
    until(lambda: {2, 3, 4} <= set(seqs(receiver.messages)))


async def test_a_receiver_that_hangs_is_given_up_and_tried_again(receiver: SyslogReceiver) -> None:
    receiver.reading.clear()
    sink = SyslogSink(at(receiver.port, most=8192), SENDER, seconds=0.2)
    large = [a_copy(seq, reason="x" * 500, arguments=json.dumps({"q": "y" * 6_000})) for seq in range(200)]

    async def fill_every_buffer() -> None:
        for _ in range(40):
            await sink.deliver(large)

    with pytest.raises(SinkFailed, match=r"does not take what is sent within 0\.2 seconds"):
        await fill_every_buffer()
    receiver.reading.set()
    receiver.messages.clear()
    await sink.deliver([a_copy(1_000)])
    await sink.close()
    until(lambda: 1_000 in seqs(receiver.messages))


async def test_nobody_there_is_told_by_place_and_reason(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for options, words in (
        (at(port), f"127.0.0.1:{port}: Connection refused"),
        (SyslogOptions(transport=Transport.UNIX, path=tmp_path / "log"), "No such file"),
        (at(port, Transport.TLS, ca=tmp_path / "none.pem"), "No such file"),
    ):
        sink = SyslogSink(options, SENDER)
        with pytest.raises(SinkFailed, match=words):
            await asyncio.wait_for(sink.deliver([a_copy(1)]), PATIENCE)
        await sink.close()
