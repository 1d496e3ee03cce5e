"""Which URLs a grant may be sent to."""

from __future__ import annotations

import pytest

from coatcheck.bridge.place import place_of
from coatcheck.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "shown", "tls", "local"),
    [
        ("https://gw.example/mcp", "https://gw.example/mcp", True, False),
        ("HTTPS://GW.Example:8443/mcp/Git-Hub/", "https://gw.example:8443/mcp/Git-Hub/", True, False),
        ("https://gw.example", "https://gw.example/", True, False),
        ("https://10.1.2.3/mcp", "https://10.1.2.3/mcp", True, False),
        ("https://[2001:db8::1]:1/mcp", "https://[2001:db8::1]:1/mcp", True, False),
        ("https://127.0.0.1:1/mcp", "https://127.0.0.1:1/mcp", True, True),
        ("http://127.0.0.1:8080/mcp", "http://127.0.0.1:8080/mcp", False, True),
        ("http://127.9.9.9/mcp", "http://127.9.9.9/mcp", False, True),
        ("http://localhost:8080/mcp", "http://localhost:8080/mcp", False, True),
        ("http://[::1]:8080/mcp", "http://[::1]:8080/mcp", False, True),
    ],
)
def test_a_gateway_over_tls_or_on_this_machine_is_taken(url: str, shown: str, tls: bool, local: bool) -> None:
    place = place_of(url)
    assert (place.url, place.tls, place.local) == (shown, tls, local)


@pytest.mark.parametrize("url", ["http://gw.example/mcp", "http://10.0.0.1/mcp", "http://localhost.example/mcp", "http://127.0.0.1.example/mcp", "http://0.0.0.0/mcp", "http://[::]/mcp"])  # fmt: skip
def test_plain_http_to_another_machine_needs_to_be_asked_for(url: str) -> None:
    assert place_of(url, insecure=True).local is False
    with pytest.raises(ConfigError) as caught:
        place_of(url)
    assert "--insecure" in caught.value.fix


SECRET = "s3cret"


@pytest.mark.parametrize(
    "url",
    [
        "", "gw.example/mcp", "/mcp", "ftp://gw.example/mcp", "https:/gw.example/mcp", f"https://me:{SECRET}@gw.example/mcp", f"https://{SECRET}@127.0.0.1/mcp",
        f"https://gw.example/mcp?grant={SECRET}", f"https://gw.example/mcp#{SECRET}", "https:///mcp", "https://gw.example:0/mcp", "https://gw.example:99999/mcp", "https://gw.example:x/mcp",
        "https://[gw.example]/mcp", "https://[::1/mcp", "https://127.1/mcp", "https://2130706433/mcp", "https://gw.example/m cp", "https://gw.example/mcp\n", "https://gw.example/\x00",
        "https://gw.ex\u00e4mple/mcp", "https://gw.example/\u00e4", "https://gw_.example\\@evil/mcp", " https://gw.example/mcp",
    ],
)  # fmt: skip
def test_anything_that_two_readers_could_take_differently_is_refused(url: str) -> None:
    for insecure in (False, True):
        with pytest.raises(ConfigError) as caught:
            place_of(url, insecure=insecure)
        assert caught.value.fix
        assert SECRET not in caught.value.message + caught.value.fix
