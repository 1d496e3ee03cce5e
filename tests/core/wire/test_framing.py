"""Heads: what is framed in two ways, or asks for another host, is refused before anyone is identified."""

from __future__ import annotations

import pytest

from coatcheck.core.wire import framing
from coatcheck.core.wire.framing import (
    Doors,
    Headers,
    Misframed,
    doors_for,
    judge_head,
    judge_origin_and_host,
    read_headers,
)

PLAIN: Headers = {"host": ("gw",), "content-length": ("3",)}


def read(*lines: str) -> Headers:
    found = read_headers(
        [
            (name.encode(), value.encode("latin-1"))
            for name, _, value in (line.partition(": ") for line in lines)
        ]
    )
    assert not isinstance(found, Misframed)
    return found


def status_of(wrong: Misframed | Headers | None) -> int:
    assert isinstance(wrong, Misframed)
    assert wrong.sentence.endswith((".", "use"))
    return wrong.status


# --- headers --------------------------------------------------------------------------------------------


def test_headers_are_sorted_by_name_in_order() -> None:
    found = read("host: gw", "accept: a", "x-forwarded-for: 1", "accept: b", "x-forwarded-for: 2", "x: \xe9")
    assert found == {"host": ("gw",), "accept": ("a", "b"), "x-forwarded-for": ("1", "2"), "x": ("\xe9",)}
    assert list(found) == ["host", "accept", "x-forwarded-for", "x"]


@pytest.mark.parametrize(
    "name",
    [
        "host", "content-length", "transfer-encoding", "content-type", "content-encoding", "authorization", "origin", "expect", "upgrade",
        "mcp-protocol-version", "mcp-method", "mcp-name", "mcp-session-id", "last-event-id",
    ],
)  # fmt: skip
def test_headers_that_must_stand_alone_may_not_come_twice(name: str) -> None:
    assert read(f"{name}: a") == {name: ("a",)}
    for second in ("a", "b", ""):
        assert (
            status_of(read_headers([(name.encode(), b"a"), (b"x", b"y"), (name.encode(), second.encode())]))
            == 400
        )


def test_names_that_nearly_all_requests_have_are_read_like_any_other() -> None:
    for name in (*framing._NAMES.values(), "x-unknown"):
        assert read(f"{name}: a") == {name: ("a",)}


def test_headers_are_counted_and_measured() -> None:
    assert len(read(*(f"x-{number}: a" for number in range(100)))) == 100
    assert status_of(read_headers([(b"x-%d" % number, b"a") for number in range(101)])) == 431
    assert status_of(read_headers([(b"accept", b"a")] * 101)) == 431
    room = 64 * 1024 - len("x") - len(": \r\n")
    assert len(read(f"x: {'a' * room}")["x"][0]) == room
    assert status_of(read_headers([(b"x", b"a" * (room + 1))])) == 431
    assert status_of(read_headers([(b"x", b"a" * 40_000), (b"y", b"a" * 40_000)])) == 431


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"content-length": ("0",)},
        {"content-length": ("003",)},
        {"transfer-encoding": ("chunked",)},
        {"transfer-encoding": (" CHUNKED ",)},
        {"connection": ("close",)},
        {"connection": ("Keep-Alive",)},
        {"connection": ("keep-alive, close",)},
        {"connection": ("close", "keep-alive")},
        {"connection": ("",)},
        {"expect": ("100-Continue",)},
        {"te": ("trailers",)},
    ],
)
def test_heads_framed_in_one_way_pass(more: Headers) -> None:
    assert judge_head({"host": ("gw",), **more}, b"/mcp", b"") is None


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"content-length": ("3",), "transfer-encoding": ("chunked",)}, 400),
        *[
            ({"transfer-encoding": (value,)}, 400)
            for value in (
                "", "identity", "gzip", "gzip, chunked", "chunked, chunked", "chunked, identity", '"chunked"', "chunked;q=1", "xchunked", "chunked\x0b",
                ", chunked", "chunked,", "chunke", "\xa0chunked", "\x85chunked", "chun ked",
            )
        ],
        *[
            ({"content-length": (value,)}, 400)
            for value in ("", " ", "-1", "+3", "3, 3", "3 3", "0x3", "3.0", "1e1", "3;", "\xb2", "\xbd", "three", "3\x00")
        ],
        *[({"upgrade": (value,)}, 400) for value in ("h2c", "websocket", "", "TLS/1.0")],
        *[
            ({"connection": values}, 400)
            for values in (
                ("upgrade",), ("close, Authorization",), ("close, X-Forwarded-User",), ("keep-alive", "host"), ("Upgrade, HTTP2-Settings",),
                ("close; x",), ("mcp-name",), ("close\x0b",), ("\xa0close",), ("transfer-encoding",),
            )
        ],
        *[({"expect": (value,)}, 417) for value in ("200-ok", "", "100-continue, x", "100")],
    ],
)  # fmt: skip
def test_heads_that_two_readers_could_frame_differently_are_refused(more: Headers, status: int) -> None:
    assert judge_head(PLAIN, b"/mcp", b"") is None
    assert status_of(judge_head({"host": ("gw",), **more}, b"/mcp", b"")) == status


# --- targets --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        b"/", b"/mcp", b"/mcp/", b"/mcp/a-b_C9", b"/.well-known/x", b"/mcp/.hidden", b"/a..b", b"/mcp/...", b"/~a", b"/a:b@c", b"/a;b=c", b"/a%20b", b"/%7Ea",
        b"/%41", b"/a!$&'()*+,=", b"/a.", b"/a/b/c/d",
    ],
)  # fmt: skip
def test_plain_paths_pass(path: bytes) -> None:
    assert judge_head(PLAIN, path, b"a=%2e%2e//..") is None


@pytest.mark.parametrize(
    "path",
    [
        b"", b"*", b"mcp", b"http://evil/admin", b"//", b"//evil", b"/mcp//x", b"/mcp//", b"/.", b"/..", b"/mcp/.", b"/mcp/..", b"/mcp/./x", b"/mcp/../admin",
        b"/.well-known/../admin", b"/mcp/%2e%2e/admin", b"/mcp/%2E./admin", b"/mcp/.%2e", b"/mcp%2fx", b"/mcp%2Fx", b"/mcp/srv%2f..%2fother", b"/mcp%5cx", b"/mcp%5Cx",
        b"/mcp\\x", b"/mcp%00", b"/mcp%00/admin", b"/mcp%0a", b"/mcp%0D%0Ax", b"/mcp%", b"/mcp%2", b"/mcp%zz", b"/mcp%2z", b"/mcp%z2", b"/mcp%%", b"/mcp%25", b"/mcp%252e",
        b"/mcp%u002e", b"/mcp\x00", b"/mcp\n", b"/mcp x", b"/mcp\tx", b"/mcp#x", b"/mcp?x", b'/mcp"', b"/mcp<x>", b"/mcp|x", b"/mcp^", b"/mcp`", b"/mcp{x}", b"/mcp[x]",
        b"/mcp\x7f", b"/mcp/\xe2\x80\xaetxt", b"/\xff", b"/mcp\r\n",
    ],
)  # fmt: skip
def test_paths_in_any_other_spelling_are_refused(path: bytes) -> None:
    assert status_of(judge_head(PLAIN, path, b"")) == 400


def test_targets_are_measured_with_their_query() -> None:
    assert judge_head(PLAIN, b"/" + b"a" * 8_191, b"") is None
    assert judge_head(PLAIN, b"/mcp", b"a" * 8_188) is None
    assert status_of(judge_head(PLAIN, b"/" + b"a" * 8_192, b"")) == 414
    assert status_of(judge_head(PLAIN, b"/mcp", b"a" * 8_189)) == 414


# --- hosts and origins ------------------------------------------------------------------------------------

LOOPBACK = doors_for("127.0.0.1", 8080, loopback=True, public_url=None)
LOOPBACK_6 = doors_for("::1", 8080, loopback=True, public_url=None)
STANDARD = doors_for("127.0.0.1", 80, loopback=True, public_url=None)
PUBLIC = doors_for("0.0.0.0", 8080, loopback=False, public_url="https://GW.Example.com/")
PUBLIC_PORT = doors_for("10.0.0.5", 8080, loopback=False, public_url="https://gw.example.com:8443")
PUBLIC_HTTP = doors_for("10.0.0.5", 8080, loopback=False, public_url="http://gw.example.com:80")
PUBLIC_6 = doors_for("2001:DB8::1", 8080, loopback=False, public_url="https://[2001:db8::2]")
ANY = doors_for("0.0.0.0", 8080, loopback=False, public_url=None)


def judged(doors: Doors, host: str | None, origin: str | None = None, *, token: bool = True) -> int:
    headers: dict[str, tuple[str, ...]] = {}
    for name, value in (("host", host), ("origin", origin), ("authorization", "Bearer x" if token else None)):
        if value is not None:
            headers[name] = (value,)
    wrong = judge_origin_and_host(headers, doors)
    return 200 if wrong is None else wrong.status


@pytest.mark.parametrize("token", [True, False])
@pytest.mark.parametrize(
    ("doors", "host", "origin"),
    [
        (LOOPBACK, "127.0.0.1:8080", None),
        (LOOPBACK, "LocalHost:8080", "http://LOCALHOST:8080"),
        (LOOPBACK, "[::1]:8080", "http://127.0.0.1:8080"),
        (LOOPBACK, " localhost:8080 ", None),
        (LOOPBACK_6, "[::1]:8080", "http://[::1]:8080"),
        (STANDARD, "localhost", "http://localhost"),
        (STANDARD, "localhost:80", "http://127.0.0.1:80"),
        (PUBLIC, "gw.example.com", "https://gw.example.com"),
        (PUBLIC, "gw.example.com:443", None),
        (PUBLIC, "gw.example.com:8080", None),
        (PUBLIC, "0.0.0.0:8080", None),
        (PUBLIC_PORT, "gw.example.com:8443", "https://gw.example.com:8443"),
        (PUBLIC_PORT, "10.0.0.5:8080", "http://10.0.0.5:8080"),
        (PUBLIC_HTTP, "gw.example.com", "http://gw.example.com"),
        (PUBLIC_HTTP, "gw.example.com:80", None),
        (PUBLIC_6, "[2001:db8::1]:8080", None),
        (PUBLIC_6, "[2001:DB8::2]", "https://[2001:db8::2]"),
        (PUBLIC_6, "[2001:db8::2]:443", None),
    ],
)
def test_our_own_hosts_and_origins_are_answered(
    doors: Doors, host: str, origin: str | None, token: bool
) -> None:
    assert judged(doors, host, origin, token=token) == 200


@pytest.mark.parametrize("doors", [LOOPBACK, LOOPBACK_6, STANDARD, PUBLIC, PUBLIC_PORT, PUBLIC_6])
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "localhost:8081", "localhost.evil.example:8080", "127.0.0.1.nip.io:8080", "2130706433:8080", "0x7f.1:8080", "127.1:8080", "[::]:8080", "0:8080"],
)  # fmt: skip
def test_other_hosts_are_misdirected_token_or_not(doors: Doors, host: str) -> None:
    assert judged(doors, host) == 421
    assert judged(doors, host, token=False) == 421


@pytest.mark.parametrize("doors", [LOOPBACK, PUBLIC, ANY])
@pytest.mark.parametrize(
    "host",
    [
        None, "", " ", ":8080", "a/health?", "gw,evil", "gw evil", "gw:", "gw:x", "gw:99999", "gw:65536", "gw:123456", "gw:-1", "a@gw", "http://gw", "gw/", "gw#", "gw%00", "[::1",
        "::1", "[::1]x", "[g::1]", "-gw", "gw-", ".gw", "gw.", "*", "\xe9.example", "gw\x00", "gw:80:80", "[]", "gw\\evil", "\xa0gw",
    ],
)  # fmt: skip
def test_malformed_hosts_are_refused_everywhere(doors: Doors, host: str | None) -> None:
    assert judged(doors, host) == 400


@pytest.mark.parametrize("doors", [LOOPBACK, PUBLIC, PUBLIC_PORT, PUBLIC_6, ANY])
@pytest.mark.parametrize(
    "origin",
    [
        "null", "", "https://evil", "http://evil.example:8080", "https://gw.example.com:444", "https://gw.example.com.evil", "http://gw.example.com", "https://localhost:8080",
        "http://localhost:8081", "http://localhost:8080/", "http://localhost:8080@evil", "localhost:8080", "*", "file://", "chrome-extension://abc",
    ],
)  # fmt: skip
def test_other_origins_are_forbidden_whatever_the_host(doors: Doors, origin: str) -> None:
    for host in sorted(doors.hosts):
        assert judged(doors, host) == 200
        assert judged(doors, host, origin) == 403


def test_who_comes_by_another_name_is_told_which_setting_gives_it() -> None:
    own = doors_for("127.0.0.1", 9091, loopback=True, public_url=None, setting="admin_url")
    for doors, flag in ((LOOPBACK, "--public-url"), (own, "--admin-url")):
        wrong = judge_origin_and_host({"host": ("gw.example.com",)}, doors)
        assert wrong is not None
        assert f"set {flag} to" in wrong.sentence


def test_without_a_public_url_any_host_is_taken_with_a_token_and_without_an_origin() -> None:
    for host in ("evil.example", "gw", "10.1.2.3:8080", "[2001:db8::1]:1"):
        assert judged(ANY, host) == 200
        assert judged(ANY, host, token=False) == 421
        assert judged(ANY, host, "https://evil.example") == 403
        assert judged(ANY, host, "http://0.0.0.0:8080") == 421
    assert not LOOPBACK.any_host
    assert not PUBLIC.any_host
