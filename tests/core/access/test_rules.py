"""Policies over the rules of the file: which apply, what takes away, and that lists and calls agree."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.core.access.decide import asks_nature, decide, foresee, may_see
from coatcheck.core.access.rules import NO_POLICIES, Policies, Rules, policies_of
from coatcheck.core.policy.judging import ReadyPolicy
from coatcheck.core.policy.reading.document import read_policy
from coatcheck.model.access import OPEN, AccessList, Nature
from coatcheck.model.call import Call, Kind, Target
from coatcheck.model.decision import THE_FILE, Basis, Decision, Denial, Permit
from coatcheck.model.grant import Voucher
from coatcheck.model.policy import Default
from coatcheck.model.server import Server, StdioReach
from coatcheck.model.stored_policy import PolicyUse, StoredPolicy, UseKind
from coatcheck.model.verdict import Scene
from doubles.bench import GIT, SENTRY, a_call, a_principal, denying
from policies import document, documents

AT = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
SCENE = Scene("10.1.2.3", "claude-code", AT)
ADDED = Server(UUID(int=5), "added", StdioReach("added"), default=Default.READ_ONLY)
DEV = a_principal(roles=("dev",))
GRANT = DEV.grant_id
GET, DEL = Target(Kind.TOOL, "get_x"), Target(Kind.TOOL, "del_x")
NATURES = {"get_x": Nature.READ, "del_x": Nature.WRITE}
DOCUMENTS: dict[str, dict[str, Any]] = {
    "reads": {"default": "read-only"},
    "all": {},
    "nothing": {"default": "deny-all"},
    "no-del": {"tools": {"del*": {"outcome": "deny", "message": "Nothing is deleted here."}}},
    "hide-del": {"tools": {"del*": {"outcome": "hide"}}},
    "only-del": {"default": "deny-all", "tools": {"del*": {"outcome": "allow"}}},
    "small": {"tools": {"*": {"deny_if": [{"path": "/n", "op": "gt", "value": 5, "if_present": True}]}}},
}


def stored(name: str, version: int = 3, **members: Any) -> StoredPolicy:
    policy = read_policy(document(**{**DOCUMENTS.get(name, {}), **members, "name": name}))
    return StoredPolicy(name, policy, AT, "ann", version=version)


def use(policy: str, kind: str, of: str = "", server: UUID | None = None) -> PolicyUse:
    return PolicyUse(policy, UseKind(kind), of, AT, "ann", server)


def rules(*uses: PolicyUse, access: AccessList = OPEN) -> Rules:
    policies, _ = policies_of({name: stored(name) for name in DOCUMENTS}, uses, {})
    return Rules(access, policies)


EVERYTHING = "everything"
ON_DEV = ("role", "dev")
ON_GRANT = ("grant", GRANT)
ON_SENTRY = ("server", str(SENTRY.id))


def asked(
    found: Rules, target: Target, server: Server = SENTRY, arguments: object = None, principal: Any = DEV
) -> Decision:
    nature = NATURES[target.name]
    return decide(a_call(target.name, arguments), target, principal, server, found, nature, SCENE)


# --- the layers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uses", "get", "delete"),
    [
        ([], "/acl/default", "/acl/default"),
        ([use("all", EVERYTHING)], "all:/default", "all:/default"),
        ([use("reads", *ON_SENTRY)], "reads:/default", "hidden reads:/default"),
        ([use("read-only", *ON_SENTRY)], "read-only:/default", "hidden read-only:/default"),
        ([use("deny-all", *ON_SENTRY)], "hidden deny-all:/default", "hidden deny-all:/default"),
        ([use("no-del", *ON_SENTRY)], "no-del:/default", "denied no-del:/tools/del*/outcome"),
        # the grant's policy stands in place of the server's default, for this server before all servers
        ([use("reads", *ON_SENTRY), use("all", *ON_GRANT)], "all:/default", "all:/default"),
        ([use("all", *ON_GRANT), use("reads", *ON_GRANT, SENTRY.id)], "reads:/default", "hidden reads:/default"),
        ([use("nothing", *ON_GRANT, GIT.id)], "/acl/default", "/acl/default"),
        ([use("nothing", "grant", "another")], "/acl/default", "/acl/default"),
        # everything and roles take away, whatever the grant's policy says
        ([use("no-del", EVERYTHING), use("all", *ON_GRANT)], "all:/default", "denied no-del:/tools/del*/outcome"),
        ([use("no-del", *ON_DEV), use("all", *ON_GRANT)], "all:/default", "denied no-del:/tools/del*/outcome"),
        ([use("nothing", "role", "ops")], "/acl/default", "/acl/default"),
        ([use("reads", *ON_DEV), use("only-del", *ON_GRANT)], "hidden only-del:/default", "hidden reads:/default"),
        # hidden before denied, wherever each is said
        ([use("no-del", EVERYTHING), use("hide-del", *ON_GRANT)], "hide-del:/default", "hidden hide-del:/tools/del*/outcome"),
        ([use("hide-del", *ON_DEV), use("no-del", *ON_GRANT)], "no-del:/default", "hidden hide-del:/tools/del*/outcome"),
        # a policy that is not there still restricts
        ([use("lost", *ON_DEV)], "hidden lost:/default", "hidden lost:/default"),
        ([replace(use("nothing", *ON_DEV), ended_at=AT)], "/acl/default", "/acl/default"),
    ],
)  # fmt: skip
def test_the_layers(uses: list[PolicyUse], get: str, delete: str) -> None:
    found = rules(*uses)
    for target, expected in ((GET, get), (DEL, delete)):
        decision = asked(found, target)
        word = "" if isinstance(decision, Permit) else "denied " if decision.visible else "hidden "
        assert word + decision.rule == expected
        assert may_see(target, DEV, SENTRY, found, NATURES[target.name]) is (word != "hidden ")
        assert foresee(target, DEV, SENTRY, found, NATURES[target.name]).allow is (word == "")


def test_scope_and_file_come_first_and_hide() -> None:
    found = rules(use("no-del", EVERYTHING), access=denying("sentry__del*"))
    decision = asked(found, DEL)
    assert isinstance(decision, Denial)
    assert (decision.rule, decision.visible, decision.basis) == ("/acl/rules/0", False, THE_FILE)
    narrow = a_principal(scope=(GIT,))
    assert asked(rules(use("no-del", EVERYTHING)), DEL, principal=narrow).rule == "(scope)"


def test_the_operator_of_the_machine_is_under_no_policy() -> None:
    operator = a_principal()
    local = type(operator)("op", frozenset(), "operator", "operator", Voucher.LOCAL)
    found = rules(use("nothing", EVERYTHING))
    assert isinstance(asked(found, DEL), Denial)
    assert isinstance(asked(found, DEL, principal=local), Permit)
    assert may_see(DEL, local, SENTRY, found, Nature.WRITE)


def test_a_servers_own_default_holds_where_no_policy_is_used_on_it() -> None:
    assert isinstance(asked(rules(), GET, ADDED), Permit)
    assert asked(rules(), DEL, ADDED) == Denial(
        "read-only:/default",
        "no entry of read-only allows it and the default does not",
        False,
        "",
        Basis("read-only", "built-in"),
    )
    open_server = rules(use("allow-all", "server", str(ADDED.id)))
    assert isinstance(asked(open_server, DEL, ADDED), Permit)
    assert isinstance(asked(rules(use("all", *ON_GRANT)), DEL, ADDED), Permit)
    assert isinstance(asked(rules(), DEL, SENTRY), Permit), "as the file says, where a server has no default"


def test_a_visible_denial_has_its_sentence_and_what_decided() -> None:
    decision = asked(rules(use("no-del", EVERYTHING)), DEL)
    assert isinstance(decision, Denial)
    assert (decision.message, decision.basis) == ("Nothing is deleted here.", Basis("no-del", "3"))


def test_arguments_are_looked_at_and_a_call_without_has_none() -> None:
    found = rules(use("small", EVERYTHING))
    assert isinstance(asked(found, GET, arguments={"n": 5}), Permit)
    denial = asked(found, GET, arguments={"n": 6})
    assert isinstance(denial, Denial)
    assert (denial.rule, denial.visible) == ("small:/tools/*/deny_if/0", True)
    bare = Call(b"1", "tools/call", {"name": b'"get_x"'})
    assert isinstance(decide(bare, GET, DEV, SENTRY, found, Nature.READ, SCENE), Permit)
    assert may_see(GET, DEV, SENTRY, found, Nature.READ)
    assert foresee(GET, DEV, SENTRY, found, Nature.READ).allow, "with some arguments it may be called"


@pytest.mark.parametrize(
    ("uses", "server", "asks"),
    [
        ([], SENTRY, False),
        ([], ADDED, True),
        ([use("no-del", EVERYTHING)], SENTRY, False),
        ([use("reads", *ON_DEV)], SENTRY, True),
        ([use("allow-all", "server", str(ADDED.id))], ADDED, False),
    ],
)
def test_natures_are_asked_for_only_where_a_policy_looks(
    uses: list[PolicyUse], server: Server, asks: bool
) -> None:
    assert asks_nature(GET, DEV, server, rules(*uses)) is asks
    assert not asks_nature(Target(Kind.PROMPT, "get_x"), DEV, server, rules(*uses))


def test_a_policy_that_did_not_change_stays_as_ready_as_it_was() -> None:
    uses = [use("all", EVERYTHING), use("reads", *ON_DEV)]
    known = {name: stored(name) for name in DOCUMENTS}
    _, before = policies_of(known, uses, {})
    _, after = policies_of({**known, "all": stored("all", default="read-only")}, uses, before)
    assert after["reads"] is before["reads"]
    assert after["all"] is not before["all"]


def test_what_is_remembered_is_by_grant_roles_and_server() -> None:
    found = rules(use("reads", *ON_DEV), use("nothing", *ON_GRANT, GIT.id))
    for _ in range(2):
        assert isinstance(asked(found, DEL), Denial)
        assert isinstance(asked(found, DEL, principal=a_principal()), Permit)
        assert isinstance(asked(found, GET), Permit)
        assert isinstance(asked(found, GET, GIT), Denial)


# --- lists and calls agree ----------------------------------------------------------------------------------

READY = documents().map(lambda found: ReadyPolicy(read_policy(found)))
MAYBE = st.none() | READY
TARGETS = st.one_of(
    st.builds(Target, st.sampled_from((Kind.TOOL, Kind.PROMPT)), st.sampled_from(("get", "get_x", "del_x", "x"))),
    st.builds(Target, st.just(Kind.RESOURCE), st.sampled_from(("file:///a/b", "db://x/y", "FILE:///a", "x"))),
)  # fmt: skip
ACCESS = st.sampled_from((OPEN, denying("sentry__get*"), denying("*", subjects=("bob",)), denying("*")))


def in_use(everything: Any, role: Any, grant: Any, server: Any) -> Policies:
    return Policies(
        (everything,) if everything else (),
        {"dev": (role,)} if role else {},
        {(GRANT, SENTRY.id): grant} if grant else {},
        {SENTRY.id: server} if server else {},
    )


@settings(max_examples=200, deadline=None)
@given(
    TARGETS,
    st.sampled_from(Nature),
    st.sampled_from((DEV, a_principal(), a_principal("bob", ("dev",)))),
    ACCESS,
    st.builds(in_use, MAYBE, MAYBE, MAYBE, MAYBE),
    st.sampled_from(({}, {"a": 1}, {"a": "b", "l": [1, -2]}, [], "x")),
)
def test_what_is_listed_is_never_told_to_be_unknown_and_what_is_not_always(
    target: Target, nature: Nature, principal: Any, access: AccessList, policies: Policies, arguments: object
) -> None:
    found = Rules(access, policies)
    decision = decide(a_call("x", arguments), target, principal, SENTRY, found, nature, SCENE)
    listed = may_see(target, principal, SENTRY, found, nature)
    hidden = isinstance(decision, Denial) and not decision.visible
    assert listed is not hidden
    if isinstance(decision, Permit):
        without = decide(a_call("x", arguments), target, principal, SENTRY, Rules(access), nature, SCENE)
        assert isinstance(without, Permit), "policies only take away from what the file allows"
        assert foresee(target, principal, SENTRY, found, nature).allow
    elif decision.visible:
        assert decision.message


def test_no_policies_is_what_the_file_says() -> None:
    for access in (OPEN, denying("sentry__del*")):
        decision = asked(Rules(access, NO_POLICIES), DEL)
        assert decision.rule.startswith("/acl/")
        assert decision.basis == THE_FILE
