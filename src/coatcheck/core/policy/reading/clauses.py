"""Reads the conditions of an entry: which kind each is, and how they stand in each other."""

from __future__ import annotations

from typing import Final

from coatcheck.core.policy.reading.callers import read_address, read_names, read_time
from coatcheck.core.policy.reading.comparisons import KEYS, read_comparison
from coatcheck.core.policy.reading.place import Place
from coatcheck.core.policy.reading.problems import MAX_CONDITIONS
from coatcheck.model.policy import AllOf, AnyOf, CallerCondition, Clause, Condition, Not, Trait

MAX_DEPTH: Final = 8
"""How deep `any`, `all` and `not` stand in each other."""
MAX_MESSAGE: Final = 300
_FORMS: Final = ("path", *Trait, "ip", "time", "any", "all", "not")
_FORM_FIX: Final = "write one of: " + ", ".join(_FORMS)


def read_clauses(place: Place, *, with_arguments: bool) -> tuple[Clause, ...]:
    """Return a list of conditions, each with its message; `with_arguments` tells that there are any."""
    clauses = [_read_clause(item, with_arguments) for item in place.items() or ()]
    return tuple(clause for clause in clauses if clause is not None)


def _read_clause(place: Place, with_arguments: bool) -> Clause | None:
    condition = _read(place, 1, with_arguments)
    message = ""
    if isinstance(place.value, dict) and "message" in place.value:
        message = place.child("message", place.value["message"]).line(MAX_MESSAGE) or ""
    return Clause(condition, message) if condition is not None else None


def _read(place: Place, depth: int, with_arguments: bool) -> Condition | None:
    if not place.notes.count("conditions", MAX_CONDITIONS, place.where):
        return None
    if depth > MAX_DEPTH:
        place.problem(f"conditions stand in each other at most {MAX_DEPTH} deep", "write them side by side")
        return None
    members = place.members()
    if members is None:
        return None
    forms = [form for form in _FORMS if form in members]
    if len(forms) != 1:
        fix = 'write {"all": [...]} for conditions that must hold together' if forms else _FORM_FIX
        place.problem(
            f"a condition is of one kind, and this is of {'several' if forms else 'none'}: "
            f"{', '.join(forms) or 'no known key'}",
            fix,
        )
        return None
    return _read_form(place, forms[0], depth, with_arguments)


def _read_form(place: Place, form: str, depth: int, with_arguments: bool) -> Condition | None:
    own = ("message",) if depth == 1 else ()
    if form == "path":
        if not with_arguments:
            place.problem("a resource has no arguments that a condition could look at", "leave it out")
            return None
        keys = place.keys((*KEYS, *own))
        return read_comparison(place, keys) if keys is not None else None
    keys = place.keys((form, *own))
    if keys is None:
        return None
    if form == "ip":
        return read_address(keys[form])
    if form == "time":
        return read_time(keys[form])
    if form == "not":
        inner = _read(keys[form], depth + 1, with_arguments)
        return Not(inner) if inner is not None else None
    if form in {"any", "all"}:
        found = [_read(item, depth + 1, with_arguments) for item in keys[form].items() or ()]
        conditions = tuple(one for one in found if one is not None)
        return AnyOf(conditions) if form == "any" else AllOf(conditions)
    return CallerCondition(Trait(form), read_names(keys[form]))
