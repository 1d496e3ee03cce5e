"""Heads that a known caller gets refused for: media types, versions, mirrored headers; and the order of answers."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from journeys.running import Hall
from journeys.wire import LEGACY, META, Got, Wire, frame, message, modern_headers

CALL = message("tools/call", {"name": "srv__echo", "arguments": {}, "_meta": META})
GOOD = modern_headers("tools/call", "srv__echo")


def send(hall: Hall, body: bytes = CALL, /, **headers: str | bytes | None) -> Got:
    """Send a call with these headers changed; underscores of names stand for hyphens."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return hall.raw(frame(body, headers={**hall.bearer, **GOOD, **fields}))[0]


def refused(
    hall: Hall, status: int, code: int | None, body: bytes = CALL, **headers: str | bytes | None
) -> Got:
    calls, position = len(hall.peer.forwarded), hall.last_position()
    got = send(hall, body, **headers)
    assert (got.status, got.code) == (status, code), got
    assert len(hall.peer.forwarded) == calls
    (entry,) = hall.since(position)
    assert (entry["subject"], entry["decision"], entry["rule"]) == ("alice", "denied", "(request)")
    assert entry["reason"]
    hall.good()
    return got


MEDIA = (
    None, "", "text/plain", "text/json", "application/json-rpc", "application/jsonl", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
    "application/json, text/plain", "application/json; charset=utf-16", "application/json; charset=latin-1", "application/json; q=1",
    "application/json; charset=utf-8; charset=utf-16", "application/vnd.api+json", "json", "*/*", "application/*", "application/json/",
    "application /json", "application/octet-stream",
)  # fmt: skip


@pytest.mark.parametrize("media", MEDIA)
def test_a_body_that_is_not_plain_json_is_415(hall: Hall, media: str | None) -> None:
    refused(hall, 415, None, Content_Type=media)


@pytest.mark.parametrize("coding", ["gzip", "identity", "identity, gzip", "br", "zstd", "deflate", "x", ""])
def test_a_compressed_body_is_415(hall: Hall, coding: str) -> None:
    refused(hall, 415, None, Content_Encoding=coding)


@pytest.mark.parametrize(
    "media",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
    ],
)
def test_json_in_any_spelling_is_served(hall: Hall, media: str) -> None:
    assert send(hall, Content_Type=media).status == 200


@pytest.mark.parametrize(
    "accept", ["text/html", "text/event-stream", "image/*", "", "application/xml, text/plain"]
)
def test_a_client_that_takes_no_json_is_406(hall: Hall, accept: str) -> None:
    refused(hall, 406, None, Accept=accept)


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "*/*",
        "application/*",
        "application/json",
        "application/json;q=0.9, text/event-stream",
        "text/html, */*;q=0.1",
    ],
)
def test_a_client_that_takes_json_is_served_json(hall: Hall, accept: str | None) -> None:
    got = send(hall, Accept=accept)
    assert (got.status, got.headers["content-type"]) == (200, "application/json")


def b64(text: str) -> str:
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


MISMATCHES: dict[str, dict[str, str | bytes | None]] = {
    "no method": {"Mcp_Method": None},
    "other method": {"Mcp_Method": "tools/list"},
    "method in upper case": {"Mcp_Method": "TOOLS/CALL"},
    "method empty": {"Mcp_Method": ""},
    "no name": {"Mcp_Name": None},
    "other name": {"Mcp_Name": "srv__allowed"},
    "hidden name": {"Mcp_Name": "srv__denied"},
    "name in upper case": {"Mcp_Name": "SRV__ECHO"},
    "name without prefix": {"Mcp_Name": "echo"},
    "name empty": {"Mcp_Name": ""},
    "name list": {"Mcp_Name": "srv__echo, srv__denied"},
    "name quoted": {"Mcp_Name": '"srv__echo"'},
    "name percent-encoded": {"Mcp_Name": "srv__ech%6f"},
    "other name in base64": {"Mcp_Name": b64("srv__denied")},
    "base64 in upper case": {"Mcp_Name": b64("srv__echo").replace("base64", "BASE64")},
    "base64 without padding": {
        "Mcp_Name": b64("srv__echo1").replace("=", "").replace("?base64?", "=?base64?") + "?="
    },
    "base64 with spare bits": {"Mcp_Name": "=?base64?c3J2X19lY2hvMR==?="},
    "base64 in the URL alphabet": {"Mcp_Name": "=?base64?c3J2X19-?="},
    "base64 with a space": {"Mcp_Name": "=?base64?c3J2 X19lY2hv?="},
    "base64 of no UTF-8": {"Mcp_Name": "=?base64?/w==?="},
    "base64 twice": {"Mcp_Name": b64(b64("srv__echo"))},
    "base64 unended": {"Mcp_Name": b64("srv__echo")[:-2]},
    "quoted-printable": {"Mcp_Name": "=?utf-8?q?srv__echo?="},
    "no version": {"MCP_Protocol_Version": None},
    "legacy version": {"MCP_Protocol_Version": LEGACY},
    "other version": {"MCP_Protocol_Version": "2027-01-01"},
    "version with NUL escaped": {"MCP_Protocol_Version": "2026-07-28\\u0000"},
}


@pytest.mark.parametrize("name", MISMATCHES)
def test_headers_that_do_not_mirror_the_body_are_refused(hall: Hall, name: str) -> None:
    refused(hall, 400, -32020, CALL, **MISMATCHES[name])


@pytest.mark.parametrize("name", ["srv__echo", b64("srv__echo"), "  srv__echo\t"])
def test_a_name_may_be_plain_or_encoded(hall: Hall, name: str) -> None:
    assert send(hall, Mcp_Name=name).status == 200


def with_meta(**changes: Any) -> bytes:
    meta = {f"io.modelcontextprotocol/{key}": value for key, value in changes.items() if value is not ...}
    dropped = {f"io.modelcontextprotocol/{key}" for key in changes}
    kept = {key: value for key, value in META.items() if key not in dropped}
    return message("tools/call", {"name": "srv__echo", "arguments": {}, "_meta": {**kept, **meta}})


VERSIONS = (
    "2099-01-01", "2026-07-29", "2026-7-28", "2026-07-28 ", "2026-07-28\u0000", "2026-07-28-draft", "DRAFT-2026-v1", "1", "", "latest", "2024-01-01",
    "9" * 300,
)  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS, ids=[ascii(version)[:30] for version in VERSIONS])
def test_a_version_that_we_do_not_serve_is_refused_with_those_that_we_do(hall: Hall, version: str) -> None:
    sendable = version == version.strip("\u0000 ")
    header = version if sendable else "2026-07-28"
    got = refused(hall, 400, -32022, with_meta(protocolVersion=version), MCP_Protocol_Version=header)
    told = got.json()["error"]["data"]
    assert told["requested"] == version
    assert "2026-07-28" in told["supported"]
    assert LEGACY in told["supported"]


def test_a_legacy_version_in_a_modern_body_is_refused(hall: Hall) -> None:
    refused(hall, 400, -32020, with_meta(protocolVersion=LEGACY))


@pytest.mark.parametrize(
    "body",
    [
        with_meta(protocolVersion=...), with_meta(clientCapabilities=...), with_meta(protocolVersion=1), with_meta(protocolVersion=None),
        with_meta(clientCapabilities=[]), with_meta(clientCapabilities=None), with_meta(clientCapabilities="x"),
        message("tools/call", {"name": "srv__echo"}), message("tools/call", {"name": "srv__echo", "_meta": {}}),
        message("tools/call", {"name": "srv__echo", "_meta": []}), message("tools/call", {"name": "srv__echo", "_meta": None}),
        message("tools/call", {"name": "srv__echo", "_meta": "x"}), message("tools/call"),
    ],
)  # fmt: skip
def test_a_modern_request_needs_its_meta(hall: Hall, body: bytes) -> None:
    refused(hall, 400, -32602, body)


def test_modern_meta_without_its_header_is_never_taken_for_legacy(hall: Hall) -> None:
    session = hall.session()
    got = hall.raw(session.frame(CALL))[0]
    assert (got.status, got.code) == (400, -32020)


def test_a_modern_reply_and_notification(hall: Hall) -> None:
    refused(hall, 400, -32600, b'{"jsonrpc":"2.0","id":1,"result":{}}')
    notice = json.dumps(
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    ).encode()
    got = send(hall, notice, Mcp_Method="notifications/cancelled", Mcp_Name=None)
    assert (got.status, got.body) == (202, b"")


@pytest.mark.parametrize(
    "method", ["tools/list", "prompts/list", "resources/list", "resources/templates/list"]
)
@pytest.mark.parametrize("cursor", ["", "forged", "MTA=", "x" * 5000])
def test_a_cursor_that_we_never_gave_is_refused(hall: Hall, method: str, cursor: str) -> None:
    position = hall.last_position()
    got = hall.ask(method, {"cursor": cursor})
    assert got.code == -32602
    (entry,) = hall.since(position)
    assert (entry["decision"], entry["rule"], entry["method"]) == ("denied", "(cursor)", method)


def test_what_clients_say_of_themselves_is_on_the_record_of_a_refusal(hall: Hall) -> None:
    meta = {**META, "io.modelcontextprotocol/clientInfo": {"name": "cl\u202eient", "version": "9"}}
    position = hall.last_position()
    hall.raw(frame(message("no/such", {"_meta": meta}), headers={**hall.bearer, **modern_headers("no/such")}))
    (entry,) = hall.since(position)
    assert (entry["method"], entry["client_name"], entry["client_version"]) == (
        "no/such",
        "cl\ufffdient",
        "9",
    )


# --- the order of answers ------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [b"PUT", b"PATCH", b"HEAD", b"OPTIONS", b"TRACE"])
@pytest.mark.parametrize("path", [b"/mcp", b"/mcp/", b"/mcp/srv", b"/mcp/srv/"])
def test_another_http_method_is_405_and_on_record(hall: Hall, verb: bytes, path: bytes) -> None:
    position = hall.last_position()
    with Wire(hall.gateway.port) as wire:
        wire.send(frame(b"", verb=verb, path=path, headers=hall.bearer))
        head = wire._until(b"\r\n\r\n").lower()
    assert b" 405 " in head
    assert b"allow: get, post, delete" in head
    (entry,) = hall.since(position)
    assert (entry["decision"], entry["rule"], entry["outcome"]) == ("denied", "(request)", "denied")


@pytest.mark.parametrize("verb", [b"GET", b"DELETE"])
def test_a_modern_client_may_only_post(hall: Hall, verb: bytes) -> None:
    got, _ = hall.raw(frame(b"", verb=verb, headers={**hall.bearer, "MCP-Protocol-Version": "2026-07-28"}))
    assert (got.status, got.headers["allow"]) == (405, "POST")


def test_each_check_answers_before_the_next(hall: Hall) -> None:
    wrong: list[tuple[int, dict[str, str | bytes | None], bytes, bytes]] = [
        (400, {"Connection": "upgrade"}, b"/mcp", b"POST"),
        (421, {"Host": "evil"}, b"/mcp", b"POST"),
        (403, {"Origin": "https://evil"}, b"/mcp", b"POST"),
        (404, {}, b"/mcp/srv/more", b"POST"),
        (401, {"Authorization": "Bearer"}, b"/mcp/other", b"POST"),
        (404, {}, b"/mcp/other", b"POST"),
        (405, {}, b"/mcp/srv", b"PUT"),
        (415, {"Content-Type": "text/plain"}, b"/mcp/srv", b"POST"),
        (406, {"Accept": "text/html"}, b"/mcp/srv", b"POST"),
        (413, {"Content-Length": "99999999"}, b"/mcp/srv", b"POST"),
        (400, {}, b"/mcp/srv", b"POST"),
    ]
    for first in range(len(wrong)):
        headers: dict[str, str | bytes | None] = dict(hall.bearer)
        for _, spoilt, _, _ in reversed(wrong[first:]):
            headers |= spoilt
        if wrong[first][0] == 421 or first == 0:
            headers.pop("Origin", None)
        _, _, path, verb = wrong[first]
        got, _ = hall.raw(frame(b"{", path=path, verb=verb, headers=headers))
        assert got.status == wrong[first][0], (first, got)


def test_a_body_over_the_limit_is_413_however_it_is_sent(hall: Hall) -> None:
    limit = 4 * 1024 * 1024
    padding = b" " * (limit - len(CALL))
    assert send(hall, CALL + padding).status == 200
    refused(hall, 413, None, CALL + padding + b" ")
    refused(hall, 413, None, CALL + padding * 3)
    head = frame(b"", headers={**hall.bearer, **GOOD, "Content-Length": None, "Transfer-Encoding": "chunked"})
    with Wire(hall.gateway.port) as wire:
        wire.send(head + (b"100000\r\n" + b" " * (1 << 20) + b"\r\n") * 5 + b"0\r\n\r\n")
        assert wire.read().status == 413
    for size in ("99999999", "99999999999999999", "9" * 19):
        refused(hall, 413, None, b"", Content_Length=size)


def test_a_client_that_asks_before_it_sends_is_told_at_once(hall: Hall) -> None:
    head = frame(b"", headers={**hall.bearer, **GOOD, "Content-Length": "5000000", "Expect": "100-continue"})
    with Wire(hall.gateway.port) as wire:
        wire.send(head)
        got = wire._until(b"\r\n\r\n")
    assert b" 413 " in got
    assert b" 100 " not in got
