"""Several policies at once, as callers meet them: lists and calls agree, and what restricts never allows more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coatcheck.core.access.decide import decide, may_see
from coatcheck.core.access.rules import Policies, Rules, policies_of
from coatcheck.core.policy.conditions.arguments import Arguments
from coatcheck.core.policy.judging import ReadyPolicy, judge
from coatcheck.core.policy.reading.document import read_policy
from coatcheck.core.policy.trying.tracing import trace
from coatcheck.core.wire.messages import raw_of
from coatcheck.model.access import OPEN, AccessList, Nature
from coatcheck.model.call import Call, Target
from coatcheck.model.decision import Decision, Denial, Permit
from coatcheck.model.grant import Principal, Voucher
from coatcheck.model.policy import Default
from coatcheck.model.server import Server, StdioReach
from coatcheck.model.stored_policy import PolicyUse, StoredPolicy, UseKind
from coatcheck.model.verdict import Facts, Judgement, Scene
from doubles.bench import denying
from policies import FACTS, NATURES, TARGETS, WRITTEN_ARGUMENTS, documents, narrowed

THOROUGH = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
AT = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
ONE, TWO = UUID(int=1), UUID(int=2)
RESTRICTING = (UseKind.EVERYTHING, UseKind.ROLE)
PLACES = st.one_of(
    st.just((UseKind.EVERYTHING, "", None)),
    st.tuples(st.just(UseKind.ROLE), st.sampled_from(("dev", "ops")), st.none()),
    st.tuples(st.just(UseKind.GRANT), st.sampled_from(("g1", "g2")), st.sampled_from((None, ONE, TWO))),
    st.tuples(st.just(UseKind.SERVER), st.sampled_from((str(ONE), str(TWO))), st.none()),
)
SERVERS = st.builds(
    lambda id, default, approved: Server(id, "one" if id == ONE else "two", StdioReach("x"), default=default, approved=approved),
    st.sampled_from((ONE, TWO)),
    st.sampled_from(Default),
    st.sampled_from((None, None, (), ("get*",), ("*",))),
)  # fmt: skip
PRINCIPALS = st.builds(
    Principal,
    st.sampled_from(("alice", "bob")),
    st.frozensets(st.sampled_from(("dev", "ops"))),
    st.sampled_from(("g1", "g2")),
    st.sampled_from(("laptop", "ci", "")),
    st.sampled_from((Voucher.GRANT, Voucher.FORWARDED)),
    st.sampled_from((None, None, frozenset({ONE}))),
    st.sampled_from((None, None, None, ("one__get*",), ("*",))),
)
SCENES = st.builds(
    Scene,
    st.sampled_from(("10.1.2.3", "::1", "")),
    st.sampled_from(("claude-code 2.4", "")),
    st.sampled_from((AT, AT.replace(hour=23), AT.replace(day=22))),
)
ACCESS = st.sampled_from((OPEN, OPEN, denying("one__get*"), denying("*", subjects=("bob",))))


def uses_of(places: list[tuple[UseKind, str, UUID | None]]) -> list[PolicyUse]:
    """Return uses, the n-th of the n-th policy."""
    return [PolicyUse(f"p{number}", *place[:2], AT, "ann", place[2]) for number, place in enumerate(places)]


def policies_in(found: list[dict[str, Any]], places: list[tuple[UseKind, str, UUID | None]]) -> Policies:
    stored = {}
    for number, one in enumerate(found):
        policy = read_policy({**one, "name": f"p{number}"})
        stored[policy.name] = StoredPolicy(policy.name, policy, AT, "ann")
    return policies_of(stored, uses_of(places), {})[0]


LAYERS = st.lists(st.tuples(documents(), PLACES), min_size=1, max_size=5, unique_by=lambda one: one[1])


def asked(
    rules: Rules, target: Target, who: Principal, server: Server, nature: Nature, scene: Scene, raw: bytes
) -> Decision:
    call = Call(b"7", "tools/call", {"name": raw_of(target.name), "arguments": raw})
    return decide(call, target, who, server, rules, nature, scene)


def outcome(decision: Decision) -> Judgement:
    if isinstance(decision, Permit):
        return Judgement.ALLOWED
    return Judgement.DENIED if decision.visible else Judgement.HIDDEN


ORDER = list(Judgement)


@THOROUGH
@given(LAYERS, ACCESS, TARGETS, PRINCIPALS, SERVERS, NATURES, SCENES, WRITTEN_ARGUMENTS)
def test_a_list_shows_exactly_what_a_call_does_not_find_hidden(
    layers: list[Any],
    access: AccessList,
    target: Target,
    who: Principal,
    server: Server,
    nature: Nature,
    scene: Scene,
    raw: bytes,
) -> None:
    rules = Rules(access, policies_in([one for one, _ in layers], [place for _, place in layers]))
    decision = asked(rules, target, who, server, nature, scene, raw)
    assert may_see(target, who, server, rules, nature) is (outcome(decision) is not Judgement.HIDDEN)
    assert decision.rule
    assert decision.because
    if isinstance(decision, Denial):
        assert bool(decision.message) is decision.visible
    other = asked(rules, target, who, server, nature, scene, b"{}")
    assert (outcome(other) is Judgement.HIDDEN) is (outcome(decision) is Judgement.HIDDEN)


@THOROUGH
@given(
    LAYERS, documents(), ACCESS, TARGETS, PRINCIPALS, SERVERS, NATURES, SCENES, WRITTEN_ARGUMENTS, st.data()
)
def test_a_policy_more_on_everything_or_on_a_role_never_allows_more(
    layers: list[Any],
    more: dict[str, Any],
    access: AccessList,
    target: Target,
    who: Principal,
    server: Server,
    nature: Nature,
    scene: Scene,
    raw: bytes,
    data: st.DataObject,
) -> None:
    found, places = [one for one, _ in layers], [place for _, place in layers]
    place = data.draw(PLACES.filter(lambda one: one[0] in RESTRICTING))
    before = Rules(access, policies_in(found, places))
    after = Rules(access, policies_in([*found, more], [*places, place]))
    first, then = (asked(rules, target, who, server, nature, scene, raw) for rules in (before, after))
    assert ORDER.index(outcome(then)) >= ORDER.index(outcome(first))
    if isinstance(first, Permit) and isinstance(then, Permit):
        assert {charge.key for charge in first.charges} <= {charge.key for charge in then.charges}


@THOROUGH
@given(LAYERS, narrowed(), PLACES, ACCESS, TARGETS, PRINCIPALS, SERVERS, NATURES, SCENES, WRITTEN_ARGUMENTS)
def test_a_restriction_more_in_any_policy_never_allows_more(
    layers: list[Any],
    pair: tuple[dict[str, Any], dict[str, Any]],
    place: tuple[UseKind, str, UUID | None],
    access: AccessList,
    target: Target,
    who: Principal,
    server: Server,
    nature: Nature,
    scene: Scene,
    raw: bytes,
) -> None:
    found, places = [one for one, _ in layers], [place for _, place in layers]
    before, after = (
        asked(
            Rules(access, policies_in([*found, one], [*places, place])),
            target, who, server, nature, scene, raw,
        )
        for one in pair
    )  # fmt: skip
    if isinstance(after, Permit):
        assert isinstance(before, Permit)
        assert len(after.charges) >= len(before.charges)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents(), TARGETS, NATURES, FACTS, WRITTEN_ARGUMENTS | st.binary(max_size=12))
def test_nothing_that_is_written_makes_judging_fail(
    found: dict[str, Any], target: Target, nature: Nature, facts: Facts, raw: bytes
) -> None:
    policy = ReadyPolicy(read_policy(found))
    verdict = judge([policy], target, nature, facts, Arguments(raw))
    assert verdict.judgement in {Judgement.ALLOWED, Judgement.DENIED, Judgement.HIDDEN}
    steps = trace(policy, target, nature, facts, Arguments(raw))
    if verdict.judgement is Judgement.DENIED:
        assert verdict.rule in {step.rule for step in steps if step.denies}
