"""Reads limits: calls, sums and calls at once."""

from __future__ import annotations

from typing import Final

from coatcheck.core.policy.reading.clauses import MAX_MESSAGE
from coatcheck.core.policy.reading.comparisons import read_pointer
from coatcheck.core.policy.reading.place import Place
from coatcheck.core.policy.reading.problems import MAX_ALL_LIMITS
from coatcheck.model.policy import AtOnceLimit, CallLimit, Each, Limit, Per, SumLimit

MAX_LIMITS: Final = 20
"""Most limits of one entry, and of a document as a whole."""
MAX_CALLS: Final = 1_000_000_000
_ALL: Final = "all"
_FORMS: Final = {
    "calls": ("calls", "per", "each", "message"),
    "sum": ("sum", "most", "per", "each", "message"),
    "at_once": ("at_once", "each", "message"),
}
_EACH_FIX: Final = "write grant, subject, server or tool, a list of these, or all"


def read_limits(place: Place, *, no_sums: str = "") -> tuple[Limit, ...]:
    """Return a list of limits; `no_sums` says why there can be no sums in it, where that is so."""
    limits = [_read_limit(item, no_sums) for item in place.items(MAX_LIMITS) or ()]
    return tuple(limit for limit in limits if limit is not None)


def _read_limit(place: Place, no_sums: str) -> Limit | None:
    members = place.members()
    if members is None or not place.notes.count("limits", MAX_ALL_LIMITS, place.where):
        return None
    forms = [form for form in _FORMS if form in members]
    if len(forms) != 1:
        place.problem(
            "a limit is of one kind: calls, sum or at_once", "write several limits as items of the list"
        )
        return None
    form = forms[0]
    keys = place.keys(_FORMS[form]) or {}
    if form == "sum" and no_sums:
        place.problem(no_sums, "put it under the tools that have the argument")
        return None
    return _read_form(place, form, keys)


def _read_form(place: Place, form: str, keys: dict[str, Place]) -> Limit | None:
    each = _read_each(place, keys)
    message = (keys["message"].line(MAX_MESSAGE) or "") if "message" in keys else ""
    per = None
    if "per" in keys:
        per = keys["per"].word(Per)
    elif form != "at_once":
        place.missing("per", f"add one of {', '.join(Per)}")
    if form == "at_once":
        most = keys[form].integer(1, MAX_CALLS)
        return AtOnceLimit(most, each, message) if most is not None else None
    if form == "calls":
        most = keys[form].integer(1, MAX_CALLS)
        return CallLimit(most, per, each, message) if most is not None and per is not None else None
    return _read_sum(place, keys, per, each, message)


def _read_sum(
    place: Place, keys: dict[str, Place], per: Per | None, each: tuple[Each, ...], message: str
) -> SumLimit | None:
    path = read_pointer(keys["sum"])
    if "most" not in keys:
        place.missing("most", "add the largest sum that is allowed")
        return None
    most = keys["most"].number()
    if most is not None and most <= 0:
        keys["most"].problem("must be more than 0", "deny the tool instead")
    return SumLimit(path, most, per, each, message) if most is not None and per is not None else None


def _read_each(place: Place, keys: dict[str, Place]) -> tuple[Each, ...]:
    if "each" not in keys:
        place.missing("each", f"say what has a count of its own: {_EACH_FIX}")
        return ()
    each = keys["each"]
    if each.value == _ALL:
        return ()
    if isinstance(each.value, str) and each.value not in tuple(Each):
        each.problem("is no known word", _EACH_FIX)
        return ()
    places = [each] if isinstance(each.value, str) else each.items(len(Each)) or []
    words = {item.word(Each) for item in places}
    return tuple(one for one in Each if one in words)
