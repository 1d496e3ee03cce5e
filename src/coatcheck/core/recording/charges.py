"""What a call took of the limits of policies, as it stands in the record, and as people read it there."""

from __future__ import annotations

from typing import Any

import msgspec

from coatcheck.model.record import Outcome, Settlement


class Charged(msgspec.Struct, frozen=True, array_like=True):
    """What one call took: when, in nanoseconds since 1970, and the keys of its counts with amounts."""

    at: int
    took: tuple[tuple[tuple[str, ...], str], ...]


_decode = msgspec.json.Decoder(Charged).decode
_encode = msgspec.json.Encoder().encode


def write_charged(charged: Charged) -> str:
    """Return the text that stands in a record."""
    return _encode(charged).decode("utf-8")


def read_charged(text: str) -> Charged:
    """Return what a record says.

    Raises:
        ValueError: it is none that we wrote.
    """
    return _decode(text)


def was_reached(settlement: Settlement | None) -> bool:
    """Tell whether what a call took counts: unless it is known that it never reached its server."""
    known = settlement is not None and settlement.outcome is not Outcome.UNKNOWN
    return not known or bool(settlement and settlement.request_bytes)


def shown_charges(text: str) -> list[dict[str, Any]] | str:
    """Return an object for each limit, or the text as it is if it is none that we wrote.

    `rule` is the pointer of the list that the limit is in, `per` its window, `each` what has the count of its
    own, `took` how much was taken: an exact number, as text.
    """
    if not text:
        return []
    try:
        return [_shown(key, amount) for key, amount in read_charged(text).took]
    except ValueError:
        return text


def _shown(key: tuple[str, ...], amount: str) -> dict[str, Any]:
    policy, pointer, per, _, each, *of = key
    kinds = each.split("+") if each else []
    return {
        "rule": f"{policy}:{pointer}",
        "per": per,
        "each": dict(zip(kinds, of, strict=True)),
        "took": amount,
    }
