"""Servers with how they stand: found by what is known of them, page by page."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck.errors import Missing, UpstreamLost, UpstreamUnreachable
from coatcheck.model.pin import Quarantine
from coatcheck.model.server import Source, Transport
from coatcheck.operations.pinning.pinning import Pinning
from coatcheck.operations.pinning.reviewing import Reviewing
from coatcheck.operations.registry.serving.listing import Condition, RowFilter, ServerLists
from coatcheck.operations.views import Views
from coatcheck.ports import Ask
from doubles.cloakrooms import Cloakroom
from doubles.registries import ROOT


async def a_room() -> tuple[Cloakroom, ServerLists, Views]:
    room = Cloakroom()
    room.good = set()
    await room.open()
    pinning = Pinning(lambda: room.directory.snapshot, room.desk.now, Quarantine.ANY)
    room.servers.pins = pinning
    reviewing = Reviewing(room.desk, pinning, room.servers)
    views = Views(room.servers, 0.5)
    return room, ServerLists(room.registered, views, reviewing, room.credentials), views


async def names(lists: ServerLists, **wanted: Any) -> list[str]:
    return [row.view.name for row in (await lists.list(RowFilter(**wanted))).page.items]


async def test_servers_are_listed_with_how_they_stand_and_found_by_it() -> None:
    room, lists, views = await a_room()
    await room.add("github")
    await room.add("sentry")
    await room.add("slack")
    room.upstreams.of("sentry").failing = UpstreamLost("sentry hung up")
    sentry = (await lists.get("sentry")).view
    assert (await views.test(sentry.id)).error == "sentry hung up"
    await room.registered.disable(ROOT, "slack", "noisy")
    rows = await lists.list(RowFilter())
    told = {row.view.name: (row.condition, row.why) for row in rows.page.items}
    assert told == {
        "git": (Condition.UNASKED, ""),
        "github": (Condition.READY, ""),
        "sentry": (Condition.DEGRADED, "sentry hung up"),
        "slack": (Condition.DISABLED, "noisy"),
    }
    assert (rows.all, rows.found, rows.conditions[Condition.READY]) == (4, 4, 1)
    assert await names(lists, troubled=True) == ["sentry"]
    assert await names(lists, condition=Condition.DISABLED) == ["slack"]
    assert await names(lists, text="GITHUB.test") == ["github"]
    assert await names(lists, text="git") == ["git", "github"]
    assert await names(lists, source=Source.FILE) == ["git"]
    assert await names(lists, transport=Transport.STDIO) == ["git"]
    assert await names(lists, text="none") == []
    assert list(await lists.credentials("github")) == ["github-authorization"]


async def test_a_server_that_never_answered_fails_and_one_that_lacks_a_credential_says_so() -> None:
    room, lists, views = await a_room()
    room.upstreams.of("git").failing = UpstreamUnreachable("git is not there")
    git = (await lists.get("git")).view
    await views.test(git.id)
    row = await lists.get("git")
    assert (row.condition, row.why) == (Condition.FAILING, "git is not there")
    with pytest.raises(Missing):
        await lists.get("nobody")


async def test_pages_follow_each_other() -> None:
    room, lists, _ = await a_room()
    for number in range(5):
        await room.add(f"s{number}")
    first = await lists.list(RowFilter(limit=3, text="s"))
    assert [row.view.name for row in first.page.items] == ["s0", "s1", "s2"]
    second = await lists.list(RowFilter(limit=3, text="s", after=first.page.next))
    assert [row.view.name for row in second.page.items] == ["s3", "s4"]
    assert second.page.next is None


async def test_tools_that_wait_are_counted_by_server() -> None:
    room, lists, views = await a_room()
    await room.add("github")
    github = (await lists.get("github")).view
    assert await names(lists, waiting=True) == []
    room.upstreams.of("github").offer(Ask.TOOLS, ["find", "whoami", "one_more"])
    tested = await views.test(github.id)
    assert (tested.tools, tested.error) == (3, "")
    assert (await lists.get("github")).waiting == 1
    assert await names(lists, waiting=True) == ["github"]
    tools = views.tools_at_hand(github.id)
    assert tools is not None
    assert [one.entry.name for one in tools if one.held_back] == ["one_more"]
    assert views.tools_at_hand((await lists.get("git")).view.id) is None
