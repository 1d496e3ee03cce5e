"""The matrix: a page of it at a time, judged as calls are, and nothing else of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import pytest

from coatcheck.core.access.decide import rehearse
from coatcheck.errors import CoatcheckError, Missing
from coatcheck.model.access import (
    Access,
    AccessEntry,
    AccessList,
    AccessRule,
    Extent,
    Nature,
    RoleAccess,
    SubjectAccess,
)
from coatcheck.model.call import Target
from coatcheck.model.catalogue import Entry
from coatcheck.model.declaration import IdentityRules, Provider
from coatcheck.model.registry import Edit
from coatcheck.model.stored_policy import PolicyUse, UseKind
from coatcheck.model.subject import SubjectKind
from coatcheck.model.verdict import Judgement, PolicyVerdict
from coatcheck.operations.access.judging import TURN, Barrier, Reach
from coatcheck.operations.access.matrix import LEAST_ROWS, MOST_EVER, MOST_STEPS, AccessMatrix, MatrixFilter
from coatcheck.operations.access.telling import AccessTelling
from coatcheck.operations.registry.patches import GrantFilter, NewGrant, NewSubject
from coatcheck.operations.views import ToolView
from doubles.callers import GRANTS
from doubles.clock import START
from doubles.registries import ROOT, Office, a_file

_Done = TypeVar("_Done")
TOOLS = {"find": Nature.READ, "push": Nature.WRITE, "list": Nature.READ}


class Tools:
    """Stands for `Views`: `git` has three tools, `big` has as many as it is given, `time` told none yet."""

    def __init__(self, office: Office, big: int = 0) -> None:
        self.office, self.big = office, big
        self.asked: list[str] = []

    def tools_at_hand(self, server_id: UUID) -> Sequence[ToolView] | None:
        name = self.office.directory.snapshot.by_id[server_id].name
        self.asked.append(name)
        if name == "time":
            return None
        tools = TOOLS if name == "git" else {f"t{number}": Nature.READ for number in range(self.big)}
        return [
            ToolView(name, f"{name}__{tool}", Entry(tool, {}), nature, "") for tool, nature in tools.items()
        ]

    async def tools_soon(self, name: str) -> tuple[Sequence[ToolView], Sequence[tuple[str, str]]]:
        found = self.office.directory.snapshot.find_server(name)
        assert found is not None
        tools = self.tools_at_hand(found.id)
        return (tools or (), () if tools is not None else [("time", "it has not answered yet")])


RULES = AccessList(
    (
        AccessRule(("git__push",), allow=False, roles=frozenset({"reader"})),
        AccessRule(("git__*",), allow=False, roles=frozenset({"nobody"})),
    ),
)


async def an_office(big: int = 0, **more: object) -> tuple[Office, Tools, AccessMatrix, AccessTelling]:
    office = await Office(a_file("git", "time", "big", **{"access": RULES, **more})).open()
    views = Tools(office, big)
    matrix = AccessMatrix(office.desk, office.subjects, views)  # type: ignore[arg-type]
    return office, views, matrix, AccessTelling(office.desk, office.subjects, matrix, views)  # type: ignore[arg-type]


async def add(
    office: Office, name: str, role: str = "", servers: frozenset[str] | None = None, **grant: object
) -> None:
    await office.subjects.add(ROOT, NewSubject(name, roles=frozenset({role} if role else ())))
    await office.grants.issue(ROOT, NewGrant(f"{name}-1", name, servers, **grant))  # type: ignore[arg-type]


async def reaches(matrix: AccessMatrix, **wanted: object) -> dict[str, list[Reach]]:
    page = await matrix.page(MatrixFilter(**wanted))  # type: ignore[arg-type]
    return {row.label or row.subject.name: [cell.reach for cell in row.cells] for row in page.rows}


async def test_each_cell_says_in_a_word_what_its_calls_would_get() -> None:
    office, _, matrix, _ = await an_office(2)
    await add(office, "all")
    await add(office, "reader", "reader")
    await add(office, "writer", tools=("git__push",))
    await add(office, "nobody", "nobody")
    await add(office, "elsewhere", servers=frozenset({"big"}))
    await office.subjects.add(ROOT, NewSubject("bare"))
    await office.subjects.add(ROOT, NewSubject("off"))
    await office.grants.issue(ROOT, NewGrant("off-1", "off", None))
    await office.subjects.disable(ROOT, "off", "")
    found = await reaches(matrix)
    servers = [server.name for server in (await matrix.page(MatrixFilter())).servers]
    assert servers == ["big", "git", "time"]
    assert {name: cells for name, cells in found.items() if name not in {"alice", "bob", "carol"}} == {
        "all": [Reach.ALL, Reach.ALL, Reach.UNKNOWN],
        "reader": [Reach.ALL, Reach.READ, Reach.UNKNOWN],
        "writer": [Reach.HIDDEN, Reach.WRITE, Reach.UNKNOWN],
        "nobody": [Reach.ALL, Reach.HIDDEN, Reach.UNKNOWN],
        "elsewhere": [Reach.ALL, Reach.NONE, Reach.NONE],
        "bare": [Reach.NONE] * 3,
        "off": [Reach.NONE] * 3,
    }


async def test_the_cells_say_what_calls_get_in_every_part() -> None:
    office, _, matrix, telling = await an_office()
    await add(office, "reader", "reader")
    page = await matrix.page(MatrixFilter(text="reader", server="git"))
    (row,) = page.rows
    assert [(cell.reach, cell.allowed, cell.tools, cell.rule) for cell in row.cells] == [
        (Reach.READ, 2, 3, "/acl/rules/0")
    ]
    one = await telling.one("reader", "git")
    assert one.tools is not None
    assert {tool.tool.entry.name: (tool.judgement, tool.rule, list(tool.by)) for tool in one.tools} == {
        "find": (Judgement.ALLOWED, "/acl/default", ["reader-1"]),
        "list": (Judgement.ALLOWED, "/acl/default", ["reader-1"]),
        "push": (Judgement.HIDDEN, "/acl/rules/0", []),
    }
    unknown = await telling.one("reader", "time")
    assert (unknown.tools, unknown.error) == (None, "it has not answered yet")
    for name, server, grant in (("nobody", "git", ""), ("reader", "nowhere", ""), ("reader", "git", "x")):
        with pytest.raises(Missing):
            await telling.one(name, server, grant)


async def test_it_says_why_somebody_reaches_nothing() -> None:
    office, _, _, telling = await an_office()
    await add(office, "fine")
    await add(office, "elsewhere", servers=frozenset({"big"}))
    await add(office, "gone")
    await office.grants.revoke(ROOT, ["gone-1"], "left")
    await office.subjects.add(ROOT, NewSubject("bare"))
    await add(office, "off")
    await office.subjects.disable(ROOT, "off", "")
    told = {name: await telling.one(name, "git") for name in ("fine", "elsewhere", "gone", "bare", "off")}
    assert {name: one.barrier for name, one in told.items()} == {
        "fine": None,
        "elsewhere": Barrier.SCOPE,
        "gone": Barrier.NO_GRANT,
        "bare": Barrier.NO_GRANT,
        "off": Barrier.DISABLED,
    }
    last = {name: one.last.label if one.last is not None else None for name, one in told.items()}
    assert last == {"fine": None, "elsewhere": None, "gone": "gone-1", "bare": None, "off": None}
    assert [grant.servers for grant in told["elsewhere"].grants] == [("big",)]
    assert {tool.judgement for tool in told["off"].tools or ()} == {Judgement.HIDDEN}
    assert (await telling.one("bare", "time")).barrier is Barrier.NO_GRANT


async def test_it_is_paged_both_ways_and_only_what_is_shown_is_judged() -> None:
    office, views, matrix, _ = await an_office()
    for number in range(7):
        await add(office, f"p{number}")
    page = await matrix.page(MatrixFilter(text="p", rows=5, columns=1, column=1))
    assert ([row.subject.name for row in page.rows], page.found, page.all_servers) == (
        [f"p{number}" for number in range(5)],
        7,
        3,
    )
    assert ([server.name for server in page.servers], views.asked) == (["git"], ["git"])
    rest = await matrix.page(MatrixFilter(text="p", rows=5, columns=1, column=1, after=page.next))
    assert ([row.subject.name for row in rest.rows], rest.next) == (["p5", "p6"], None)
    assert (await matrix.page(MatrixFilter(column=9))).servers == []
    for wrong in (MatrixFilter(column=-1), MatrixFilter(columns=0), MatrixFilter(after="x")):
        with pytest.raises(CoatcheckError):
            await matrix.page(wrong)


async def test_rows_that_take_very_long_to_judge_make_the_page_shorter() -> None:
    office, _, matrix, _ = await an_office(MOST_STEPS)
    for number in range(LEAST_ROWS + 2):
        await add(office, f"q{number}", tools=(f"big__{number}",))
    page = await matrix.page(MatrixFilter(text="q"))
    assert ([row.subject.name for row in page.rows], page.found) == (
        [f"q{number}" for number in range(LEAST_ROWS)],
        LEAST_ROWS + 2,
    )
    rest = await matrix.page(MatrixFilter(text="q", after=page.next))
    assert ([row.subject.name for row in rest.rows], rest.next) == (["q5", "q6"], None)


async def many_ways(ways: int, tools: int, *, alike: bool) -> tuple[AccessMatrix, AccessTelling]:
    """Return what judges `bot`, whose grants allow nothing of a server with very many tools."""
    office, _, matrix, telling = await an_office(tools)
    await office.subjects.add(ROOT, NewSubject("bot", SubjectKind.AUTOMATION))
    await office.grants.issue_many(
        ROOT,
        [
            NewGrant(f"bot-{number}", "bot", None, tools=(f"git__{0 if alike else number}",))
            for number in range(ways)
        ],
    )
    return matrix, telling


async def beside(doing: Awaitable[_Done]) -> tuple[int, _Done]:
    """Do something while somebody else is on the loop; return how often that had its turn, and what came of it."""
    turns, over = 0, False

    async def another() -> None:
        nonlocal turns
        while not over:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(another())
    done = await doing
    over = True
    await task
    return turns, done


async def test_others_have_their_turn_while_very_many_ways_in_are_judged() -> None:
    ways, tools = 300, 600
    matrix, telling = await many_ways(ways, tools, alike=False)
    least = ways * tools // TURN
    turns, page = await beside(matrix.page(MatrixFilter(text="bot", server="big")))
    assert [cell.reach for row in page.rows for cell in row.cells] == [Reach.HIDDEN]
    assert turns >= least
    turns, one = await beside(telling.one("bot", "big"))
    assert {tool.allowed for tool in one.tools or ()} == {False}
    assert turns >= least


async def test_ways_in_that_are_alike_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def counted(target: Target, *more: Any) -> PolicyVerdict:
        asked.append(target.name)
        return rehearse(target, *more)

    monkeypatch.setattr("coatcheck.operations.access.judging.rehearse", counted)
    matrix, telling = await many_ways(300, 7, alike=True)
    await matrix.page(MatrixFilter(text="bot", server="big"))
    assert len(asked) == 7
    asked.clear()
    office, _, matrix, _ = await an_office(7)
    for number in range(9):
        await add(office, f"p{number}", "reader" if number % 3 == 0 else f"team-{number}")
    await matrix.page(MatrixFilter(text="p", server="big"))
    assert len(asked) == 2 * 7  # no rule is about teams
    asked.clear()
    one = await telling.one("bot", "git")
    assert (len(asked), one.tools is not None and len(one.tools)) == (3, 3)
    asked.clear()
    assert (await telling.callers("git", "push", text="bot")).rows == []
    assert len(asked) == 1


async def test_a_row_that_takes_ever_so_long_is_the_last_of_its_page() -> None:
    matrix, _ = await many_ways(100, MOST_EVER // 100, alike=False)
    page = await matrix.page(MatrixFilter())
    assert page.rows[-1].subject.name == "bot"
    assert page.next is not None


async def test_rows_are_narrowed_and_may_be_grants() -> None:
    office, _, matrix, _ = await an_office()
    await add(office, "ann", servers=frozenset({"git"}))
    await office.grants.issue(ROOT, NewGrant("ann-2", "ann", frozenset({"time"})))
    await office.subjects.add(ROOT, NewSubject("bot", SubjectKind.AUTOMATION))
    assert set(await reaches(matrix, text="ann", by_grant=True)) == {"ann-1", "ann-2"}
    assert set(await reaches(matrix, text="ann", by_grant=True, server="git", reaching=True)) == {"ann-1"}
    assert set(await reaches(matrix, kind=SubjectKind.AUTOMATION)) == {"bot"}
    assert "bot" not in await reaches(matrix, reaching=True)
    assert (await reaches(matrix, text="ann"))["ann"][1] is Reach.ALL


async def test_who_comes_by_a_proxy_needs_no_grant() -> None:
    identity = IdentityRules((Provider.BEARER, Provider.FORWARDED), GRANTS)
    office, _, matrix, telling = await an_office(identity=identity)
    await office.subjects.add(ROOT, NewSubject("bare"))
    assert (await reaches(matrix, text="bare", server="git"))["bare"] == [Reach.ALL]
    one = await telling.one("bare", "git")
    assert one.tools is not None
    assert {tuple(tool.by) for tool in one.tools} == {("the proxy",)}
    callers = await telling.callers("git", "push", text="bare")
    assert [(row.subject.name, row.grant, row.allowed) for row in callers.rows] == [("bare", "", True)]


async def test_who_may_call_a_tool_is_told_in_pages() -> None:
    office, _, _, telling = await an_office()
    for number in range(5):
        await add(office, f"p{number}", "reader" if number == 2 else "")
    first = await telling.callers("git", "push", text="p", limit=3)
    assert [row.subject.name for row in first.rows] == ["p0", "p1", "p3"]
    assert first.next is not None
    rest = await telling.callers("git", "push", text="p", start=first.next, limit=3)
    assert ([row.subject.name for row in rest.rows], rest.next) == (["p4"], None)
    every = await telling.callers("git", "push", text="p", every=True)
    assert [row.allowed for row in every.rows] == [True, True, False, True, True]
    for server, tool in (("git", "nix"), ("nowhere", "push"), ("time", "now")):
        with pytest.raises(Missing):
            await telling.callers(server, tool)


async def test_all_of_it_is_told_row_by_row() -> None:
    office, _, _, telling = await an_office(2)
    await add(office, "ann", "reader")
    told = [row async for rows in telling.rows(MatrixFilter(text="ann")) for row in rows]
    assert {(row.label, row.server, row.tool, row.judgement.value) for row in told} == {
        ("ann-1", "big", "t0", "allowed"),
        ("ann-1", "big", "t1", "allowed"),
        ("ann-1", "git", "find", "allowed"),
        ("ann-1", "git", "list", "allowed"),
        ("ann-1", "git", "push", "hidden"),
    }


async def test_the_tools_of_a_server_are_read_once_and_only_if_somebody_reaches_it() -> None:
    office, views, _, telling = await an_office(2)
    for name in ("ann", "ben", "cat"):
        await add(office, name, servers=frozenset({"git"}))
    await office.grants.revoke(
        ROOT,
        [
            one.label
            for one in (await office.grants.list(GrantFilter())).items
            if one.subject not in {"ann", "ben", "cat"}
        ],
        "",
    )
    told = [row async for rows in telling.rows(MatrixFilter()) for row in rows]
    assert {(row.subject, row.server) for row in told} == {(name, "git") for name in ("ann", "ben", "cat")}
    assert views.asked == ["git"]


BY_NAME = AccessList((AccessRule(("git__*",), allow=False, subjects=frozenset({"one"})),))
BY_OWN = RoleAccess(
    {"dev": (AccessEntry(("git",), Extent.ALL),)},
    {"one": SubjectAccess(extra=(AccessEntry(("git",), Extent.ALL, deny=True),))},
    default_allow=False,
)


@pytest.mark.parametrize("access", [BY_NAME, BY_OWN], ids=["list", "roles"])
async def test_who_is_named_in_a_rule_is_not_taken_for_another(access: Access) -> None:
    office, _, matrix, _ = await an_office(access=access)
    for name in ("none", "one", "two"):
        await add(office, name, "dev")
    found = await reaches(matrix, server="git", kind=SubjectKind.PERSON)
    assert [found[name] for name in ("none", "one", "two")] == [[Reach.ALL], [Reach.HIDDEN], [Reach.ALL]]


async def test_a_policy_on_one_grant_is_not_taken_for_all() -> None:
    office, _, matrix, _ = await an_office()
    for name in ("none", "one", "two"):
        await add(office, name)
    one = (await office.grants.get("one-1")).id
    use = PolicyUse("read-only", UseKind.GRANT, one, START, "root")
    await office.book.edit(lambda _: Edit((use,), ()))
    found = await reaches(matrix, server="git")
    assert [found[name] for name in ("none", "one", "two")] == [[Reach.ALL], [Reach.READ], [Reach.ALL]]
