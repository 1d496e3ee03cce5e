"""What operators see: every server as it stands, a bounded wait for those never heard from, no secrets."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from coatcheck.errors import UpstreamLost
from coatcheck.model.record import Outcome
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, Server, StdioReach
from coatcheck.operations.tally import Tally
from coatcheck.operations.views import Views
from coatcheck.ports import Ask
from doubles.bench import GIT, SENTRY, Bench
from doubles.upstreams import ScriptedUpstream

CANARY = "canary-of-the-server"


def a_bench(*servers: Server) -> tuple[Bench, Views]:
    bench = Bench()

    def prepare(upstream: ScriptedUpstream) -> None:
        upstream.offer(Ask.TOOLS, ["find", "de\u200bnied"])

    bench.upstreams.prepare = prepare
    bench.apply(*servers)
    return bench, Views(bench.servers, 0.05)


async def test_servers_are_shown_as_they_stand_and_only_probed_when_asked() -> None:
    bench, views = a_bench(SENTRY, GIT)
    views_before = await views.servers(probe=False)
    assert [(view.server.name, view.tools, view.greeting) for view in views_before] == [
        ("sentry", None, None),
        ("git", None, None),
    ]
    assert not bench.upstreams.of("sentry").greeted
    bench.upstreams.of("git").failing = UpstreamLost("git went away")
    sentry, git = await views.servers(probe=True)
    assert (sentry.tools, sentry.prompts, sentry.resources, sentry.degraded, len(sentry.quarantined)) == (
        1,
        0,
        0,
        False,
        1,
    )
    assert (git.tools, git.last_error, git.degraded) == (None, "git went away", False)
    await views.servers(probe=True)
    assert bench.upstreams.of("sentry").greeted == 1


async def test_a_server_that_hangs_does_not_hold_up_the_others() -> None:
    bench, views = a_bench(SENTRY, GIT)
    bench.upstreams.of("git").hold()
    sentry, git = await views.servers(probe=True)
    assert (sentry.tools, git.tools) == (1, None)
    tools, failing = await views.tools(None)
    assert [tool.exposed for tool in tools] == ["sentry__find"]
    assert failing == [("git", "it has not answered yet")]
    bench.upstreams.of("git").let_go()


async def test_tools_of_one_server_of_all_and_of_none() -> None:
    _, views = a_bench(SENTRY, GIT)
    tools, failing = await views.tools("git")
    assert ([(tool.server, tool.exposed, tool.entry.name) for tool in tools], failing) == (
        [("git", "git__find", "find")],
        [],
    )
    assert len((await views.tools(None))[0]) == 2
    with pytest.raises(KeyError):
        await views.tools("absent")


async def test_how_a_server_is_reached_is_shown_without_secrets() -> None:
    http = dataclasses.replace(
        SENTRY,
        reach=HttpReach(
            Secret(f"https://{CANARY}@host/"), "https://host/", {"authorization": Secret(CANARY)}
        ),
    )
    stdio = dataclasses.replace(
        GIT, reach=StdioReach("git-mcp", (Secret(CANARY),), {"TOKEN": Secret(CANARY)})
    )
    _, views = a_bench(http, stdio)
    shown = await views.servers(probe=False)
    assert [view.reach for view in shown] == ["https://host/", "git-mcp"]
    assert CANARY not in repr(shown)


def test_counters_count() -> None:
    tally = Tally()
    for _ in range(2):
        tally.settled("tools/call", Outcome.OK)
        tally.answered("mcp", 200)
        tally.refused("unknown")
    assert (tally.calls, tally.requests, tally.refusals) == (
        {("tools/call", "ok"): 2},
        {("mcp", 200): 2},
        {"unknown": 2},
    )


async def test_a_page_waits_for_no_server_for_long_and_shows_what_is_at_hand() -> None:
    bench, _ = a_bench(SENTRY, GIT)
    views = Views(bench.servers, 30.0, first_look=0.02)
    assert [tool.exposed for tool in (await views.tools_soon("sentry"))[0]] == ["sentry__find"]
    bench.upstreams.of("git").hold()
    for _ in range(2):
        assert await views.tools_soon("git") == ((), [("git", "it has not answered yet")])
    bench.upstreams.of("git").let_go()
    await asyncio.sleep(0)
    assert [tool.exposed for tool in (await views.tools_soon("git"))[0]] == ["git__find"]
    assert bench.upstreams.of("git").greeted == 1, "all of them waited for the same answer"
    with pytest.raises(KeyError):
        await views.tools_soon("absent")
