"""The way out: names are resolved once, every address is judged, the judged one is dialled."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path

import pytest

from coatcheck.errors import UpstreamError, UpstreamForbidden, UpstreamTimeout, UpstreamUnreachable
from coatcheck.upstream.http.hop.egress import Egress, Names, Trust, make_tls
from coatcheck.upstream.http.hop.urls import Origin
from upstream.certificates import Authority
from upstream.raw_servers import RawServer, Request, plain


class Answers:
    """A name service that gives one answer after another and counts the questions."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        answer = self.answers.pop(0)
        if not answer:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return answer


async def ok(request: Request, out: asyncio.StreamWriter) -> None:
    out.write(plain(b"{}"))


async def dial(egress: Egress, host: str, port: int, tls: ssl.SSLContext | None = None) -> str:
    """Return the address that was reached."""
    wire = await egress.dial("weather", Origin(host, port, tls is not None), tls, Wire)
    try:
        return str(wire.transport.get_extra_info("peername")[0])
    finally:
        wire.transport.abort()


class Wire(asyncio.Protocol):
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport


async def refused(
    egress: Egress, host: str, port: int = 9, tls: ssl.SSLContext | None = None
) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await dial(egress, host, port, tls)
    assert caught.value.message.startswith(
        ("weather ", "the host name of weather", "the certificate of weather")
    )
    assert caught.value.fix
    assert not caught.value.reached
    return caught.value


async def test_a_name_is_resolved_once_and_the_judged_address_is_dialled() -> None:
    names = Answers(["127.0.0.1"], ["169.254.169.254"])
    async with RawServer(ok) as server:
        assert await dial(Egress(True, resolve=names), "rebind.example", server.port) == "127.0.0.1"
        assert names.asked == [("rebind.example", server.port)]
        await refused(Egress(True, resolve=names), "rebind.example", server.port)
        assert server.connections == 1


async def test_one_bad_address_among_good_ones_is_enough() -> None:
    async with RawServer(ok) as server:
        good = Egress(True, resolve=Answers(["127.0.0.1", "127.0.0.1"]))
        assert await dial(good, "a.example", server.port) == "127.0.0.1"
        bad = Egress(True, resolve=Answers(["127.0.0.1", "169.254.169.254"]))
        error = await refused(bad, "a.example", server.port)
        assert isinstance(error, UpstreamForbidden)
        assert "metadata" in error.detail
        assert server.connections == 1


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async with RawServer(ok) as server:
        egress = Egress(True, resolve=Answers(["127.0.0.2", "127.0.0.1"]))
        assert await dial(egress, "a.example", server.port) == "127.0.0.1"


async def test_loopback_is_reached_only_while_we_listen_there() -> None:
    async with RawServer(ok) as server:
        assert await dial(Egress(True), "127.0.0.1", server.port) == "127.0.0.1"
        assert await dial(Egress(True), "localhost", server.port) in ("127.0.0.1", "::1")
        for host in ("127.0.0.1", "::ffff:127.0.0.1", "localhost"):
            error = await refused(Egress(False, (ip_network("127.0.0.0/8"),)), host, server.port)
            assert isinstance(error, UpstreamForbidden)
            assert "loopback" in error.fix
        assert server.connections == 2


@pytest.mark.parametrize(
    ("address", "range_"),
    [("10.1.2.3", "10.0.0.0/8"), ("192.168.0.1", "192.168.0.0/16"), ("fd00::1", "fc00::/7")],
)
async def test_a_private_address_names_the_flag_that_allows_it(address: str, range_: str) -> None:
    error = await refused(Egress(True, resolve=Answers([address])), "a.example")
    assert isinstance(error, UpstreamForbidden)
    assert f"--allow-private {range_}" in error.fix
    assert address not in error.message
    assert address in error.detail


async def test_an_unknown_name_and_a_closed_port() -> None:
    error = await refused(Egress(True, resolve=Answers([])), "nowhere.example")
    assert isinstance(error, UpstreamUnreachable)
    assert "resolved" in error.message
    async with RawServer(ok) as server:
        port = server.port
    error = await refused(Egress(True), "127.0.0.1", port)
    assert isinstance(error, UpstreamUnreachable)
    assert "does not accept connections" in error.message


async def test_a_name_service_that_never_answers_is_a_timeout() -> None:
    async def never(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return []

    error = await refused(Egress(True, dial_timeout=0.05, resolve=never), "slow.example")
    assert isinstance(error, UpstreamTimeout)
    assert "0.05 seconds" in error.message


async def test_who_asks_for_the_same_name_at_once_shares_the_question() -> None:
    answers = Answers(["127.0.0.1"], [], ["127.0.0.1"])
    names = Names(answers)
    async with RawServer(ok) as server:
        egress = Egress(True, resolve=names)
        calls = [dial(egress, "a.example", server.port) for _ in range(20)]
        assert await asyncio.gather(*calls) == ["127.0.0.1"] * 20
        assert len(answers.asked) == 1
        await asyncio.gather(*[refused(egress, "a.example", server.port) for _ in range(5)])
        assert len(answers.asked) == 2
        assert await dial(egress, "a.example", server.port) == "127.0.0.1"


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with RawServer(ok) as server:
        assert await dial(Egress(True), "127.0.0.1", server.port) == "127.0.0.1"


async def test_tls_checks_the_name_and_the_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with RawServer(ok, ssl=authority.server_context("good.example")) as server:
        egress = Egress(True, resolve=Answers(*[["127.0.0.1"]] * 3))
        trusting = authority.client_context()
        assert await dial(egress, "good.example", server.port, trusting) == "127.0.0.1"
        wrong_name = await refused(egress, "other.example", server.port, trusting)
        assert "certificate of weather is not trusted" in wrong_name.message
        assert "SSL_CERT_FILE" in (await refused(egress, "good.example", server.port, make_tls())).fix


async def test_tls_towards_a_server_that_has_none() -> None:
    async with RawServer(ok) as server:
        egress = Egress(True, dial_timeout=5)

        async def not_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        assert server.port
        other = await asyncio.start_server(not_tls, "127.0.0.1", 0)
        async with other:
            error = await refused(egress, "127.0.0.1", other.sockets[0].getsockname()[1], make_tls())
            assert "TLS" in error.message


async def test_what_is_trusted_is_read_once_and_again_only_if_that_failed() -> None:
    tries = [0]

    def make() -> ssl.SSLContext:
        tries[0] += 1
        if tries[0] == 1:
            raise OSError(13, "Permission denied")
        return make_tls()

    trust = Trust(make)
    with pytest.raises(OSError, match="Permission denied"):
        await trust.context()
    found = await asyncio.gather(*[trust.context() for _ in range(8)])
    assert all(context is found[0] for context in found)
    assert tries == [2]
