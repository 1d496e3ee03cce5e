"""The arguments that a call is judged by, as its method carries them."""

from __future__ import annotations

from typing import Final

from coatcheck.core.wire import messages, strict
from coatcheck.errors import AmbiguousJson
from coatcheck.model.call import Call

COMPLETE: Final = "completion/complete"
_UNCLEAR: Final = b"[]"
"""No object, so that nothing can be told of any value in it."""


def arguments_of(call: Call) -> bytes | None:
    """Return the raw arguments of a call, which may be no object; None for none.

    Those of a completion are what the caller has filled in so far, with what it is just typing: it is judged
    as a call with these would be (MCP 2026-07-28, completion).
    """
    if call.method != COMPLETE:
        return call.params.get("arguments")
    settled = _plain(call.params.get("context", b"{}"), frozenset({"arguments"}))
    typed = _plain(call.params.get("argument", b""), frozenset({"name", "value"}))
    if settled is None or typed is None:
        return _UNCLEAR
    known = messages.members_of(settled.get("arguments", b"{}"))
    name, value = messages.text_of(typed.get("name")), typed.get("value")
    if known is None or name is None or value is None or name in known:
        return _UNCLEAR
    return messages.object_of({**known, name: value})


def _plain(raw: bytes, names: frozenset[str]) -> dict[str, bytes] | None:
    """Return the members of an object; None if it is none, or if a member looks like one of these."""
    members = messages.members_of(raw)
    if members is None:
        return None
    try:
        strict.refuse_look_alikes(members, names, "params")
    except AmbiguousJson:
        return None
    return members
