"""Reads `audit`: where copies of the record go and whether it holds argument values."""

from __future__ import annotations

from typing import Final

from coatcheck.declared.reading.place import Place
from coatcheck.model.declaration import AuditRules, Output

KEYS: Final = frozenset({"enabled", "output", "log_arguments"})
_PLACE = "remove it; the record is kept in the data directory"
REFUSED: Final = {"path": _PLACE, "index_path": _PLACE}

OUTPUTS: Final = {
    "file": Output.FILE,
    "stdout": Output.STDOUT,
    "stderr": Output.STDERR,
    "file+stdout": Output.STDOUT,
    "file+stderr": Output.STDERR,
}
"""The record is always kept in the store, so that `file+stdout` and `stdout` are one."""


def read_audit(place: Place) -> AuditRules:
    """Return what is asked of the record, noting everything wrong with it."""
    keys = place.keys(KEYS, refused=REFUSED) or {}
    if "enabled" in keys and keys["enabled"].flag() is False:
        keys["enabled"].problem("the record cannot be turned off", "remove it, or write true")
    output = _read_output(keys["output"]) if "output" in keys else Output.FILE
    arguments = bool(keys["log_arguments"].flag()) if "log_arguments" in keys else False
    return AuditRules(output, arguments)


def _read_output(place: Place) -> Output:
    if place.value == "none":
        place.problem("the record cannot be turned off", "write file, stdout or stderr")
        return Output.FILE
    word = place.choice(OUTPUTS)
    return OUTPUTS[word] if word else Output.FILE
