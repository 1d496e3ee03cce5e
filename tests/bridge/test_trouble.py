"""What a client is told when the gateway cannot be reached, refuses it, or answers with anything at all."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from bridge.conversation import GRANT, conversation
from bridge.scripted import ACCEPTED, scripted, writing
from coatcheck.bridge.grants import FromFile, FromVariable
from coatcheck.errors import ConfigError
from gateway import free_port
from upstream.certificates import Authority
from upstream.raw_servers import RawServer, Request, plain, result

CALL = {"id": 1, "method": "tools/call", "params": {"name": "x"}}


def refusing(status: str, sentence: str = "", *lines: str) -> bytes:
    body = json.dumps({"error": "x", "error_description": sentence}) if sentence else "<html>no</html>"
    return plain(body.encode(), "application/json" if sentence else "text/html", status, *lines)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


# --- not reached ----------------------------------------------------------------------------------------------


async def test_requests_wait_for_a_gateway_that_is_down() -> None:
    port = free_port()
    async with conversation(f"http://127.0.0.1:{port}/mcp") as talk:
        await talk.say(CALL)
        await talk.say({**CALL, "id": 2})
        await asyncio.sleep(0.3)
        assert talk.heard == []

        async def answer(request: Request, out: asyncio.StreamWriter) -> None:
            out.write(result(request, {"n": request.id}))

        server = RawServer(answer)
        listening = await asyncio.start_server(server._serve, "127.0.0.1", port)
        server._tasks = set()
        try:
            assert {it["result"]["n"] for it in await talk.hear_all(2)} == {1, 2}
        finally:
            listening.close()
            for task in list(server._tasks):
                task.cancel()
        assert [line.rpartition(" ")[2] for line in talk.printed] == ["it", "again"]


@pytest.mark.parametrize("wait", [0.0, 0.3])
async def test_a_gateway_that_stays_down_is_named_with_a_fix(wait: float) -> None:
    url = f"http://127.0.0.1:{free_port()}/mcp"
    async with conversation(url, wait=wait) as talk:
        await talk.say(CALL)
        error = (await talk.hear())["error"]
        assert error["code"] == -32603
        assert error["message"] == f"coatcheck bridge: the gateway at {url} cannot be reached: nobody answers there. Check the URL, and that the gateway runs."  # fmt: skip
        assert error["data"] == {"bridge": True, "code": "gateway_unreached"}


async def test_a_gateway_that_is_stopping_is_waited_for() -> None:
    tries: list[int] = []

    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        tries.append(1)
        stopping = b'{"error":"stopping","error_description":"This gateway is stopping."}'
        out.write(
            plain(stopping, status="503 Service Unavailable") if len(tries) < 3 else result(request, {})
        )

    async with scripted(tools_call=call) as gateway, conversation(gateway.server.url) as talk:
        await talk.say(CALL)
        assert (await talk.hear())["result"] == {}
        assert len(tries) == 3


# --- TLS ------------------------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_a_companys_own_authority_is_taken_from_the_environment(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(result(request, {}))

    async with RawServer(answer, authority.server_context("localhost")) as server:
        url = f"https://localhost:{server.port}/mcp"
        async with conversation(url) as talk:
            await talk.say(CALL)
            error = (await talk.hear())["error"]["message"]
            assert "its certificate is not trusted" in error
            assert "SSL_CERT_FILE" in error
        assert server.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
        async with conversation(url) as talk:
            await talk.say(CALL)
            assert (await talk.hear())["result"] == {}


async def test_plain_http_behind_an_https_url_is_named() -> None:
    async def plain_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(refusing("400 Bad Request"))
        writer.close()

    server = await asyncio.start_server(plain_only, "127.0.0.1", 0)
    async with server, conversation(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp") as talk:
        await talk.say(CALL)
        assert "does not speak TLS" in (await talk.hear())["error"]["message"]


async def test_authorities_that_cannot_be_read_are_a_matter_of_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in (None, "no certificate"):
        file = tmp_path / "bundle.pem"
        if content:
            file.write_text(content)
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        with pytest.raises(ConfigError, match="authorities"):
            async with conversation("https://gw.example/mcp"):
                pass


# --- proxies ----------------------------------------------------------------------------------------------------


async def test_tls_to_another_machine_goes_through_the_proxy_and_the_grant_only_inside(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(result(request, {}))

    seen: list[bytes] = []

    async with RawServer(answer, authority.server_context("gw.example")) as server:

        async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            inner_reader, inner = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

            async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                while data := await source.read(65536):
                    seen.append(data)
                    sink.write(data)
                sink.close()

            await asyncio.gather(pump(reader, inner), pump(inner_reader, writer))

        proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
        port = proxy.sockets[0].getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
        async with conversation("https://gw.example/mcp") as talk:
            await talk.say(CALL)
            assert (await talk.hear())["result"] == {}
        proxy.close()
    assert seen[0].startswith(b"CONNECT gw.example:443 ")
    assert not any(GRANT.encode() in data for data in seen)


async def test_plain_http_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted() as proxy, scripted() as gateway:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server.port}")
        async with conversation(gateway.server.url) as talk:
            await talk.say(CALL)
            assert (await talk.hear())["result"] == {}
        assert proxy.server.requests == []


@pytest.mark.parametrize(("value", "words"), [("socks5://127.0.0.1:1", "SOCKS"), ("::", "proxy that is no URL"), ("gopher://x", "proxy that is no URL")])  # fmt: skip
async def test_a_proxy_that_cannot_be_used_is_a_matter_of_configuration(
    value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(ConfigError, match=words):
        async with conversation("https://gw.example/mcp"):
            pass


# --- refused ----------------------------------------------------------------------------------------------------


async def test_a_401_says_what_the_gateway_says_and_where_the_grant_came_from(tmp_path: Path) -> None:
    step = writing(refusing("401 Unauthorized", "This grant was revoked. Ask the platform team."))
    file = tmp_path / "grant"
    file.write_text("cckg_x")
    async with scripted(tools_call=step) as gateway:
        for source, origin, fix in (
            (None, "the variable COATCHECK_GRANT", "restart the client"),
            (FromVariable(None), "COATCHECK_GRANT is not set", "--grant-file"),
            (FromFile(file), f"the file {file}", "read again by itself"),
        ):
            before = len(gateway.server.requests)
            async with conversation(gateway.server.url, source) as talk:
                await talk.say(CALL)
                message = (await talk.hear())["error"]["message"]
                assert message.startswith("coatcheck bridge: This grant was revoked. Ask the platform team (the grant came from ")  # fmt: skip
                assert origin in message
                assert fix in message
            assert len(gateway.server.requests) == before + 1
    assert "authorization" not in gateway.server.requests[1].headers


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "429 Oh", "500 Oh"])
async def test_a_grant_that_comes_back_is_not_shown(status: str) -> None:
    step = writing(refusing(status, f"I do not know {GRANT}."))
    async with scripted(tools_call=step) as gateway, conversation(gateway.server.url) as talk:
        await talk.say(CALL)
        assert "I do not know [redacted]" in (await talk.hear())["error"]["message"]


async def test_a_rotated_file_is_read_and_the_request_sent_again(tmp_path: Path) -> None:
    file = tmp_path / "grant"
    file.write_text("cckg_old")

    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        good = request.headers["authorization"] == "Bearer cckg_new"
        out.write(result(request, {}) if good else refusing("401 Unauthorized", "Revoked."))

    async with scripted(tools_call=call) as gateway, conversation(gateway.server.url, FromFile(file)) as talk:
        await talk.say(CALL)
        assert "Revoked" in (await talk.hear())["error"]["message"]
        file.write_text("")  # as in the moment in which it is written
        await talk.say(CALL)
        assert "Revoked" in (await talk.hear())["error"]["message"]
        file.write_text("cckg_new\n")
        for id in range(3):
            await talk.say({**CALL, "id": id})
        assert all(answer["result"] == {} for answer in await talk.hear_all(3))
        used = [request.headers["authorization"] for request in gateway.server.requests]
        assert used[:2] == ["Bearer cckg_old"] * 2
        assert used[-1] == "Bearer cckg_new"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (refusing("404 Not Found", "This grant reaches no server of this name."), ["This grant reaches no server of this name. Check the URL", "/mcp/NAME/"]),
        (refusing("404 Not Found"), ["there is no MCP server at this URL", "/mcp"]),
        (refusing("403 Forbidden", "Requests from this Origin are not accepted."), ["this Origin", "403"]),
        (refusing("405 Method Not Allowed"), ["takes no messages"]),
        (refusing("413 Content Too Large", "The body is over the limit."), ["over the limit", "413"]),
        (refusing("429 Too Many Requests", "Wait a minute."), ["Wait a minute", "429"]),
        (refusing("500 Internal Server Error"), ["HTTP status 500", "Try again later"]),
        (refusing("502 Bad Gateway"), ["HTTP status 502", "may have been acted on"]),
        (refusing("503 Service Unavailable"), ["HTTP status 503", "may have been acted on"]),
        (refusing("400 Bad Request"), ["HTTP status 400"]),
        (refusing("302 Found", "", "Location: http://evil.example/"), ["leads to another one", "the gateway itself"]),
        (refusing("307 Temporary Redirect", "", "Location: /mcp/"), ["leads to another one"]),
        (refusing("200 OK"), ["no JSON-RPC reply", "Coatcheck gateway"]),
        (ACCEPTED, ["no JSON-RPC reply"]),
        (b"HTTP/1.1 204 No Content\r\n\r\n", ["no JSON-RPC reply"]),
        (plain(b'{"jsonrpc":"2.0","id":2,"result":{}}'), ["no JSON-RPC reply"]),
        (plain(b'{"jsonrpc":"2.0","method":"x"}'), ["no JSON-RPC reply"]),
        (plain(b'[{"jsonrpc":"2.0","id":1,"result":{}}]'), ["no JSON-RPC reply"]),
        (plain(b'{"jsonrpc":"2.0","id":1,"result":{"a":1e999}}'), ["no JSON-RPC reply"]),
        (plain(b'{"jsonrpc":"2.0","id":1,"result":[]}'), ["no JSON-RPC reply"]),
        (plain(b'{"jsonrpc":"2.0","id":1,"result":{"a":"\xff"}}'), ["no JSON-RPC reply"]),
        (plain(b"[" * 200_000), ["no JSON-RPC reply"]),
        (refusing("418 I'm a teapot", "a\x1b[31m\r\n\u202eb"), ["a [31m   b (HTTP status 418)"]),
    ],
)  # fmt: skip
async def test_what_is_no_answer_becomes_an_error_with_cause_and_fix(answer: bytes, words: list[str]) -> None:
    async with scripted(tools_call=writing(answer)) as gateway, conversation(gateway.server.url) as talk:
        await talk.say(CALL)
        error = (await talk.hear())["error"]
        assert error["code"] == -32603
        assert error["data"]["bridge"] is True
        for part in words:
            assert part in error["message"]
        assert "html" not in error["message"]
        assert "evil" not in error["message"]
        assert len(gateway.server.requests) == 1


@pytest.mark.parametrize("id", [b"1", b"null", None])
async def test_a_json_rpc_error_of_any_status_is_relayed_as_it_is(id: bytes | None) -> None:
    member = b"" if id is None else b'"id":%b,' % id
    body = b'{"jsonrpc":"2.0",%b"error":{"code":-32022,"message":"no","data":{"supported":["x"]}}}' % member
    answer = plain(body, status="400 Bad Request")
    async with scripted(tools_call=writing(answer)) as gateway, conversation(gateway.server.url) as talk:
        await talk.say(CALL)
        assert await talk.hear() == {"jsonrpc": "2.0", "id": 1, "error": {"code": -32022, "message": "no", "data": {"supported": ["x"]}}}  # fmt: skip
