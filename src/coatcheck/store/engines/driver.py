"""One connection of the plain driver, as the ledger's writer uses it, alike for both databases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

Row = Sequence[object]


class Driver(Protocol):
    """Statements are in the driver's own words; every transaction is begun and ended by hand.

    Every method raises what the database's `faults` says.
    """

    def begin(self) -> None:
        """Begin a transaction that will write."""
        ...

    def commit(self) -> None:
        """Make the transaction durable: when this returns, it is on the disk."""
        ...

    def roll_back(self) -> bool:
        """Undo the transaction, if there is one; return whether the connection can be used on."""
        ...

    def run(self, statement: str, values: Row = ()) -> Iterable[Sequence[Any]]:
        """Run a statement and return its rows; empty for one that has none."""
        ...

    def run_many(self, statement: str, rows: Sequence[Row]) -> None:
        """Run an INSERT of one row for each of these.

        Raises:
            Unwritable: a text in the rows cannot be stored as it is; the transaction is to be rolled back.
        """
        ...

    def spelt(self, text: str) -> str:
        """Return the text with what cannot be stored spelt out."""
        ...

    def check(self) -> None:
        """Raise `DatabaseGone` if what is written here would be lost."""
        ...

    def close(self) -> None:
        """Close the connection; what was not committed is undone."""
        ...


def without_surrogates(text: str) -> str:
    """Return the text with lone surrogates, which are no characters, spelt out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
