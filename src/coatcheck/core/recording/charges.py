"""What a call took of the limits of policies, as people read it in the record."""

from __future__ import annotations

from typing import Any

import msgspec

_Kept = tuple[int, list[tuple[list[str], str]]]
_decode = msgspec.json.Decoder(_Kept).decode


def shown_charges(text: str) -> list[dict[str, Any]] | str:
    """Return an object for each limit, or the text as it is if it is none that we wrote.

    `rule` is the pointer of the list that the limit is in, `per` its window, `each` what has the count of its
    own, `took` how much was taken: an exact number, as text.
    """
    if not text:
        return []
    try:
        _, took = _decode(text)
        return [_shown(key, amount) for key, amount in took]
    except (ValueError, msgspec.MsgspecError):
        return text


def _shown(key: list[str], amount: str) -> dict[str, Any]:
    policy, pointer, per, _, each, *of = key
    kinds = each.split("+") if each else []
    return {
        "rule": f"{policy}:{pointer}",
        "per": per,
        "each": dict(zip(kinds, of, strict=True)),
        "took": amount,
    }
