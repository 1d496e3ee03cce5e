"""Reading both records of a store without its key, and whether a gateway runs on it or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from coatcheck.model.change import ChangeEntry, ChangeFilter
from coatcheck.model.record import RecordEntry, RecordFilter
from coatcheck.model.secret import Secret
from coatcheck.store.faults import StoreUnavailable, explain
from coatcheck.store.opening import open_to_read
from coatcheck.store.records.reading import list_entries
from coatcheck.store.registry.changes import list_changes

_Read = TypeVar("_Read")


def records_in(directory: Path, url: Secret | None, wanted: RecordFilter) -> Sequence[RecordEntry]:
    """Return entries of the record of calls, oldest first.

    Raises:
        ConfigError: there is no store, or it cannot be read as it is.
        StoreUnavailable: reading broke off.
    """
    return _read(directory, url, lambda reading: list_entries(reading, wanted))


def changes_in(directory: Path, url: Secret | None, wanted: ChangeFilter) -> Sequence[ChangeEntry]:
    """Return entries of the admin log, newest first.

    Raises:
        ConfigError, StoreUnavailable: as for `records_in`.
    """
    return _read(directory, url, lambda reading: list_changes(reading, wanted))


def _read(directory: Path, url: Secret | None, read: Callable[[Connection], _Read]) -> _Read:
    database = open_to_read(directory, url)
    try:
        return database.read_now(read)
    except DBAPIError as error:
        raise StoreUnavailable(explain(error.orig or error), fix="try again") from None
    finally:
        database.close()
