"""Makes conditions ready to be asked many times: each becomes one function of the facts and the arguments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from coatcheck.core.access import globs
from coatcheck.core.policy.conditions import truth
from coatcheck.core.policy.conditions.arguments import Arguments
from coatcheck.core.policy.conditions.comparing import ORDERS, Comparison, comparison_of
from coatcheck.core.policy.conditions.paths import EVERY, Missing, Printed, read_path
from coatcheck.core.policy.conditions.texts import look_of, readings
from coatcheck.core.policy.conditions.times import is_within, zone_of
from coatcheck.core.policy.conditions.truth import FALSE, TRUE, UNKNOWN, UNRECORDED
from coatcheck.core.policy.conditions.values import EXACT
from coatcheck.model.policy import (
    AddressCondition,
    AllOf,
    AnyOf,
    ArgumentCondition,
    CallerCondition,
    Condition,
    Not,
    Op,
    TimeCondition,
    Trait,
)
from coatcheck.model.verdict import Facts, Truth

Check = Callable[[Facts, Arguments], Truth]


def ready(condition: Condition, *, denying: bool) -> Check:
    """Return a condition as a function.

    `denying` tells that it denies where it holds: of several values, one is enough then; else all must hold.
    A `not` turns that around.
    """
    match condition:
        case ArgumentCondition():
            return _of_argument(condition, denying)
        case CallerCondition():
            return _of_caller(condition)
        case AddressCondition():
            return _of_address(condition)
        case TimeCondition():
            return _of_time(condition)
        case Not():
            check = ready(condition.condition, denying=not denying)
            return lambda facts, arguments: truth.opposite(check(facts, arguments))
        case AnyOf() | AllOf():
            checks = tuple(ready(one, denying=denying) for one in condition.conditions)
            joined = truth.any_of if isinstance(condition, AnyOf) else truth.all_of
            return lambda facts, arguments: joined(check(facts, arguments) for check in checks)


def _of_argument(condition: ArgumentCondition, denying: bool) -> Check:
    path = read_path(condition.path) or ("",)
    judged = judgement_of(condition)
    name, look = path[0], look_of(path[0])

    def check_member(_: Facts, arguments: Arguments) -> Truth:
        return judged(arguments.member(name, look)) if arguments.recorded else UNRECORDED

    def check_one(_: Facts, arguments: Arguments) -> Truth:
        return judged(arguments.at(path)[0]) if arguments.recorded else UNRECORDED

    def check_every(_: Facts, arguments: Arguments) -> Truth:
        if not arguments.recorded:
            return UNRECORDED
        truths = map(judged, arguments.at(path))
        return truth.any_of(truths) if denying else truth.all_of(truths)

    if EVERY in path:
        return check_every
    if len(path) > 1:
        return check_one
    if condition.op in ORDERS:
        return _of_whole_number(condition, name, check_member)
    return _of_plain_text(condition, name, check_member)


def _of_whole_number(condition: ArgumentCondition, name: str, otherwise: Check) -> Check:
    """Return a quicker function for one whose number, too, is the same for all readers."""
    holds, operand = ORDERS[condition.op], condition.operands[0]
    if type(operand) is not int or not -EXACT < operand < EXACT:
        return otherwise

    def check(facts: Facts, arguments: Arguments) -> Truth:
        number = arguments.whole.get(name)
        if number is None:
            return otherwise(facts, arguments)
        return TRUE if holds(number, operand) else FALSE

    return check


def _of_plain_text(condition: ArgumentCondition, name: str, otherwise: Check) -> Check:
    """Return a quicker function for one that asks whether a member is one of some texts, as most do."""
    texts = frozenset(one for one in condition.operands if isinstance(one, str))
    if condition.op not in _SAME or condition.ignore_case or not texts:
        return otherwise
    among, others = truth.of(_SAME[condition.op]), truth.of(not _SAME[condition.op])

    def check(facts: Facts, arguments: Arguments) -> Truth:
        plain = arguments.plain.get(name)
        if plain is None:
            return otherwise(facts, arguments)
        text, bare = plain
        if text in texts:
            return among
        return UNKNOWN if bare in texts else others

    return check


def judgement_of(condition: ArgumentCondition) -> Comparison:
    """Return how one value is judged, or a `Missing` in its place."""
    compare = None if condition.op is Op.EXISTS else comparison_of(condition)
    absent = truth.SKIPPED if condition.if_present else UNKNOWN
    if compare is None:
        absent = truth.of(not condition.operands[0])
    present = truth.opposite(absent)
    printed = _by_print(condition)

    def judged(value: Any) -> Truth:
        kind = type(value)
        if kind is Missing:
            return absent if value is Missing.ABSENT else _MISSING[value]
        if compare is None:
            return present
        return printed(value) if kind is Printed else compare(value)

    return judged


_MISSING: Final = {Missing.UNCLEAR: UNKNOWN, Missing.UNRECORDED: UNRECORDED}


def _by_print(condition: ArgumentCondition) -> Comparison:
    """Return what is known of a value by its print alone: that it is one of these texts, or nothing.

    That it is none tells too little: it may be of another type, or look like one of them.
    """
    if condition.op not in _SAME:
        return lambda _: UNRECORDED
    texts = [one for one in condition.operands if isinstance(one, str) and readings(one) == (one,)]
    holds = truth.of(_SAME[condition.op])
    return lambda value: holds if any(map(value.is_text, texts)) else UNRECORDED


_SAME: Final = {Op.EQ: True, Op.IN: True, Op.NE: False, Op.NOT_IN: False}


# --- facts -----------------------------------------------------------------------------------------


def _of_caller(condition: CallerCondition) -> Check:
    patterns, trait = condition.patterns, condition.trait
    if trait is Trait.ROLE:
        return lambda facts, _: truth.of(any(globs.any_matches(patterns, role) for role in facts.roles))
    if trait is Trait.CLIENT:
        return lambda facts, _: _client(facts.client, patterns)
    if trait is Trait.GRANT:
        return lambda facts, _: _named(facts.grant_label, patterns)
    return lambda facts, _: _named(facts.subject, patterns)


def _named(name: str, patterns: tuple[str, ...]) -> Truth:
    return truth.of(globs.any_matches(patterns, name)) if name else UNKNOWN


def _client(name: str | None, patterns: tuple[str, ...]) -> Truth:
    """Judge what a client says of itself: its own words, so they may read in two ways."""
    if name is None:
        return UNRECORDED
    answers = {globs.any_matches(patterns, form) for form in readings(name) or ()}
    return truth.of(answers.pop()) if name and len(answers) == 1 else UNKNOWN


def _of_address(condition: AddressCondition) -> Check:
    networks = tuple(map(_network, condition.networks))

    def check(facts: Facts, _: Arguments) -> Truth:
        if facts.address is None:
            return UNRECORDED
        address = _address(facts.address)
        if address is None:
            return UNKNOWN
        return truth.of(any(address in network for network in networks))

    return check


def _network(text: str) -> IPv4Network | IPv6Network:
    """Return a network; one of IPv4 addresses that come through IPv6 is theirs, as `_address` reads them."""
    found = ip_network(text)
    mapped = found.network_address.ipv4_mapped if isinstance(found, IPv6Network) else None
    return (
        IPv4Network((mapped, found.prefixlen - _MAPPED)) if mapped and found.prefixlen >= _MAPPED else found
    )


_MAPPED: Final = 96
"""Bits before the IPv4 address in an IPv6 address that holds one (RFC 4291, section 2.5.5.2)."""


@lru_cache(maxsize=4096)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address; an IPv4 address that came through IPv6 is itself (RFC 4291, section 2.5.5.2)."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(found, IPv6Address) and found.ipv4_mapped) or found


def _of_time(condition: TimeCondition) -> Check:
    zone = zone_of(condition.zone)

    def check(facts: Facts, _: Arguments) -> Truth:
        if facts.at is None:
            return UNRECORDED
        if zone is None or facts.at.tzinfo is None:
            return UNKNOWN  # the zone was known when the policy was read, and this machine has lost it
        try:
            return truth.of(is_within(facts.at.astimezone(UTC), condition, zone))
        except OverflowError:  # the first and the last day that there are, where only a question can be
            return UNKNOWN

    return check
