"""No text of ours sends the reader of a page to a command: each becomes the page that does the same."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import coatcheck
from bench.surface import every_page
from coatcheck.cli.root import _PLACES
from coatcheck.console.web.commands import _COMMAND, OTHERWISE, PAGES, PLACEHOLDERS, PageFor, Retold
from coatcheck.console.web.refusing import Refusal
from coatcheck.errors import Missing

SERVED = every_page()
SOURCES = Path(coatcheck.__file__).parent
ELSEWHERE = frozenset({"cli", "bridge", "prove"})
"""Packages whose texts no page shows: they are commands."""
COMMAND = re.compile(rf"`coatcheck|\bcoatcheck (?:{'|'.join(map(re.escape, _PLACES))})(?![\w-])")


def _written(node: ast.expr) -> str | None:
    """Return the text that a literal makes, with names that are short for what is filled in."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "a.name-1" for part in node.values
        )
    return None


def _texts(tree: ast.Module) -> Iterator[str]:
    """Yield the texts of a module, without what documents it and without parts of longer ones."""
    silent = {
        id(one)
        for node in ast.walk(tree)
        for one in (
            [node.value]
            if isinstance(node, ast.Expr)
            else node.values
            if isinstance(node, ast.JoinedStr)
            else []
        )
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and id(node) not in silent and (text := _written(node)) is not None:
            yield text


def _naming_commands() -> list[str]:
    """Return all texts of the gateway that name a command."""
    found: set[str] = set()
    for path in SOURCES.rglob("*.py"):
        room = path.relative_to(SOURCES).parts[0]
        if room not in ELSEWHERE and path.parts[-2:] != ("web", "commands.py"):
            found |= {
                text for text in _texts(ast.parse(path.read_text(encoding="utf-8"))) if COMMAND.search(text)
            }
    return sorted(found)


NAMING = _naming_commands()


def test_many_texts_are_found() -> None:
    assert len(NAMING) > 60, len(NAMING)
    assert any("coatcheck credential rotate" in text for text in NAMING)


@pytest.mark.parametrize("text", NAMING)
def test_no_command_is_left_of_a_text(text: str) -> None:
    told = Retold.of(text)
    assert not COMMAND.search(told), told
    assert "`" not in told or told.count("`") % 2 == 0, told
    assert any(isinstance(one, PageFor) for one in told.pieces) or any(one in text for one in OTHERWISE), told


def test_every_command_has_its_way() -> None:
    assert {words.split()[0] for words in PAGES} == set(_PLACES)


@pytest.mark.parametrize("to", [one for one in PAGES.values() if one.path], ids=lambda to: str(to.path))
def test_a_way_leads_to_a_page_of_those_who_are_shown_it(to: PageFor) -> None:
    asked = to.path.partition("?")[0].split("/")
    pages = [page for page in SERVED if page.method == "GET" and _fits(page.path.split("/"), asked)]
    assert [page.who for page in pages[:1]] == [to.who], to.path


def _fits(path: list[str], asked: list[str]) -> bool:
    return len(path) == len(asked) and all(
        known == part or (known.startswith("{") and part == "{}")
        for known, part in zip(path, asked, strict=True)
    )


def test_only_what_a_text_writes_in_place_of_a_name_is_none() -> None:
    """What is filled in is never one, be it in capitals; what is written there always is."""
    written = {
        name
        for text in NAMING
        for found in _COMMAND.finditer(text)
        if (name := (found["of"] or found["rest"] or "").strip()).isupper()
        and "{}" in PAGES.get(found["quoted"] or found["plain"], PageFor("")).words
    }
    assert written == PLACEHOLDERS


def test_what_is_said_otherwise_is_said_somewhere() -> None:
    said = [
        text
        for path in SOURCES.rglob("*.py")
        if path.name != "commands.py"
        for text in _texts(ast.parse(path.read_text(encoding="utf-8")))
    ]
    for phrase in OTHERWISE:
        assert any(phrase in text for text in said), phrase


@pytest.mark.parametrize(
    ("text", "told", "path"),
    [
        (
            "see `coatcheck credential list`, and rotate the one that fails",
            "See the page Credentials, and rotate the one that fails.",
            "/credentials",
        ),
        ("`coatcheck list` names the servers", "The page Servers names the servers.", "/servers"),
        ("run: coatcheck tools my-srv", "Open the tools of the server my-srv.", "/servers/my-srv/tools"),
        ("run: coatcheck subject enable a@b.c", "Open the page of a@b.c.", "/people/one?name=a%40b.c"),
        (
            "x must be connected anew: coatcheck credential connect x (it ended).",
            "X must be connected anew: open the page of the credential x (it ended).",
            "/credentials/x",
        ),
        ("and 3 more: coatcheck credential plan", "And 3 more: open the page Credentials.", "/credentials"),
        ("give a probe (coatcheck server change SERVER --probe 'TOOL {}')", "Give a probe (open the settings of the server).", ""),
        ("take it: coatcheck migrate --accept-damage WHY", "Take it: use the command line.", ""),
        ("add it: coatcheck credential add x", "Add it: open the page New credential (x).", "/credentials/new"),
        ("`coatcheck server review` shows it", "The review shows it.", ""),
        ("run: coatcheck grant rotate CI", "Open the page of the grant CI.", "/grants/CI"),
        ("run: coatcheck server review GITHUB", "Open the review of GITHUB.", "/servers/GITHUB/review"),
        ("edit the file, as `coatcheck remove x` does", "Edit the file, as the command line does.", ""),
    ],
)  # fmt: skip
def test_a_command_becomes_the_page_that_does_the_same(text: str, told: str, path: str) -> None:
    found = Retold.of(text).sentence()
    assert found == told
    assert [one.path for one in found.pieces if isinstance(one, PageFor)] == [path]


@pytest.mark.parametrize(
    "text", ["", "nothing of the kind", "the file coatcheck.toml", "coatcheck lists things"]
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert Retold.of(text) == text


def test_a_refusal_names_pages() -> None:
    refused = Refusal.of(Missing("there is no server 'x' in use", fix="`coatcheck list` names the servers"))
    assert (refused.text, refused.fix) == (
        "There is no server 'x' in use.",
        "The page Servers names the servers.",
    )
