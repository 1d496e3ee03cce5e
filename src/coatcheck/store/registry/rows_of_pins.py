"""Between the pins of tools and their rows."""

from __future__ import annotations

from sys import intern
from uuid import UUID

from coatcheck.model.pin import Definition, Pin
from coatcheck.store.columns import micros_of, time_of
from coatcheck.store.registry.rows import Row, Stored


def pin_row(pin: Pin) -> Row:
    """Return the row of a pin, but its MAC."""
    return {
        "server": str(pin.server),
        "tool": pin.tool,
        "accepted": pin.accepted.text,
        "accepted_digest": pin.accepted.digest,
        "is_new": int(pin.new),
        "pending": None if pin.pending is None else pin.pending.text,
        "pending_digest": None if pin.pending is None else pin.pending.digest,
        "since": None if pin.since is None else micros_of(pin.since),
        "at": micros_of(pin.at),
        "by": pin.by,
        "because": pin.because,
        "ended_at": None if pin.ended_at is None else micros_of(pin.ended_at),
        "version": pin.version,
    }


def pin_of(row: Stored) -> Pin:
    """Read the row of a pin."""
    pending = row["pending_digest"]
    return Pin(
        server=UUID(row["server"]),
        tool=row["tool"],
        accepted=Definition(row["accepted_digest"], row["accepted"]),
        at=time_of(row["at"]),
        by=intern(row["by"]),
        because=row["because"],
        new=bool(row["is_new"]),
        pending=None if pending is None else Definition(pending, row["pending"]),
        since=None if row["since"] is None else time_of(row["since"]),
        ended_at=None if row["ended_at"] is None else time_of(row["ended_at"]),
        version=row["version"],
    )
