"""JSON values with their exact numbers, and what type each is: true is no 1, and 1 is 1.0."""

from __future__ import annotations

import json
from decimal import Context, Decimal, Inexact, InvalidOperation
from enum import StrEnum
from math import inf
from types import NoneType
from typing import Any, Final

import msgspec

from coatcheck.model.policy import Number

MAX_DIGITS: Final = 40
"""Longest number of a policy, in characters."""
EXACT: Final = 2**53
"""Whole numbers below are the same as doubles."""
_MAX_EXPONENT: Final = 308
_EXACT: Final = Context(prec=2_000, traps=[Inexact, InvalidOperation])
"""Wide enough for sums of what fits under a limit; anything lost would be an error, not a rounding."""


class Shape(StrEnum):
    """The type of a JSON value, in words for messages."""

    NOTHING = "null"
    FLAG = "true or false"
    NUMBER = "a number"
    TEXT = "text"
    LIST = "a list"
    OBJECT = "an object"
    OTHER = "no JSON value"


_SHAPES: Final[dict[type, Shape]] = {
    NoneType: Shape.NOTHING,
    bool: Shape.FLAG,
    int: Shape.NUMBER,
    Decimal: Shape.NUMBER,
    str: Shape.TEXT,
    list: Shape.LIST,
    dict: Shape.OBJECT,
}


def shape_of(value: object) -> Shape:
    """Return the type of a value of `read_exact`. A float has none: it is not what was written."""
    return _SHAPES.get(type(value), Shape.OTHER)


def read_exact(raw: bytes) -> Any:
    """Return the value of JSON that was proven unambiguous, each number as it is written.

    Integers are `int`, or `Decimal` where they are very long; all other numbers are `Decimal`.

    Raises:
        ValueError: it is no JSON after all, or has a number with an exponent that nobody can count to.
    """
    try:
        return _decode(raw)
    except InvalidOperation:
        raise ValueError("an exponent is too long") from None
    except (ValueError, RecursionError):
        return _read_long(raw)


def _read_long(raw: bytes) -> Any:
    try:
        return _DECODER.decode(raw.decode("utf-8"))
    except InvalidOperation:
        raise ValueError("an exponent is too long") from None


def write_exact(value: Any) -> bytes:
    """Return the JSON of a value of `read_exact`, each number as it is."""
    return _encode(value)


_encode = msgspec.json.Encoder(decimal_format="number").encode


def _integer(lexeme: str) -> Number:
    return int(lexeme) if len(lexeme) < _LONG else Decimal(lexeme)


_LONG: Final = 1_000
"""Python refuses to read integers of some thousand digits, and takes long for those just below."""
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_DECODER: Final = json.JSONDecoder(parse_int=_integer, parse_float=Decimal)


def as_number(value: object) -> Number | None:
    """Return a number of a document in its one canonical form, or None for what is none or too long."""
    if type(value) is int:
        return value if abs(value) < 10**MAX_DIGITS else None
    if type(value) is float:
        value = Decimal(repr(value))  # what was written, for up to 15 digits
    if type(value) is not Decimal or not value.is_finite():
        return None
    _, digits, exponent = value.as_tuple()
    if len(digits) > MAX_DIGITS or not isinstance(exponent, int) or abs(value.adjusted()) > _MAX_EXPONENT:
        return None
    if not any(digits):
        return 0
    short = value.normalize(_EXACT)
    return int(short) if short == short.to_integral_value() and short.adjusted() < MAX_DIGITS else short


def as_double(number: Number) -> float:
    """Return what a reader of JSON sees that keeps numbers as IEEE 754 doubles, as most do."""
    try:
        return float(number)
    except OverflowError:
        return inf if number > 0 else -inf


def add(one: Number, other: Number) -> Number:
    """Return the exact sum of two numbers, each with at most 2,000 digits.

    Raises:
        InvalidOperation, Inexact: there are more.
    """
    if type(one) is int and type(other) is int:
        return one + other
    return _EXACT.add(Decimal(one), Decimal(other))


def subtract(one: Number, other: Number) -> Number:
    """Return the exact difference of two numbers, as `add`."""
    if type(one) is int and type(other) is int:
        return one - other
    return _EXACT.subtract(Decimal(one), Decimal(other))
