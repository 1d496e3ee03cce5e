"""What the eras owe on the way to a server: headers of a tool's own, and log messages that were asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from coatcheck.core.access.rules import Rules
from coatcheck.core.wire.messages import object_of, raw_of
from coatcheck.model.call import Caller, Fault, Kind, Notice, Reply, Result, Target
from coatcheck.model.catalogue import Greeting
from coatcheck.model.decision import Permit
from coatcheck.model.era import Era
from coatcheck.model.record import Outcome
from coatcheck.ports import Ask
from doubles.bench import ALICE, SENTRY, Bench, a_call, settle_down
from doubles.upstreams import ALL, ScriptedUpstream

MODERN = Caller(Era.MODERN, "2026-07-28")


def a_tool(name: str, schema: dict[str, Any]) -> bytes:
    return object_of({"name": raw_of(name), "inputSchema": raw_of(schema)})


def mirrored(header: str) -> dict[str, Any]:
    return {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": header}}}


def a_bench(era: Era = Era.MODERN) -> tuple[Bench, ScriptedUpstream]:
    bench = Bench(SENTRY)
    sentry = bench.upstreams.of("sentry")
    version = "2026-07-28" if era is Era.MODERN else "2025-11-25"
    sentry.greeting = Greeting(era, version, ALL)
    sentry.offer(Ask.TOOLS, [a_tool("find", mirrored("Region")), a_tool("bad", mirrored("no token"))])
    return bench, sentry


CALL = a_call("find", {"region": "eu-west"})


async def test_a_modern_server_gets_the_headers_that_its_tool_asks_for() -> None:
    bench, sentry = a_bench()
    assert (await bench.perform(CALL)).outcome is Outcome.OK
    assert sentry.forwarded[0].call.mirrored == (("Mcp-Param-Region", "eu-west"),)
    assert sentry.forwarded[0].call.params == CALL.params


async def test_a_legacy_server_gets_none_and_its_odd_tools_are_listed() -> None:
    bench, sentry = a_bench(Era.LEGACY)
    assert (await bench.perform(CALL)).outcome is Outcome.OK
    assert (await bench.perform(a_call("bad"), name="bad")).outcome is Outcome.OK
    assert [permit.call.mirrored for permit in sentry.forwarded] == [(), ()]


async def test_a_tool_with_an_invalid_annotation_is_left_out_and_reported() -> None:
    bench, sentry = a_bench()
    refused = await bench.perform(a_call("bad"), name="bad")
    assert refused.reply == Fault(-32602, "Unknown tool: sentry__bad")
    catalogue = await bench.servers.of(SENTRY).known()
    assert list(catalogue.tools) == ["find"]
    assert "'bad' is left out" in catalogue.quarantined[0]
    assert not sentry.forwarded


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"mcp-param-region": ("eu-west",)}, None),
        ({"mcp-param-region": ("us-east",)}, -32020),
        ({}, -32020),
        ({"mcp-param-region": ("eu-west", "eu-west")}, -32020),
        ({"mcp-param-region": ("eu-west",), "mcp-param-other": ("x",)}, None),
    ],
)
async def test_headers_of_a_modern_client_must_agree_with_its_arguments(
    headers: dict[str, tuple[str, ...]], code: int | None
) -> None:
    bench, sentry = a_bench()
    performed = await bench.perform(CALL, asked=replace(ALICE, caller=MODERN, headers=headers))
    assert len(sentry.forwarded) == (code is None)
    assert (performed.reply.code if isinstance(performed.reply, Fault) else None) == code
    assert bench.outcomes() == [Outcome.OK if code is None else Outcome.DENIED]


async def test_a_server_that_changed_its_headers_is_asked_for_its_tools_and_called_again() -> None:
    bench, sentry = a_bench()

    async def picky(permit: Permit) -> Reply:
        if permit.call.mirrored == (("Mcp-Param-Zone", "eu-west"),):
            return Result(b"{}")
        sentry.offer(Ask.TOOLS, [a_tool("find", mirrored("Zone"))])
        return Fault(-32020, "mismatch")

    sentry.answer = picky
    assert (await bench.perform(CALL)).reply == Result(b"{}")
    assert len(sentry.forwarded) == 2


async def test_a_server_that_refuses_the_same_headers_is_not_called_again() -> None:
    bench, sentry = a_bench()

    async def stubborn(permit: Permit) -> Reply:
        return Fault(-32020, "mismatch")

    sentry.answer = stubborn
    assert (await bench.perform(CALL)).reply == Fault(-32020, "mismatch")
    assert len(sentry.forwarded) == 1


# --- log messages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caller", "heard"),
    [
        (MODERN, []),
        (replace(MODERN, log_level="warning"), ["error"]),
        (replace(MODERN, log_level="debug"), ["debug", "error"]),
        (Caller(Era.LEGACY, "2025-11-25"), ["debug", "error"]),
        (Caller(Era.LEGACY, "2025-11-25", log_level="error"), ["error"]),
    ],
)
async def test_who_hears_which_log_messages(caller: Caller, heard: list[str]) -> None:
    bench, sentry = a_bench()
    notices: list[Notice] = []

    async def chatty(permit: Permit) -> Reply:
        for level in ("debug", "error"):
            sentry.notify(Notice("notifications/message", raw_of({"level": level, "data": 1})))
        sentry.notify(Notice("notifications/progress", b'{"progressToken":1,"progress":1}'))
        return Result(b"{}")

    sentry.answer = chatty
    asked = replace(ALICE, caller=caller)
    target = Target(Kind.TOOL, "find")
    call = replace(CALL, params={"name": b'"find"'})
    sentry.offer(Ask.TOOLS, ["find"])
    await bench.calls.perform(asked, Rules(), SENTRY, target, call, notices.append, "find")
    await settle_down()
    told = [json.loads(notice.params).get("level") for notice in notices]
    assert told == [*heard, None], "progress always passes"
