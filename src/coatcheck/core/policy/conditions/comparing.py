"""Compares one argument with what a condition says; a value of another type is never equal nor unequal.

Numbers are compared as written and as doubles, as most servers read them; where the two differ, it cannot be
told. So is text that is equal but for blanks around it, which servers like to take off.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal
from math import nan
from typing import Any, Final

from coatcheck.core.policy.conditions import truth
from coatcheck.core.policy.conditions.paths import MAX_VALUES
from coatcheck.core.policy.conditions.patterns import Pattern
from coatcheck.core.policy.conditions.texts import MAX_CHARS, readings
from coatcheck.core.policy.conditions.truth import UNKNOWN
from coatcheck.core.policy.conditions.values import as_double
from coatcheck.model.policy import ArgumentCondition, Op, Scalar
from coatcheck.model.verdict import Truth

Comparison = Callable[[Any], Truth]
"""From a value that is there to whether the condition holds of it."""

ORDERS: Final[dict[Op, Callable[[Any, Any], bool]]] = {
    Op.LT: operator.lt,
    Op.LE: operator.le,
    Op.GT: operator.gt,
    Op.GE: operator.ge,
}


def comparison_of(condition: ArgumentCondition) -> Comparison:
    """Return how to compare; `exists` is no comparison and has none.

    Raises:
        BadPattern: a pattern that cannot be compiled, which reading a policy has refused.
    """
    op, fold = condition.op, condition.ignore_case
    if op in {Op.EQ, Op.IN}:
        return _equal(condition.operands, fold)
    if op in {Op.NE, Op.NOT_IN}:
        return _opposite(_equal(condition.operands, fold))
    if op in ORDERS:
        return _ordered(ORDERS[op], condition.operands[0])
    if op is Op.CONTAINS:
        return _containing(str(condition.operands[0]), fold)
    if op is Op.HAS:
        return _having(_equal(condition.operands, fold))
    if op is Op.LENGTH:
        return _long(condition.least, condition.most)
    pattern = Pattern(str(condition.operands[0]), ignore_case=fold)
    return _text(pattern.matches if op is Op.MATCHES else pattern.finds)


def _text(test: Callable[[str], bool]) -> Comparison:
    """Return a comparison of text, which holds or does not where all readings of the text agree."""

    def compare(value: Any) -> Truth:
        forms = readings(value) if type(value) is str else None
        if forms is None:
            return UNKNOWN
        try:
            first = test(forms[0])
            if len(forms) > 1 and any(test(form) is not first for form in forms[1:]):
                return UNKNOWN
        except UnicodeEncodeError:
            return UNKNOWN
        return truth.of(first)

    return compare


def _opposite(comparison: Comparison) -> Comparison:
    return lambda value: truth.opposite(comparison(value))


def _equal(operands: tuple[Scalar, ...], fold: bool) -> Comparison:
    """Return a comparison with the operands of the value's own type; without one, it cannot be told."""
    texts = frozenset(_folded(one, fold) for one in operands if isinstance(one, str))
    numbers = frozenset(one for one in operands if type(one) is int or type(one) is Decimal)
    doubles = frozenset(map(as_double, numbers))
    flags = frozenset(one for one in operands if type(one) is bool)
    nothing = None in operands
    compare_text = _equal_text(texts, fold)

    def compare(value: Any) -> Truth:
        kind = type(value)
        if kind is str:
            return compare_text(value) if texts else UNKNOWN
        if kind is bool:
            return truth.of(value in flags) if flags else UNKNOWN
        if kind is int or kind is Decimal:
            if value in numbers:
                return truth.TRUE
            return truth.FALSE if numbers and as_double(value) not in doubles else UNKNOWN
        return truth.TRUE if value is None and nothing else UNKNOWN

    return compare


def _equal_text(texts: frozenset[str], fold: bool) -> Comparison:
    """Return a comparison that cannot tell of text which is equal only without the blanks around it."""
    compare_readings = _text(lambda text: _folded(text, fold) in texts)

    def compare(value: str) -> Truth:
        if value.isascii() and value.isprintable() and len(value) <= MAX_CHARS:  # most have one reading
            found = truth.of(_folded(value, fold) in texts)
        else:
            found = compare_readings(value)
        bare = value.strip()
        if found is not truth.FALSE or len(bare) == len(value):
            return found
        return truth.FALSE if compare_readings(bare) is truth.FALSE else UNKNOWN

    return compare


def _ordered(holds: Callable[[Any, Any], bool], operand: Scalar) -> Comparison:
    double = as_double(operand) if isinstance(operand, int | Decimal) else nan

    def compare(value: Any) -> Truth:
        kind = type(value)
        if kind is not int and kind is not Decimal:
            return UNKNOWN
        found = holds(value, operand)
        return truth.of(found) if holds(as_double(value), double) is found else UNKNOWN

    return compare


def _containing(part: str, fold: bool) -> Comparison:
    wanted = _folded(part, fold)
    return _text(lambda text: wanted in _folded(text, fold))


def _having(equal: Comparison) -> Comparison:
    def compare(value: Any) -> Truth:
        if type(value) is not list or len(value) > MAX_VALUES:
            return UNKNOWN
        return truth.any_of(map(equal, value)) if value else truth.FALSE

    return compare


def _long(least: int | None, most: int | None) -> Comparison:
    def compare(value: Any) -> Truth:
        if type(value) is not str and type(value) is not list:
            return UNKNOWN
        return truth.of((least is None or len(value) >= least) and (most is None or len(value) <= most))

    return compare


def _folded(text: str, fold: bool) -> str:
    return text.casefold() if fold else text
