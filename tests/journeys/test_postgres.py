"""A whole gateway on PostgreSQL: everything is kept there, and whatever happens to the server is survived."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coatcheck.model.secret import Secret
from gateway import Answer, Gateway
from journeys.peer import Peer, peer_serving
from postgres import PostgresServer

PASSWORD = "planted-database-password-5541"
STDIO = str(Path(__file__).parent / "children" / "stdio_peer.py")
BACK_SECONDS = 30.0

Make = Callable[..., Gateway]


@dataclass
class Kept:
    """A gateway on a database of its own, whose URL holds a password, and one server that it registered."""

    gateway: Gateway
    url: str
    peer: Peer

    @property
    def database(self) -> str:
        """The name of the database."""
        return self.url.partition("@/")[2].partition("?")[0]

    def ask(self, *words: str) -> Any:
        """Run a command that must do well; return the JSON that it prints."""
        ended = self.gateway.command(*words)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def issue(self, label: str, subject: str = "alice") -> str:
        return str(self.ask("grant", "issue", label, "--to", subject, "--all")["token"])

    def call(self, grant: str) -> Answer:
        return self.gateway.call(grant, "srv__echo", {"n": 1})

    def status(self, grant: str) -> int:
        return self.call(grant).status


def with_password(url: Secret) -> str:
    return url.reveal().replace("postgres@", f"postgres:{PASSWORD}@")


@pytest.fixture
def kept(make_gateway: Make, postgres_url: Secret) -> Iterator[Kept]:
    url = with_password(postgres_url)
    with peer_serving() as peer:
        child = {"command": sys.executable, "args": [STDIO]}
        gateway = make_gateway({"mcpServers": {"child": child}}, env={"COATCHECK_DATABASE": url})
        kept = Kept(gateway, url, peer)
        words = ("--url", peer.url, "--header", "X-Key: planted-header-7", "--default", "allow-all")
        added = kept.ask("server", "add", "srv", *words)
        assert "echo" in [tool["name"] for tool in added["tools"]]
        yield kept
        said = (gateway.directory / "stderr.log").read_text()
        assert "planted" not in said
        assert "Traceback" not in said


def test_everything_is_kept_in_the_database(kept: Kept, postgres: PostgresServer) -> None:
    lost, left, stays = kept.issue("lost"), kept.issue("left", "bob"), kept.issue("stays", "carol")
    assert [kept.status(token) for token in (lost, left, stays)] == [200, 200, 200]
    ended = kept.ask("grant", "revoke", "lost", "--because", "laptop lost")
    assert [each["state"] for each in ended["grants"]] == ["revoked"]
    kept.ask("subject", "offboard", "bob")
    assert [kept.status(token) for token in (lost, left, stays)] == [401, 401, 200]
    before = kept.gateway.logs()
    assert {each["subject"] for each in before if each["outcome"] == "ok"} == {"alice", "bob", "carol"}

    kept.gateway.restart()
    assert [kept.status(token) for token in (lost, left, stays)] == [401, 401, 200]
    assert kept.gateway.logs()[: len(before)] == before
    assert [each["name"] for each in kept.ask("server", "list")["items"] if each["source"] == "store"] == [
        "srv"
    ]
    actions = [each["action"] for each in kept.gateway.logs("--admin")]
    assert {"server.add", "grant.issue", "grant.revoke", "subject.offboard"} <= set(actions)

    kept.gateway.stop()  # commands read the database themselves while no gateway runs
    assert kept.gateway.logs()[: len(before)] == before
    assert {each["action"] for each in kept.gateway.logs("--admin")} == set(actions)
    assert not list(kept.gateway.directory.glob("*.sqlite3*"))
    rows = postgres.sql("SELECT count(*) FROM record", kept.database)
    assert rows[0][0] >= len(before)
    kept.gateway.start()


def test_a_gateway_that_is_killed_loses_nothing(kept: Kept) -> None:
    token = kept.issue("a")
    assert kept.status(token) == 200
    kept.ask("grant", "revoke", "a")
    other = kept.issue("b")
    assert [kept.status(other) for _ in range(5)] == [200] * 5
    before = kept.gateway.logs()
    kept.gateway.children()
    kept.gateway.stop(signal.SIGKILL)
    kept.gateway.start()
    assert (kept.status(token), kept.status(other)) == (401, 200)
    after = kept.gateway.logs()
    assert after[: len(before)] == before
    assert all(each["outcome"] for each in after)


def test_a_second_gateway_is_refused_and_told_who_has_it(kept: Kept, tmp_path: Path) -> None:
    token = kept.issue("a")
    second = Gateway(tmp_path / "second", {"mcpServers": {}}, env={"COATCHECK_DATABASE": kept.url})
    second.write(second.declaration)
    ran = second.command("serve", "--http", f"127.0.0.1:{second.port}")
    assert ran.returncode == 73
    assert re.search(
        rf"the database \S+/{kept.database} is in use by coatcheck \S+ {kept.gateway.pid}\b", ran.stderr
    )
    assert "planted" not in ran.stderr + ran.stdout
    assert not (second.directory / "coatcheck.key").exists()
    assert kept.status(token) == 200


def until(ready: Callable[[], bool], said: Callable[[], str]) -> None:
    limit = time.monotonic() + BACK_SECONDS
    while not ready():
        assert time.monotonic() < limit, said()
        time.sleep(0.05)


def test_a_server_that_stops_and_comes_back(kept: Kept, postgres: PostgresServer) -> None:
    gateway, token, over = kept.gateway, kept.issue("a"), kept.issue("over")
    assert (kept.status(token), kept.status(over)) == (200, 200)
    answers: list[Answer] = []
    under_way = threading.Thread(target=lambda: answers.append(gateway.call(token, "srv__hang", {})))
    under_way.start()
    kept.peer.until(lambda: kept.peer.hanging == 1)
    asked = len(kept.peer.forwarded)
    postgres.stop()
    try:
        kept.peer.release.set()
        under_way.join()
        told = answers[0].body.decode()
        assert "the outcome could not be recorded" in told
        assert '"result"' not in told, "an answer that cannot be put on record is withheld"
        for _ in range(3):
            refused = kept.call(token)
            assert refused.status == 503, refused
            assert b"planted" not in refused.body
        assert len(kept.peer.forwarded) == asked, "nothing is forwarded that is not on record"
        assert gateway.request("GET", "/readyz", {}).status == 503
        assert gateway.request("GET", "/livez", {}).status == 200
        ended = gateway.command("grant", "revoke", "over")
        assert ended.returncode == 69, ended
        logs = gateway.command("logs")
        assert logs.returncode == 69, logs
        told = ended.stderr + logs.stderr + gateway.command("doctor").stdout
        assert "planted" not in told
        assert "Traceback" not in told
    finally:
        postgres.start_again()
    until(lambda: gateway.request("GET", "/readyz", {}).status == 200, gateway.said)
    assert (kept.status(token), kept.status(over)) == (200, 200)
    kept.ask("grant", "revoke", "over")
    assert (kept.status(token), kept.status(over)) == (200, 401)
    assert {each["outcome"] for each in gateway.logs()} <= {"ok", "denied", "unknown"}
    gateway.restart()
    assert (kept.status(token), kept.status(over)) == (200, 401)


def test_the_gateway_ends_well_while_the_server_is_away(kept: Kept, postgres: PostgresServer) -> None:
    token = kept.issue("a")
    assert kept.status(token) == 200
    postgres.stop()
    try:
        assert kept.status(token) == 503
        kept.gateway.stop()
        refused = run(kept, "serve", "--http", f"127.0.0.1:{kept.gateway.port}")
        assert refused.returncode == 78, refused
        assert "cannot be opened" in refused.stderr
        assert "planted" not in refused.stderr
    finally:
        postgres.start_again()
    kept.gateway.start()
    assert kept.status(token) == 200


def run(kept: Kept, *words: str) -> subprocess.CompletedProcess[str]:
    return kept.gateway.command(*words)


def test_the_password_is_shown_nowhere(kept: Kept) -> None:
    token = kept.issue("a")
    assert kept.status(token) == 200
    shown = kept.ask("config", "show")
    assert PASSWORD not in json.dumps(shown)
    health = kept.gateway.request("GET", "/health", {}).body
    metrics = kept.gateway.request("GET", "/metrics", {}).body
    assert b"planted" not in health + metrics
    for words in (
        ["config", "show"],
        ["doctor"],
        ["logs"],
        ["logs", "--admin"],
        ["list"],
        ["server", "show", "srv"],
    ):
        ended = run(kept, *words)
        assert ended.stdout, words
        assert "planted" not in ended.stdout + ended.stderr, words
    told = kept.gateway.call(token, "child__env", {"name": "COATCHECK_DATABASE"})
    assert told.status == 200
    assert b"planted" not in told.body, "servers that are commands do not get it"
    for path in kept.gateway.directory.rglob("*"):
        if path.is_file() and path.name != "servers.json":
            assert b"planted" not in path.read_bytes(), path


def test_migrate_and_backup(kept: Kept, tmp_path: Path, postgres_url: Secret) -> None:
    assert kept.ask("migrate", "--check")["current"] is True
    running = run(kept, "migrate")
    assert running.returncode == 73, running
    for words in (["backup", str(tmp_path / "copy")], ["restore", str(tmp_path / "copy")]):
        refused = run(kept, *words)
        assert refused.returncode == 78
        assert "pg_dump" in refused.stderr
    assert not (tmp_path / "copy").exists()
    kept.gateway.stop()
    done = kept.ask("migrate")
    assert (done["from"], done["copy"]) == (done["to"], None)
    kept.gateway.start()


def test_a_new_database_is_migrated_by_a_command(postgres_url: Secret, tmp_path: Path) -> None:
    gateway = Gateway(
        tmp_path / "data", {"mcpServers": {}}, env={"COATCHECK_DATABASE": with_password(postgres_url)}
    )
    gateway.write(gateway.declaration)
    checked = gateway.command("migrate", "--check")
    assert (checked.returncode, json.loads(checked.stdout)["revision"]) == (1, None)
    assert gateway.command("migrate").returncode == 0
    assert gateway.command("migrate", "--check").returncode == 0


def test_the_flag_and_the_file_of_settings(
    make_gateway: Make, postgres_url: Secret, postgres: PostgresServer
) -> None:
    url = with_password(postgres_url)
    gateway = make_gateway({"mcpServers": {}}, arguments=["--database", url])
    name = url.partition("@/")[2].partition("?")[0]
    assert postgres.sql("SELECT count(*) FROM sealing_key", name) == [(1,)]
    assert json.loads(gateway.command("grant", "issue", "a", "--to", "x", "--all").stdout)["token"]
    gateway.stop()
    copy = str(gateway.directory.parent / "copy")
    for words in (
        ["logs"],
        ["backup", copy],
        ["migrate"],
        ["migrate", "--check"],
        ["serve", "--http", "127.0.0.1:0"],
    ):
        refused = gateway.command(*words)  # they do not know the URL, and begin no empty store of their own
        assert refused.returncode == 78, (words, refused)
        assert f"/{name}, whose URL is not given" in refused.stderr
        assert "planted" not in refused.stderr
    assert not list(gateway.directory.glob("*.sqlite3*"))
    settings = gateway.directory / "coatcheck.toml"
    settings.write_text(f'database = "{url}"\n')
    settings.chmod(0o600)
    gateway.arguments = []
    gateway.start()
    assert [each["label"] for each in json.loads(gateway.command("grant", "list").stdout)["items"]] == ["a"]


def test_a_key_that_is_lost_is_not_made_anew(kept: Kept) -> None:
    token = kept.issue("a")
    assert kept.status(token) == 200
    kept.gateway.stop()
    path = kept.gateway.directory / "coatcheck.key"
    key = path.rename(path.with_name("elsewhere"))
    refused = run(kept, "migrate", "--accept-damage", "lost")
    assert (refused.returncode, "no key is given" in refused.stderr) == (78, True)
    read = run(kept, "logs")
    assert (read.returncode, '"subject"' in read.stdout) == (0, True), "records need no key"
    kept.gateway.start(ready=503)
    assert kept.status(token) == 503
    assert not path.exists()
    key.rename(path)
    until(lambda: kept.status(token) == 200, kept.gateway.said)
