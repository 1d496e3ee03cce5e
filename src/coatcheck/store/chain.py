"""Where the one chain of a database stands, for all who add entries to it, and how it is moved on.

The numbers and hashes of a transaction are given out by a `Growth`, from where the chain stands; the row of
the table `chain` moves in the same transaction, from there and from nowhere else. So a chain never forks:
whoever is mistaken about where it stands writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256

from sqlalchemy import Connection, select, update

from coatcheck.core.recording.chain import begin, link_hash
from coatcheck.model.chain import Beginning, EntryKind, Head
from coatcheck.store.faults import ChainMoved
from coatcheck.store.tables import chain


class Growth:
    """Gives out the numbers and hashes of the entries of one transaction, in their order."""

    __slots__ = ("hash", "seq", "start")

    def __init__(self, start: Head) -> None:
        self.start = start
        self.seq = start.seq
        self.hash = start.hash

    def add(self, kind: EntryKind, stored: bytes) -> int:
        """Chain one more entry; return its number. `hash` is its hash then."""
        seq = self.seq + 1
        self.hash = link_hash(seq, kind, self.hash, sha256(stored).digest())
        self.seq = seq
        return seq

    @property
    def head(self) -> Head:
        """Where the chain stands with what was added."""
        return Head(self.seq, self.hash)


class Chain:
    """Where the chain stands as far as this process knows. Used by whoever has the database's turn."""

    def __init__(self) -> None:
        self.head: Head | None = None
        """What is durable; None until somebody has read it, and whenever nobody can tell."""

    @contextmanager
    def growing(self, read: Callable[[], Head]) -> Iterator[Growth]:
        """Give out entries of one transaction, which begins and is committed inside of the block.

        `read` is asked in the transaction where the head is not known.
        """
        head, self.head = self.head, None
        growth = Growth(head or read())
        yield growth
        self.head = growth.head


def head_in(reading: Connection) -> Head:
    """Return where the chain stands."""
    row = reading.execute(select(chain.c.seq, chain.c.hash)).one()
    return Head(int(row[0]), bytes(row[1]))


def beginning_in(reading: Connection) -> Beginning:
    """Return where the chain began."""
    row = reading.execute(select(chain.c.log, chain.c.first, chain.c.before)).one()
    return begin(str(row[0]), int(row[1]), int(row[2]))


def move(writing: Connection, growth: Growth) -> None:
    """Move the chain on to what was added.

    Raises:
        ChainMoved: it does not stand any more where it was thought to.
    """
    if growth.seq == growth.start.seq:
        return
    moved = writing.execute(
        update(chain)
        .where(chain.c.seq == growth.start.seq, chain.c.hash == growth.start.hash)
        .values(seq=growth.seq, hash=growth.hash)
    )
    if moved.rowcount != 1:
        raise ChainMoved
