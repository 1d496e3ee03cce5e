"""Blanks: what is read is what was written, and what is put in is never looked at again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core import filling
from coatcheck.core.filling import Lacking
from coatcheck.errors import Unfit
from coatcheck.model.credential import (
    Blank,
    Credential,
    CredentialKind,
    CredentialVersion,
    Custody,
    Stage,
)
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, StdioReach

NOW = datetime(2026, 11, 1, tzinfo=UTC)
NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,99}", fullmatch=True)
TEXTS = st.text(st.sampled_from("ab {}$:-\n") | st.characters(codec="utf-8")) | st.sampled_from(
    ["${credential:x}", "$${credential:x}", "${credential:", "${A}", "$", "$$", "$${"]
)


def blank(*parts: str) -> Blank:
    """Make a blank of texts and names in turn."""
    return Blank(tuple(map(Secret, parts[::2])), parts[1::2])


def parts_of(found: Blank | None) -> list[str] | None:
    if found is None:
        return None
    texts = [text.reveal() for text in found.texts]
    return [texts[0], *(one for pair in zip(found.names, texts[1:], strict=True) for one in pair)]


def finds(**held: Any) -> filling.Find:
    def find(name: str) -> Secret | UUID:
        if name not in held:
            raise Lacking(name)
        return held[name] if isinstance(held[name], UUID) else Secret(held[name])

    return find


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", None),
        ("Bearer x", None),
        ("${A} $${B}", None),
        ("${credential:a}", ["", "a", ""]),
        ("Bearer ${credential:a-b.c_d}", ["Bearer ", "a-b.c_d", ""]),
        ("${credential:a}:${credential:b}", ["", "a", ":", "b", ""]),
        ("$${credential:a}", ["${credential:a}"]),
        ("$$${credential:a}", ["$${credential:a}"]),
        ("x$${credential:a}y${credential:b}", ["x${credential:a}y", "b", ""]),
    ],
)
def test_reads(text: str, parts: list[str] | None) -> None:
    assert parts_of(filling.read_blank(text)) == parts


@pytest.mark.parametrize("name", ["", "A", "-a", "a b", "a" * 101, "ü", "${credential:a}", "a\n"])
def test_no_names(name: str) -> None:
    assert filling.read_blank("${credential:a}")
    with pytest.raises(Unfit):
        filling.read_blank(f"canary ${{credential:{name}}}")


@given(st.lists(st.tuples(TEXTS, NAMES), max_size=4), TEXTS)
def test_what_is_written_is_read_again(pairs: list[tuple[str, str]], last: str) -> None:
    pairs = [(text.rstrip("$"), name) for text, name in pairs]  # before a name it would be an escape
    wanted = blank(*(one for pair in pairs for one in pair), last)
    text = filling.written(wanted)
    found = filling.read_blank(text)
    assert parts_of(found) == parts_of(wanted) if found is not None else text == last


@given(TEXTS)
def test_what_is_escaped_names_nothing(text: str) -> None:
    found = filling.read_blank(filling.escaped(text))
    assert parts_of(found) == [text] if found is not None else filling.escaped(text) == text


MATERIALS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)


@given(MATERIALS | st.sampled_from(["${credential:b}", "$${credential:b}", "${HOME}"]), MATERIALS)
def test_what_is_put_in_is_not_looked_at(first: str, second: str) -> None:
    reach = StdioReach("x", (Secret("-"),), {"A": Secret("-"), "B": Secret("kept")})
    blanks = {"args/0": blank("--key=", "a", ""), "env/A": blank("", "a", "/", "b", "")}
    filled = filling.fill(reach, blanks, finds(a=first, b=second))
    assert isinstance(filled, StdioReach)
    assert filled.args[0].reveal() == f"--key={first}"
    assert {name: value.reveal() for name, value in filled.env.items()} == {
        "A": f"{first}/{second}",
        "B": "kept",
    }
    assert reach.args[0].reveal() == "-"


def remote(**headers: str) -> HttpReach:
    return HttpReach(
        Secret("https://h.example/-?k=-"),
        "https://h.example/",
        {name: Secret(value) for name, value in headers.items()},
    )


@pytest.mark.parametrize("material", ["a\r\nX-Evil: 1", "a\n", "a\0b", "ü", " a", "a ", "", "a" * 9000])
def test_a_header_stays_a_header(material: str) -> None:
    reach, blanks = remote(A="-"), {"headers/A": blank("", "a", "")}
    good = filling.fill(reach, blanks, finds(a="Bearer good"))
    assert isinstance(good, HttpReach)
    assert good.headers["A"].reveal() == "Bearer good"
    with pytest.raises(Unfit, match="headers/A") as raised:
        filling.fill(reach, blanks, finds(a=material))
    assert material not in f"{raised.value.message} {raised.value.fix}" or len(material.strip()) < 2


@pytest.mark.parametrize("material", ["a#b", "a?b", "a b", "a\\b", "a\r\nb", "ü", "a" * 9000])
def test_a_url_leads_where_it_says(material: str) -> None:
    blanks = {"url": blank("https://h.example/", "p", "?k=", "q", "")}
    good = filling.fill(remote(), blanks, finds(p="a/b%20c", q="x+/=&y"))
    assert isinstance(good, HttpReach)
    assert good.url.reveal() == "https://h.example/a/b%20c?k=x+/=&y"
    assert good.shown_url == "https://h.example/"
    for bad in ({"p": material, "q": "q"}, {"p": "p", "q": material}):
        with pytest.raises(Unfit, match=r"url|URL"):
            filling.fill(remote(), blanks, finds(**bad))


@pytest.mark.parametrize(
    "text",
    [
        "${credential:a}",
        "https://${credential:a}/x",
        "https://h${credential:a}/x",
        "https://h:${credential:a}/x",
        "https://u:${credential:a}@h/x",
        "${credential:a}://h/x",
        "https://h#${credential:a}",
    ],
)
def test_no_credential_decides_where_a_url_leads(text: str) -> None:
    for good in ("https://h/${credential:a}", "https://h?${credential:a}", "https://h/x"):
        found = filling.read_blank(good)
        filling.check_url(found or blank(good))
    found = filling.read_blank(text)
    assert found is not None
    with pytest.raises(Unfit, match="leads"):
        filling.check_url(found)


@pytest.mark.parametrize("value", ["a\0", "\udc80"])
def test_a_process_can_be_given_it(value: str) -> None:
    with pytest.raises(Unfit, match="process"):
        filling.fill(StdioReach("x", env={"A": Secret("-")}), {"env/A": blank("", "a", "")}, finds(a=value))


def test_a_name_that_is_not_found_is_told() -> None:
    with pytest.raises(Lacking) as raised:
        filling.fill(remote(A="-"), {"headers/A": blank("", "gone", "")}, finds())
    assert raised.value.name == "gone"


# --- OAuth ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
@pytest.mark.parametrize("before", ["", "Bearer "])
def test_an_oauth_credential_is_the_whole_header(name: str, before: str) -> None:
    id = UUID(int=7)
    reach = remote(**{name: "-", "X": "kept"})
    filled = filling.fill(reach, {f"headers/{name}": blank(before, "a", "")}, finds(a=id))
    assert isinstance(filled, HttpReach)
    assert (filled.bearer, list(filled.headers)) == (id, ["X"])


@pytest.mark.parametrize(
    ("place", "parts"),
    [
        ("headers/X-Key", ["", "a", ""]),
        ("headers/Authorization", ["Token ", "a", ""]),
        ("headers/Authorization", ["", "a", "", "b", ""]),
        ("url", ["https://h/", "a", ""]),
    ],
)
def test_an_oauth_credential_goes_nowhere_else(place: str, parts: list[str]) -> None:
    with pytest.raises(Unfit, match="OAuth"):
        filling.fill(
            remote(**{"X-Key": "-", "Authorization": "-"}),
            {place: blank(*parts)},
            finds(a=UUID(int=7), b="x"),
        )


# --- what is found ------------------------------------------------------------------------------------------


def known(**versions: Any) -> Mapping[str, Credential]:
    return {
        name: Credential(UUID(int=1), name, Custody.STORE, tuple(held), NOW, "root")
        for name, held in versions.items()
    }


def test_only_active_material_is_found() -> None:
    def a_version(number: int, stage: Stage, material: str | None) -> CredentialVersion:
        return CredentialVersion(number, stage, "p", NOW, "r", Secret(material) if material else None)

    credentials = known(
        a=[a_version(2, Stage.STAGED, "new"), a_version(1, Stage.ACTIVE, "now")],
        staged=[a_version(1, Stage.STAGED, "new")],
        gone=[a_version(1, Stage.ACTIVE, None)],
    )
    find = filling.finder(credentials)
    found = find("a")
    assert isinstance(found, Secret)
    assert found.reveal() == "now"
    for name in ("staged", "gone", "other"):
        with pytest.raises(Lacking, match=name):
            find(name)
    oauth = {"o": Credential(UUID(int=3), "o", Custody.STORE, (), NOW, "root", CredentialKind.OAUTH)}
    assert filling.finder(oauth)("o") == UUID(int=3)


def test_places_of_a_reach() -> None:
    reach = remote(A="1")
    assert [place for place, _ in filling.values_of(reach)] == ["url", "headers/A"]
    value = filling.value_at(reach, "headers/A")
    assert value is not None
    assert value.reveal() == "1"
    assert filling.value_at(reach, "headers/B") is None
    child = StdioReach("x", (Secret("a"), Secret("b")), {"C": Secret("c")})
    assert [place for place, _ in filling.values_of(child)] == ["args/0", "args/1", "env/C"]
    assert filling.with_values(child, {}) is child
