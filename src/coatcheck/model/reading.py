"""What readings of the whole ledger come to: stretches of the chain, and all that something touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from coatcheck.model.chain import Link
from coatcheck.model.record import RecordEntry


@dataclass(frozen=True, slots=True)
class Stretch:
    """Entries `after` + 1 to `through` of a chain. `prev` is the hash before them, `hash` the last, if known.

    `whole` tells that nothing was before them: `after` is where the chain began, with `before` older entries.
    `sealed` tells that some of what was asked for may be before them, in files of sealed parts.
    """

    log: str
    after: int
    prev: bytes
    through: int
    whole: bool
    before: int
    hash: bytes = b""
    sealed: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """A call, with number and hash of its outcome, or of its record while it is under way.

    `hash` is empty for entries from before there was a chain.
    """

    seq: int
    hash: bytes
    entry: RecordEntry


@dataclass(frozen=True, slots=True)
class Looked:
    """The newest calls that match, oldest first, as far as was looked.

    `before` None: that was far enough. Else older ones from before this position were not looked at, and
    `back_to` is the time of the oldest that was.
    """

    entries: Sequence[RecordEntry]
    before: int | None = None
    back_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A link of the chain, and whether it is one that was asked for.

    `odd` says what of its columns does not fit with what it says itself, where that was looked at.
    """

    link: Link
    asked: bool
    odd: str = ""


@dataclass(frozen=True, slots=True)
class RadiusFilter:
    """What to tell the blast radius of: a credential, or one version of it, or a grant (id or label)."""

    credential: str | None = None
    version: int | None = None
    grant: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Touched:
    """One server, tool, caller or the like: how many calls, the first and the last time, and how they ended.

    `outcomes` counts by `Outcome`, with the empty text for calls under way.
    """

    name: str
    count: int
    first: datetime
    last: datetime
    outcomes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Radius:
    """All that something touched. The lists are ordered by count; `left_out` counts the names not told."""

    whole: Touched | None
    servers: tuple[Touched, ...]
    tools: tuple[Touched, ...]
    subjects: tuple[Touched, ...]
    grants: tuple[Touched, ...]
    credentials: tuple[Touched, ...]
    addresses: tuple[Touched, ...]
    clients: tuple[Touched, ...]
    left_out: int
