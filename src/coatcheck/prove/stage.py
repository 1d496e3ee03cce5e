"""A gateway under proof as a person runs it: real programs, a directory of its own, gone at the end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx2

from coatcheck.core.tokens import digest, mint
from coatcheck.errors import CoatcheckError
from coatcheck.ports import Clock, Entropy
from coatcheck.prove.child import DIARY, PLAN
from coatcheck.prove.faults import STRUCK
from coatcheck.prove.vfs import NoWay, sqlite_library
from coatcheck.store.engines.directory import DATABASE_FILE

SERVER: Final = "noting"
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 40.0
GATEWAY: Final = ("-m", "coatcheck.prove.child")
"""What the interpreter is told to run as the gateway."""
_LOOK: Final = 0.05


class CannotProve(CoatcheckError):
    """A proof came to no result: something that it needs is not there."""

    code = "cannot_prove"


class Stage:
    """One gateway, its server and their files. `program` is what is run as the gateway."""

    def __init__(
        self,
        home: Path,
        clock: Clock,
        entropy: Entropy,
        program: Sequence[str] = GATEWAY,
    ) -> None:
        self.home = home
        self.data = home / "data"
        self.notes = home / "notes"
        self.diary = home / "diary"
        self.plan = home / "plan"
        self.clock = clock
        self.grant = mint(entropy.token)
        self.port = free_port()
        self._program = program
        self._gateway: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self.data.mkdir(mode=0o700)

    @property
    def url(self) -> str:
        """The route to the server, of which names are untouched."""
        return f"http://127.0.0.1:{self.port}/mcp/{SERVER}/"

    @property
    def pid(self) -> int:
        """The process id of the gateway."""
        if self._gateway is None:
            raise RuntimeError("the gateway is not running")
        return self._gateway.pid

    def open(self, settings: str = "") -> None:
        """Start the server, and write what the gateway is to know."""
        command = [sys.executable, "-m", "coatcheck.prove.server", str(self.notes)]
        self._server = subprocess.Popen(  # noqa: S603  # our own program
            [*command, str(self.data / DATABASE_FILE)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=_surroundings({}),
            start_new_session=True,
        )
        line = self._server.stdout.readline() if self._server.stdout else b""
        if not line.strip().isdigit():
            raise CannotProve("the server of the proof did not start", fix=self._fix())
        declared = self.data / "servers.json"
        declared.touch(mode=0o600)
        declared.write_text(json.dumps(_declaration(int(line), self.grant)), encoding="utf-8")
        (self.data / "coatcheck.toml").write_text(settings, encoding="utf-8")

    def start(self, *, diary: bool = False) -> None:
        """Start the gateway; return when it can take calls.

        Raises:
            CannotProve: it does not.
        """
        self.diary.unlink(missing_ok=True)
        given = {PLAN: str(self.plan), **({DIARY: str(self.diary)} if diary else {})}
        where = [f"127.0.0.1:{self.port}", str(self.data / "servers.json"), str(self.data)]
        with (self.home / "gateway.log").open("ab") as log:
            self._gateway = subprocess.Popen(  # noqa: S603  # our own program
                [sys.executable, *self._program, *where],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_surroundings(given),
                start_new_session=True,
            )
        self.await_ready()

    def await_ready(self) -> None:
        """Return when the gateway says that it can take calls.

        Raises:
            CannotProve: it does not, within a minute.
        """
        limit = self.clock.monotonic() + START_SECONDS
        while not self._is_ready():
            if self._gateway is None or self._gateway.poll() is not None:
                raise CannotProve(f"the gateway ended by itself: {self._last_words()}", fix=self._fix())
            if self.clock.monotonic() > limit:
                raise CannotProve(f"the gateway did not become ready: {self._last_words()}", fix=self._fix())
            time.sleep(_LOOK)

    def kill(self) -> None:
        """End the gateway as `kill -9` does."""
        child, self._gateway = self._gateway, None
        if child is not None:
            _kill(child)

    def stop(self) -> int:
        """End the gateway as `kill` does; return its exit code, or -9 if it had to be killed."""
        child, self._gateway = self._gateway, None
        if child is None:
            return 0
        child.send_signal(signal.SIGTERM)
        try:
            return child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            _kill(child)
            return -signal.SIGKILL

    def close(self) -> None:
        """End everything that runs."""
        self.kill()
        server, self._server = self._server, None
        if server is not None:
            _kill(server)
            if server.stdout is not None:
                server.stdout.close()

    def seen(self) -> dict[str, str]:
        """Return what the server noted: for each mark, the worst that it saw of its record."""
        found: dict[str, str] = {}
        text = self.notes.read_text(encoding="utf-8") if self.notes.exists() else ""
        for line in text.splitlines():
            mark, _, word = line.partition(" ")
            found[mark] = "twice" if mark in found else word
        return found

    def struck(self) -> int:
        """Return how many operations of the disk failed so far because the plan says so."""
        path = self.plan.with_suffix(STRUCK)
        return path.stat().st_size if path.exists() else 0

    def _is_ready(self) -> bool:
        try:
            return (
                httpx2.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5, trust_env=False).status_code
                == httpx2.codes.OK
            )
        except httpx2.HTTPError:
            return False

    def _last_words(self) -> str:
        log = self.home / "gateway.log"
        lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
        return lines[-1][-300:] if lines else "it said nothing"

    def _fix(self) -> str:
        return "run it again with --keep, and read gateway.log in the directory that it names"


@contextmanager
def staged(
    clock: Clock, entropy: Entropy, *, keep: Path | None, program: Sequence[str] = GATEWAY
) -> Iterator[Stage]:
    """Yield a stage in a temporary directory, or in `keep`, which stays; nothing is left running.

    Raises:
        CannotProve: the directory cannot be made, or no fault can be put under this Python's SQLite.
    """
    try:
        sqlite_library()
    except NoWay as error:
        raise CannotProve(
            f"no fault can be put under the SQLite of this Python: {error}",
            fix="run it with a Python whose SQLite is a library of its own, such as the system's",
        ) from None
    with TemporaryDirectory(prefix="coatcheck-prove-") as temporary:
        home = Path(temporary)
        if keep is not None:
            home = keep.absolute()
            try:
                home.mkdir(mode=0o700, parents=True)
            except OSError as error:
                raise CannotProve(
                    f"{home} cannot be made: {error.strerror}", fix="name a directory that is not there yet"
                ) from None
        stage = Stage(home, clock, entropy, program)
        try:
            yield stage
        finally:
            stage.close()


def free_port() -> int:
    """Return a port of the loopback on which nobody listens now."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


def _declaration(port: int, grant: str) -> dict[str, Any]:
    return {
        "mcpServers": {
            SERVER: {
                "type": "http",
                "url": f"http://127.0.0.1:{port}/mcp",
                "headers": {"Authorization": "Bearer nobody-looks-at-this"},
            }
        },
        "serverAuth": {
            "provider": "bearer",
            "bearer": {"tokens": {f"sha256:{digest(grant)}": {"subject": "prover", "roles": ["caller"]}}},
        },
    }


def _surroundings(given: Mapping[str, str]) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("COATCHECK_", "MCP_"))}
    return {**kept, **given}


def _kill(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
