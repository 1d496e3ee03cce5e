"""Access by role: any denial wins, then any allowance, then the default; and what an entry covers."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from coatcheck.core.access.decide import OPERATOR_RULE, SCOPE_RULE
from coatcheck.core.access.globs import matches
from coatcheck.core.access.roles import DEFAULT_RULE, STRICT_RULE
from coatcheck.model.access import AccessEntry, Extent, Nature, RoleAccess, SubjectAccess
from coatcheck.model.call import Call, Kind, Target
from coatcheck.model.decision import Decision, Permit
from coatcheck.model.grant import Principal, Voucher
from coatcheck.model.server import Server, StdioReach
from doubles.bench import GIT, SENTRY, a_principal, decide, may_see

READ, WRITE, AMBIGUOUS = Nature.READ, Nature.WRITE, Nature.AMBIGUOUS
BRIEF = settings(max_examples=120, deadline=None)
CALL = Call(b"1", "tools/call", {"name": b'"find"'})
FIND = Target(Kind.TOOL, "find")
THINGS = (Kind.TOOL, Kind.PROMPT, Kind.RESOURCE)


def entry(servers: str = "*", access: str = "*", *, deny: bool = False, **narrowed: str) -> AccessEntry:
    found: dict[str, Any] = {kind: tuple(globs.split()) for kind, globs in narrowed.items()}
    return AccessEntry(tuple(servers.split()), Extent(access), deny=deny, **found)


def roles(default: bool = False, strict: bool = False, **found: list[AccessEntry]) -> RoleAccess:
    return RoleAccess({name: tuple(entries) for name, entries in found.items()}, {}, default, strict)


DEV = a_principal(roles=("dev",))


def told(decision: Decision) -> tuple[bool, str]:
    return isinstance(decision, Permit), decision.rule


# --- properties ----------------------------------------------------------------------------------------------

NAMES = st.sampled_from(("find", "delete", "note://one", "note://a/../b", "x"))
GLOBS = st.lists(st.sampled_from(("*", "find", "de*", "note://*", "x")), min_size=1, max_size=2).map(tuple)
ENTRIES = st.builds(
    AccessEntry,
    st.lists(st.sampled_from(("*", "sentry", "git", "s*")), min_size=1, max_size=2).map(tuple),
    st.sampled_from(Extent),
    st.none() | GLOBS,
    st.none() | GLOBS,
    st.none() | GLOBS,
    st.booleans(),
)
ENTRY_LISTS = st.lists(ENTRIES, max_size=3).map(tuple)
ROLE_NAMES = ("dev", "ops", "a/b~c")
ACCESS = st.builds(
    RoleAccess,
    st.dictionaries(st.sampled_from(ROLE_NAMES), ENTRY_LISTS, max_size=3),
    st.dictionaries(
        st.sampled_from(("alice", "bob")),
        st.builds(SubjectAccess, st.frozensets(st.sampled_from(ROLE_NAMES), max_size=2), ENTRY_LISTS),
        max_size=2,
    ),
    st.booleans(),
    st.booleans(),
)
PRINCIPALS = st.builds(
    a_principal,
    st.sampled_from(("alice", "bob", "carol")),
    st.lists(st.sampled_from((*ROLE_NAMES, "unknown")), max_size=3).map(tuple),
    st.sampled_from((None, (SENTRY,), (GIT,))),
)
TARGETS = st.builds(Target, st.sampled_from(Kind), NAMES)
NATURES = st.sampled_from(Nature)
SERVERS = st.sampled_from((SENTRY, GIT))


def held_by(access: RoleAccess, principal: Principal) -> dict[str, AccessEntry]:
    """Return every entry of the caller by its pointer: the specification, written the long way."""
    own = access.subjects.get(principal.subject, SubjectAccess())
    found: dict[str, AccessEntry] = {}
    for name, entries in access.roles.items():
        if name in principal.roles or name in own.roles:
            pointer = name.replace("~", "~0").replace("/", "~1")
            found |= {f"/acl/roles/{pointer}/{number}": one for number, one in enumerate(entries)}
    return found | {f"/acl/subjects/{principal.subject}/extra/{n}": one for n, one in enumerate(own.extra)}


def covers(one: AccessEntry, target: Target, server: Server, nature: Nature) -> bool:
    """The same for one entry."""
    if not any(matches(glob, server.name) for glob in one.servers):
        return False
    if target.kind is Kind.SERVER:
        whole = one.tools is None and one.resources is None and one.prompts is None
        return not one.deny or (whole and one.extent is Extent.ALL)
    if target.kind is Kind.TOOL:
        by_extent = {Extent.READ: nature is READ, Extent.WRITE: nature is not READ, Extent.ALL: True}[
            one.extent
        ]
    else:
        by_extent = one.extent is not Extent.WRITE
    narrowed = {Kind.TOOL: one.tools, Kind.PROMPT: one.prompts, Kind.RESOURCE: one.resources}
    if not by_extent:
        return False
    if all(globs is None for globs in narrowed.values()):
        return True
    globs = narrowed[target.kind] or ()
    if target.kind is Kind.RESOURCE and "/../" in target.name:
        return "*" in globs or (bool(globs) and one.deny)
    return any(matches(glob, target.name) for glob in globs)


@BRIEF
@given(TARGETS, PRINCIPALS, SERVERS, ACCESS, NATURES)
def test_the_decision_is_what_the_specification_says_and_names_a_rule_that_says_so(
    target: Target, principal: Principal, server: Server, access: RoleAccess, nature: Nature
) -> None:
    decision = decide(CALL, target, principal, server, access, nature)
    assert isinstance(decision, Permit) is may_see(target, principal, server, access, nature)
    allowed, rule = told(decision)
    assert decision.because
    if not principal.may_reach(server.id):
        assert (allowed, rule) == (False, SCOPE_RULE)
        return
    if access.strict and target.kind is Kind.TOOL and nature is AMBIGUOUS:
        assert (allowed, rule) == (False, STRICT_RULE)
        return
    covering = {
        pointer: one
        for pointer, one in held_by(access, principal).items()
        if covers(one, target, server, nature)
    }
    if not covering:
        assert (allowed, rule) == (access.default_allow, DEFAULT_RULE)
        return
    assert allowed is not any(one.deny for one in covering.values())
    assert covering[rule].deny is not allowed


def with_entry(access: RoleAccess, principal: Principal, added: AccessEntry, place: int) -> RoleAccess:
    """Return the access with one more entry of the caller's: in a role of its own, or among its own entries."""
    if place and principal.roles:
        role = sorted(principal.roles)[place % len(principal.roles)]
        return dataclasses.replace(access, roles={**access.roles, role: (*access.roles.get(role, ()), added)})
    own = access.subjects.get(principal.subject, SubjectAccess())
    more = dataclasses.replace(own, extra=(added, *own.extra))
    return dataclasses.replace(access, subjects={**access.subjects, principal.subject: more})


@BRIEF
@given(TARGETS, PRINCIPALS, SERVERS, ACCESS, NATURES, ENTRIES, st.integers(0, 2))
def test_more_entries_only_ever_do_what_they_say(
    target: Target,
    principal: Principal,
    server: Server,
    access: RoleAccess,
    nature: Nature,
    added: AccessEntry,
    place: int,
) -> None:
    """One that allows takes nothing away, one that denies gives nothing, and a denial that covers always wins."""
    before = may_see(target, principal, server, access, nature)
    after = may_see(target, principal, server, with_entry(access, principal, added, place), nature)
    if added.deny:
        assert after <= before
        assert not (after and covers(added, target, server, nature))
    else:
        assert before <= after


@BRIEF
@given(TARGETS, PRINCIPALS, SERVERS, ACCESS, NATURES)
def test_write_never_covers_what_reads(
    target: Target, principal: Principal, server: Server, access: RoleAccess, nature: Nature
) -> None:
    only = {
        name: tuple(dataclasses.replace(one, extent=Extent.WRITE) for one in entries)
        for name, entries in access.roles.items()
    }
    rules = RoleAccess(only, {}, default_allow=False)
    if may_see(target, principal, server, rules, nature) and target.kind is not Kind.SERVER:
        assert target.kind is Kind.TOOL
        assert nature is not READ


@BRIEF
@given(TARGETS, PRINCIPALS, SERVERS, ACCESS)
def test_strictness_refuses_ambiguous_tools_and_nothing_else(
    target: Target, principal: Principal, server: Server, access: RoleAccess
) -> None:
    strict, lax = (dataclasses.replace(access, strict=strict) for strict in (True, False))
    for nature in Nature:
        if target.kind is Kind.TOOL and nature is AMBIGUOUS:
            assert not may_see(target, principal, server, strict, nature)
        else:
            same = decide(CALL, target, principal, server, strict, nature)
            assert same == decide(CALL, target, principal, server, lax, nature)


@BRIEF
@given(TARGETS, PRINCIPALS, SERVERS, ACCESS, NATURES)
def test_prompts_and_resources_have_no_nature(
    target: Target, principal: Principal, server: Server, access: RoleAccess, nature: Nature
) -> None:
    if target.kind is not Kind.TOOL:
        decisions = {repr(decide(CALL, target, principal, server, access, one)) for one in Nature}
        assert len(decisions) == 1


# --- tables --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extent", "covered"),
    [
        ("read", {(Kind.TOOL, READ), Kind.PROMPT, Kind.RESOURCE}),
        ("write", {(Kind.TOOL, WRITE), (Kind.TOOL, AMBIGUOUS)}),
        ("*", {(Kind.TOOL, READ), (Kind.TOOL, WRITE), (Kind.TOOL, AMBIGUOUS), Kind.PROMPT, Kind.RESOURCE}),
    ],
)
@pytest.mark.parametrize("deny", [False, True])
def test_what_each_extent_covers(extent: str, covered: set[Any], deny: bool) -> None:
    access = roles(deny, dev=[entry("sentry", extent, deny=deny)])
    for kind in THINGS:
        for nature in Nature:
            is_covered = (kind in covered) if kind is not Kind.TOOL else ((kind, nature) in covered)
            decision = decide(CALL, Target(kind, "find"), DEV, SENTRY, access, nature)
            expected = (not deny, "/acl/roles/dev/0") if is_covered else (deny, DEFAULT_RULE)
            assert told(decision) == expected
            assert told(decide(CALL, Target(kind, "find"), DEV, GIT, access, nature)) == (deny, DEFAULT_RULE)


@pytest.mark.parametrize(
    ("narrowed", "seen"),
    [
        ({"tools": "*"}, {Kind.TOOL}),
        ({"prompts": "*"}, {Kind.PROMPT}),
        ({"resources": "*"}, {Kind.RESOURCE}),
        ({"tools": "f*", "prompts": "find"}, {Kind.TOOL, Kind.PROMPT}),
        ({"tools": "other", "resources": "find"}, {Kind.RESOURCE}),
        ({"tools": "sentry__find"}, set()),
        ({"tools": "Find", "prompts": "fin", "resources": "ind"}, set()),
        ({}, set(THINGS)),
    ],
)
def test_an_entry_narrowed_to_one_kind_covers_no_other(narrowed: Any, seen: set[Kind]) -> None:
    allowing = roles(dev=[entry(**narrowed)])
    denying = roles(True, dev=[entry(deny=True, **narrowed)])
    for kind in THINGS:
        assert may_see(Target(kind, "find"), DEV, SENTRY, allowing, READ) is (kind in seen)
        assert may_see(Target(kind, "find"), DEV, SENTRY, denying, READ) is (kind not in seen)


@pytest.mark.parametrize(
    ("globs", "uri", "allowed", "denied"),
    [
        ("file:///srv/public/*", "file:///srv/public/a", True, True),
        ("file:///srv/public/*", "file:///srv/private/a", False, False),
        ("file:///srv/public/*", "file:///srv/public/../private/a", False, True),
        ("file:///srv/private/*", "file:///srv/public/../private/a", False, True),
        ("file:///srv/private/*", "file:///srv/%70rivate/a", False, True),
        ("file:///srv/private/*", "FILE:///srv/private/a", False, True),
        ("file:///srv/private/*", "file:///srv/public/%2e%2e/private/a", False, True),
        ("*", "file:///srv/public/../private/a", True, True),
        ("note://*", "note://{id}", True, True),
        ("note://1", "note://{id}", False, False),
        ("note://{id}", "note://1", False, False),
        ("note://{id}", "note://{id}", True, True),
    ],
)
def test_uris_and_templates(globs: str, uri: str, allowed: bool, denied: bool) -> None:
    target = Target(Kind.RESOURCE, uri)
    assert may_see(target, DEV, SENTRY, roles(dev=[entry(resources=globs)]), AMBIGUOUS) is allowed
    denying = roles(True, dev=[entry(resources=globs, deny=True)])
    assert may_see(target, DEV, SENTRY, denying, AMBIGUOUS) is not denied
    whole = roles(dev=[entry()])
    assert may_see(target, DEV, SENTRY, whole, AMBIGUOUS)
    elsewhere = roles(dev=[entry(), entry(tools="*", deny=True), entry(prompts="*", deny=True)])
    assert may_see(target, DEV, SENTRY, elsewhere, AMBIGUOUS)


@pytest.mark.parametrize(
    ("entries", "allowed"),
    [
        ([], False),
        ([entry("git")], False),
        ([entry("sentry", "read", prompts="x")], True),
        ([entry("sentry", "write")], True),
        ([entry(), entry("sentry", "write", deny=True), entry("sentry", tools="*", deny=True)], True),
        ([entry(), entry("sentry", deny=True)], False),
    ],
)
def test_the_server_itself_is_for_whoever_may_use_anything_of_it(entries: Any, allowed: bool) -> None:
    for nature in Nature:
        assert may_see(Target(Kind.SERVER, ""), DEV, SENTRY, roles(dev=entries), nature) is allowed


def test_roles_of_the_grant_and_of_the_subject_add_up() -> None:
    extra = (entry("git", "read", tools="log"),)
    access = RoleAccess(
        {"dev": (entry("sentry", "read"),), "ops": (entry("sentry", "write"),), "none": ()},
        {"alice": SubjectAccess(frozenset({"ops", "none"}), extra)},
        default_allow=False,
    )
    log = Target(Kind.TOOL, "log")
    for principal, nature, expected in (
        (a_principal("alice"), WRITE, (True, "/acl/roles/ops/0")),
        (a_principal("alice"), READ, (False, DEFAULT_RULE)),
        (a_principal("alice", ("dev",)), READ, (True, "/acl/roles/dev/0")),
        (a_principal("bob", ("dev",)), WRITE, (False, DEFAULT_RULE)),
        (a_principal("bob", ("dev", "ops")), WRITE, (True, "/acl/roles/ops/0")),
        (a_principal("Alice"), WRITE, (False, DEFAULT_RULE)),
        (a_principal("bob", ("Dev", "nobody")), READ, (False, DEFAULT_RULE)),
    ):
        assert told(decide(CALL, FIND, principal, SENTRY, access, nature)) == expected
    assert told(decide(CALL, log, a_principal("alice"), GIT, access, READ)) == (
        True,
        "/acl/subjects/alice/extra/0",
    )
    assert told(decide(CALL, log, a_principal("bob"), GIT, access, READ)) == (False, DEFAULT_RULE)


def test_a_denial_in_one_role_outweighs_all_others() -> None:
    access = RoleAccess(
        {"a": (entry(), entry("git", deny=True)), "z": (entry("sentry", "write", tools="del*", deny=True),)},
        {"alice": SubjectAccess(frozenset({"z"}), (entry("sentry"),))},
    )
    delete = Target(Kind.TOOL, "delete")
    alice = a_principal("alice", ("a",))
    assert told(decide(CALL, delete, alice, SENTRY, access, WRITE)) == (False, "/acl/roles/z/0")
    assert told(decide(CALL, delete, alice, SENTRY, access, READ)) == (True, "/acl/roles/a/0")
    assert told(decide(CALL, FIND, alice, GIT, access, READ)) == (False, "/acl/roles/a/1")
    assert told(decide(CALL, delete, a_principal("bob", ("a",)), SENTRY, access, WRITE)) == (
        True,
        "/acl/roles/a/0",
    )


@pytest.mark.parametrize(
    ("name", "pointer"),
    [("dev", "dev"), ("a/b", "a~1b"), ("a~b", "a~0b"), ("~1", "~01"), ("d\u00e9v ops", "d\u00e9v ops")],
)
def test_names_in_pointers_are_escaped(name: str, pointer: str) -> None:
    access = RoleAccess({name: (entry("git"), entry("sentry"))}, {name: SubjectAccess(extra=(entry("git"),))})
    principal = a_principal(name, (name,))
    assert decide(CALL, FIND, principal, SENTRY, access, READ).rule == f"/acl/roles/{pointer}/1"
    own = a_principal(name)
    assert decide(CALL, FIND, own, GIT, access, READ).rule == f"/acl/subjects/{pointer}/extra/0"


def test_scope_and_operator_come_first() -> None:
    closed = roles(False, True, dev=[entry(deny=True)])
    nowhere = a_principal(roles=("dev",), scope=(GIT,))
    assert told(decide(CALL, FIND, nowhere, SENTRY, roles(dev=[entry()]), READ)) == (False, SCOPE_RULE)
    operator = structs.replace(DEV, voucher=Voucher.LOCAL)
    assert told(decide(CALL, FIND, operator, SENTRY, closed, AMBIGUOUS)) == (True, OPERATOR_RULE)
    assert told(decide(CALL, FIND, DEV, SENTRY, closed, AMBIGUOUS)) == (False, STRICT_RULE)


def test_no_reason_names_another_subject() -> None:
    access = RoleAccess(
        {"dev": (entry("git", deny=True),)},
        {"bob-the-secret": SubjectAccess(frozenset({"dev"}), (entry(deny=True),))},
        default_allow=False,
    )
    for server in (SENTRY, GIT):
        decision = decide(CALL, FIND, DEV, server, access, READ)
        assert not isinstance(decision, Permit)
        assert "bob" not in decision.because


def test_no_rules_at_all() -> None:
    assert told(decide(CALL, FIND, DEV, SENTRY, RoleAccess(), AMBIGUOUS)) == (True, DEFAULT_RULE)
    assert told(decide(CALL, FIND, DEV, SENTRY, roles(), AMBIGUOUS)) == (False, DEFAULT_RULE)


def test_servers_are_globs_over_whole_names() -> None:
    for servers, seen in (
        ("sentry", True),
        ("sen*", True),
        ("git s*y", True),
        ("sentr", False),
        ("Sentry", False),
    ):
        server = Server(SENTRY.id, "sentry", StdioReach("x"))
        assert may_see(FIND, DEV, server, roles(dev=[entry(servers)]), READ) is seen
