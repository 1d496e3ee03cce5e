"""Replies over HTTP that are none, and the sentence that each one deserves."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

from upstream.raw_servers import STREAM, Request, chunk, event, message, plain

CANARY = "canary-8c1f0e"
Bytes = Callable[[Request], bytes]


def reply(value: object, media: str = "application/json", status: str = "200 OK", *lines: str) -> Bytes:
    body = value if isinstance(value, bytes) else message(value)
    return lambda _: plain(body, media, status, *lines)


def good(request: Request, **changes: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": request.id, "result": {"content": [], "c": CANARY}, **changes}


def changed(**changes: object) -> Bytes:
    return lambda request: plain(message(good(request, **changes)))


def stream(*parts: bytes, end: bytes = b"0\r\n\r\n") -> Bytes:
    return lambda _: STREAM + b"".join(map(chunk, parts)) + end


ERROR = {"jsonrpc": "2.0", "id": None, "error": {"code": -32603, "message": CANARY}}
BAD: dict[str, tuple[Bytes, str]] = {
    "500 html": (reply(CANARY.encode(), "text/html", "500 Internal Server Error"), "failed with status 500"),
    "500 error of nobody": (reply(ERROR, status="500 Internal Server Error"), "failed with status 500"),
    "502": (reply(b"<html>", "text/html", "502 Bad Gateway"), "behind its own proxy (502)"),
    "503": (reply(b"", status="503 Service Unavailable"), "not available for now (503)"),
    "418": (reply(b"", status="418 I'm a teapot"), "failed with status 418"),
    "429": (
        reply(b"", "text/plain", "429 Too Many", "Retry-After: 1000000000"),
        "refusing requests for now (429)",
    ),
    "400 html": (reply(CANARY.encode(), "text/html", "400 Bad Request"), "refused the request (400)"),
    "200 empty": (reply(b""), "an empty body"),
    "200 no type": (lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "neither JSON nor"),
    "200 html": (reply(CANARY.encode(), "text/html"), "neither JSON nor"),
    "200 json-ish": (lambda r: plain(message(good(r)), "application/json-seq"), "neither JSON nor"),
    "200 two types": (
        lambda r: plain(message(good(r)), "application/json", "200 OK", "Content-Type: application/json"),
        "neither JSON nor",
    ),
    "202": (lambda _: b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", "without answering it (202)"),
    "204": (lambda _: b"HTTP/1.1 204 No Content\r\n\r\n", "without answering it (204)"),
    "garbage": (reply(b'{"jsonrpc": ' + CANARY.encode()), "no JSON-RPC message"),
    "truncated": (lambda r: plain(message(good(r))[:-3]), "no JSON-RPC message"),
    "not utf-8": (
        lambda r: plain(message(good(r)).replace(CANARY.encode(), b"\xff\xfe")),
        "no JSON-RPC message",
    ),
    "bom": (lambda r: plain(b"\xef\xbb\xbf" + message(good(r))), "no JSON-RPC message"),
    "utf-16": (lambda r: plain(json.dumps(good(r)).encode("utf-16")), "no JSON-RPC message"),
    "deep": (
        lambda r: plain(
            b'{"jsonrpc":"2.0","id":%d,"result":{"a":%b' % (r.id, b"[" * 30_000 + b"]" * 30_000 + b"}}")
        ),
        "no JSON-RPC message",
    ),
    "wrong id": (changed(id=999_999), "the id of another request"),
    "id as text": (lambda r: plain(message(good(r, id=str(r.id)))), "the id of another request"),
    "id null": (changed(id=None), "the id of another request"),
    "no id": (reply({"jsonrpc": "2.0", "result": {}}), "the id of another request"),
    "batch": (lambda r: plain(message([good(r)])), "a batch"),
    "no version": (changed(jsonrpc="1.0"), "no JSON-RPC message"),
    "a request": (reply({"jsonrpc": "2.0", "id": 1, "method": "ping"}), "a message that is no reply"),
    "result is a list": (changed(result=[1]), "no JSON-RPC message"),
    "result is null": (changed(result=None), "no JSON-RPC message"),
    "bad error": (
        reply({"jsonrpc": "2.0", "id": 1, "error": {"code": "x", "message": CANARY}}),
        "no JSON-RPC",
    ),
    "gzip": (
        lambda r: plain(
            gzip.compress(b"\0" * 10_000_000), "application/json", "200 OK", "Content-Encoding: gzip"
        ),
        "a content encoding",
    ),
    "gzip events": (
        lambda r: plain(gzip.compress(b"data: 1"), "text/event-stream", "200 OK", "Content-Encoding: gzip"),
        "a content encoding",
    ),
    "too long, said": (
        lambda _: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 209715200\r\n\r\n",
        "more than 65536 bytes",
    ),
    "too long, chunked": (
        lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"x" * 1024) * 80,
        "more than 65536 bytes",
    ),
    "header too long": (lambda _: b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 100_000, "bytes of headers"),
    "header without end": (lambda _: b"HTTP/1.1 200 OK\r\n" + b"a" * 100_000, "bytes of headers"),
    "many headers": (lambda _: b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000 + b"\r\n", "bytes of headers"),
    "many interim": (lambda _: b"HTTP/1.1 100 Continue\r\n\r\n" * 5000, "bytes of headers"),
    "endless trailer": (
        lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 5000,
        "bytes of headers",
    ),
    "CR in a header": (
        lambda _: b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
        "no HTTP/1.1 reply",
    ),
    "NUL in a header": (
        lambda _: b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        "no HTTP/1.1 reply",
    ),
    "not http": (lambda _: b"SSH-2.0-OpenSSH_9.9\r\n", "no HTTP/1.1 reply"),
    "two lengths": (
        lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "no HTTP/1.1 reply",
    ),
    "length and chunks": (
        lambda _: (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        ),
        "no HTTP/1.1 reply",
    ),
    "bad chunk": (
        lambda _: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        "no HTTP/1.1 reply",
    ),
    "upgrade": (
        lambda _: (
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + b"x" * 99
        ),
        "no HTTP/1.1 reply",
    ),
    "event is garbage": (
        lambda r: stream(b"data: {garbage}\n\n", event(good(r)))(r),
        "an event that is no JSON-RPC message",
    ),
    "event with another id": (lambda r: stream(event(good(r, id=0)))(r), "the id of another request"),
    "event is a batch": (lambda r: stream(event([good(r)]))(r), "an event that is no JSON-RPC message"),
    "event without end": (
        lambda _: STREAM + chunk(b"data: " + b"x" * 1000) + chunk(b"x" * 1000) * 80,
        "more than 65536 bytes",
    ),
    "endless stream": (lambda _: STREAM + chunk(b": " + b"x" * 1000 + b"\n") * 300, "bytes on one stream"),
    "events of 500": (
        lambda r: (
            b"HTTP/1.1 500 Oops\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n%b"
            % (len(event(good(r))), event(good(r)))
        ),
        "failed with status 500",
    ),
}
