"""Material: made fit, warned of, fingerprinted, dated, and a wrong one of the same form; names."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.credentials.making import (
    MAX_CHARS,
    expiry_of,
    expiry_told,
    material_of,
    printed,
    scheme_of,
    warnings_on,
    wrong_of,
)
from coatcheck.core.credentials.naming import credential_name, free_name, name_of
from coatcheck.errors import Unfit
from coatcheck.model.secret import Secret


@pytest.mark.parametrize(
    ("before", "new", "made"),
    [
        (None, "plain", "plain"),
        ("Bearer old", "new", "Bearer new"),
        ("token old", "new", "token new"),
        ("Custom-1 old", "new", "Custom-1 new"),
        ("Bearer old", "Basic new", "Basic new"),
        ("old", "new", "new"),
        ("two words more", "new", "new"),
        ("1st word", "new", "new"),
    ],
)
def test_the_scheme_stays(before: str | None, new: str, made: str) -> None:
    assert material_of(Secret(before) if before else None, new).reveal() == made


def test_two_words_of_a_passphrase_are_no_scheme_where_no_header_is() -> None:
    assert material_of(Secret("correct horse"), "battery", scheme=False).reveal() == "battery"
    assert material_of(Secret("Bearer old"), "new", scheme=False).reveal() == "Bearer new"


@pytest.mark.parametrize(
    "text", ["", "   ", "a\nb", "a\x00b", "a\x7f", " a", "a ", "x" * (MAX_CHARS + 1), "\ud800a"]
)
def test_what_cannot_be_sent_is_refused(text: str) -> None:
    assert material_of(None, "good").reveal() == "good"
    with pytest.raises(Unfit) as caught:
        material_of(None, text)
    assert len(text) < 3 or text not in caught.value.message


def test_variables_may_have_lines() -> None:
    key = "-----BEGIN KEY-----\nabc\n-----END KEY-----\n"
    assert material_of(None, key, lines=True).reveal() == key
    with pytest.raises(Unfit):
        material_of(None, "a\x00b", lines=True)


@pytest.mark.parametrize(
    ("material", "warned"),
    [
        ("ghp_a-long-and-random-one", False),
        ("Bearer ghp_a-long-and-random-one", False),
        ("short", True),
        ("Bearer short", True),
        ("Password123", True),
        ("changeme", True),
        ("aaaaaaaaaaaa", True),
    ],
)
def test_what_can_be_guessed_is_warned_of(material: str, warned: bool) -> None:
    warnings = warnings_on(Secret(material))
    assert bool(warnings) is warned
    assert all(material not in one for one in warnings)


@given(st.text(min_size=1), st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_fingerprint_is_the_same_for_the_same_under_one_key_alone(
    text: str, one: bytes, other: bytes
) -> None:
    print = printed(one, Secret(text))
    assert print == printed(one, Secret(text))
    assert len(print) == 16
    assert int(print, 16) >= 0
    assert (print == printed(other, Secret(text))) is (one == other)


def jwt(claims: object) -> str:
    parts = [json.dumps({"alg": "HS256"}), json.dumps(claims)]
    return ".".join([*(base64.urlsafe_b64encode(one.encode()).decode().rstrip("=") for one in parts), "c2ln"])


def test_a_json_web_token_says_when_it_ends() -> None:
    end = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert expiry_of(Secret(f"Bearer {jwt({'exp': end.timestamp()})}")) == end
    assert expiry_of(Secret(jwt({"exp": int(end.timestamp())}))) == end


@pytest.mark.parametrize(
    "material",
    ["a.b.c", "x.!!.y", jwt({}), jwt([1]), jwt({"exp": "soon"}), jwt({"exp": True}), jwt({"exp": -1}), jwt({"exp": 1e30}), "plain"],
)  # fmt: skip
def test_what_says_nothing_of_its_end_has_none(material: str) -> None:
    assert expiry_of(Secret(material)) is None


@pytest.mark.parametrize("text", ["2027-01-02 03:04:05 UTC", "2027-01-02 05:04:05 +0200"])
def test_a_server_says_when_it_ends(text: str) -> None:
    assert expiry_told(text) == datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)


@given(st.text() | st.sampled_from(["", "2027-01-02", "0001-01-01 00:00:00 +2300"]))
def test_a_server_may_say_anything(text: str) -> None:
    assert expiry_told(text) is None


@given(st.text())
def test_any_text_has_an_end_or_none_and_a_wrong_one(text: str) -> None:
    expiry_of(Secret(text))
    assert "coatcheck-wrong-secret-" in wrong_of(Secret(text)).reveal() or "Basic" in text.title()


@pytest.mark.parametrize(
    ("material", "kept"),
    [
        ("Bearer " + "a" * 40, "Bearer coatcheck-wrong-secret-00000000000000000"),
        ("a" * 30, "coatcheck-wrong-secret-0000000"),
        ("short", "coatcheck-wrong-secret-"),
        ("postgres://me:pw@db.test:5/x?y=1", "postgres://me:coatcheck-wrong-secret-@db.test:5/x?y=1"),
        ("https://db.test/x", "coatcheck-wrong-secret-"),
        ("Basic bWU6cHc=", "Basic " + base64.b64encode(b"me:coatcheck-wrong-secret-").decode()),
        ("Basic ???", "Basic " + base64.b64encode(b"coatcheck:coatcheck-wrong-secret-").decode()),
    ],
)
def test_a_wrong_one_has_the_same_form_and_goes_to_the_same_place(material: str, kept: str) -> None:
    assert wrong_of(Secret(material)).reveal() == kept
    assert scheme_of(Secret(material)) == scheme_of(Secret(kept))


# --- names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "place", "name"),
    [
        ("github", "headers/Authorization", "github-authorization"),
        ("Data Base", "env/PG_PASSWORD", "data-base-pg_password"),
        ("x", "args/0", "x-args-0"),
        ("x", "url", "x-url"),
        ("\u00e9", "url", "url"),
        ("n" * 200, "url", "n" * 100),
    ],
)
def test_the_usual_name(server: str, place: str, name: str) -> None:
    assert credential_name(server, place) == name
    assert name_of(name) == name


@given(st.text(), st.sampled_from(["headers", "env", "args"]), st.text())
def test_the_usual_name_is_always_fit(server: str, part: str, rest: str) -> None:
    name = credential_name(server, f"{part}/{rest}")
    assert name_of(free_name(name, {name})) != name


@pytest.mark.parametrize("name", ["", "A", "-a", "a b", "a" * 101, "a/b", "a\n"])
def test_what_is_no_name(name: str) -> None:
    assert name_of("a.b_c-1") == "a.b_c-1"
    with pytest.raises(Unfit):
        name_of(name)


def test_a_taken_name_gets_a_number() -> None:
    assert free_name("a", ()) == "a"
    assert free_name("a", ("a", "a-2")) == "a-3"
    assert len(free_name("a" * 100, {"a" * 100})) == 100
