"""What is refused by its bytes alone, tried on a running gateway: framing, heads, hosts, origins and paths.

Every row is a good call of a good grant but for the one thing that its name says.
"""

from __future__ import annotations

import pytest

from journeys.running import Hall
from journeys.wire import META, Wire, frame, message, modern_headers

CALL = message("tools/call", {"name": "srv__echo", "arguments": {}, "_meta": META})
SIZE = b"%d" % len(CALL)
HOST = b"Host: gw\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LENGTH = b"Content-Length: " + SIZE + b"\r\n"


def chunks(size: bytes = b"%x" % len(CALL), end: bytes = b"\r\n0\r\n\r\n") -> bytes:
    return size + b"\r\n" + CALL + end


def post(
    hall: Hall, framing: bytes, body: bytes = CALL, *, first: bytes = b"POST /mcp HTTP/1.1\r\n"
) -> bytes:
    """Write a call with every header but those of framing and Host."""
    fields = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        **hall.bearer,
        **modern_headers("tools/call", "srv__echo"),
    }
    head = b"".join(f"{name}: {value}\r\n".encode() for name, value in fields.items())
    return first + head + framing + b"\r\n" + body


FRAMES: dict[str, tuple[bytes, bytes]] = {
    "length and chunked": (HOST + LENGTH + CHUNKED, chunks()),
    "chunked and length": (HOST + CHUNKED + LENGTH, chunks()),
    "chunked and length 0": (HOST + CHUNKED + b"Content-Length: 0\r\n", chunks()),
    "two equal lengths": (HOST + LENGTH + LENGTH, CALL),
    "two lengths": (HOST + LENGTH + b"Content-Length: 3\r\n", CALL),
    "length list": (HOST + b"Content-Length: " + SIZE + b", " + SIZE + b"\r\n", CALL),
    "length with plus": (HOST + b"Content-Length: +" + SIZE + b"\r\n", CALL),
    "length negative": (HOST + b"Content-Length: -1\r\n", b""),
    "length in hexadecimal": (HOST + b"Content-Length: 0x%x\r\n" % len(CALL), CALL),
    "length with a fraction": (HOST + b"Content-Length: " + SIZE + b".0\r\n", CALL),
    "length with a space inside": (HOST + b"Content-Length: 1 2\r\n", CALL),
    "length empty": (HOST + b"Content-Length: \r\n", CALL),
    "length over 2^64": (HOST + b"Content-Length: 18446744073709551999\r\n", CALL),
    "space before the colon": (HOST + b"Content-Length : " + SIZE + b"\r\n", CALL),
    "tab before the colon": (HOST + b"Content-Length\t: " + SIZE + b"\r\n", CALL),
    "space before the name": (HOST + b" Content-Length: " + SIZE + b"\r\n", CALL),
    "folded header": (HOST + LENGTH + b"X-A: 1\r\n 2\r\n", CALL),
    "coding identity": (HOST + b"Transfer-Encoding: identity\r\n" + LENGTH, CALL),
    "coding gzip": (HOST + b"Transfer-Encoding: gzip\r\n", chunks()),
    "coding gzip, chunked": (HOST + b"Transfer-Encoding: gzip, chunked\r\n", chunks()),
    "coding chunked, gzip": (HOST + b"Transfer-Encoding: chunked, gzip\r\n", chunks()),
    "coding chunked twice": (HOST + CHUNKED + CHUNKED, chunks()),
    "coding chunked, chunked": (HOST + b"Transfer-Encoding: chunked, chunked\r\n", chunks()),
    "coding chunked and another line": (HOST + CHUNKED + b"Transfer-Encoding: x\r\n", chunks()),
    "coding quoted": (HOST + b'Transfer-Encoding: "chunked"\r\n', chunks()),
    "coding with a parameter": (HOST + b"Transfer-Encoding: chunked;q=1\r\n", chunks()),
    "coding misspelt": (HOST + b"Transfer-Encoding: xchunked\r\n", chunks()),
    "coding with vertical tab": (HOST + b"Transfer-Encoding: \x0bchunked\r\n", chunks()),
    "chunk negative": (HOST + CHUNKED, b"-1\r\n\r\n"),
    "chunk with plus": (HOST + CHUNKED, chunks(b"+%x" % len(CALL))),
    "chunk with 0x": (HOST + CHUNKED, chunks(b"0x%x" % len(CALL))),
    "chunk with space before": (HOST + CHUNKED, chunks(b" %x" % len(CALL))),
    "chunk without size": (HOST + CHUNKED, chunks(b"")),
    "chunk of other digits": (HOST + CHUNKED, chunks(b"G")),
    "chunk over 2^64": (HOST + CHUNKED, chunks(b"10000000000000003")),
    "chunk without its line end": (HOST + CHUNKED, chunks(end=b"XX0\r\n\r\n")),
    "chunk longer than its size": (HOST + CHUNKED, chunks(b"3")),
    "chunk line ended by LF": (HOST + CHUNKED, b"%x\n" % len(CALL) + CALL + b"\n0\n\n"),
    "LF alone": (HOST.replace(b"\r", b"") + LENGTH.replace(b"\r", b""), CALL),
    "CR alone in a value": (HOST + LENGTH + b"X-A: a\rb\r\n", CALL),
    "CR alone as line end": (HOST + LENGTH + b"X-A: a\rX-B: b\r\n", CALL),
    "NUL in a value": (HOST + LENGTH + b"X-A: a\x00b\r\n", CALL),
    "NUL in a name": (HOST + LENGTH + b"X\x00A: b\r\n", CALL),
    "control in a value": (HOST + LENGTH + b"X-A: a\x01b\r\n", CALL),
    "no name": (HOST + LENGTH + b": v\r\n", CALL),
    "no colon": (HOST + LENGTH + b"XYZ\r\n", CALL),
    "name not a token": (HOST + LENGTH + b"X(A): v\r\n", CALL),
    "name not ASCII": (HOST + LENGTH + b"X-\xc3\x84: 1\r\n", CALL),
    "two Authorization": (HOST + LENGTH + b"Authorization: Bearer b\r\n", CALL),
    "two Content-Type": (HOST + LENGTH + b"Content-Type: application/json\r\n", CALL),
    "two Mcp-Method": (HOST + LENGTH + b"Mcp-Method: tools/list\r\n", CALL),
    "two Mcp-Name": (HOST + LENGTH + b"Mcp-Name: srv__denied\r\n", CALL),
    "two MCP-Protocol-Version": (HOST + LENGTH + b"MCP-Protocol-Version: 2025-06-18\r\n", CALL),
    "two Mcp-Session-Id": (HOST + LENGTH + b"Mcp-Session-Id: a\r\nMcp-Session-Id: b\r\n", CALL),
    "two Origin": (HOST + LENGTH + b"Origin: http://gw\r\nOrigin: http://gw\r\n", CALL),
    "two Host": (HOST + HOST + LENGTH, CALL),
    "no Host": (LENGTH, CALL),
    "empty Host": (b"Host: \r\n" + LENGTH, CALL),
    "upgrade to h2c": (HOST + LENGTH + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n", CALL),
    "upgrade to websocket": (HOST + LENGTH + b"Upgrade: websocket\r\n", CALL),
    "Connection takes Authorization": (HOST + LENGTH + b"Connection: close, Authorization\r\n", CALL),
    "Connection takes a forwarding header": (HOST + LENGTH + b"Connection: X-Forwarded-Host\r\n", CALL),
}


def refused(hall: Hall, data: bytes, *statuses: int) -> None:
    """Send what must be refused by its head: it reaches no server, and others go on.

    A wrong Host or Origin is on record, once for all that come within a minute; what is misframed is counted.
    """
    calls, position, process = len(hall.peer.forwarded), hall.last_position(), hall.gateway.pid
    got, closed = hall.raw(data)
    assert got.status in statuses, got
    if got.status == 400:
        assert closed
        assert got.headers["connection"] == "close"
    assert got.headers["content-type"] == "application/json"
    assert got.json()["error_description"]
    assert len(hall.peer.forwarded) == calls
    reason = {403: "bad_origin", 421: "bad_host"}.get(got.status)
    found = [(entry["decision"], entry["rule"], entry["reason"]) for entry in hall.since(position)]
    assert found in ([], [("refused", "(door)", reason)] if reason else [])
    assert hall.gateway.pid == process
    hall.good()


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_that_two_readers_could_take_differently_is_refused(hall: Hall, name: str) -> None:
    framing, body = FRAMES[name]
    refused(hall, post(hall, framing, body), 400)


FIRST_LINES: dict[str, bytes] = {
    "method in lower case": b"post /mcp HTTP/1.1\r\n",
    "method unknown": b"FETCH /mcp HTTP/1.1\r\n",
    "method with a colon": b"PO:ST /mcp HTTP/1.1\r\n",
    "tab": b"POST\t/mcp\tHTTP/1.1\r\n",
    "no version": b"POST /mcp\r\n",
    "version 0.9": b"POST /mcp HTTP/0.9\r\n",
    "version 2.0": b"POST /mcp HTTP/2.0\r\n",
    "version 1.2": b"POST /mcp HTTP/1.2\r\n",
    "version misspelt": b"POST /mcp HTP/1.1\r\n",
    "version with a letter": b"POST /mcp HTTP/1.x\r\n",
    "space in the target": b"POST /mcp x HTTP/1.1\r\n",
    "LF after the first line": b"POST /mcp HTTP/1.1\n",
    "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
    "absolute form": b"POST http://gw/mcp HTTP/1.1\r\n",
    "absolute form of another host": b"POST http://evil/mcp HTTP/1.1\r\n",
    "authority form": b"CONNECT gw:80 HTTP/1.1\r\n",
    "asterisk form": b"OPTIONS * HTTP/1.1\r\n",
    "no slash": b"POST mcp HTTP/1.1\r\n",
    "NUL in the target": b"POST /mcp\x00 HTTP/1.1\r\n",
    "byte over ASCII in the target": b"POST /mcp/\xe2\x80\xae HTTP/1.1\r\n",
}


@pytest.mark.parametrize("name", FIRST_LINES)
def test_a_first_line_that_is_not_plain_is_refused(hall: Hall, name: str) -> None:
    refused(hall, post(hall, HOST + LENGTH, first=FIRST_LINES[name]), 400)


FINE: dict[str, tuple[bytes, bytes]] = {
    "length": (HOST + LENGTH, CALL),
    "length with zeros before": (HOST + b"Content-Length: 000" + SIZE + b"\r\n", CALL),
    "length with space before": (HOST + b"Content-Length:   " + SIZE + b"\r\n", CALL),
    "chunked": (HOST + CHUNKED, chunks()),
    "chunked in other case": (HOST + b"TRANSFER-ENCODING: Chunked\r\n", chunks()),
    "chunk size in upper case": (HOST + CHUNKED, chunks(b"%X" % len(CALL))),
    "chunk with an extension": (HOST + CHUNKED, chunks(b"%x;name=value" % len(CALL))),
    "one byte a chunk": (HOST + CHUNKED, b"".join(b"1\r\n%c\r\n" % b for b in CALL) + b"0\r\n\r\n"),
    "trailers": (HOST + CHUNKED, chunks(end=b"\r\n0\r\nX-Trailer: 1\r\n\r\n")),
    "expecting to continue": (HOST + LENGTH + b"Expect: 100-continue\r\n", CALL),
    "keep-alive": (HOST + LENGTH + b"Connection: keep-alive\r\n", CALL),
    "close": (HOST + LENGTH + b"Connection: close\r\n", CALL),
    "100 headers": (HOST + LENGTH + b"".join(b"X-%d: 1\r\n" % n for n in range(92)), CALL),
}


@pytest.mark.parametrize("name", FINE)
def test_a_plain_frame_is_served_once(hall: Hall, name: str) -> None:
    framing, body = FINE[name]
    calls, position = len(hall.peer.forwarded), hall.last_position()
    got, _ = hall.raw(post(hall, framing, body))
    assert got.status == 200, got
    assert got.text == "{}"
    assert len(hall.peer.forwarded) == calls + 1
    assert [entry["outcome"] for entry in hall.since(position)] == ["ok"]


@pytest.mark.parametrize(
    "first", [b"\r\nPOST /mcp HTTP/1.1\r\n", b"POST /mcp HTTP/1.0\r\n", b"POST /mcp?x=1 HTTP/1.1\r\n"]
)
def test_a_first_line_that_is_odd_but_clear_is_served(hall: Hall, first: bytes) -> None:
    got, _ = hall.raw(post(hall, HOST + LENGTH, first=first))
    assert got.status == 200


def test_http_1_0_has_no_chunks(hall: Hall) -> None:
    refused(hall, post(hall, HOST + CHUNKED, chunks(), first=b"POST /mcp HTTP/1.0\r\n"), 400)


def test_trailers_are_no_headers(hall: Hall) -> None:
    without = post(hall, HOST + CHUNKED, b"").replace(f"Bearer {hall.grant}".encode(), b"Bearer")
    end = f"\r\n0\r\nAuthorization: Bearer {hall.grant}\r\n\r\n".encode()
    calls = len(hall.peer.forwarded)
    assert hall.raw(without + chunks(end=end))[0].status in {400, 401}
    assert len(hall.peer.forwarded) == calls


SIZES: dict[str, tuple[bytes, int]] = {
    "101 headers": (b"".join(b"X-%d: 1\r\n" % n for n in range(101)), 431),
    "5000 headers": (b"".join(b"X-%d: 1\r\n" % n for n in range(5000)), 431),
    "a header of 70 KB": (b"X-A: " + b"a" * 70_000 + b"\r\n", 431),
    "a header of 128 KB": (b"X-A: " + b"a" * 131_072 + b"\r\n", 431),
    "a name of 70 KB": (b"X" * 70_000 + b": a\r\n", 431),
    "an expectation unknown": (b"Expect: 200-ok\r\n", 417),
}


@pytest.mark.parametrize("name", SIZES)
def test_a_head_over_a_limit_is_refused_by_name(hall: Hall, name: str) -> None:
    lines, status = SIZES[name]
    refused(hall, post(hall, HOST + LENGTH + lines), status)


HOSTS = (
    b"evil.example", b"localhost.evil.example", b"gw.evil.example", b"evilgw", b"gw.", b".gw", b"gw:99999", b"gw:-1",
    b"gw:", b"gw:8a", b"gw:80:80", b"gw,evil", b"gw evil", b"gw/evil", b"gw?evil", b"gw#evil", b"gw\\evil", b"user@gw",
    b"a/health?", b"gw%00", b"0x7f.1", b"127.1", b"2130706433", b"0.0.0.0", b"127.0.0.1", b"[::1]", b"[::", b"[gw]",
    b"xn--gw-", b"*", b"\xe2\x93\x96w", b"_", b"gw;", b"-gw", b"169.254.169.254", b"gw:8443",
)  # fmt: skip


@pytest.mark.parametrize("host", HOSTS, ids=[host.decode("latin-1") for host in HOSTS])
def test_another_host_is_refused(hall: Hall, host: bytes) -> None:
    refused(hall, post(hall, b"Host: " + host + b"\r\n" + LENGTH), 400, 421)


def test_our_own_hosts_are_served(hall: Hall) -> None:
    port = hall.gateway.port
    for host in (
        "gw",
        "GW",
        "gw:80",
        f"gw:{port}",
        f"127.0.0.1:{port}",
        f"localhost:{port}",
        f"[::1]:{port}",
    ):
        got, _ = hall.raw(post(hall, f"Host: {host}\r\n".encode() + LENGTH))
        assert got.status == 200, host


ORIGINS = (
    b"https://evil", b"null", b"", b"https://gw", b"https://gw:444", b"http://gw:444", b"http://gw.evil", b"http://evil.gw",
    b"http://gw/", b"http://gw@evil", b"gw", b"//gw", b"http:gw", b"file://", b"chrome-extension://abc", b"http://gw http://gw",
    b"http://gw, http://gw", b"javascript:0", b"http://127.0.0.1", b"http://localhost", b"http://[::1]", b"*",
)  # fmt: skip


@pytest.mark.parametrize("origin", ORIGINS, ids=[origin.decode() for origin in ORIGINS])
def test_another_origin_is_refused(hall: Hall, origin: bytes) -> None:
    refused(hall, post(hall, HOST + LENGTH + b"Origin: " + origin + b"\r\n"), 403, 400)


def test_our_own_origins_are_served(hall: Hall) -> None:
    port = hall.gateway.port
    for origin in ("http://gw", "HTTP://GW", f"http://127.0.0.1:{port}", f"http://localhost:{port}"):
        got, _ = hall.raw(post(hall, HOST + LENGTH + f"Origin: {origin}\r\n".encode()))
        assert got.status == 200, origin


def test_a_refused_host_leaves_the_connection_in_step(hall: Hall) -> None:
    with Wire(hall.gateway.port) as wire:
        wire.send(post(hall, b"Host: evil\r\n" + LENGTH))
        assert wire.read().status == 421
        wire.send(post(hall, HOST + LENGTH))
        assert wire.read().status == 200


PLAIN_404 = (
    "/", "/m", "/mcpx", "/mcp.", "/mcp;x", "/MCP", "/Mcp", "/mcp/srv/x", "/mcp/srv/tools", "/mcp/sse/x", "/mcp/message/sse", "/sse",
    "/message", "/admin", "/api/v2/status", "/api", "/api/v1x", "/claims/x", "/healthz", "/livez/", "/metrics/x", "/mcp/a.b", "/mcp/a b",
    "/mcp/" + "a" * 41, "/mcp/srv*", "/mcp/~srv", "/mcp/srv:1", "/mcp/@srv", "/favicon.ico", "/robots.txt", "/mcp/u/admin",
    "/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration", "/.well-known/oauth-protected-resource/mcp/srv", "/mcp/.well-known/openid-configuration",
    "/mcp/srv/.well-known/oauth-protected-resource", "/mcp/srv/.well-known/oauth-authorization-server/", "/.well-known",
    "/register", "/authorize", "/token",
)  # fmt: skip


@pytest.mark.parametrize("verb", [b"GET", b"POST", b"DELETE", b"OPTIONS"])
def test_a_path_of_unknown_shape_is_a_plain_json_404_for_everyone(hall: Hall, verb: bytes) -> None:
    for path in PLAIN_404:
        if path == "/" and verb == b"GET":
            continue  # the console, for people
        target = path.replace(" ", "%20").encode()
        for headers in ({}, hall.bearer, {"Authorization": "Bearer wrong"}):
            body = b"{}" if verb == b"POST" else b""
            got, _ = hall.raw(frame(body, path=target, verb=verb, headers=headers))
            assert got.status == 404, (path, got)
            assert got.headers["content-type"] == "application/json"
            assert "www-authenticate" not in got.headers
            assert got.json()["error"] == "not_found"


CROOKED = (
    "//mcp", "/mcp//", "//", "/mcp//srv", "/./mcp", "/mcp/.", "/mcp/..", "/mcp/../mcp", "/x/../mcp", "/mcp/./srv", "/mcp/srv/..",
    "/.well-known/../mcp", "/%2e%2e/mcp/..", "/mcp/%2e%2e/admin/..", "/mcp%2f", "/mcp/srv%2f..%2fother", "/mcp%2Fsrv", "/mcp%5csrv",
    "/mcp%00", "/mcp/srv%00", "/mcp%0a", "/mcp%0d%0aX: y", "/mcp%", "/mcp%2", "/mcp%zz", "/mcp%25", "/mcp/%252e%252e", "/mcp\\srv", "/mcp|",
    '/mcp"', "/mcp<srv>", "/mcp^", "/mcp`", "/mcp{srv}", "/mcp/[srv]",
)  # fmt: skip


@pytest.mark.parametrize("path", CROOKED)
def test_a_crooked_path_is_never_served(hall: Hall, path: str) -> None:
    calls = len(hall.peer.forwarded)
    first = b"POST " + path.replace(" ", "%20").encode() + b" HTTP/1.1\r\n"
    got, _ = hall.raw(post(hall, HOST + LENGTH, first=first))
    assert got.status in {400, 404}, got
    assert len(hall.peer.forwarded) == calls


def test_a_long_target_is_refused_by_name(hall: Hall) -> None:
    fine = post(hall, HOST + LENGTH, first=b"POST /mcp?" + b"a" * 8000 + b" HTTP/1.1\r\n")
    assert hall.raw(fine)[0].status == 200
    refused(hall, post(hall, HOST + LENGTH, first=b"POST /mcp?" + b"a" * 8200 + b" HTTP/1.1\r\n"), 414)


SENT = [
    "accept", "accept-encoding", "content-length", "content-type", "host", "mcp-method", "mcp-name", "mcp-protocol-version",
    "user-agent",
]  # fmt: skip
IGNORED = (
    b"X-Forwarded-User: admin", b"X_Forwarded_User: admin", b"X-Forwarded-Groups: admins", b"X-Remote-User: admin",
    b"Remote-User: admin", b"X-Forwarded-For: 10.9.8.7", b"X-Real-IP: 10.9.8.7", b"Forwarded: for=10.9.8.7;host=evil",
    b"X-Forwarded-Host: evil", b"X-Forwarded-Proto: https", b"X-Forwarded-Prefix: //evil", b"X-Forwarded-Port: 1",
    b"X-Original-URL: /livez", b"X-Rewrite-URL: /livez", b"X-HTTP-Method-Override: GET", b"X-Api-Key: k", b"Cookie: a=b",
    b"Proxy-Authorization: Basic YTpi", b"Range: bytes=0-1", b"If-None-Match: *", b"Last-Event-ID: ../../other",
    b"Mcp-Session-Id: made-up", b"User-Agent: GoogleHC/1.0", b"Via: 1.1 evil", b"Accept-Encoding: gzip, br, zstd",
    b"Mcp-Param-X: 1", b"Traceparent: x", b"TE: trailers", b"Referer: http://evil", b"Sec-Fetch-Site: cross-site",
)  # fmt: skip


@pytest.mark.parametrize("line", IGNORED, ids=[line.decode() for line in IGNORED])
def test_a_header_that_means_nothing_here_changes_nothing(hall: Hall, line: bytes) -> None:
    position = hall.last_position()
    got, _ = hall.raw(post(hall, HOST + LENGTH + line + b"\r\n"))
    assert got.status == 200
    assert got.text == "{}"
    assert "content-encoding" not in got.headers
    (entry,) = hall.since(position)
    told = [entry[name] for name in ("subject", "client_ip", "route", "tool", "decision")]
    assert told == ["alice", "127.0.0.1", "/mcp", "echo", "allowed"]
    sent = hall.peer.forwarded[-1].headers
    assert sorted(sent) == SENT
    assert hall.grant not in str(sent)
