"""What the journeys of rotation share: a gateway with its commands, a server that checks, a search for secrets."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.crowd import Crowd, ask
from bench.door import Door
from bench.local import Local
from bench.registry import spellings
from gateway import Gateway

WAIT_SECONDS: Final = 30.0
Told = subprocess.CompletedProcess[str]


@dataclass
class Stand:
    """A running gateway and a grant for it. All that commands print is kept, to be searched."""

    gateway: Gateway
    planted: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    server: str = "srv"
    """The server that calls go to where nothing else is said."""
    _grant: str = ""

    @property
    def grant(self) -> str:
        if not self._grant:
            self._grant = self.asked("grant", "issue", "a", "--to", "alice", "--all")["token"]
            self.printed.pop()
        return self._grant

    def run(self, *words: str, stdin: str = "") -> Told:
        told = self.gateway.command(*words, stdin=stdin)
        self.printed.append(told.stdout + told.stderr)
        return told

    def asked(self, *words: str, stdin: str = "") -> Any:
        told = self.run(*words, stdin=stdin)
        assert told.returncode == 0, told.stderr
        return json.loads(told.stdout)

    @property
    def name(self) -> str:
        """The credential of that server's `Authorization`."""
        return f"{self.server}-authorization"

    def add(self, server: str, door: Door, token: str) -> None:
        """Register a server by its URL and token, and make it the one that calls go to."""
        self.server = server
        self.planted.append(token)
        words = ("--url", door.url, "--header", "Authorization: Bearer @-", "--default", "allow-all")
        added = self.asked("server", "add", server, *words, stdin=token)
        assert (added["credentials"], len(added["tools"])) == ([self.name], 2)

    def crowd(self, tool: str = "which", **more: Any) -> Crowd:
        return Crowd(self.gateway.port, self.grant, f"{self.server}__{tool}", **more)

    def label(self, tool: str = "which", **arguments: Any) -> str:
        """Make one call, which must do well, and return whose token the server saw."""
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=WAIT_SECONDS)
        try:
            return ask(connection, self.grant, f"{self.server}__{tool}", arguments)
        finally:
            connection.close()

    def rotate(self, material: str, *more: str, name: str = "") -> Any:
        """Rotate as a person does who pipes the new value in."""
        self.planted.append(material)
        return self.asked("credential", "rotate", name or self.name, *more, stdin=f"{material}\n")

    def not_rotated(self, material: str, *more: str, name: str = "") -> str:
        """Return what is said of a rotation that must not happen."""
        self.planted.append(material)
        told = self.run("credential", "rotate", name or self.name, *more, stdin=f"{material}\n")
        assert (told.returncode, told.stdout) == (1, "")
        return told.stderr

    def stages(self, name: str = "") -> dict[int, str]:
        """Return the stage of each version that still has one, by number."""
        with closing(Local(self.gateway.directory / "coatcheck.sock")) as api:
            versions = api.ask("GET", f"/credentials/{name or self.name}")["versions"]
        return {one["number"]: one["stage"] for one in versions if one["stage"] != "retired"}

    def actions(self) -> list[str]:
        """Return what operators did and the gateway by itself, as the record tells it."""
        told = self.run("logs", "--admin")
        assert told.returncode == 0, told.stderr
        return [json.loads(line)["action"] for line in told.stdout.splitlines()]


@contextmanager
def standing(place: Path, declaration: dict[str, Any] | None = None, **settings: Any) -> Iterator[Stand]:
    """Run a gateway; at the end, no planted secret is in any file, log, record or answer of it."""
    stand = Stand(Gateway(place / "data", declaration or {"mcpServers": {}}, **settings).start())
    try:
        yield stand
        stand.run("logs", "--admin")
        stand.run("logs")
        stand.run("credential", "list")
        nothing_planted(stand)
    finally:
        stand.gateway.stop()


def nothing_planted(stand: Stand) -> None:
    """Search for each secret in each of five encodings, after a search that has to find one."""
    assert stand.planted
    files = [path for path in stand.gateway.directory.rglob("*") if path.is_file()]
    assert {"stderr.log", "coatcheck.sqlite3"} <= {path.name for path in files}
    seen = [(path.name, path.read_bytes()) for path in files]
    seen += [("printed", text.encode()) for text in stand.printed]
    seen.append(("trial", b"x" + next(spellings(stand.planted[0]))))
    wanted = {one for secret in stand.planted for one in spellings(secret)}
    assert {where for where, data in seen if any(one in data for one in wanted)} == {"trial"}


def report(capsys_disabled: Callable[[], Any], what: str, crowd: Crowd, told: dict[str, Any]) -> None:
    """Print how long a rotation took, whatever is captured."""
    with capsys_disabled():
        print(
            f"\n[rotation] {what}: {len(crowd.calls)} calls of {crowd.callers} callers, {len(crowd.failures)} failed; "
            f"in effect after {told['effect_seconds'] * 1000:.0f} ms, drained after {told['drain_seconds'] * 1000:.0f} ms"
        )
