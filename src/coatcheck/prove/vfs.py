"""Stands between SQLite and the disk, in this process: sees every write and sync, and can make them fail.

SQLite reaches files through a table of functions (sqlite.org/vfs.html). A second one, with the same functions
but ours for writing, is registered as the default before anything is opened. It goes into the very library
that `sqlite3` uses, so that the gateway is not changed at all.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, Protocol

MAIN: Final = 0x00000100
LOG: Final = 0x00080000
"""SQLITE_OPEN_MAIN_DB and SQLITE_OPEN_WAL: what a file is opened as."""

_OK: Final = 0
_FUNCTIONS: Final = {1: 12, 2: 16, 3: 18}
"""How many functions the table of a file has, by its version (sqlite3_io_methods)."""
_WRITE, _TRUNCATE, _SYNC = 2, 3, 4

_Open = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_void_p,  # the name: SQLite keeps the pointer, so it must be passed on as it came
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_void_p,
)
_Write = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_Truncate = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64)
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)


class Failure(IntEnum):
    """What SQLite is told instead of a success: its own result codes."""

    NONE = 0
    FULL = 13
    """SQLITE_FULL, as for ENOSPC."""
    WRITE = 778
    """SQLITE_IOERR_WRITE, as for EIO."""
    SYNC = 1034
    """SQLITE_IOERR_FSYNC, as for any error of fsync."""


class Watch(Protocol):
    """Is asked before, and told after, what SQLite does to the database (`MAIN`) and its log (`LOG`)."""

    def writing(self, file: int, at: int, content: bytes) -> Failure:
        """Say whether a write fails."""
        ...

    def truncating(self, file: int, size: int) -> None:
        """Take note that a file is cut."""
        ...

    def syncing(self, file: int) -> Failure:
        """Say whether a sync fails."""
        ...

    def synced(self, file: int) -> None:
        """Take note that all that was written before is on the disk."""
        ...


class NoWay(Exception):
    """The SQLite of this Python cannot be reached into."""


class _File(ctypes.Structure):
    _fields_ = [("methods", ctypes.c_void_p)]


class _Methods(ctypes.Structure):
    _fields_ = [("version", ctypes.c_int), ("functions", ctypes.c_void_p * 18)]


class _System(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("own", ctypes.c_void_p),
        ("open", ctypes.c_void_p),
        ("functions", ctypes.c_void_p * 15),
    ]


class Between:
    """The second table, for the database with this file name and its log. It must outlive all of SQLite."""

    def __init__(self, watch: Watch, database: str) -> None:
        self._watch = watch
        self._names = {database.encode(): MAIN, f"{database}-wal".encode(): LOG}
        self._kept: list[Any] = []
        self._tables: dict[int, _Methods] = {}
        self._files: dict[int, tuple[int, _Methods]] = {}
        library = sqlite_library()
        found = library.sqlite3_vfs_find(None)
        if not found:
            raise NoWay("it has no default file system")
        real = ctypes.cast(found, ctypes.POINTER(_System)).contents
        self._open = ctypes.cast(real.open, _Open)
        self._system = _System()
        ctypes.memmove(ctypes.byref(self._system), found, _size_of(real.version))
        self._system.name, self._system.next = b"coatcheck-prove", None
        self._system.open = self._function(_Open(self._opened))
        self._write = self._function(_Write(self._writes))
        self._truncate = self._function(_Truncate(self._truncates))
        self._sync = self._function(_Sync(self._syncs))
        if library.sqlite3_vfs_register(ctypes.byref(self._system), 1) != _OK:
            raise NoWay("it takes no other file system")

    def _function(self, function: Any) -> int:
        self._kept.append(function)
        return ctypes.cast(function, ctypes.c_void_p).value or 0

    def _opened(self, system: int, name: int | None, file: int, flags: int, out: int | None) -> int:
        code = self._open(system, name, file, flags, out)
        called = os.path.basename(ctypes.string_at(name)) if name else b""  # noqa: PTH119  # bytes
        kind = self._names.get(called)
        if code == _OK and kind is not None and flags & kind:
            opened = ctypes.cast(file, ctypes.POINTER(_File)).contents
            real = ctypes.cast(opened.methods, ctypes.POINTER(_Methods)).contents
            self._files[file] = (kind, real)
            opened.methods = ctypes.addressof(self._table(opened.methods, real))
        return int(code)

    def _table(self, address: int, real: _Methods) -> _Methods:
        if address not in self._tables:
            ours = _Methods(version=min(3, real.version))
            for number in range(_FUNCTIONS[ours.version]):
                ours.functions[number] = real.functions[number]
            ours.functions[_WRITE] = self._write
            ours.functions[_TRUNCATE] = self._truncate
            ours.functions[_SYNC] = self._sync
            self._tables[address] = ours
        return self._tables[address]

    def _writes(self, file: int, source: int, size: int, at: int) -> int:
        kind, real = self._files[file]
        failure = self._watch.writing(kind, at, ctypes.string_at(source, size))
        return failure or int(_at(real, _WRITE, _Write)(file, source, size, at))

    def _truncates(self, file: int, size: int) -> int:
        kind, real = self._files[file]
        self._watch.truncating(kind, size)
        return int(_at(real, _TRUNCATE, _Truncate)(file, size))

    def _syncs(self, file: int, flags: int) -> int:
        kind, real = self._files[file]
        failure = self._watch.syncing(kind)
        code = failure or int(_at(real, _SYNC, _Sync)(file, flags))
        if code == _OK:
            self._watch.synced(kind)
        return code


def _at(real: _Methods, number: int, form: Callable[[int], Any]) -> Any:
    return ctypes.cast(real.functions[number], form)  # type: ignore[arg-type]


def _size_of(version: int) -> int:
    """Return the bytes of sqlite3_vfs in a version: 10 functions after `open`, then 1, then 3 more."""
    functions = {1: 11, 2: 12}.get(version, 15)
    return _System.functions.offset + functions * ctypes.sizeof(ctypes.c_void_p)


def sqlite_library() -> Any:
    """Return the library of SQLite that `sqlite3` uses.

    Raises:
        NoWay: it is built in, and shows none of its functions.
    """
    import _sqlite3

    try:
        library = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
        library.sqlite3_vfs_find.restype = ctypes.c_void_p
        library.sqlite3_vfs_find.argtypes = [ctypes.c_char_p]
        library.sqlite3_vfs_register.argtypes = [ctypes.c_void_p, ctypes.c_int]
    except (OSError, AttributeError):
        raise NoWay("it is built in, and shows none of its functions") from None
    return library
