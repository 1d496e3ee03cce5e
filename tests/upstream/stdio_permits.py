"""Makes what tests of stdio servers need: servers that run our child programs, permits, a clock."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from coatcheck.model.access import OPEN, Nature
from coatcheck.model.call import Call, Caller, Kind, Notice, Reply, Result, Target
from coatcheck.model.decision import Permit
from coatcheck.model.era import Era
from coatcheck.model.grant import ANONYMOUS
from coatcheck.model.secret import Secret
from coatcheck.model.server import IdlePolicy, Server, StdioReach
from coatcheck.upstream.stdio.child import ChildLimits
from coatcheck.upstream.stdio.starter import StdioLimits
from coatcheck.upstream.stdio.upstream import StdioUpstream
from doubles.bench import decide
from doubles.clients import ScriptedClient, gateway_itself

CHILDREN = Path(__file__).with_name("children")
CALLER = Caller(Era.LEGACY, "2025-11-25")
NEVER = IdlePolicy(adaptive=False, after=None)
QUICK_CHILD = ChildLimits(after_eof=0.3, after_term=0.3, after_kill=2.0, rest_of_output=0.1)
QUICK = StdioLimits(connect_timeout=10.0, probe_timeout=1.0, child=QUICK_CHILD)


class RealClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


def python_server(
    script: str,
    *args: str,
    env: dict[str, str] | None = None,
    idle: IdlePolicy = NEVER,
    cwd: str | None = None,
) -> Server:
    """Return a server that is one of our child programs."""
    return command_server(
        sys.executable, "-S", "-E", str(CHILDREN / script), *args, env=env, idle=idle, cwd=cwd
    )


def command_server(
    command: str,
    *args: str,
    env: dict[str, str] | None = None,
    idle: IdlePolicy = NEVER,
    cwd: str | None = None,
) -> Server:
    """Return a server with any command."""
    reach = StdioReach(
        command, tuple(map(Secret, args)), {name: Secret(value) for name, value in (env or {}).items()}, cwd
    )
    return Server(UUID(int=1), "box", reach, idle)


def permit(server: Server, tool: str, arguments: Any = None, *, token: str | None = None) -> Permit:
    """Return a permit for a call of `tool`; `token` is the raw progress token."""
    params = {"name": json.dumps(tool).encode(), "arguments": json.dumps(arguments or {}).encode()}
    meta = {} if token is None else {"progressToken": token.encode()}
    call = Call(b'"the caller\'s id"', "tools/call", params, meta)
    decision = decide(call, Target(Kind.TOOL, tool), ANONYMOUS, server, OPEN, Nature.AMBIGUOUS)
    assert isinstance(decision, Permit)
    return decision


def text_of(reply: Reply) -> str:
    """Return the text of a tool's result."""
    assert isinstance(reply, Result), reply
    return str(json.loads(reply.raw)["content"][0]["text"])


def value_of(reply: Reply) -> Any:
    """Return the JSON in the text of a tool's result."""
    return json.loads(text_of(reply))


@dataclass
class Box:
    """An upstream under test with short ways to use it."""

    upstream: StdioUpstream
    client: ScriptedClient
    notices: list[Notice] = field(default_factory=list)

    async def call(
        self,
        tool: str,
        arguments: Any = None,
        *,
        token: str | None = None,
        caller: Caller = CALLER,
        id: bytes = b'"the caller\'s id"',
    ) -> Reply:
        wanted = permit(self.upstream.server, tool, arguments, token=token)
        wanted = replace(wanted, call=replace(wanted.call, id=id))
        return await self.upstream.forward(wanted, caller, self.notices.append)

    async def send(self, method: str, params: Any = None, caller: Caller = CALLER) -> Reply:
        """Forward any other request."""
        members = {name: json.dumps(value).encode() for name, value in (params or {}).items()}
        wanted = permit(self.upstream.server, "x")
        wanted = replace(wanted, call=Call(b"7", method, members))
        return await self.upstream.forward(wanted, caller, self.notices.append)

    async def text(self, tool: str, arguments: Any = None) -> str:
        return text_of(await self.call(tool, arguments))

    async def value(self, tool: str, arguments: Any = None) -> Any:
        return value_of(await self.call(tool, arguments))


@asynccontextmanager
async def opened(
    server: Server,
    home: Path,
    limits: StdioLimits = QUICK,
    client: ScriptedClient | None = None,
    ambient: Mapping[str, str] | None = None,
) -> AsyncIterator[Box]:
    """Open an upstream and close it at the end."""
    environ = {"PATH": os.environ["PATH"], **(ambient or {})}
    client = client or gateway_itself()
    upstream = StdioUpstream(
        server, client=client, clock=RealClock(), home=home, ambient=environ, limits=limits
    )
    try:
        yield Box(upstream, client)
    finally:
        await upstream.close(0.0)


def open_fds() -> int:
    """Return the number of our open file descriptors."""
    return len(os.listdir("/proc/self/fd")) - 1


def children_of_ours() -> list[int]:
    """Return our children, zombies too; what other tests share is left out: database, browser, company."""
    path = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(pid) for pid in path.read_text().split() if not _is_shared(int(pid))]


def _is_shared(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return Path(f"/proc/{pid}/comm").read_text() == "postgres\n" or any(
            b"playwright" in word or word == b"coatcheck" for word in command
        )
    except FileNotFoundError:
        return False


def is_alive(pid: int) -> bool:
    """Tell whether a process runs and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
