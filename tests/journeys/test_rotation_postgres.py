"""A password of a real database that is really changed, behind real PostgreSQL servers from the registry.

Two orders that people use. With two login roles that take turns, the idle one gets a new password, the
rotation moves everything to it, and the other is locked: at no time is a good way in missing. With one role, its
password is changed and the rotation follows at once: what is connected stays so, and only a child that
opened a new connection in between would be refused, which is the reason for the first order.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from journeys.rotating import Stand, report, standing
from postgres import PostgresServer
from real.installed import node_server, npm_server

pytestmark = pytest.mark.real

WHO = {"sql": "SELECT current_user AS who, secret FROM seen"}
PROBE = f"query {json.dumps({'sql': 'SELECT 1'})}"


@dataclass
class Database:
    """A database with login roles that have passwords, on a server that asks for them."""

    server: PostgresServer
    name: str
    socket: str
    roles: list[str] = field(default_factory=list)

    def password(self, role: str) -> str:
        """Give a role a new password, which is in force at once, and return it."""
        new = secrets.token_urlsafe(18)
        self.server.sql(f"ALTER ROLE {role} LOGIN PASSWORD '{new}'")
        return new

    def lock(self, role: str) -> None:
        """Let a role in no longer; who is in stays."""
        self.server.sql(f"ALTER ROLE {role} NOLOGIN PASSWORD NULL")

    def dsn(self, role: str, password: str) -> str:
        return f"postgresql://{role}:{password}@localhost/{self.name}?host={self.socket}"

    def connections(self, role: str, before: str = "infinity") -> int:
        """Count the connections of a role that began before a moment of the database's clock."""
        asked = (
            f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}' AND backend_start < '{before}'"
        )
        return int(self.server.sql(asked)[0][0])

    def now(self) -> str:
        return str(self.server.sql("SELECT clock_timestamp()::text")[0][0])


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[Database]:
    name = postgres.new_database().split("@/")[1].split("?")[0]
    (socket,) = postgres.sql("SHOW unix_socket_directories")[0]
    roles = [f"{name}_a", f"{name}_b"]
    (hba,) = postgres.sql("SHOW hba_file")[0]
    before = Path(hba).read_text()
    Path(hba).write_text(f"local {name} {','.join(roles)} scram-sha-256\n{before}")
    postgres.sql("SELECT pg_reload_conf()")
    postgres.sql("CREATE TABLE seen AS SELECT 7 AS secret", name)
    for role in roles:
        postgres.sql(f"CREATE ROLE {role}")
        postgres.sql(f"GRANT SELECT ON seen TO {role}", name)
    yield Database(postgres, name, socket, roles)
    Path(hba).write_text(before)
    postgres.sql("SELECT pg_reload_conf()")


@pytest.fixture(scope="module")
def the_stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with standing(tmp_path_factory.mktemp("stand")) as made:
        yield made


@pytest.fixture
def stand(the_stand: Stand) -> Iterator[Stand]:
    the_stand.server = f"pg{len(the_stand.planted)}"
    yield the_stand
    assert the_stand.run("server", "remove", the_stand.server).returncode == 0


def who(text: str) -> str:
    """Return the role that a query ran as."""
    found: Any = json.loads(text)
    rows = found["rows"] if isinstance(found, dict) else found
    assert rows[0]["secret"] == 7
    return str(rows[0]["who"])


def add(stand: Stand, material: str, *more: str) -> str:
    """Register the server that takes its database from the environment; return its credential's name."""
    stand.planted.append(material)
    command = ("--", *npm_server("mcp-postgres-server", "build/index.js"))
    words = ("server", "add", stand.server, "--env", "DATABASE_URL=@-", "--default", "allow-all")
    (name,) = stand.asked(*words, *more, *command, stdin=material)["credentials"]
    assert name == f"{stand.server}-database_url"
    return str(name)


def test_two_roles_that_take_turns(
    stand: Stand, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a probe, a new value is proven; and each turn moves all 64 callers without a failed call."""
    a, b = database.roles
    name = add(stand, database.dsn(a, database.password(a)), "--probe", PROBE)
    crowd = stand.crowd("query", arguments=WHO, read=who)
    with crowd.calling():
        for old, new in ((a, b), (b, a)):
            assert database.connections(old) > 0
            told = stand.rotate(database.dsn(new, database.password(new)), name=name)
            drained = time.monotonic()
            assert (told["assurance"], told["drained"], told["left"]) == ("proven", True, 0)
            database.lock(old)
            crowd.until(new)
            assert crowd.labels(drained).keys() == {new}
            assert (database.connections(old), database.connections(new)) == (0, 1)
            report(capsys.disabled, f"a database, from role {old} to {new}", crowd, told)
        # Wrong passwords, for a role that is good and for one that is locked: the reason comes without them.
        wrong = secrets.token_urlsafe(18)
        for role in (a, b):
            words = stand.not_rotated(database.dsn(role, wrong), name=name)
            assert "probe" in words
            assert "Nothing changed." in words
        assert "authentication failed" in words
        crowd.more()
        assert stand.stages(name) == {3: "active", 2: "previous"}
    assert crowd.failures == []
    assert database.connections(b) == 0


def test_one_role_whose_password_changes(
    stand: Stand, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """The credential is a part of an argument here, and the server asks the database for its lists."""
    role = database.roles[0]
    stand.planted.append(first := database.password(role))
    stand.asked("credential", "add", "pg-password", stdin=first)
    dsn = database.dsn(role, "${credential:pg-password}")
    command = ("--", *node_server("postgres"), dsn)
    stand.asked("server", "add", stand.server, "--default", "allow-all", "--probe", PROBE, *command)
    crowd = stand.crowd("query", arguments=WHO, read=who)
    with crowd.calling():
        second, changed = database.password(role), database.now()
        told = stand.rotate(second, name="pg-password")
        assert (told["assurance"], told["drained"], told["left"]) == ("proven", True, 0)
        assert database.connections(role, before=changed) == 0
        crowd.until(role)
        assert database.connections(role) > 0
        words = stand.not_rotated(first, name="pg-password")
        assert "password authentication failed" in words
    assert crowd.failures == []
    report(capsys.disabled, "a database, the password of one role", crowd, told)


def test_without_a_probe_a_server_that_lists_without_connecting_proves_nothing(
    stand: Stand, database: Database
) -> None:
    a, b = database.roles
    name = add(stand, database.dsn(a, database.password(a)))
    good = database.dsn(b, database.password(b))
    words = stand.not_rotated(good, name=name)
    assert "obviously wrong one" in words
    assert stand.stages(name) == {1: "active"}
    stand.asked("server", "change", stand.server, "--probe", PROBE)
    assert stand.rotate(good, name=name)["assurance"] == "proven"
