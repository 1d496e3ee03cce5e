"""Reads conditions on arguments: where the value stands, and what it is compared with."""

from __future__ import annotations

from typing import Final

from coatcheck.core.policy.conditions.paths import MAX_PARTS, read_path
from coatcheck.core.policy.conditions.patterns import MAX_CHARS, BadPattern, Pattern
from coatcheck.core.policy.conditions.texts import readings
from coatcheck.core.policy.conditions.values import as_number
from coatcheck.core.policy.reading.place import MAX_TEXT, Place
from coatcheck.core.policy.reading.problems import MAX_PATTERNS
from coatcheck.model.policy import ArgumentCondition, Op, Scalar

KEYS: Final = ("path", "op", "value", "min", "max", "if_present", "ignore_case")
MAX_PATH: Final = 500
_MAX_LENGTH: Final = 1_000_000_000
_LISTS: Final = frozenset({Op.IN, Op.NOT_IN})
_NUMBERS: Final = frozenset({Op.LT, Op.LE, Op.GT, Op.GE})
_PATTERNS: Final = frozenset({Op.MATCHES, Op.SEARCH})
_CASELESS: Final = frozenset({Op.EQ, Op.NE, Op.IN, Op.NOT_IN, Op.CONTAINS, Op.HAS, Op.MATCHES, Op.SEARCH})


def read_comparison(place: Place, keys: dict[str, Place]) -> ArgumentCondition | None:
    """Return a condition from its members, of which `path` is one."""
    path = read_pointer(keys["path"])
    if "op" not in keys:
        place.missing("op", 'add "op": "eq" or another comparison')
        return None
    op = keys["op"].word(Op)
    if op is None:
        return None
    if_present, ignore_case = _read_flags(op, keys)
    if op is Op.LENGTH:
        least, most = _read_bounds(place, keys)
        return ArgumentCondition(path, op, (), least, most, if_present)
    for key in ("min", "max"):
        if key in keys:
            keys[key].problem(f"{key} is for length only", f'write "value" for {op}')
    if "value" not in keys and op is not Op.EXISTS:
        place.missing("value", "add what it is compared with")
        return None
    operands = _read_operands(op, keys.get("value"), ignore_case)
    return ArgumentCondition(path, op, operands, None, None, if_present, ignore_case)


def _read_flags(op: Op, keys: dict[str, Place]) -> tuple[bool, bool]:
    """Return `if_present` and `ignore_case`."""
    if_present, ignore_case = (
        bool(keys[key].flag()) if key in keys else False for key in ("if_present", "ignore_case")
    )
    if if_present and op is Op.EXISTS:
        keys["if_present"].problem("exists is about being there", "leave if_present out")
    if ignore_case and op not in _CASELESS:
        keys["ignore_case"].problem(f"{op} compares no text", "leave ignore_case out")
    return if_present, ignore_case


def read_pointer(place: Place) -> str:
    """Return a JSON Pointer into arguments; empty, and noted, for what is none."""
    text = place.line(MAX_PATH)
    if text is None:
        return ""
    if read_path(text) is None:
        place.problem(
            f"must be a JSON Pointer of at most {MAX_PARTS} parts", f"begin with /, as in /{text[:40]}"
        )
    return text


def _read_bounds(place: Place, keys: dict[str, Place]) -> tuple[int | None, int | None]:
    if "value" in keys:
        keys["value"].problem("length has no value", 'write "min", "max" or both')
    bounds = [keys[key].integer(0, _MAX_LENGTH) if key in keys else None for key in ("min", "max")]
    least, most = bounds
    if "min" not in keys and "max" not in keys:
        place.missing("min or max", 'add "min", "max" or both')
    if least is not None and most is not None and least > most:
        place.problem("min is more than max, so it never holds", "turn them around")
    return least, most


def _read_operands(op: Op, place: Place | None, ignore_case: bool) -> tuple[Scalar, ...]:
    if place is None:
        return (True,)  # exists, on its own
    if op is Op.EXISTS:
        return (place.flag() is not False,)
    if op in _NUMBERS:
        number = place.number()
        return (number,) if number is not None else ()
    if op in _PATTERNS:
        return _one(_read_pattern(place, ignore_case))
    if op is Op.CONTAINS:
        return _one(_read_plain(place))
    if op in _LISTS:
        return tuple(_read_scalar(item) for item in place.items() or ())
    return (_read_scalar(place),)


def _one(text: str | None) -> tuple[Scalar, ...]:
    return () if text is None else (text,)


def _read_scalar(place: Place) -> Scalar:
    value = place.value
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _read_plain(place, least=0)
    if isinstance(value, dict | list):
        place.problem("must be text, a number, true, false or null", "compare what is in it, by its own path")
        return None
    return place.number() if as_number(value) is None else as_number(value)


def _read_plain(place: Place, *, least: int = 1) -> str | None:
    """Return a text to compare with: one that every server reads alike."""
    text = place.text(MAX_TEXT, least=least)
    forms = readings(text) if text is not None else None
    if forms is not None and len(forms) > 1:
        place.problem("has characters that can be read in two ways", f"write {forms[-1][:100]!r}")
    return text


def _read_pattern(place: Place, ignore_case: bool) -> str | None:
    text = place.text(MAX_CHARS)
    if text is None or not place.notes.count("patterns", MAX_PATTERNS, place.where):
        return None
    try:
        Pattern(text, ignore_case=ignore_case)
    except BadPattern as error:
        place.problem(str(error), "write it in the syntax of RE2: no look-around, no back references")
        return None
    return text
