"""A gateway administered while it runs, by the commands that a person types."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway import Gateway, new_grant
from journeys.peer import Peer, peer_serving
from visitor import Visitor

Make = Callable[..., Gateway]
CREDENTIAL = "canary-credential-8812"


@pytest.fixture
def peer() -> Iterator[Peer]:
    with peer_serving() as found:
        yield found


@pytest.fixture
def gateway(make_gateway: Make, peer: Peer) -> Gateway:
    """A gateway whose one server was registered by a command."""
    made = make_gateway({"mcpServers": {}})
    header = ("--header", f"Authorization: Bearer {CREDENTIAL}")
    added = asked(made, "server", "add", "srv", "--url", peer.url, *header, "--default", "allow-all")
    assert "echo" in [tool["name"] for tool in added["tools"]]
    return made


def asked(gateway: Gateway, *words: str, stdin: str = "") -> Any:
    """Run a command that must do well, and return the JSON that it prints."""
    ended = gateway.command(*words, stdin=stdin)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def issue(gateway: Gateway, label: str, subject: str = "alice", *more: str) -> str:
    token = asked(gateway, "grant", "issue", label, "--to", subject, *(more or ("--all",)))["token"]
    assert re.fullmatch(r"cckg_[0-9A-Za-z]{61}", token)
    return str(token)


def status(gateway: Gateway, grant: str | None) -> int:
    return gateway.call(grant, "srv__echo", {"n": 1}).status


def changes(gateway: Gateway) -> list[dict[str, Any]]:
    ended = gateway.command("logs", "--admin")
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_issue_call_revoke(gateway: Gateway, peer: Peer) -> None:
    grant = issue(gateway, "alice-laptop", "alice", "--server", "srv")
    assert status(gateway, grant) == 200
    assert peer.forwarded[-1].headers["authorization"] == f"Bearer {CREDENTIAL}"
    assert status(gateway, None) == 401
    ended = asked(gateway, "grant", "revoke", "alice-laptop", "--because", "laptop lost")
    assert [each["state"] for each in ended["grants"]] == ["revoked"]
    assert status(gateway, grant) == 401
    (shown,) = asked(gateway, "grant", "list", "--subject", "alice")["items"]
    assert (shown["state"], shown["because"], shown["revoked_by"]) == ("revoked", "laptop lost", "local")
    told = [(each["action"], each["object_name"]) for each in changes(gateway)]
    assert ("server.add", "srv") in told
    assert told[-1] == ("grant.revoke", "alice-laptop")
    assert CREDENTIAL not in json.dumps(changes(gateway))
    gateway.restart()
    assert status(gateway, grant) == 401


def test_a_call_under_way_is_cut_before_revoke_returns(gateway: Gateway, peer: Peer) -> None:
    grant = issue(gateway, "a")
    assert status(gateway, grant) == 200
    answers: list[Any] = []
    caller = threading.Thread(target=lambda: answers.append(gateway.call(grant, "srv__hang", {})))
    caller.start()
    with peer.news:
        assert peer.news.wait_for(lambda: peer.hanging == 1, 20)
    ended = asked(gateway, "grant", "revoke", "a")
    assert ended["calls"] == 1
    caller.join(20)
    assert not caller.is_alive()
    assert answers
    peer.release.set()


def test_offboarding_ends_every_way_in(make_gateway: Make, peer: Peer) -> None:
    of_file, key = new_grant()
    others, others_key = new_grant()
    bearer = {"tokens": {key: {"subject": "alice"}, others_key: {"subject": "bob"}}}
    declaration = {
        "mcpServers": {"srv": {"url": peer.url}},
        "serverAuth": {"providers": ["bearer"], "bearer": bearer},
    }
    gateway = make_gateway(declaration)
    issued = issue(gateway, "alice-ci")
    assert [status(gateway, each) for each in (of_file, issued, others)] == [200, 200, 200]
    sources = {each["source"] for each in asked(gateway, "grant", "list", "--subject", "alice")["items"]}
    assert sources == {"file", "store"}
    ended = asked(gateway, "subject", "offboard", "alice", "--because", "left")
    assert len(ended["grants"]) == 2
    assert [status(gateway, each) for each in (of_file, issued, others)] == [401, 401, 200]
    gateway.restart()
    assert [status(gateway, each) for each in (of_file, issued, others)] == [401, 401, 200]
    assert asked(gateway, "subject", "show", "alice")["disabled"] is True
    assert asked(gateway, "access", "--subject", "bob")["items"][0]["allowed"] is True


def test_rotate_with_and_without_overlap(gateway: Gateway) -> None:
    first = issue(gateway, "a")
    second = asked(gateway, "grant", "rotate", "a", "--overlap", "1h")["token"]
    assert [status(gateway, each) for each in (first, second)] == [200, 200]
    third = asked(gateway, "grant", "rotate", "a")["token"]
    assert [status(gateway, each) for each in (first, third)] == [401, 200]
    assert status(gateway, second) == 401


def test_a_server_taken_away_and_given_back(gateway: Gateway) -> None:
    grant = issue(gateway, "a")
    assert "result" in gateway.call(grant, "srv__echo", {}).json()
    asked(gateway, "server", "disable", "srv", "--because", "leak")
    assert "error" in gateway.call(grant, "srv__echo", {}).json()
    assert asked(gateway, "server", "show", "srv")["disabled"] is True
    asked(gateway, "server", "enable", "srv")
    assert "result" in gateway.call(grant, "srv__echo", {}).json()
    asked(gateway, "server", "remove", "srv")
    assert asked(gateway, "server", "list")["items"] == []


def test_a_new_credential_is_used_by_the_next_call(gateway: Gateway, peer: Peer) -> None:
    grant = issue(gateway, "a")
    assert status(gateway, grant) == 200
    asked(gateway, "server", "change", "srv", "--header", "Authorization: Bearer @-", stdin="another\n")
    assert status(gateway, grant) == 200
    assert peer.forwarded[-1].headers["authorization"] == "Bearer another"
    assert "another" not in json.dumps(asked(gateway, "server", "show", "srv"))


def test_a_grant_narrowed_and_widened(gateway: Gateway) -> None:
    grant = issue(gateway, "a", "alice", "--server", "srv", "--tools", "srv__sl*")
    assert "error" in gateway.call(grant, "srv__echo", {}).json()
    asked(gateway, "grant", "change", "a", "--every-tool", "--label", "b")
    assert "result" in gateway.call(grant, "srv__echo", {}).json()
    assert asked(gateway, "grant", "show", "b")["tools"] is None


def test_many_from_a_file_all_or_none(gateway: Gateway, tmp_path: Path) -> None:
    team, out = tmp_path / "team.csv", tmp_path / "tokens.csv"
    rows = [f"laptop-{number},user-{number},srv" for number in range(20)]
    team.write_text("\n".join(["label,subject,servers", *rows, "laptop-3,again,srv"]) + "\n")
    ended = gateway.command("grant", "issue", "--csv", str(team), "--out", str(out))
    assert ended.returncode == 1, ended.stderr
    assert not out.exists()
    assert asked(gateway, "grant", "list")["items"] == []
    team.write_text("\n".join(["label,subject,servers", *rows]) + "\n")
    assert asked(gateway, "grant", "issue", "--csv", str(team), "--out", str(out))["issued"] == 20
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    made = list(csv.DictReader(out.read_text().splitlines()))
    assert [status(gateway, each["token"]) for each in made] == [200] * 20
    assert len(asked(gateway, "grant", "revoke", *[each["label"] for each in made])["grants"]) == 20
    assert {status(gateway, each["token"]) for each in made} == {401}


def test_a_claim_link_gives_the_token_once(gateway: Gateway) -> None:
    link = asked(gateway, "grant", "issue", "a", "--to", "alice", "--all", "--claim")["claim_url"]
    path = link.removeprefix(gateway.origin)
    owner = Visitor(gateway.port)
    for _ in range(2):
        shown = owner.get(path)
        assert (shown.status, re.search(r"cckg_\w{61}", shown.html)) == (200, None)
    found = re.search(r"cckg_\w{61}", owner.send(path).html)
    assert found is not None
    assert status(gateway, found[0]) == 200
    assert owner.get(path).status == 404
    assert asked(gateway, "grant", "show", "a")["state"] == "live"


def test_backup_and_restore(gateway: Gateway, make_gateway: Make, tmp_path: Path) -> None:
    live, dead = issue(gateway, "live"), issue(gateway, "dead")
    asked(gateway, "grant", "revoke", "dead")
    copy, place = tmp_path / "copy.backup", tmp_path / "restored"
    assert asked(gateway, "backup", str(copy))["bytes"] == copy.stat().st_size
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    for secret in (live, dead, CREDENTIAL):
        assert secret.encode() not in copy.read_bytes()
    later = issue(gateway, "later")
    gateway.stop()
    place.mkdir(mode=0o700)
    refused = gateway.command("restore", str(copy), "--data", str(place))
    assert refused.returncode == 78
    assert "key" in refused.stderr
    (place / "coatcheck.key").write_bytes((gateway.directory / "coatcheck.key").read_bytes())
    (place / "coatcheck.key").chmod(0o600)
    asked(gateway, "restore", str(copy), "--data", str(place))
    assert gateway.command("restore", str(copy), "--data", str(place)).returncode == 78
    assert asked(gateway, "migrate", "--check", "--data", str(place))["current"] is True
    gateway.directory = place
    gateway.start()
    assert [status(gateway, each) for each in (live, dead, later)] == [200, 401, 401]
    assert gateway.command("migrate", "--data", str(place)).returncode == 73


# --- operators elsewhere ----------------------------------------------------------------------------------


def test_operators_at_a_distance_by_role(gateway: Gateway, tmp_path: Path) -> None:
    for name, role in (("ann", "admin"), ("vic", "viewer")):
        words = asked(gateway, "operator", "add", name, "--role", role)["login"].split()
        home = tmp_path / name
        home.mkdir()
        ended = elsewhere(home, *words[1:])
        assert (ended.returncode, json.loads(ended.stdout)["role"]) == (0, role), ended.stderr
        assert elsewhere(home, *words[1:]).returncode == 77  # the code was for once
    here = ("--url", gateway.origin)
    issued = elsewhere(tmp_path / "ann", "grant", "issue", "a", "--to", "alice", "--all", *here)
    assert issued.returncode == 0, issued.stderr
    assert json.loads(issued.stdout)["url"] == gateway.url
    assert elsewhere(tmp_path / "vic", "grant", "list", *here).returncode == 0
    for words in (["grant", "revoke", "a"], ["operator", "list"], ["logs", "--admin"], ["logs"]):
        ended = elsewhere(tmp_path / "vic", *words, *here)
        assert ended.returncode == 77, (words, ended.stdout)
    copy = tmp_path / "far.backup"
    assert elsewhere(tmp_path / "ann", "backup", str(copy), *here).returncode == 0
    assert copy.stat().st_size > 1000
    last = changes(gateway)[-1]
    assert (last["actor"], last["role"], last["origin"]) == ("ann", "admin", "127.0.0.1")
    asked(gateway, "operator", "end", "ann")
    assert elsewhere(tmp_path / "ann", "grant", "list", *here).returncode == 77


def elsewhere(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as somebody who has no data directory of a gateway."""
    kept = {
        name: text for name, text in os.environ.items() if not name.startswith(("COATCHECK_", "MCP_", "XDG_"))
    }
    return subprocess.run(
        [sys.executable, "-m", "coatcheck", *words],
        env={**kept, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


# --- the first start -----------------------------------------------------------------------------------------


@contextmanager
def up(home: Path, data: Path) -> Iterator[tuple[str, Path]]:
    """Run `coatcheck up`; yields its address and the file of what it says, once a command reaches it."""
    kept = {
        name: text for name, text in os.environ.items() if not name.startswith(("COATCHECK_", "MCP_", "XDG_"))
    }
    said = home / "said"
    with said.open("w") as target:
        child = subprocess.Popen(
            [sys.executable, "-m", "coatcheck", "up", "--data", str(data), "--http", "127.0.0.1:0"],
            env={**kept, "HOME": str(home)},
            stdout=target,
            stderr=target,
        )
    try:
        while (found := re.search(r"listening on (http://\S+)\n", said.read_text())) is None:
            assert child.poll() is None, said.read_text()
            time.sleep(0.02)
        assert elsewhere(home, "operator", "list", "--data", str(data)).returncode == 0
        yield found[1], said
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(30)


def test_up_sets_itself_up(tmp_path: Path) -> None:
    home, data = tmp_path / "home", tmp_path / "new" / "state"
    usual = home / ".config" / "mcp" / "servers.json"
    usual.parent.mkdir(parents=True)
    usual.write_text('{"mcpServers": {"private": {"command": "false"}}}')
    with up(home, data) as (url, said):
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        assert stat.S_IMODE((data / "coatcheck.key").stat().st_mode) == 0o600
        (line,) = re.findall(
            r"coatcheck (login --url \S+ --code cckb_[0-9A-Za-z]{61})$", said.read_text(), re.MULTILINE
        )
        assert json.loads(elsewhere(home, "server", "list", "--data", str(data)).stdout)["items"] == []
        assert elsewhere(home, *line.split()).returncode == 0
        ended = elsewhere(home, "grant", "issue", "a", "--to", "alice", "--all", "--url", url)
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)["grant"]["issued_by"] == "admin"
    with up(home, data) as (_, said):
        assert "--code" not in said.read_text()


def test_up_serves_nobody_without_a_grant(tmp_path: Path) -> None:
    import http.client

    home = tmp_path / "home"
    home.mkdir()
    with up(home, tmp_path / "state") as (url, _):
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
        connection.request("POST", "/mcp", "{}", {"Content-Type": "application/json"})
        assert connection.getresponse().status == 401
        connection.close()
    data = tmp_path / "open"
    data.mkdir(mode=0o700)
    (data / "servers.json").write_text('{"mcpServers": {}, "serverAuth": {"providers": ["none"]}}')
    ended = elsewhere(home, "up", "--data", str(data), "--http", "127.0.0.1:0")
    assert ended.returncode == 78
    assert "serves nobody without a grant" in ended.stderr


# --- completion --------------------------------------------------------------------------------------------


def test_a_shell_completes_names_and_is_silent_without_a_gateway(gateway: Gateway) -> None:
    issue(gateway, "alice-laptop")
    issue(gateway, "alice-ci")
    assert completed(gateway, "coatcheck grant revoke alice-") == ["alice-ci", "alice-laptop"]
    assert completed(gateway, "coatcheck server show s") == ["srv"]
    assert completed(gateway, "coatcheck subject offboard ") == ["alice"]
    assert completed(gateway, "coatcheck grant re") == ["revoke", "restore"]
    gateway.stop()
    assert completed(gateway, "coatcheck grant revoke alice-") == []


def completed(gateway: Gateway, typed: str) -> list[str]:
    """Return what the script for bash offers after what was typed."""
    program = gateway.directory / "coatcheck"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m coatcheck "$@"\n')
    program.chmod(0o755)
    words = typed.split(" ")
    lines = [
        'eval "$(coatcheck completion bash)"',
        f"COMP_WORDS=({' '.join(words[:-1])} {words[-1] or repr('')})",
        f"COMP_CWORD={len(words) - 1}",
        "_coatcheck_completion coatcheck",
        'printf "%s\\n" "${COMPREPLY[@]}"',
    ]
    ended = subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        env={
            **os.environ,
            "PATH": f"{gateway.directory}:{os.environ['PATH']}",
            "COATCHECK_DATA": str(gateway.directory),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stderr == ""
    return [line for line in ended.stdout.splitlines() if line]


# --- a store that was changed behind the gateway's back ---------------------------------------------------------


def edit_store(gateway: Gateway, statement: str) -> None:
    """Change the database as somebody would who has the file, and not the key."""
    with contextlib.closing(sqlite3.connect(gateway.directory / "coatcheck.sqlite3")) as database:
        assert database.execute(statement).rowcount == 1
        database.commit()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE subject SET disabled = 0 WHERE name = 'bob'",
        "DELETE FROM subject WHERE name = 'bob'",
        "UPDATE subject SET name = 'bobby' WHERE name = 'bob'",
    ],
)
def test_nobody_is_let_in_while_a_restriction_may_be_missing(gateway: Gateway, statement: str) -> None:
    alice, bob = issue(gateway, "alice-laptop", "alice"), issue(gateway, "bob-laptop", "bob")
    assert (status(gateway, alice), status(gateway, bob)) == (200, 200)
    asked(gateway, "subject", "disable", "bob", "--because", "left")
    assert (status(gateway, alice), status(gateway, bob)) == (200, 401)
    gateway.stop()
    edit_store(gateway, statement)
    gateway.start(ready=503)
    assert (status(gateway, alice), status(gateway, bob), status(gateway, None)) == (503, 503, 503)
    assert "changed outside of the gateway" in gateway.command("doctor").stdout
    gateway.stop()
    assert gateway.command("migrate", "--accept-damage", "").returncode == 2
    assert asked(gateway, "migrate", "--accept-damage", "a slip of the DBA")["damaged"]
    gateway.start()
    assert status(gateway, alice) == 200
    assert changes(gateway)[-1]["because"] == "a slip of the DBA"
    assert asked(gateway, "subject", "list")["items"] != []


def test_a_grant_that_was_changed_outside_is_not_used_and_the_others_are(gateway: Gateway) -> None:
    alice, bob = issue(gateway, "alice-laptop", "alice"), issue(gateway, "bob-laptop", "bob")
    gateway.stop()
    edit_store(gateway, "UPDATE \"grant\" SET expires_at = NULL WHERE label = 'bob-laptop'")
    gateway.start()
    assert (status(gateway, alice), status(gateway, bob)) == (200, 401)
