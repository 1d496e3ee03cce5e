"""URLs, origins, networks and listening addresses: one plain spelling or a refusal."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.declared.reading import addresses
from coatcheck.declared.reading.problems import Unfit


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://mcp.example.com/sse", None),
        ("http://localhost:8080/mcp", None),
        ("HTTPS://MCP.Example.COM/Path?Q=1", "https://mcp.example.com/Path?Q=1"),
        ("http://my_server:8000", None),
        ("http://192.0.2.1/x", None),
        ("http://[::1]:80/x", None),
        ("http://[0:0::1]/x", "http://[::1]/x"),
        ("https://xn--bcher-kva.example/", None),
        ("https://h?x=/@", None),
        ("https://h/a%20b/../c", None),
    ],
)
def test_urls(text: str, expected: Any) -> None:
    assert addresses.url_of(text) == (expected or text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mcp.example.com",
        "ftp://h/",
        "file:///etc/passwd",
        "unix:///x",
        "https:/h",
        "https:h",
        "https://",
        "https:///x",
        "https://?x",
        "https://:80/",
        "https://user@h/",
        "https://user:canary@h/",
        "https://h@/",
        "https://h/#f",
        "https://h/x#",
        "https://h /",
        " https://h/",
        "https://h/\n",
        "https://h/\r\nX: y",
        "https://h\\@evil/",
        "https://h/ü",
        "https://bücher.example/",
        "https://127。0。0。1/",
        "https://\uff11\uff12\uff17.0.0.1/",
        "http://127.1/",
        "http://127.0.1/",
        "http://0x7f.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://127.0.0.01/",
        "http://127.0.0.1./",
        "http://256.0.0.1/",
        "http://1.2.3.4.5/",
        "http://1.2.3.0x4/",
        "http://h.0x/",
        "http://example.com./",
        "http://.example.com/",
        "http://a..b/",
        "http://-a/",
        "http://a-/",
        "http://a%2eb/",
        "http://" + "a" * 64 + "/",
        "http://" + "a." * 127 + "a/",
        "http://h:/",
        "http://h:0/",
        "http://h:080/",
        "http://h:65536/",
        "http://h:8o/",
        "http://h:1:2/",
        "http://::1/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[fe80::1%eth0]/",
        "http://[127.0.0.1]/",
        "http://[]/",
        "https://h/" + "a" * addresses.MAX_URL,
    ],
)
def test_refused_urls(text: str) -> None:
    assert addresses.url_of("https://h/")
    with pytest.raises(Unfit) as caught:
        addresses.url_of(text)
    assert "canary" not in caught.value.message + caught.value.fix


@given(st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address), st.integers(1, 65535))
def test_every_plain_ipv4_address_is_taken_as_it_is(address: Any, port: int) -> None:
    assert addresses.url_of(f"http://{address}:{port}/") == f"http://{address}:{port}/"


@given(st.text(alphabet="0123456789xabcdef.:[]@%/ -_。", max_size=24))
def test_a_host_that_is_taken_is_the_host_that_others_read(text: str) -> None:
    try:
        url = addresses.url_of(f"http://{text}/")
    except Unfit:
        return
    host = urlsplit(url).hostname
    assert host
    assert host == urlsplit(f"http://{text}/").hostname or ":" in host
    if host.replace(".", "").isdigit():
        assert str(ipaddress.IPv4Address(host)) == host


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://gate.example.com", "https://gate.example.com"),
        ("https://gate.example.com/", "https://gate.example.com"),
        ("HTTP://Gate:8080", "http://gate:8080"),
        ("https://[::1]:8443/", "https://[::1]:8443"),
    ],
)
def test_origins(text: str, expected: Any) -> None:
    assert addresses.origin_of(text) == expected


@pytest.mark.parametrize(
    "text", ["https://h/mcp", "https://h?x", "https://h/?x", "h", "https://u@h", "wss://h"]
)
def test_refused_origins(text: str) -> None:
    with pytest.raises(Unfit):
        addresses.origin_of(text)


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, True),
        (":9090", "127.0.0.1", 9090, True),
        ("9090", "127.0.0.1", 9090, True),
        ("0", "127.0.0.1", 0, True),
        ("127.0.0.1", "127.0.0.1", 8080, True),
        ("localhost:8080", "127.0.0.1", 8080, True),
        ("LOCALHOST", "127.0.0.1", 8080, True),
        ("[::1]:8080", "::1", 8080, True),
        ("[::1]", "::1", 8080, True),
        ("127.0.0.2:1", "127.0.0.2", 1, True),
        ("0.0.0.0:80", "0.0.0.0", 80, False),
        ("[::]:80", "::", 80, False),
        ("192.0.2.1:80", "192.0.2.1", 80, False),
        ("gate.example.com:80", "gate.example.com", 80, False),
        ("localhost.example.com:80", "localhost.example.com", 80, False),
    ],
)
def test_listening_addresses(text: str, host: str, port: int, loopback: bool) -> None:
    address = addresses.listen_address_of(text)
    assert (address.host, address.port, address.is_loopback) == (host, port, loopback)
    assert addresses.listen_address_of(str(address)) == address


@pytest.mark.parametrize(
    "text",
    ["", "::1", "::1:8080", "h:x", "h:", "h:65536", "127.1:80", "a b:80", "http://h:80", "[::1]80", "*:80"],
)
def test_refused_listening_addresses(text: str) -> None:
    with pytest.raises(Unfit):
        addresses.listen_address_of(text)


def test_networks() -> None:
    assert str(addresses.network_of("10.0.0.0/8")) == "10.0.0.0/8"
    assert str(addresses.network_of("fd00::/8")) == "fd00::/8"
    assert str(addresses.network_of("192.0.2.7")) == "192.0.2.7/32"
    with pytest.raises(Unfit) as caught:
        addresses.network_of("10.1.2.3/8")
    assert "10.0.0.0/8" in caught.value.fix
    for text in ("", "ten", "10.0.0.0/33", "10.0.0.0/-1", "*"):
        with pytest.raises(Unfit):
            addresses.network_of(text)
    for text in ("0.0.0.0/0", "::/0"):
        with pytest.raises(Unfit, match="every address"):
            addresses.trusted_network_of(text)
