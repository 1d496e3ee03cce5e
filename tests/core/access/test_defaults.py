"""The default of one server: what it allows, what approving narrows, whose word is believed; list and call alike."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.core.access.classify import nature_of_tool
from coatcheck.core.access.decide import decide, may_see
from coatcheck.core.access.globs import any_matches
from coatcheck.core.access.rules import Policies, Rules
from coatcheck.core.policy.conditions.arguments import NO_ARGUMENTS
from coatcheck.core.policy.judging import ReadyPolicy
from coatcheck.core.policy.reading.document import read_policy
from coatcheck.core.policy.trying.tracing import trace
from coatcheck.model.access import Nature
from coatcheck.model.call import Call, Kind, Target
from coatcheck.model.decision import Denial, Permit
from coatcheck.model.grant import Principal, Voucher
from coatcheck.model.policy import Default
from coatcheck.model.server import AccessMarks, Server, StdioReach
from coatcheck.model.verdict import Facts, Judgement, Scene
from policies import document

SERVER = Server(UUID(int=1), "git", StdioReach("git"), default=Default.READ_ONLY)
CALL = Call(b"1", "tools/call", {})
SCENE = Scene("10.0.0.1", "client", None)
ALICE = Principal("alice", frozenset({"dev"}), "g1", "laptop", Voucher.GRANT, None)
BOB = Principal("bob", frozenset(), "g2", "laptop", Voucher.GRANT, None)
HINTS = st.sampled_from(
    (
        None,
        b"{}",
        b'{"readOnlyHint":true}',
        b'{"readOnlyHint":false}',
        b'{"destructiveHint":true}',
        b'{"readOnlyHint":true,"destructiveHint":true}',
        b'{"readOnlyHint":"true"}',
        b"[]",
    )
)
NAMES = st.sampled_from(("get_x", "delete_x", "get_and_delete", "echo", "list_x", "x", "", "g\u0435t_x"))
MARKS = st.builds(
    AccessMarks,
    st.sampled_from(((), ("echo",), ("delete_*",))),
    st.sampled_from(((), ("get_x",), ("echo",))),
)
APPROVED = st.none() | st.lists(
    st.sampled_from(("*", "get_*", "delete_*", "echo", "*x", "")), max_size=3
).map(tuple)
SERVERS = st.builds(
    lambda default, approved, trusted, marks: replace(
        SERVER, default=default, approved=approved, trusted=trusted, marks=marks
    ),
    st.sampled_from(Default),
    APPROVED,
    st.booleans(),
    MARKS,
)
TARGETS = st.one_of(
    st.builds(Target, st.just(Kind.TOOL), NAMES),
    st.builds(Target, st.just(Kind.TOOL), NAMES),
    st.builds(Target, st.sampled_from((Kind.PROMPT, Kind.RESOURCE)), NAMES),
    st.just(Target(Kind.SERVER, "")),
)


def used(**members: object) -> ReadyPolicy:
    return ReadyPolicy(read_policy(document(**members)))


EVERYTHING = used(name="all", tools={"delete_*": {"outcome": "deny"}})
POLICIES = st.builds(
    lambda everything, grants, servers: Policies(everything, {}, grants, servers),
    st.sampled_from(((), (EVERYTHING,))),
    st.sampled_from(
        ({}, {("g1", None): used(name="mine")}, {("g1", SERVER.id): used(name="here", default="deny-all")})
    ),
    st.sampled_from(({}, {SERVER.id: used(name="theirs", tools={"echo": {"outcome": "hide"}})})),
)


def nature_at(server: Server, target: Target, hints: bytes | None) -> Nature:
    if target.kind is not Kind.TOOL:
        return Nature.AMBIGUOUS
    return nature_of_tool(target.name, hints, server.marks, trusted=server.trusted)[0]


@settings(max_examples=400, deadline=None)
@given(SERVERS, TARGETS, HINTS, POLICIES, st.sampled_from((ALICE, BOB)))
def test_list_and_call_agree(
    server: Server, target: Target, hints: bytes | None, policies: Policies, who: Principal
) -> None:
    rules, nature = Rules(policies=policies), nature_at(server, target, hints)
    decision = decide(CALL, target, who, server, rules, nature, SCENE)
    hidden = isinstance(decision, Denial) and not decision.visible
    assert may_see(target, who, server, rules, nature) is not hidden


@settings(max_examples=400, deadline=None)
@given(SERVERS, TARGETS, HINTS)
def test_what_the_default_allows_is_just_what_the_table_says(
    server: Server, target: Target, hints: bytes | None
) -> None:
    nature = nature_at(server, target, hints)
    decision = decide(CALL, target, ALICE, server, Rules(), nature, SCENE)
    tool = target.kind is Kind.TOOL
    approved = not tool or server.approved is None or any_matches(server.approved, target.name)
    by_default = {
        Default.ALLOW_ALL: True,
        Default.READ_ONLY: not tool or nature is Nature.READ,
        Default.DENY_ALL: False,
    }[server.default]
    assert isinstance(decision, Permit) is (approved and by_default)
    rule = "(approved)" if not approved else f"{server.default}:/default"
    if approved and server.default is Default.ALLOW_ALL and server.approved is None:
        rule = "/acl/default"
    assert decision.rule == rule
    if tool:
        standing = Policies().by_default(server, target.name, nature)
        assert (standing.judgement is Judgement.ALLOWED) is (approved and by_default)


@settings(max_examples=300, deadline=None)
@given(SERVERS, TARGETS, HINTS, APPROVED, st.sampled_from(Default))
def test_narrowing_never_allows_more_nor_does_a_narrower_default(
    server: Server, target: Target, hints: bytes | None, approved: tuple[str, ...] | None, default: Default
) -> None:
    nature = nature_at(server, target, hints)
    wide = replace(server, approved=None)
    for narrow in (replace(wide, approved=approved), replace(wide, default=Default.DENY_ALL)):
        if may_see(target, ALICE, narrow, Rules(), nature):
            assert may_see(target, ALICE, wide, Rules(), nature)
    if may_see(target, ALICE, replace(server, default=default), Rules(), nature):
        assert may_see(target, ALICE, replace(server, default=Default.ALLOW_ALL), Rules(), nature)


@settings(max_examples=300, deadline=None)
@given(SERVERS, TARGETS, HINTS)
def test_trust_shows_nothing_that_did_not_say_that_it_only_reads(
    server: Server, target: Target, hints: bytes | None
) -> None:
    natures = [nature_at(replace(server, trusted=trusted), target, hints) for trusted in (False, True)]
    if natures[0] is not natures[1]:
        assert natures[1] is Nature.READ
        assert hints == b'{"readOnlyHint":true}'


@pytest.mark.parametrize(
    ("name", "hints", "trusted", "nature"),
    [
        ("delete_x", b'{"readOnlyHint":true}', False, Nature.WRITE),
        ("delete_x", b'{"readOnlyHint":true}', True, Nature.READ),
        ("echo", b'{"readOnlyHint":true}', False, Nature.AMBIGUOUS),
        ("echo", b'{"readOnlyHint":true}', True, Nature.READ),
        ("get_x", b'{"readOnlyHint":true,"destructiveHint":true}', True, Nature.WRITE),
        ("delete_x", b'{"destructiveHint":false}', True, Nature.WRITE),
        ("delete_x", None, True, Nature.WRITE),
    ],
)
def test_lying_annotations_are_believed_of_none_but_trusted_servers(
    name: str, hints: bytes | None, trusted: bool, nature: Nature
) -> None:
    server = replace(SERVER, trusted=trusted)
    target = Target(Kind.TOOL, name)
    assert nature_at(server, target, hints) is nature
    assert may_see(target, ALICE, server, Rules(), nature) is (nature is Nature.READ)


def test_a_policy_takes_the_place_of_the_default_with_what_it_approves() -> None:
    server = replace(SERVER, approved=("get_x",))
    target = Target(Kind.TOOL, "delete_y")
    open_here = Policies(servers={SERVER.id: used(name="open")})
    open_mine = Policies(grants={("g1", None): used(name="open")})
    assert not may_see(target, ALICE, server, Rules(), Nature.WRITE)
    assert may_see(target, ALICE, server, Rules(policies=open_here), Nature.WRITE)
    assert may_see(target, BOB, server, Rules(policies=open_here), Nature.WRITE)
    assert may_see(target, ALICE, server, Rules(policies=open_mine), Nature.WRITE)
    assert not may_see(target, BOB, server, Rules(policies=open_mine), Nature.WRITE)
    assert open_here.by_default(server, "delete_y", Nature.WRITE).rule == "open:/default"
    assert open_mine.by_default(server, "delete_y", Nature.WRITE).rule == "(approved)"


def test_one_publication_judges_a_server_by_what_it_is_now() -> None:
    """The policies of a snapshot outlive an edit of a server; what applies to a caller must not."""
    rules, target = Rules(), Target(Kind.TOOL, "get_x")
    for server, seen in (
        (replace(SERVER, approved=("get_*",)), True),
        (replace(SERVER, approved=("list_*",)), False),
        (replace(SERVER, approved=()), False),
        (SERVER, True),
        (replace(SERVER, default=Default.DENY_ALL), False),
        (replace(SERVER, default=Default.ALLOW_ALL), True),
        (replace(SERVER, default=Default.ALLOW_ALL, approved=()), False),
    ):
        assert may_see(target, ALICE, server, rules, Nature.READ) is seen, server


def test_nothing_applies_where_nothing_is_set() -> None:
    """The quick path: no policy is looked at, and a default is made ready once for equal ones."""
    policies = Policies()
    open_server = replace(SERVER, default=Default.ALLOW_ALL)
    assert policies.on(ALICE, open_server) is policies.on(BOB, open_server)
    assert policies.on(ALICE, open_server).policies == ()
    narrowed = [replace(SERVER, id=UUID(int=n), approved=("get_*",)) for n in (5, 6)]
    assert len({Policies().on(ALICE, server).policies for server in narrowed}) == 1


def test_what_is_not_approved_is_explained() -> None:
    server = replace(SERVER, approved=("get_*",))
    (ready,) = Policies().on(ALICE, server).policies
    facts = Facts("alice", frozenset(), "g1", "laptop", "s", None, None, None)
    for name, nature, rules in (
        ("get_x", Nature.READ, ["read-only:/default"]),
        ("list_x", Nature.READ, ["(approved)"]),
        ("get_x", Nature.AMBIGUOUS, ["read-only:/default"]),
    ):
        steps = trace(ready, Target(Kind.TOOL, name), nature, facts, NO_ARGUMENTS)
        assert [step.rule for step in steps] == rules
