"""The decision: one answer for calls and lists, nothing outside the scope, the first matching rule wins."""

from __future__ import annotations

import ast
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

import coatcheck
from coatcheck.core.access.decide import OPERATOR_RULE, SCOPE_RULE
from coatcheck.core.access.globs import matches
from coatcheck.core.access.roles import DEFAULT_RULE
from coatcheck.model.access import OPEN, AccessList, AccessRule, Nature
from coatcheck.model.call import Call, Kind, Target
from coatcheck.model.decision import Denial, Permit
from coatcheck.model.grant import ANONYMOUS, Principal, Voucher
from coatcheck.model.server import Server, StdioReach
from doubles.bench import decide, may_see

BRIEF = settings(max_examples=300, deadline=None)
CALL = Call(b"1", "tools/call", {"name": b'"find"'})
SENTRY = Server(UUID(int=1), "sentry", StdioReach("sentry"))
GIT = Server(UUID(int=2), "git", StdioReach("git"))
FIND = Target(Kind.TOOL, "find")
ANY = Nature.AMBIGUOUS
"""A flat list does not look at natures."""


def a_principal(
    subject: str = "alice",
    roles: tuple[str, ...] = (),
    servers: tuple[Server, ...] | None = None,
    voucher: Voucher = Voucher.GRANT,
) -> Principal:
    scope = None if servers is None else frozenset(server.id for server in servers)
    return Principal(subject, frozenset(roles), "file-1", "laptop", voucher, scope)


def rule(
    tools: str, *, allow: bool, subjects: tuple[str, ...] = (), roles: tuple[str, ...] = ()
) -> AccessRule:
    return AccessRule(tuple(tools.split()), allow, frozenset(subjects), frozenset(roles))


SUBJECTS = st.sampled_from(("alice", "bob", "Alice", "*"))
ROLES = st.frozensets(st.sampled_from(("dev", "ops")))
NAMES = st.text("abAB*_", max_size=4)
PATTERNS = st.sampled_from(
    ("*", "sentry__*", "git__*", "*a*", "*b", "*A", "sentry__a*", "nothing", "", "*__*")
)
RULES = st.builds(
    AccessRule,
    st.lists(PATTERNS, max_size=3).map(tuple),
    st.booleans(),
    st.frozensets(SUBJECTS, max_size=2),
    ROLES,
)
ACCESS = st.builds(AccessList, st.lists(RULES, max_size=4).map(tuple), st.booleans())
SERVERS = st.sampled_from((SENTRY, GIT))
SCOPES = st.none() | st.frozensets(st.sampled_from((SENTRY.id, GIT.id, UUID(int=9))))
VOUCHERS = st.sampled_from((Voucher.GRANT, Voucher.FORWARDED, Voucher.NONE))
PRINCIPALS = st.builds(Principal, SUBJECTS, ROLES, st.just("id"), st.just("label"), VOUCHERS, SCOPES)
TARGETS = st.builds(Target, st.sampled_from((Kind.TOOL, Kind.PROMPT, Kind.RESOURCE)), NAMES)


def first_of(access: AccessList, principal: Principal, name: str) -> tuple[bool, str]:
    """Return what holds and where it says so: the specification, written the long way."""
    for number in range(len(access.rules)):
        candidate = access.rules[number]
        by_subject = not candidate.subjects or principal.subject in candidate.subjects
        by_role = not candidate.roles or any(role in candidate.roles for role in principal.roles)
        if by_subject and by_role and any(matches(glob, name) for glob in candidate.tools):
            return candidate.allow, f"/acl/rules/{number}"
    return access.default_allow, "/acl/default"


# --- properties -------------------------------------------------------------------------------------------


@BRIEF
@given(TARGETS, PRINCIPALS, SERVERS, ACCESS)
def test_a_call_is_permitted_exactly_where_its_target_is_visible(
    target: Target, principal: Principal, server: Server, access: AccessList
) -> None:
    decision = decide(CALL, target, principal, server, access, ANY)
    assert isinstance(decision, Permit) is may_see(target, principal, server, access, ANY)
    if isinstance(decision, Permit):
        assert (decision.call, decision.target, decision.principal, decision.server) == (
            CALL,
            target,
            principal,
            server,
        )
    else:
        assert not decision.visible
    assert decision.because


@BRIEF
@given(TARGETS, PRINCIPALS, SERVERS, ACCESS)
def test_the_scope_comes_first_then_the_first_rule_that_matches_then_the_default(
    target: Target, principal: Principal, server: Server, access: AccessList
) -> None:
    decision = decide(CALL, target, principal, server, access, ANY)
    if principal.servers is not None and server.id not in principal.servers:
        assert isinstance(decision, Denial)
        assert decision.rule == SCOPE_RULE
    else:
        assert (isinstance(decision, Permit), decision.rule) == first_of(
            access, principal, f"{server.name}__{target.name}"
        )


@BRIEF
@given(TARGETS, PRINCIPALS, SERVERS, ACCESS, RULES, st.booleans())
def test_a_rule_before_all_others_decides_what_it_matches_and_a_last_one_only_the_default(
    target: Target, principal: Principal, server: Server, access: AccessList, added: AccessRule, last: bool
) -> None:
    rules = (*access.rules, added) if last else (added, *access.rules)
    before = first_of(access, principal, f"{server.name}__{target.name}")
    after = decide(CALL, target, principal, server, AccessList(rules, access.default_allow), ANY)
    alone = decide(CALL, target, principal, server, AccessList((added,), default_allow=not added.allow), ANY)
    if principal.may_reach(server.id):
        applies = alone.rule == "/acl/rules/0"
        if applies and (not last or before[1] == DEFAULT_RULE):
            assert isinstance(after, Permit) is added.allow
        else:
            assert isinstance(after, Permit) is before[0]


@BRIEF
@given(TARGETS, PRINCIPALS, SERVERS, ACCESS)
def test_a_flat_list_does_not_look_at_natures(
    target: Target, principal: Principal, server: Server, access: AccessList
) -> None:
    assert len({repr(decide(CALL, target, principal, server, access, nature)) for nature in Nature}) == 1


@BRIEF
@given(TARGETS, PRINCIPALS, SERVERS)
def test_who_reaches_nothing_may_do_nothing(target: Target, principal: Principal, server: Server) -> None:
    nowhere = structs.replace(principal, servers=frozenset())
    assert isinstance(decide(CALL, target, nowhere, server, OPEN, ANY), Denial)
    assert not may_see(target, nowhere, server, AccessList((rule("*", allow=True),)), ANY)


# --- tables -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("access", "principal", "allowed", "pointer"),
    [
        (OPEN, a_principal(), True, "/acl/default"),
        (OPEN, ANONYMOUS, True, "/acl/default"),
        (AccessList((), default_allow=False), a_principal(), False, "/acl/default"),
        (AccessList((rule("sentry__*", allow=False),)), a_principal(), False, "/acl/rules/0"),
        (AccessList((rule("git__*", allow=False),)), a_principal(), True, "/acl/default"),
        (AccessList((rule("git__* sentry__find", allow=False),)), a_principal(), False, "/acl/rules/0"),
        (AccessList((rule("find", allow=False),)), a_principal(), True, "/acl/default"),
        (AccessList((rule("SENTRY__*", allow=False),)), a_principal(), True, "/acl/default"),
        (AccessList((rule("*", allow=False, subjects=("bob",)), rule("*", allow=True))), a_principal("bob"), False, "/acl/rules/0"),
        (AccessList((rule("*", allow=False, subjects=("bob",)), rule("*", allow=True))), a_principal(), True, "/acl/rules/1"),
        (AccessList((rule("*", allow=False, subjects=("bob",)),)), a_principal("Bob"), True, "/acl/default"),
        (AccessList((rule("*", allow=False, subjects=("*",)),)), a_principal(), True, "/acl/default"),
        (AccessList((rule("*", allow=True, roles=("dev", "ops")),), default_allow=False), a_principal(roles=("ops",)), True, "/acl/rules/0"),
        (AccessList((rule("*", allow=True, roles=("dev",)),), default_allow=False), a_principal(), False, "/acl/default"),
        (AccessList((rule("*", allow=True, subjects=("bob",), roles=("dev",)),), default_allow=False), a_principal(roles=("dev",)), False, "/acl/default"),
        (AccessList((rule("*", allow=True, subjects=("alice",), roles=("dev",)),), default_allow=False), a_principal(roles=("dev",)), True, "/acl/rules/0"),
        (AccessList((AccessRule((), allow=False),)), a_principal(), True, "/acl/default"),
        (OPEN, a_principal(servers=(SENTRY,)), True, "/acl/default"),
        (OPEN, a_principal(servers=(GIT,)), False, "(scope)"),
        (AccessList((rule("*", allow=True),)), a_principal(servers=()), False, "(scope)"),
    ],
)  # fmt: skip
def test_rules(access: AccessList, principal: Principal, allowed: bool, pointer: str) -> None:
    decision = decide(CALL, FIND, principal, SENTRY, access, ANY)
    assert (isinstance(decision, Permit), decision.rule) == (allowed, pointer)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_rule_governs_prompts_and_resources_of_the_same_server(kind: Kind) -> None:
    access = AccessList((rule("sentry__*", allow=False),))
    for name in ("find", "file:///etc/passwd", "sentry://issue/1"):
        assert not may_see(Target(kind, name), a_principal(), SENTRY, access, ANY)
        assert may_see(Target(kind, name), a_principal(), GIT, access, ANY)


@pytest.mark.parametrize(
    ("rules", "default", "allowed"),
    [
        ((), True, True),
        ((), False, False),
        ((("sentry__*", True),), False, True),
        ((("*", True),), False, True),
        ((("sentry__find", True),), False, True),
        ((("sen*", True),), False, True),
        ((("*_issues", True),), False, True),
        ((("git__*", True),), False, False),
        ((("sentry", True),), False, False),
        ((("sentry__*", False),), True, False),
        ((("*", False),), True, False),
        ((("sentry__find", False),), True, True),
        ((("*admin*", False),), True, True),
        ((("sentry__find", True), ("sentry__*", False)), True, True),
        ((("git__find", True), ("sentry__*", False)), True, False),
        ((("sentry__*", False), ("sentry__find", True)), True, False),
    ],
)
def test_who_may_use_anything_of_a_server_may_say_how_much_it_tells(
    rules: tuple[tuple[str, bool], ...], default: bool, allowed: bool
) -> None:
    access = AccessList(tuple(rule(pattern, allow=allow) for pattern, allow in rules), default)
    assert may_see(Target(Kind.SERVER, ""), a_principal(), SENTRY, access, ANY) is allowed


LOOK_ALIKES = (
    "DENIED", "Denied", " denied", "denied ", "denied\t", "denied\0", "de\u200bnied", "denied\u200d", "\u202edenied", "den\u0131ed", "d\u0435nied", "\uff44enied", "denied\u0301", "denied\n",
    "%64enied", "denied%00", "denied/", "./denied", "sentry__denied", "__denied", "denied__", "", "*", "denie*", "{{7*7}}", "__proto__", "%s%n",
)  # fmt: skip


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_no_look_alike_passes_for_a_name(name: str) -> None:
    """Neither is another name let in by a rule for `denied`, nor does one escape a rule that denies it."""
    only = AccessList((rule("sentry__denied", allow=True),), default_allow=False)
    never = AccessList((rule("sentry__denied", allow=False),))
    assert may_see(Target(Kind.TOOL, "denied"), a_principal(), SENTRY, only, ANY)
    assert not may_see(Target(Kind.TOOL, name), a_principal(), SENTRY, only, ANY)
    assert not may_see(Target(Kind.TOOL, "denied"), a_principal(), SENTRY, never, ANY)
    assert may_see(Target(Kind.TOOL, name), a_principal(), SENTRY, never, ANY)


def test_the_operator_of_the_machine_passes_and_no_name_makes_one() -> None:
    closed = AccessList((rule("*", allow=False),), default_allow=False)
    operator = a_principal("operator", servers=(), voucher=Voucher.LOCAL)
    decision = decide(CALL, FIND, operator, SENTRY, closed, ANY)
    assert (isinstance(decision, Permit), decision.rule) == (True, OPERATOR_RULE)
    for voucher in set(Voucher) - {Voucher.LOCAL}:
        assert isinstance(
            decide(CALL, FIND, a_principal("operator", ("admin",), voucher=voucher), SENTRY, closed, ANY),
            Denial,
        )


def test_a_denial_names_no_other_subject() -> None:
    access = AccessList((rule("*", allow=False, subjects=("alice", "bob-the-secret")),))
    decision = decide(CALL, FIND, a_principal(), SENTRY, access, ANY)
    assert "bob" not in decision.because


def test_lists_and_calls_share_one_judgement() -> None:
    """All that judges is a single look at `_judge`: they cannot come to differ."""
    path = Path(coatcheck.__file__).parent / "core" / "access" / "decide.py"
    functions = {
        node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)
    }
    for name in ("decide", "may_see", "rehearse", "by_scope_and_file"):
        calls = [
            node.func.id
            for node in ast.walk(functions[name])
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        assert "_judge" in calls
    assert {name for name in functions if not name.startswith("_")} == {
        "decide", "may_see", "foresee", "rehearse", "asks_nature", "by_scope_and_file",
    }  # fmt: skip


# --- grants that are narrowed to tools ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tools", "target", "allowed"),
    [
        (None, FIND, True),
        (("sentry__find",), FIND, True),
        (("sentry__f*",), FIND, True),
        (("*__find",), FIND, True),
        (("sentry__get", "git__*"), FIND, False),
        (("find",), FIND, False),
        ((), FIND, False),
        (("*",), Target(Kind.PROMPT, "greet"), False),
        (("*",), Target(Kind.RESOURCE, "file:///x"), False),
        (("sentry__find",), Target(Kind.SERVER, ""), True),
        (("git__*",), Target(Kind.SERVER, ""), False),
    ],
)
def test_a_narrowed_grant_is_for_those_tools_and_nothing_else(
    tools: tuple[str, ...] | None, target: Target, allowed: bool
) -> None:
    principal = structs.replace(a_principal(), tools=tools)
    decision = decide(CALL, target, principal, SENTRY, OPEN, ANY)
    assert isinstance(decision, Permit) is allowed
    assert may_see(target, principal, SENTRY, OPEN, ANY) is allowed
    if isinstance(decision, Denial):
        assert (decision.rule, decision.visible) == (SCOPE_RULE, False)


def test_narrowing_never_widens() -> None:
    principal = structs.replace(a_principal(), tools=("*",))
    access = AccessList((rule("sentry__find", allow=False),))
    assert isinstance(decide(CALL, FIND, principal, SENTRY, access, ANY), Denial)
    outside = structs.replace(a_principal(servers=(GIT,)), tools=("*",))
    assert isinstance(decide(CALL, FIND, outside, SENTRY, OPEN, ANY), Denial)


# --- resources: a flat list judges URIs, and a server may know other spellings of one -----------------------

PRIVATE = rule("sentry__note://private/*", allow=False)
ODD = ("NOTE://private/1", "note://%70rivate/1", "note://public/../private/1", " note://private/1", "note://pri\tvate/1", "note://private:/1")  # fmt: skip


def judged(uri: str, *rules: AccessRule, default: bool = True) -> bool:
    return may_see(Target(Kind.RESOURCE, uri), a_principal(), SENTRY, AccessList(rules, default), ANY)


@pytest.mark.parametrize("uri", ODD)
def test_another_spelling_of_a_denied_uri_is_denied(uri: str) -> None:
    assert judged(uri)
    assert judged("note://public/1", PRIVATE)
    assert not judged("note://private/1", PRIVATE)
    assert not judged(uri, PRIVATE)
    assert not judged(uri, rule("*private*", allow=False))
    assert not judged(uri, rule("sentry__Note*", allow=False))


@pytest.mark.parametrize("uri", ODD)
def test_another_spelling_is_allowed_by_what_allows_all_of_the_server(uri: str) -> None:
    narrow = rule("sentry__note://* sentry__n* *private/1", allow=True)
    assert judged("note://private/1", narrow, default=False)
    assert not judged(uri, narrow, default=False)
    assert judged(uri, rule("sentry__*", allow=True), default=False)
    assert judged(uri, rule("*", allow=True), PRIVATE, default=False)


@pytest.mark.parametrize("uri", ODD)
def test_denials_of_something_else_do_not_reach_an_odd_uri(uri: str) -> None:
    elsewhere = rule("sentry__delete_* sentry__file:///* git__* sentry__purge sentry__notes:*", allow=False)
    assert not judged("file:///a", elsewhere)
    assert judged(uri, elsewhere)
    assert not judged("file:a", elsewhere)


def test_a_uri_without_a_scheme_may_be_any() -> None:
    assert not judged("../private/1", PRIVATE)
    assert judged("plain", PRIVATE)
