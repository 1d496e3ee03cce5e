"""Says conditions in words, and why one cannot be told: for records, for callers, and for who asks why."""

from __future__ import annotations

from typing import Any

from coatcheck.core.policy.conditions.arguments import Arguments
from coatcheck.core.policy.conditions.checks import judgement_of, ready
from coatcheck.core.policy.conditions.paths import MAX_VALUES, Missing, read_path
from coatcheck.core.policy.conditions.texts import readings
from coatcheck.core.policy.conditions.times import MINUTES_OF_DAY, write_clock
from coatcheck.core.policy.conditions.truth import UNKNOWN
from coatcheck.core.policy.conditions.values import Shape, shape_of
from coatcheck.model.policy import (
    AddressCondition,
    AllOf,
    AnyOf,
    ArgumentCondition,
    AtOnceLimit,
    CallerCondition,
    CallLimit,
    Condition,
    Limit,
    Not,
    Op,
    Scalar,
    SumLimit,
    TimeCondition,
)
from coatcheck.model.verdict import Facts

_SHOWN = 60
_WORDS = {
    Op.EQ: "is",
    Op.NE: "is not",
    Op.IN: "is one of",
    Op.NOT_IN: "is none of",
    Op.LT: "is less than",
    Op.LE: "is at most",
    Op.GT: "is more than",
    Op.GE: "is at least",
    Op.MATCHES: "matches",
    Op.SEARCH: "has a part that matches",
    Op.CONTAINS: "contains",
    Op.HAS: "has the item",
}
_NUMBERS = frozenset({Op.LT, Op.LE, Op.GT, Op.GE})
_TEXTS = frozenset({Op.MATCHES, Op.SEARCH, Op.CONTAINS})


def words_of(condition: Condition) -> str:
    """Return a condition as words, such as `/amount is more than 5000`."""
    match condition:
        case ArgumentCondition():
            return _words_of_argument(condition)
        case CallerCondition():
            return f"the {condition.trait} is {_listed(condition.patterns)}"
        case AddressCondition():
            return f"the address is in {_listed(condition.networks)}"
        case TimeCondition():
            return _words_of_time(condition)
        case Not():
            return f"not ({words_of(condition.condition)})"
        case AnyOf() | AllOf():
            word = " or " if isinstance(condition, AnyOf) else " and "
            parts = [words_of(one) for one in condition.conditions]
            return parts[0] if len(parts) == 1 else f"({word.join(parts)})"


def _words_of_argument(condition: ArgumentCondition) -> str:
    where = condition.path
    if condition.op is Op.EXISTS:
        return f"{where} is {'there' if condition.operands[0] else 'not there'}"
    if condition.op is Op.LENGTH:
        least = f"at least {condition.least}" if condition.least is not None else ""
        most = f"at most {condition.most}" if condition.most is not None else ""
        return f"the length of {where} is {' and '.join(filter(None, (least, most)))}"
    case = " (in any case)" if condition.ignore_case else ""
    said = f"{where} {_WORDS[condition.op]} {_listed(condition.operands)}{case}"
    return f"{said}, if it is there" if condition.if_present else said


def _words_of_time(condition: TimeCondition) -> str:
    days = "-".join(condition.days) if condition.days else "any day"
    hours = ""
    if (condition.begin, condition.end) != (0, MINUTES_OF_DAY):
        hours = f", {write_clock(condition.begin)} to {write_clock(condition.end)}"
    return f"the time is {days.replace('-', ', ')}{hours} in {condition.zone}"


def _listed(values: tuple[Scalar, ...]) -> str:
    text = ", ".join(_shown(value) for value in values)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _shown(value: Scalar) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower() if value is not None else "null"
    if not isinstance(value, str):
        return str(value)
    return value if value.isprintable() else ascii(value)


def looks_at_arguments_only(condition: Condition) -> bool:
    """Tell whether a condition is about nothing but what the caller wrote itself."""
    match condition:
        case ArgumentCondition():
            return True
        case Not():
            return looks_at_arguments_only(condition.condition)
        case AnyOf() | AllOf():
            return all(map(looks_at_arguments_only, condition.conditions))
        case _:
            return False


def words_of_limit(limit: Limit) -> str:
    """Return a limit as words, such as `100 calls per hour for each grant`."""
    each = f" for each {' and '.join(limit.each)}" if limit.each else " in all"
    match limit:
        case CallLimit():
            return f"{limit.most} calls per {limit.per}{each}"
        case SumLimit():
            return f"{limit.most} as the sum of {limit.path} per {limit.per}{each}"
        case AtOnceLimit():
            return f"{limit.most} calls at once{each}"


# --- why it cannot be told -------------------------------------------------------------------------


def why_unknown(condition: Condition, facts: Facts, arguments: Arguments) -> str:
    """Return the first reason for which a condition cannot be told, or nothing. Holds no value."""
    match condition:
        case ArgumentCondition():
            return _why_unknown_argument(condition, arguments)
        case CallerCondition() | AddressCondition() | TimeCondition():
            told = ready(condition, denying=True)(facts, arguments)
            return f"{_subject_of(condition)} is not known" if told is UNKNOWN else ""
        case Not():
            return why_unknown(condition.condition, facts, arguments)
        case AnyOf() | AllOf():
            reasons = (why_unknown(one, facts, arguments) for one in condition.conditions)
            return next(filter(None, reasons), "")


def _subject_of(condition: CallerCondition | AddressCondition | TimeCondition) -> str:
    match condition:
        case CallerCondition():
            return f"the {condition.trait}"
        case AddressCondition():
            return "the address"
        case TimeCondition():
            return f"the zone {condition.zone}"


def _why_unknown_argument(condition: ArgumentCondition, arguments: Arguments) -> str:
    judged = judgement_of(condition)
    for value in arguments.at(read_path(condition.path) or ()):
        if judged(value) is UNKNOWN:
            return f"{condition.path} {_why(condition, value)}"
    return ""


def _why(condition: ArgumentCondition, value: Any) -> str:
    if value is Missing.ABSENT:
        return "is not there"
    if value is Missing.UNCLEAR:
        return "is not clear: it is in a value of another type, or another argument is spelt alike"
    shape, wanted = shape_of(value), _wanted(condition)
    if shape not in wanted:
        return f"is {shape}, not {' or '.join(wanted)}"
    if shape is Shape.LIST:
        return f"has more than {MAX_VALUES} items" if len(value) > MAX_VALUES else "has items of another type"
    if shape is Shape.NUMBER:
        return "has more digits than every server reads"
    return "is too long" if readings(value) is None else "has characters that can be read in two ways"


def _wanted(condition: ArgumentCondition) -> tuple[Shape, ...]:
    """Return the types that a condition can compare."""
    op = condition.op
    if op in _NUMBERS:
        return (Shape.NUMBER,)
    if op in _TEXTS:
        return (Shape.TEXT,)
    if op is Op.HAS:
        return (Shape.LIST,)
    if op is Op.LENGTH:
        return (Shape.TEXT, Shape.LIST)
    return tuple(dict.fromkeys(shape_of(operand) for operand in condition.operands))
