"""Where the one chain of a database stands, for all who add entries to it, and how it is moved on.

The numbers and hashes of a transaction are given out by a `Growth`, from where the chain stands; the row of
the table `chain` moves in the same transaction, from there and from nowhere else. So a chain never forks:
whoever is mistaken about where it stands writes nothing.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Final

from sqlalchemy import Connection, select, update

from coatcheck.core.recording.chain import begin, link_hash
from coatcheck.model.chain import Beginning, EntryKind, Head, Strange
from coatcheck.store.faults import ChainMoved
from coatcheck.store.tables import chain

log = logging.getLogger(__name__)

MOST_TRIED: Final = 1_024
"""Commits that failed, since the last that did not, of which it is remembered where they would have ended."""


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
    """Where the chain stands as far as this process knows. Used by whoever has the database's turn.

    What the database says is believed where it is what this process wrote last, or tried to: of a commit that
    failed nobody can tell whether it is there, and it may show up later, when a log is read anew. Anything
    else is `strange`: nothing is written until the database is as it was, or an operator accepted it.
    """

    def __init__(self) -> None:
        self.head: Head | None = None
        """What is durable; None until somebody has read it, and whenever nobody can tell."""
        self.strange: Strange | None = None
        self._known: Head | None = None
        self._tried: deque[Head] = deque(maxlen=MOST_TRIED)

    @contextmanager
    def growing(self, read: Callable[[], Head | None]) -> Iterator[Growth]:
        """Give out entries of one transaction, which begins and is committed inside of the block.

        `read` is asked in the transaction where the head is not known.

        Raises:
            ChainMoved: the database has another head than this process left there.
        """
        head, self.head = self.head, None
        growth = Growth(head or self.checked(read()))
        try:
            yield growth
        except ChainMoved as moved:
            self.checked(moved.found)
            raise
        except BaseException:
            if growth.seq != growth.start.seq:
                self._tried.append(growth.head)
            raise
        self.head = self._known = growth.head
        self._tried.clear()

    def checked(self, found: Head | None) -> Head:
        """Return the head that was found in the database, if it is ours; the first is.

        Raises:
            ChainMoved: it is not; then it is `strange` as well.
        """
        known = self._known
        if found is not None and (known is None or found == known or found in self._tried):
            self._known = known or found
            if self.strange is not None:
                log.warning("the record ends again where this gateway left it, at entry %d", found.seq)
            self.strange = None
            return found
        if known is None:
            raise ChainMoved(found)
        self.head = None
        strange = Strange(known, found)
        if strange != self.strange:
            self.strange = strange
            log.error("ALARM: %s", strange.words)
        raise ChainMoved(found)

    @contextmanager
    def accepting(self) -> Iterator[Strange]:
        """Take what is strange as ours for a block that writes to the chain; for good if the block succeeds.

        Raises:
            ChainMoved: there is nothing that could be accepted.
        """
        strange = self.strange
        if strange is None or strange.found is None:
            raise ChainMoved(None)
        self._known, self.strange = strange.found, None
        try:
            yield strange
        except BaseException:
            self.head, self._known = None, strange.known
            self.strange = Strange(strange.known, (self.strange or strange).found)
            raise


def head_in(reading: Connection) -> Head:
    """Return where the chain stands."""
    row = reading.execute(select(chain.c.seq, chain.c.hash)).one()
    return Head(int(row[0]), bytes(row[1]))


def found_in(connection: Connection) -> Head | None:
    """Return where the chain stands; None if the database does not say."""
    for seq, hash in connection.execute(select(chain.c.seq, chain.c.hash)):
        return head_from(seq, hash)
    return None


def head_from(seq: object, hash: object) -> Head | None:
    """Return the head that the two columns are; None if they are none, which only somebody else writes."""
    return Head(seq, bytes(hash)) if isinstance(seq, int) and isinstance(hash, bytes | memoryview) else None


def settled_head_in(writing: Connection) -> Head | None:
    """Return the same once no commit is under way that would move it, such as one that nobody heard of."""
    writing.execute(update(chain).values(seq=chain.c.seq))
    return found_in(writing)


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
        raise ChainMoved(found_in(writing))
