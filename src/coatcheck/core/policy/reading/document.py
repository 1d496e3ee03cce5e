"""Reads a policy from the plain values of a document; unknown keys are refused, and all is told at once."""

from __future__ import annotations

import re
from typing import Final

from coatcheck.core.policy.conditions.values import read_exact
from coatcheck.core.policy.reading.clauses import MAX_MESSAGE, read_clauses
from coatcheck.core.policy.reading.limits import read_limits
from coatcheck.core.policy.reading.place import Place
from coatcheck.core.policy.reading.problems import MAX_ENTRIES, BadPolicy, Notes
from coatcheck.core.wire import strict
from coatcheck.model.policy import Default, EntryOutcome, Policy, PolicyEntry, Section

FORM: Final = 1
"""The form of the document, which its member `coatcheck` names."""
MAX_DESCRIPTION: Final = 2_000
MAX_NAME: Final = 256
MAX_URI: Final = 2_048
_KEYS: Final = ("coatcheck", "name", "description", "default", *Section, "limits")
_ENTRY_KEYS: Final = ("outcome", "message", "allow_if", "deny_if", "limits")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")
_NO_SUM_HERE: Final = "a sum over everything would deny each call that lacks the argument"
_NO_SUM_OF_RESOURCES: Final = "a resource has no arguments that could be summed up"


def read_policy(document: object) -> Policy:
    """Return the policy that a document of plain values is: JSON's types, with exact numbers.

    Integers may be of any type that is exact: `int` or `Decimal`; a float is taken for its shortest decimal.

    Raises:
        BadPolicy: with everything that is wrong, up to 100 problems.
    """
    notes = Notes()
    policy = _read_document(Place(document, "", notes))
    if notes.problems or policy is None:
        raise BadPolicy(notes.problems)
    return policy


def read_json(body: bytes) -> Policy:
    """Return the policy that a JSON text is.

    Raises:
        BadJson, AmbiguousJson: the text is not JSON, or two readers could take it differently.
        BadPolicy: as `read_policy`.
    """
    strict.read(body)
    return read_policy(read_exact(body))


def _read_document(place: Place) -> Policy | None:
    keys = place.keys(_KEYS)
    if keys is None:
        return None
    _read_head(place, keys)
    name = _read_name(keys["name"]) if "name" in keys else None
    description = _read_description(keys["description"]) if "description" in keys else ""
    default = keys["default"].word(Default) if "default" in keys else None
    entries: list[PolicyEntry] = []
    for section in Section:
        if section in keys:
            entries += _read_section(section, keys[section])
    limits = read_limits(keys["limits"], no_sums=_NO_SUM_HERE) if "limits" in keys else ()
    if name is None or default is None:
        return None
    return Policy(name, default, description, tuple(entries), limits)


def _read_head(place: Place, keys: dict[str, Place]) -> None:
    if "coatcheck" not in keys:
        place.missing("coatcheck", f'add "coatcheck": {FORM}, the form of the document')
    elif type(keys["coatcheck"].value) is not int or keys["coatcheck"].value != FORM:
        keys["coatcheck"].problem("is no form that is known here", f"write {FORM}")
    if "name" not in keys:
        place.missing("name", 'add a "name" of small letters, digits and -')
    if "default" not in keys:
        place.missing("default", f"say what holds for what no entry allows: {', '.join(Default)}")


def is_name(text: str) -> bool:
    """Tell whether a policy can have this name."""
    return _NAME.match(text) is not None


def _read_name(place: Place) -> str | None:
    text = place.text()
    if text is not None and not is_name(text):
        place.problem("must be 1 to 64 small letters, digits and -, and not begin with -")
        return None
    return text


def _read_description(place: Place) -> str:
    text = place.text(MAX_DESCRIPTION) or ""
    if not all(line.isprintable() for line in text.split("\n")):
        place.problem("must be lines of visible characters", "leave out what cannot be seen")
    return text


def _read_section(section: Section, place: Place) -> list[PolicyEntry]:
    entries = []
    for key, member in (place.members(MAX_ENTRIES) or {}).items():
        if not member.notes.count("entries", MAX_ENTRIES, member.where):
            break
        _check_key(section, key, member)
        entry = _read_entry(section, key, member)
        if entry is not None:
            entries.append(entry)
    return entries


def _check_key(section: Section, key: str, place: Place) -> None:
    if section is Section.ACCESS:
        if key not in {"read", "write"}:
            place.problem("is no access", "write read, or write, which covers what cannot be told, too")
        return
    most = MAX_URI if section is Section.RESOURCES else MAX_NAME
    if not key or len(key) > most:
        place.problem(f"a key has 1 to {most} characters", "write * for all")
    elif not key.isprintable() or key != key.strip():
        place.problem("the key has characters that cannot be seen, or space at its ends", "write it plainly")


def _read_entry(section: Section, key: str, place: Place) -> PolicyEntry | None:
    keys = place.keys(_ENTRY_KEYS)
    if keys is None:
        return None
    if not keys:
        place.problem("says nothing", 'add "outcome", "deny_if", "allow_if" or "limits", or leave it out')
    has_arguments = section is not Section.RESOURCES
    no_sums = "" if has_arguments else _NO_SUM_OF_RESOURCES
    outcome = keys["outcome"].word(EntryOutcome) if "outcome" in keys else None
    message = (keys["message"].line(MAX_MESSAGE) or "") if "message" in keys else ""
    allow_if = read_clauses(keys["allow_if"], with_arguments=has_arguments) if "allow_if" in keys else ()
    deny_if = read_clauses(keys["deny_if"], with_arguments=has_arguments) if "deny_if" in keys else ()
    limits = read_limits(keys["limits"], no_sums=no_sums) if "limits" in keys else ()
    _check_sense(outcome, keys)
    return PolicyEntry(section, key, outcome, message, allow_if, deny_if, limits)


def _check_sense(outcome: EntryOutcome | None, keys: dict[str, Place]) -> None:
    """Note what could never matter: whoever wrote it meant something else."""
    if outcome in {EntryOutcome.DENY, EntryOutcome.HIDE}:
        for key in ("allow_if", "deny_if", "limits"):
            if key in keys:
                keys[key].problem(
                    f"the entry is of outcome {outcome} whatever its {key}",
                    'leave "outcome" out to deny by conditions, or leave the conditions out',
                )
    if outcome is EntryOutcome.HIDE and "message" in keys:
        keys["message"].problem(
            "nobody is told of what is hidden", 'leave it out, or write "outcome": "deny"'
        )
    if keys.keys() == {"message"}:
        keys["message"].problem("nothing here denies", 'add "outcome": "deny", "deny_if" or "allow_if"')
