"""Who may call what: the answer is the decision's own, for each grant and each tool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from coatcheck.errors import Missing
from coatcheck.model.access import AccessList, AccessRule, Nature
from coatcheck.model.catalogue import Entry
from coatcheck.operations.registry.access import AccessViews
from coatcheck.operations.registry.patches import NewGrant
from coatcheck.operations.views import ToolView
from doubles.registries import ROOT, Office, a_file

RULES = AccessList((AccessRule(("git__push",), allow=False),))


class Tools:
    """Implements `servers.Probe`: every server has the same two tools, and `time` does not answer."""

    async def tools(self, name: str | None) -> tuple[Sequence[ToolView], Sequence[tuple[str, str]]]:
        found = [
            ToolView("git", f"git__{tool}", Entry(tool, {}), Nature.AMBIGUOUS, "")
            for tool in ("find", "push")
            if name in {None, "git"}
        ]
        return found, [("time", "it has not answered yet")] if name in {None, "time"} else []


async def an_office() -> tuple[Office, AccessViews]:
    office = await Office(a_file(access=RULES)).open()
    return office, AccessViews(office.grants._desk, Tools())


async def test_rows_of_a_subject_say_which_rule_decides() -> None:
    office, access = await an_office()
    await office.grants.issue(ROOT, NewGrant("narrow", "dora", None, ("git__p*",)))
    await office.grants.issue(ROOT, NewGrant("wide", "dora", frozenset({"git"})))
    found = await access.of_subject("dora")
    assert {(row.grant, row.tool, row.allowed, row.rule) for row in found.rows} == {
        ("narrow", "find", False, "(scope)"),
        ("narrow", "push", False, "/acl/rules/0"),
        ("wide", "find", True, "/acl/default"),
        ("wide", "push", False, "/acl/rules/0"),
    }
    assert (found.failing, found.cut) == ([("time", "it has not answered yet")], False)
    await office.grants.revoke(ROOT, ["narrow"], "")
    await office.subjects.disable(ROOT, "dora", "")
    found = await access.of_subject("dora", "git")
    assert {(row.grant, row.allowed, row.rule) for row in found.rows} == {("wide", False, "(subject)")}


async def test_a_subject_without_a_grant_gets_what_an_unrestricted_one_would_allow() -> None:
    _, access = await an_office()
    found = await access.of_subject("nobody", "git")
    assert [(row.grant, row.tool, row.allowed) for row in found.rows] == [
        ("", "find", True),
        ("", "push", False),
    ]


async def test_rows_of_a_tool_are_those_of_every_grant() -> None:
    _, access = await an_office()
    found = await access.of_tool("git", "find")
    assert {row.subject for row in found.rows} == {"alice", "bob", "carol"}
    bob = next(row for row in found.rows if row.subject == "bob")
    assert (bob.allowed, bob.rule) == (False, "(scope)")
    assert replace(bob, allowed=True) != bob
    for server, tool in (("git", "nix"), ("nowhere", None)):
        with pytest.raises(Missing):
            await access.of_tool(server, tool)
