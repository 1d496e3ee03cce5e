"""A client that can be asked has servers to itself; everyone else shares; nothing outlives the session."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from uuid import UUID

import pytest
from msgspec import structs

from coatcheck.core.wire import levels
from coatcheck.core.wire.standing import SET_LEVEL, SUBSCRIBE, UNSUBSCRIBE
from coatcheck.model.call import Call, Fault, Notice, Question, Reply, Result
from coatcheck.model.catalogue import Greeting
from coatcheck.model.era import Era
from coatcheck.model.record import Outcome, Verdict
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, Server
from coatcheck.operations.lists import KINDS
from coatcheck.operations.reaching.conversation import UPDATED, Conversation
from coatcheck.operations.reaching.places import PlaceLimits
from coatcheck.ports import Ask
from doubles.bench import ALICE, GIT, SENTRY, Bench, a_call, a_principal, denying, settle_down
from doubles.upstreams import ALL, ScriptedUpstream

ASKABLE = b'{"sampling":{},"elicitation":{},"roots":{"listChanged":true}}'
ELICIT = Question("elicitation/create", b'{"message":"Your name?"}')
WEB = Server(UUID(int=9), "web", HttpReach(Secret("http://127.0.0.1:1/mcp"), "http://127.0.0.1:1/mcp"))
EVERYTHING = {**ALL, "logging": b"{}", "resources": b'{"subscribe":true}'}


def a_bench(*servers: Server, places: PlaceLimits | None = None) -> Bench:
    bench = Bench(places=places)

    def prepare(upstream: ScriptedUpstream) -> None:
        upstream.greeting = Greeting(Era.LEGACY, "2025-11-25", EVERYTHING)
        upstream.offer(Ask.TOOLS, ["find", "own"] if upstream.client.era is Era.LEGACY else ["find"])

    bench.upstreams.prepare = prepare
    bench.apply(*(servers or (SENTRY, GIT)))
    return bench


def own_of(bench: Bench, conversation: Conversation, server: Server = SENTRY) -> ScriptedUpstream:
    upstream = conversation.of(server).upstream
    assert isinstance(upstream, ScriptedUpstream)
    return upstream


# --- whose session ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capabilities", "own"),
    [
        (b"{}", False),
        (b'{"experimental":{},"extensions":{}}', False),
        (b'{"sampling":{}}', True),
        (b'{"elicitation":{"url":{}}}', True),
        (b'{"roots":{}}', True),
        (b"[]", False),
    ],
)
async def test_who_can_be_asked_has_a_session_of_its_own(capabilities: bytes, own: bool) -> None:
    bench = a_bench()
    conversation, _ = bench.converse(capabilities)
    served = conversation.of(SENTRY)
    assert (served is not bench.servers.of(SENTRY)) is own
    assert conversation.of(SENTRY) is served
    if own:
        client = own_of(bench, conversation).client
        assert (client.era, client.capabilities, client.version) == (Era.LEGACY, capabilities, "2025-06-18")
    await conversation.close()


async def test_two_clients_have_two_sessions_and_their_own_lists() -> None:
    bench = a_bench()
    one, _ = bench.converse(ASKABLE)
    two, _ = bench.converse(ASKABLE)
    assert own_of(bench, one) is not own_of(bench, two)
    await bench.perform(name="own", conversation=one)
    assert [permit.target.name for permit in own_of(bench, one).forwarded] == ["own"]
    assert not own_of(bench, two).forwarded
    hidden = await bench.perform(name="own")
    assert isinstance(hidden.reply, Fault), "the shared session does not offer it"
    await one.close()
    await two.close()


async def test_a_server_without_sessions_is_shared() -> None:
    bench = a_bench()
    shared = bench.servers.of(SENTRY)
    upstream = bench.upstreams.of("sentry")
    upstream.greeting = Greeting(Era.MODERN, "2026-07-28", ALL, versions=("2026-07-28",))
    await shared.known()
    conversation, _ = bench.converse(ASKABLE)
    own = conversation.of(SENTRY)
    assert own is not shared, "whether it has sessions is found out by asking for one"
    own_of(bench, conversation).greeting = upstream.greeting
    await own.ask()
    assert conversation.of(SENTRY) is shared
    other, _ = bench.converse(ASKABLE)
    assert other.of(SENTRY) is shared
    assert len(bench.places) == 0
    await conversation.close()
    await other.close()


async def test_among_all_servers_a_list_starts_no_child_but_a_call_does() -> None:
    bench = a_bench()
    conversation, _ = bench.converse(ASKABLE, server=None)
    assert conversation.listed(SENTRY) is bench.servers.of(SENTRY)
    own = conversation.of(SENTRY)
    assert conversation.listed(SENTRY) is own
    await conversation.close()


async def test_the_end_of_the_session_ends_what_it_had() -> None:
    bench = a_bench()
    conversation, _ = bench.converse(ASKABLE)
    upstream = own_of(bench, conversation)
    assert (len(bench.conversations), len(bench.places)) == (1, 1)
    await conversation.close()
    assert upstream.drained == [0.0]
    assert (len(bench.conversations), len(bench.places)) == (0, 0)
    assert conversation.of(SENTRY) is bench.servers.of(SENTRY)


async def test_an_edit_gives_a_new_session_that_takes_over_what_stands() -> None:
    bench = a_bench()
    conversation, _ = bench.converse(ASKABLE)
    before = own_of(bench, conversation)
    before.client.standing.note(Call(b"1", SUBSCRIBE, {"uri": b'"a:1"'}))
    edited = replace(SENTRY, name="sentry", reach=replace(SENTRY.reach, command="other"))  # type: ignore[arg-type]
    bench.apply(edited, GIT)
    await settle_down()
    assert before.drained
    after = own_of(bench, conversation, edited)
    assert after is not before
    assert [call.params["uri"] for call in after.client.standing.calls()] == [b'"a:1"']
    assert len(bench.places) == 1
    await conversation.close()


# --- places -------------------------------------------------------------------------------------------------


async def test_an_idle_child_of_the_grant_makes_room_and_busy_ones_do_not() -> None:
    bench = a_bench(places=PlaceLimits(per_grant=1, total=10))
    one, _ = bench.converse(ASKABLE)
    two, _ = bench.converse(ASKABLE)
    first = own_of(bench, one)
    second = own_of(bench, two)
    await settle_down()
    assert first.drained
    assert not second.drained
    second.client.standing.note(Call(b"1", SUBSCRIBE, {"uri": b'"a:1"'}))
    refused = await bench.perform(conversation=one)
    assert isinstance(refused.reply, Fault)
    assert "children_per_grant" in refused.reply.message
    assert not second.drained
    other, _ = bench.converse(ASKABLE, principal=a_principal("bob"))
    assert own_of(bench, other) is not second, "another grant has places of its own"
    for conversation in (one, two, other):
        await conversation.close()
    assert len(bench.places) == 0


async def test_all_grants_together_have_so_many() -> None:
    bench = a_bench(places=PlaceLimits(per_grant=5, total=1))
    one, _ = bench.converse(ASKABLE)
    two, _ = bench.converse(ASKABLE, principal=a_principal("bob"))
    first = own_of(bench, one)
    own_of(bench, two)
    await settle_down()
    assert first.drained
    await one.close()
    await two.close()


async def test_sessions_over_http_need_no_place() -> None:
    bench = a_bench(WEB, places=PlaceLimits(per_grant=0, total=0))
    conversation, _ = bench.converse(ASKABLE, server=WEB)
    assert conversation.of(WEB) is not bench.servers.of(WEB)
    await conversation.close()


# --- questions ----------------------------------------------------------------------------------------------


async def test_a_question_reaches_the_client_that_declared_it() -> None:
    bench = a_bench()
    conversation, voice = bench.converse(b'{"elicitation":{}}')
    client = own_of(bench, conversation).client
    assert await client.ask(ELICIT, b"7") == Result(b"{}")
    assert voice.asked == [(ELICIT, b"7")]
    for method in ("sampling/createMessage", "roots/list", "tools/list", "elicitation/other"):
        refused = await client.ask(Question(method, b"{}"), None)
        assert isinstance(refused, Fault)
        assert refused.code == -32601
    assert len(voice.asked) == 1
    await conversation.close()


async def test_among_all_servers_a_person_is_told_who_asks() -> None:
    bench = a_bench()
    conversation, voice = bench.converse(ASKABLE, server=None)
    await own_of(bench, conversation).client.ask(ELICIT, None)
    ((question, _),) = voice.asked
    assert json.loads(question.params)["message"] == "[sentry] Your name?"
    await conversation.close()


async def test_the_time_that_a_person_takes_does_not_end_the_call() -> None:
    bench = Bench(SENTRY, timeout=0.05)
    upstream_of: list[ScriptedUpstream] = []

    def prepare(upstream: ScriptedUpstream) -> None:
        upstream.offer(Ask.TOOLS, ["find"])
        upstream_of.append(upstream)

    bench.upstreams.prepare = prepare
    bench.apply(replace(SENTRY, idle=SENTRY.idle, marks=SENTRY.marks), GIT)
    conversation, voice = bench.converse(ASKABLE)

    async def slow(question: Question) -> Reply:
        await asyncio.sleep(0.2)
        return Result(b'{"action":"accept"}')

    async def asks(permit: object) -> Reply:
        return await own_of(bench, conversation).client.ask(ELICIT, b"7")

    voice.reply = slow
    own_of(bench, conversation).answer = asks
    performed = await bench.perform(conversation=conversation)
    assert performed.reply == Result(b'{"action":"accept"}')
    await conversation.close()


# --- what a server tells ------------------------------------------------------------------------------------


def updated(uri: str) -> Notice:
    return Notice(UPDATED, b'{"uri":"%b"}' % uri.encode())


async def test_updates_reach_the_client_as_far_as_it_may_know_of_the_resource() -> None:
    bench = a_bench()
    conversation, voice = bench.converse(ASKABLE)
    client = own_of(bench, conversation).client
    client.tell(updated("a:1"))
    assert voice.told == [updated("a:1")]
    bench.apply(SENTRY, GIT, access=denying("sentry__*"))
    client.tell(updated("a:1"))
    client.tell(Notice(UPDATED, b"{}"))
    assert len(voice.told) == 1
    await conversation.close()


async def test_log_messages_are_sifted_by_the_level_that_was_set() -> None:
    bench = a_bench()
    conversation, voice = bench.converse(ASKABLE)
    client = own_of(bench, conversation).client
    debug, error = (Notice("notifications/message", b'{"level":"%b"}' % one) for one in (b"debug", b"error"))
    client.tell(debug)
    conversation.set_level("warning")
    client.tell(debug)
    client.tell(error)
    assert voice.told == [debug, error]
    await conversation.close()


async def test_changed_lists_are_asked_for_and_told_of_only_if_they_changed() -> None:
    bench = a_bench()
    conversation, voice = bench.converse(ASKABLE)
    upstream = own_of(bench, conversation)
    upstream.greeting = Greeting(Era.LEGACY, "2025-11-25", {**EVERYTHING, "tools": b'{"listChanged":true}'})
    bench.upstreams.opened[0].greeting = upstream.greeting
    await bench.servers.of(SENTRY).ask()
    await conversation.of(SENTRY).ask()
    await bench.lists.list(ALICE, bench.snapshot, SENTRY, KINDS["tools/list"], conversation)
    conversation.attend(wanted=True)
    changed = Notice("notifications/tools/list_changed", b"{}")
    upstream.client.tell(changed)
    asked = len(upstream.asked)
    while len(upstream.asked) == asked:  # asked again, and nothing is new
        await asyncio.sleep(0.01)
    await settle_down()
    assert voice.told == []
    upstream.offer(Ask.TOOLS, ["find", "own", "new"])
    upstream.client.tell(changed)
    await voice.hears()
    assert voice.told == [changed]
    await conversation.close()
    assert len(bench.changes) == 0


async def test_who_has_not_seen_a_list_is_not_told_that_it_changed() -> None:
    bench = a_bench()
    conversation, voice = bench.converse(server=None)
    conversation.attend(wanted=True)
    await bench.servers.of(SENTRY).ask()
    await settle_down()
    assert voice.told == []
    await bench.lists.list(ALICE, bench.snapshot, None, KINDS["tools/list"], conversation)
    bench.upstreams.of("sentry").offer(Ask.TOOLS, ["other"])
    await bench.servers.of(SENTRY).ask()
    await voice.hears()
    assert [notice.method for notice in voice.told] == ["notifications/tools/list_changed"]
    await conversation.close()


# --- what a client tells ------------------------------------------------------------------------------------


async def test_roots_and_progress_are_passed_on_and_nothing_else_is() -> None:
    bench = a_bench()
    conversation, _ = bench.converse(ASKABLE)
    upstream = own_of(bench, conversation)
    roots = Notice("notifications/roots/list_changed", b"{}")
    progress = Notice("notifications/progress", b'{"progressToken":1,"progress":1}')
    for notice in (roots, progress, Notice("notifications/initialized", b"{}"), Notice("x", b"{}")):
        await conversation.relay(notice)
    assert upstream.relayed == [roots, progress]
    await conversation.close()


# --- what stands --------------------------------------------------------------------------------------------


async def test_a_log_level_takes_a_session_of_its_own_and_a_record() -> None:
    bench = a_bench()
    conversation, _ = bench.converse()
    call = Call(b"7", SET_LEVEL, {"level": b'"error"'})
    reply = await bench.standing.set_level(ALICE, bench.snapshot, conversation, SENTRY, call, "error")
    assert reply == Result(b'{"content":[],"of":""}')
    upstream = own_of(bench, conversation)
    assert upstream is not bench.servers.of(SENTRY).upstream
    assert [permit.call for permit in upstream.forwarded] == [call]
    assert conversation.caller.log_level == "error"
    (entry,) = bench.entries
    assert (entry.record.method, entry.record.server, bench.outcomes()) == (SET_LEVEL, "sentry", [Outcome.OK])
    await conversation.close()


async def test_a_level_for_all_servers_goes_to_those_that_are_the_clients_own() -> None:
    bench = a_bench()
    conversation, _ = bench.converse(ASKABLE, server=None)
    upstream = own_of(bench, conversation)
    await conversation.of(SENTRY).known()
    await conversation.of(SENTRY).ask()
    call = Call(b"7", SET_LEVEL, {"level": b'"error"'})
    reply = await bench.standing.set_level(ALICE, bench.snapshot, conversation, None, call, "error")
    assert reply == Result(b"{}")
    assert len(upstream.forwarded) == 1
    assert not bench.upstreams.of("git").forwarded
    await conversation.close()


async def test_subscriptions_take_a_session_of_their_own_and_are_judged() -> None:
    bench = a_bench()
    conversation, _ = bench.converse()
    call = Call(b"7", SUBSCRIBE, {"uri": b'"a:1"'})
    denied = bench.snapshot.access
    bench.apply(SENTRY, GIT, access=denying("sentry__a:1"))
    refused = await bench.standing.subscribe(ALICE, bench.snapshot, conversation, SENTRY, call, "a:1")
    assert isinstance(refused, Fault)
    assert conversation.own() == []
    assert bench.entries[0].record.decision is Verdict.HIDDEN
    bench.apply(SENTRY, GIT, access=denied)
    await bench.standing.subscribe(ALICE, bench.snapshot, conversation, SENTRY, call, "a:1")
    assert [permit.call for permit in own_of(bench, conversation).forwarded] == [call]
    assert conversation.watched == 1
    over = structs.replace(call, method=UNSUBSCRIBE)
    await bench.standing.subscribe(ALICE, bench.snapshot, conversation, SENTRY, over, "a:1")
    assert conversation.watched == 0
    await conversation.close()


async def test_what_a_server_says_of_a_standing_request_reaches_the_client() -> None:
    """On a pipe a message belongs to the one request under way, which may be this one."""
    bench = a_bench()
    conversation, voice = bench.converse()
    call = Call(b"7", SUBSCRIBE, {"uri": b'"a:1"'})
    await bench.standing.subscribe(ALICE, bench.snapshot, conversation, SENTRY, call, "a:1")
    upstream = own_of(bench, conversation)
    said = Notice(levels.MESSAGE, b'{"level":"info","data":"subscribed"}')
    upstream.notify(said)
    assert voice.told == [said]
    await conversation.close()


async def test_a_subscription_at_a_modern_server_is_a_stream_of_ours() -> None:
    bench = a_bench()
    upstream = bench.upstreams.of("sentry")
    upstream.greeting = Greeting(Era.MODERN, "2026-07-28", EVERYTHING, versions=("2026-07-28",))
    listening = asyncio.Event()

    async def listen(permit: object) -> Reply:
        listening.set()
        await asyncio.Event().wait()
        raise AssertionError

    upstream.answer = listen
    conversation, voice = bench.converse()
    call = Call(b"7", SUBSCRIBE, {"uri": b'"a:1"'})
    reply = await bench.standing.subscribe(ALICE, bench.snapshot, conversation, SENTRY, call, "a:1")
    assert reply == Result(b"{}")
    await listening.wait()
    assert upstream.forwarded[0].call.method == "subscriptions/listen"
    upstream.notify(updated("a:1"))
    assert voice.told == [updated("a:1")]
    await conversation.close()
    await settle_down()
    assert (len(bench.watches), upstream.cancelled) == (0, 1)


async def test_a_call_without_a_conversation_uses_the_shared_session() -> None:
    bench = a_bench()
    await bench.perform(a_call("find"))
    assert len(bench.upstreams.of("sentry").forwarded) == 1
