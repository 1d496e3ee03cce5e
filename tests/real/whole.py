"""Drives whole SDKs: any number of connections in one program, requests side by side, and all that servers say."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from real.installed import last_sdk_1, node, npm_clients, older_sdk, surroundings

SCRIPTS: Final = Path(__file__).parent / "clients"
ANSWER_SECONDS: Final = 60.0
EVERYTHING: Final = ("sampling", "elicitation", "roots")
MODERN: Final = "2026-07-28"

Listed = list[dict[str, Any]]
Names = list[str]


class Failed(Exception):
    """What the SDK said of a request that failed; `code` is None where it was no JSON-RPC error."""

    def __init__(self, failure: dict[str, Any]) -> None:
        super().__init__(failure["message"])
        self.code: int | None = failure["code"]
        self.data: Any = failure["data"]


@dataclass(frozen=True)
class Way:
    """How to reach a server: a URL with headers, or a command."""

    asked: Mapping[str, Any]

    @classmethod
    def to(cls, url: str, grant: str = "", *, way: str = "http") -> Way:
        """Reach a URL: by `http`, which is streamable, or by the older `sse`."""
        return cls({"way": way, "url": url, "headers": {"Authorization": f"Bearer {grant}"} if grant else {}})

    @classmethod
    def by(cls, command: Sequence[str], env: Mapping[str, str], words: Path) -> Way:
        """Start a command and speak over its standard streams; a Python SDK writes what it says to `words`."""
        program, *args = command
        return cls({"way": "stdio", "command": program, "args": args, "env": dict(env), "words": str(words)})


class Driver:
    """A running driver: a program around one SDK."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        self._words = (Path(env["HOME"]) / "driver.log").open("ab")
        self._child = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )
        self._waiting: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        self._last = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def begin(self, on: str, do: str, **asked: Any) -> tuple[int, Future[Any]]:
        """Send a request; return its number and what comes of it, which fails with `Failed`."""
        assert self._child.stdin is not None
        found: Future[Any] = Future()
        with self._lock:
            self._last += 1
            number = self._last
            self._waiting[number] = found
            self._child.stdin.write(json.dumps({"id": number, "on": on, "do": do, **asked}).encode() + b"\n")
            self._child.stdin.flush()
        return number, found

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            answer = json.loads(line)
            found = self._waiting.pop(answer["id"])
            if "failed" in answer:
                found.set_exception(Failed(answer["failed"]))
            else:
                found.set_result(answer["result"])
        for found in list(self._waiting.values()):
            found.set_exception(Failed({"code": None, "message": "the driver has ended", "data": None}))

    def close(self) -> None:
        """Let every connection go, and the program."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        try:
            self._child.wait(20)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._reader.join(5)
        self._child.stdout.close()
        self._words.close()


class Begun:
    """A request that is under way."""

    def __init__(self, party: Party, number: int, found: Future[Any]) -> None:
        self._party, self._number, self._found = party, number, found

    @property
    def is_done(self) -> bool:
        """Whether it has an answer, or has failed."""
        return self._found.done()

    def result(self) -> Any:
        """Wait for the answer. Raises `Failed`."""
        return self._found.result(ANSWER_SECONDS)

    def cancel(self) -> None:
        """Give it up as the SDK gives up requests."""
        self._party.ask("cancel", of=self._number)


class Party:
    """One connection of a driver."""

    def __init__(self, driver: Driver, name: str) -> None:
        self._driver, self.name = driver, name
        self.greeting: dict[str, Any] = {}

    def begin(self, do: str, **asked: Any) -> Begun:
        """Start a request and go on."""
        return Begun(self, *self._driver.begin(self.name, do, **asked))

    def ask(self, do: str, **asked: Any) -> Any:
        """Make a request and wait for its answer. Raises `Failed`."""
        return self.begin(do, **asked).result()

    def list(self, of: str) -> Listed:
        """Return one list, whole."""
        found: Listed = self.ask("list", of=of)
        return found

    def names(self) -> Names:
        """Return the names of the tools."""
        return [tool["name"] for tool in self.list("tools")]

    def call(self, tool: str, progress: bool = False, **arguments: Any) -> dict[str, Any]:
        """Call a tool; with `progress`, the result tells what came of it under that key."""
        found: dict[str, Any] = self.ask("call", tool=tool, arguments=arguments, progress=progress)
        return found

    def text(self, tool: str, **arguments: Any) -> str:
        """Return the text of a call that succeeds."""
        found = self.call(tool, **arguments)
        assert not found.get("isError"), found
        return "".join(part.get("text", "") for part in found["content"])

    def heard(self, kind: str | None = None, count: int = 1) -> Listed:
        """Return what was said unasked since the last time, once there is so much of a kind."""
        found: Listed = self.ask("heard", **({"kind": kind, "count": count} if kind else {}))
        return found

    def close(self) -> None:
        """End the connection, and its session."""
        self.ask("close")


@dataclass(frozen=True)
class Kind:
    """One SDK in one era. `asks` names what it can be asked; `old_sse` whether it has the older transport."""

    name: str
    command: Callable[[], Sequence[str]]
    era: str = "legacy"
    is_node: bool = False
    asks: tuple[str, ...] = EVERYTHING

    def start(self, home: Path) -> Driver:
        """Start the program."""
        home.mkdir(parents=True, exist_ok=True)
        env = surroundings(home)
        return Driver(self.command(), env, npm_clients() if self.is_node else home)

    @contextmanager
    def connect(
        self, driver: Driver, name: str, way: Way, can: Sequence[str] | None = None, **more: Any
    ) -> Iterator[Party]:
        """Open a connection under a name, able to be asked all that the SDK can be asked, or what is said."""
        party = Party(driver, name)
        able = self.asks if can is None else can
        party.greeting = party.ask("open", can=list(able), era=self.era, **way.asked, **more)
        yield party
        if way.asked["way"] == "stdio":
            party.begin("close")  # the SDK may give the command two seconds to end; that is no wait of ours
        else:
            party.close()


class Drivers:
    """The running drivers of one test module, each started when first needed."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._running: dict[Sequence[str], Driver] = {}
        self._stack = ExitStack()
        self._numbers = count(1)
        self._starting = threading.Lock()

    def of(self, kind: Kind) -> Driver:
        """Return the driver around this SDK."""
        command = tuple(kind.command())
        with self._starting:
            if command not in self._running:
                driver = kind.start(self._place / kind.name)
                self._stack.callback(driver.close)
                self._running[command] = driver
            return self._running[command]

    @contextmanager
    def connect(self, kind: Kind, way: Way, can: Sequence[str] | None = None, **more: Any) -> Iterator[Party]:
        """Open a connection of this kind under a name of its own."""
        name = f"connection-{next(self._numbers)}"  # in one step: tours begin in several threads
        with kind.connect(self.of(kind), name, way, can, **more) as party:
            yield party

    def close(self) -> None:
        """Let all of them go."""
        self._stack.close()


def _python(commands: Path | None, script: str) -> Names:
    return [str(commands / "python") if commands else sys.executable, str(SCRIPTS / script)]


def _node(script: str) -> Names:
    return [str(node() / "node"), str(SCRIPTS / script)]


def _python_2() -> Sequence[str]:
    return _python(None, "whole_python_2.py")


def _typescript_2() -> Sequence[str]:
    return _node("whole_typescript_2.mjs")


PYTHON_FIRST: Final = Kind(
    "python-1.9", lambda: _python(older_sdk(), "whole_python_1.py"), asks=("sampling", "roots")
)
PYTHON_1: Final = Kind("python-1.30", lambda: _python(last_sdk_1(), "whole_python_1.py"))
PYTHON_2: Final = Kind("python-2-legacy", _python_2)
TYPESCRIPT_1: Final = Kind("typescript-1", lambda: _node("whole_typescript_1.mjs"), is_node=True)
TYPESCRIPT_2: Final = Kind("typescript-2-legacy", _typescript_2, is_node=True)
LEGACY: Final = (PYTHON_FIRST, PYTHON_1, PYTHON_2, TYPESCRIPT_1, TYPESCRIPT_2)
"""Every official SDK with sessions, from the oldest that is still met to the newest."""

PYTHON_MODERN: Final = Kind("python-2-modern", _python_2, era="auto")
TYPESCRIPT_MODERN: Final = Kind("typescript-2-modern", _typescript_2, era="auto", is_node=True)
STATELESS: Final = (PYTHON_MODERN, TYPESCRIPT_MODERN)
"""Every official SDK of the era without sessions; each finds out by itself what the other side speaks."""


class Prefixed(Party):
    """A connection to all servers at once, seen as one to a single server: its prefix comes and goes here."""

    def __init__(self, party: Party, server: str) -> None:
        self.name, self.greeting, self._driver = party.name, party.greeting, party._driver
        self._prefix = f"{server}__"

    def begin(self, do: str, **asked: Any) -> Begun:
        """Start a request with the prefix before the names that have one."""
        for member in asked.keys() & {"tool", "prompt"}:
            asked[member] = self._prefix + asked[member]
        if "name" in asked.get("ref", {}):
            asked["ref"] = {**asked["ref"], "name": self._prefix + asked["ref"]["name"]}
        return super().begin(do, **asked)

    def list(self, of: str) -> Listed:
        """Return what that server has, by its own names."""
        found = super().list(of)
        if of in ("tools", "prompts"):
            found = [one for one in found if one["name"].startswith(self._prefix)]
            return [{**one, "name": one["name"].removeprefix(self._prefix)} for one in found]
        return found
