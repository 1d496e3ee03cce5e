"""Writes a policy as its canonical document, which reads back as the same policy."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from coatcheck.core.policy.conditions.times import MINUTES_OF_DAY, write_clock
from coatcheck.core.policy.conditions.values import write_exact
from coatcheck.core.policy.reading.document import FORM
from coatcheck.model.policy import (
    AddressCondition,
    AllOf,
    AnyOf,
    ArgumentCondition,
    AtOnceLimit,
    CallerCondition,
    CallLimit,
    Clause,
    Condition,
    Each,
    Limit,
    Not,
    Op,
    Policy,
    PolicyEntry,
    Section,
    SumLimit,
    TimeCondition,
)

Document = dict[str, Any]
_LISTS: Final = frozenset({Op.IN, Op.NOT_IN})


def write_policy(policy: Policy) -> Document:
    """Return the document: keys in one order, nothing that is at its default, numbers exact."""
    sections = {
        str(section): {entry.key: _entry(entry) for entry in policy.entries if entry.section is section}
        for section in Section
    }
    return {
        "coatcheck": FORM,
        "name": policy.name,
        **_filled(description=policy.description),
        "default": str(policy.default),
        **_filled(**sections, limits=[_limit(limit) for limit in policy.limits]),
    }


def write_json(policy: Policy) -> bytes:
    """Return the document as JSON, indented, with a line end."""
    return msgspec.json.format(write_exact(write_policy(policy)), indent=2) + b"\n"


def _filled(**members: Any) -> Document:
    """Return the members that say something."""
    return {name: value for name, value in members.items() if value not in ("", [], {}, None, False)}


def _entry(entry: PolicyEntry) -> Document:
    return _filled(
        outcome=str(entry.outcome) if entry.outcome else "",
        message=entry.message,
        allow_if=[_clause(clause) for clause in entry.allow_if],
        deny_if=[_clause(clause) for clause in entry.deny_if],
        limits=[_limit(limit) for limit in entry.limits],
    )


def _clause(clause: Clause) -> Document:
    return {**_condition(clause.condition), **_filled(message=clause.message)}


def _condition(condition: Condition) -> Document:
    match condition:
        case ArgumentCondition():
            return _argument(condition)
        case CallerCondition():
            return {str(condition.trait): list(condition.patterns)}
        case AddressCondition():
            return {"ip": list(condition.networks)}
        case TimeCondition():
            return {"time": _time(condition)}
        case Not():
            return {"not": _condition(condition.condition)}
        case AnyOf():
            return {"any": [_condition(one) for one in condition.conditions]}
        case AllOf():
            return {"all": [_condition(one) for one in condition.conditions]}


def _argument(condition: ArgumentCondition) -> Document:
    document: Document = {"path": condition.path, "op": str(condition.op)}
    if condition.op in _LISTS:
        document["value"] = list(condition.operands)
    elif condition.operands and not (condition.op is Op.EXISTS and condition.operands[0]):
        document["value"] = condition.operands[0]
    for key, bound in (("min", condition.least), ("max", condition.most)):
        if bound is not None:
            document[key] = bound
    return document | _filled(if_present=condition.if_present, ignore_case=condition.ignore_case)


def _time(condition: TimeCondition) -> Document:
    document: Document = _filled(days=[str(day) for day in condition.days])
    if (condition.begin, condition.end) != (0, MINUTES_OF_DAY):
        document |= {"from": write_clock(condition.begin), "to": write_clock(condition.end)}
    elif not condition.days:
        document |= {"from": write_clock(0), "to": write_clock(MINUTES_OF_DAY)}
    return document | {"zone": condition.zone}


def _limit(limit: Limit) -> Document:
    rest = {"each": _each(limit.each), **_filled(message=limit.message)}
    match limit:
        case CallLimit():
            return {"calls": limit.most, "per": str(limit.per), **rest}
        case SumLimit():
            return {"sum": limit.path, "most": limit.most, "per": str(limit.per), **rest}
        case AtOnceLimit():
            return {"at_once": limit.most, **rest}


def _each(each: tuple[Each, ...]) -> str | list[str]:
    if not each:
        return "all"
    return str(each[0]) if len(each) == 1 else [str(one) for one in each]
