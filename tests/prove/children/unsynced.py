"""A gateway that is broken: its database tells it that everything is written, and never syncs."""

from __future__ import annotations

import sys

from coatcheck.prove.child import main
from coatcheck.store.engines import sqlite_connection

sqlite_connection._WRITER_PRAGMAS = ("synchronous = OFF",)  # type: ignore[assignment,misc]

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
