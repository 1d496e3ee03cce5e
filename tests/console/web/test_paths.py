"""Where things are shown: whatever they are called, no page of ours stands there in place of theirs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

import coatcheck.console
from bench.surface import every_page
from coatcheck.console.web.commands import Retold
from coatcheck.console.web.page import AnyPage
from coatcheck.console.web.paths import (
    OURS,
    credential_page,
    filled,
    grant_page,
    policy_page,
    server_page,
)

PAGES: Final = every_page()
CONSOLE: Final = Path(coatcheck.console.__file__).parent
RULE: Final = CONSOLE / "web" / "paths.py"
BY_ID: Final = frozenset({"/grants"})
"""Rooms with pages of ours beside things whose names stand in no path: their ids are never words."""
BY_HAND: Final = re.compile(
    r"/(?:credentials|grants|policies|servers)/"
    r"(?:\{\{|\{%|\{\}|\{(?!ref\}|name\})[a-z_]|%s|[\"'] *[~+%]|[\"'] *\| *format)"
)
"""A path to one of them that is written out where it is needed."""


def answering(path: str) -> AnyPage:
    """Return the page that is looked at under a path: the first whose own path fits, as the router has it."""
    return next(
        page
        for page in PAGES
        if page.method == "GET" and re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", page.path), path)
    )


def test_the_rule_knows_what_pages_of_ours_are_called() -> None:
    paths = [page.path for page in PAGES]
    rooms = {path.rpartition("/")[0] for path in paths if re.fullmatch(r"(/\w+)+/\{\w+\}", path)} - BY_ID
    beside = {
        room: {path.rpartition("/")[2] for path in paths if re.fullmatch(rf"{room}/\w+", path)}
        for room in rooms
    }
    assert {room: names for room, names in beside.items() if names} == OURS


@pytest.mark.parametrize(
    "path", [page.path for page in PAGES if page.path.startswith(tuple(f"{room}/{{" for room in OURS))]
)
def test_each_page_of_a_thing_is_its_own_whatever_the_thing_is_called(path: str) -> None:
    room = f"/{path.split('/')[1]}"
    pattern = re.sub(r"\{[^}]*\}", "{}", path, count=1)
    asked = {name: filled(pattern, name).replace("{number}", "1") for name in (*OURS[room], "plain")}
    if any(page.path == path and page.method == "GET" for page in PAGES):
        found = {name: answering(one).answer for name, one in asked.items()}
        assert set(found.values()) == {found["plain"]}, asked


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (server_page("crm"), "/servers/crm"),
        (server_page("review"), "/servers/review/show"),
        (server_page("Review"), "/servers/Review"),
        (server_page("new", "settings", "allow"), "/servers/new/settings/allow"),
        (credential_page("new"), "/credentials/new/show"),
        (credential_page("a/b c"), "/credentials/a%2Fb%20c"),
        (credential_page("review"), "/credentials/review"),
        (policy_page("suggest"), "/policies/suggest/show"),
        (policy_page("suggest", "history", 3), "/policies/suggest/history/3"),
        (grant_page("file-1", "change"), "/grants/file-1/change"),
    ],
)
def test_a_page_is_where_its_name_says_or_a_step_below(path: str, wanted: str) -> None:
    assert path == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("see `coatcheck credential show new`", "/credentials/new/show"),
        ("see `coatcheck credential rotate new`", "/credentials/new/rotate"),
        ("see `coatcheck policy show explain`", "/policies/explain/show"),
        ("see `coatcheck policy show mine`", "/policies/mine"),
        ("see `coatcheck tools review`", "/servers/review/tools"),
    ],
)
def test_what_stands_for_a_command_follows_the_rule(text: str, wanted: str) -> None:
    assert [getattr(one, "path", "") for one in Retold.of(text).pieces][-1] == wanted


@pytest.mark.parametrize(
    "line",
    [
        '<a href="/policies/{{ name | part }}">', '<a href="/servers/{{name}}/tools">', '{{ ui.link("/servers/" ~ server | part, "x") }}',
        "{{ link('/credentials/' ~ name) }}", '"/grants/"+id', 'f"/grants/{view.id}"', "f'/servers/{part(name)}'", '"/policies/%s" % name',
        '"/policies/" | format(name)', '"/credentials/{}".format(name)', "/servers/{% if x %}",
    ],
)  # fmt: skip
def test_a_path_by_hand_is_found(line: str) -> None:
    assert BY_HAND.search(line)


@pytest.mark.parametrize(
    "line",
    ['"/servers/new"', "/servers/new/draft/{{ draft.id }}", '"/servers/{ref}/tools"', '"/policies/{name}/edit"', '"/grants/new/many" if many', '"/credentials" ~ x'],
)  # fmt: skip
def test_what_is_no_path_to_a_thing_is_left_alone(line: str) -> None:
    assert not BY_HAND.search(line)


def test_no_template_and_no_page_writes_such_a_path_by_hand() -> None:
    files = [*(CONSOLE / "templates").rglob("*.html"), *(CONSOLE / "static").glob("console*.js")]
    files += [one for one in CONSOLE.rglob("*.py") if one not in {RULE, CONSOLE / "web" / "commands.py"}]
    assert len(files) > 150
    found = {
        f"{one.relative_to(CONSOLE)}:{number}"
        for one in files
        for number, line in enumerate(one.read_text(encoding="utf-8").splitlines(), 1)
        if BY_HAND.search(line)
    }
    assert found == set()
