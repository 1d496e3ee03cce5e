"""Secrets are found in every encoding they come back in, JSON stays JSON, and nothing else changes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.redact import MARK, Redactor, header_secrets, url_secrets
from coatcheck.model.call import Fault, Notice, Result

SECRET = 'sk-live+abc/DEF"\\=~<>&00112233'
ENCODINGS: dict[str, Callable[[str], str]] = {
    "raw": lambda s: s,
    "json": lambda s: json.dumps(s)[1:-1],
    "json twice": lambda s: json.dumps(json.dumps(s)),
    "percent": lambda s: quote(s, safe=""),
    "percent, path": quote,
    "percent, lower case": lambda s: quote(s, safe="").lower() if s.islower() else quote(s, safe=""),
    "form": quote_plus,
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64, one before": lambda s: base64.b64encode(b"x" + s.encode() + b"yz").decode(),
    "base64, two before": lambda s: base64.b64encode(b"xy" + s.encode() + b"z").decode(),
    "base64url": lambda s: base64.urlsafe_b64encode(b":" + s.encode()).decode().rstrip("="),
    "hex": lambda s: s.encode().hex(),
    "HEX": lambda s: s.encode().hex().upper(),
}
WRITERS: dict[str, Callable[[object], bytes]] = {
    "plain": lambda v: json.dumps(v, ensure_ascii=False).encode(),
    "ascii": lambda v: json.dumps(v).encode(),
    "slashes": lambda v: json.dumps(v).replace("/", "\\/").encode(),
    "careful": lambda v: (
        json.dumps(v).replace("+", "\\u002B").replace("<", "\\u003c").replace("&", "\\u0026").encode()
    ),
    "indented": lambda v: json.dumps(v, indent=2).encode(),
}
MATERIAL = st.text(
    st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=12, max_size=60
)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("before", ["", "a", "é ", 'q"\\'])
def test_an_echo_is_found_in_every_encoding(encoding: str, writer: str, before: str) -> None:
    echo = before + ENCODINGS[encoding](SECRET) + " after"
    document = WRITERS[writer]({"content": [{"type": "text", "text": echo}], "keep": ["é", 1, None]})
    clean = Redactor([SECRET]).redact(document)
    value = json.loads(clean)
    text = value["content"][0]["text"]
    assert MARK in text
    assert text.startswith(before[:1])
    assert text.endswith(" after")
    assert value["keep"] == ["é", 1, None]
    for encode in ENCODINGS.values():
        assert encode(SECRET) not in text


@given(
    MATERIAL.filter(lambda s: s not in MARK),
    st.sampled_from(sorted(ENCODINGS)),
    st.sampled_from(sorted(WRITERS)),
    st.text(max_size=5),
)
def test_whatever_the_secret_is_it_does_not_come_back(
    secret: str, encoding: str, writer: str, around: str
) -> None:
    text = around + ENCODINGS[encoding](secret) + around
    document = WRITERS[writer]([text, {text: 1}])
    clean = Redactor([secret]).redact(document)
    json.loads(clean)
    assert secret not in json.dumps(json.loads(clean), ensure_ascii=False)
    assert ENCODINGS[encoding](secret) not in str(json.loads(clean)[0])


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    )
)
def test_what_holds_no_secret_is_not_touched(value: object) -> None:
    document = json.dumps(value).encode()
    assert Redactor([SECRET, "another-long-secret"]).redact(document) is document


def test_numbers_keys_and_structure() -> None:
    redactor = Redactor(["12345678", '{"type":"key","id":[1,2]}'])
    found = redactor.redact(b'{"n":9123456789,"12345678":1,"s":{"type":"key","id":[1,2]},"m":12.5}')
    assert json.loads(found) == {"n": MARK, MARK: 1, "s": MARK, "m": 12.5}


def test_a_secret_that_cuts_through_the_structure_takes_all_of_it_away() -> None:
    redactor = Redactor(['1,"b":"hidden'])
    assert json.loads(redactor.redact(b'{"a":1,"b":"other"}')) == {"a": 1, "b": "other"}
    assert b"hidden" not in redactor.redact(b'{"a":1,"b":"hidden thing"}')
    json.loads(redactor.redact(b'{"a":1,"b":"hidden thing"}'))


def test_short_material_and_our_own_mark_are_not_looked_for() -> None:
    document = b'{"a":"short [redacted]"}'
    assert Redactor(["short", "redacted", ""]).redact(document) is document


def test_replies_and_notices() -> None:
    redactor = Redactor([SECRET])
    raw = json.dumps({"a": SECRET}).encode()
    assert redactor.redact_reply(Result(raw)) == Result(b'{"a": "[redacted]"}')
    assert redactor.redact_reply(Fault(1, f"bad {SECRET}", raw)) == Fault(
        1, "bad [redacted]", b'{"a": "[redacted]"}'
    )
    assert redactor.redact_notice(Notice("m", raw)) == Notice("m", b'{"a": "[redacted]"}')
    untouched = Fault(1, "fine", b"{}")
    assert redactor.redact_reply(untouched) is untouched
    assert redactor.redact_reply(Fault(1, "fine")) == Fault(1, "fine")


def test_text_that_is_no_json() -> None:
    assert Redactor([SECRET]).redact_text(f"error: {SECRET}\n") == "error: [redacted]\n"
    assert Redactor([SECRET]).redact_text("error: \udcff") == "error: \udcff"


def test_a_redactor_shows_nothing() -> None:
    assert SECRET not in repr(Redactor([SECRET]))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Authorization", "Bearer material", {"Bearer material", "material"}),
        ("X-Api-Key", "material", {"material"}),
        ("Authorization", "Basic " + base64.b64encode(b"me:password").decode(), {"me:password", "password"}),
        ("Authorization", "Basic not base64", {"not base64"}),
        ("Content-Type", "application/json", set()),
        ("user-agent", "curl", set()),
    ],
)
def test_what_of_a_header_is_secret(name: str, value: str, expected: set[str]) -> None:
    found = set(header_secrets(name, value))
    assert expected <= found
    assert bool(found) == bool(expected)


def test_what_of_a_url_is_secret() -> None:
    shown = "https://example.com/hooks/mcp"
    assert list(url_secrets("/hooks/3f9c/mcp?api_key=k1&mode=fast&sig=s1", shown)) == ["3f9c", "k1", "s1"]
    assert list(url_secrets("/hooks/mcp", shown)) == []


def test_what_is_learnt_is_looked_for_beside_what_was_known() -> None:
    redactor = Redactor(["planted-first"])
    tokens = [f"token-{letter}" * 2 for letter in "abcdefghi"]
    document = json.dumps(["planted-first", *tokens]).encode()
    assert redactor.redact(document).count(b"[redacted]") == 1
    for token in (*tokens[:2], tokens[1], *tokens[2:], "short"):
        redactor.learn(token)
    clean = json.loads(redactor.redact(document))
    assert clean == ["[redacted]", tokens[0], *["[redacted]"] * 8], "the last few count"
    assert "token" not in repr(redactor)
