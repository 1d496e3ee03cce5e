"""`coatcheck serve --stdio`: standard input and output as the wire of one local client."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import Mapping
from typing import Final

from coatcheck.app import hardening
from coatcheck.app.compose import Gateway
from coatcheck.app.listening import SOCKET_NAME, control_socket
from coatcheck.app.run import background, ended_by_signal, log_to_stderr, run
from coatcheck.config import Config
from coatcheck.errors import ConfigError
from coatcheck.mcp.pipe import Pipe
from coatcheck.model.grant import Principal
from coatcheck.ports import Presented

MAX_UNREAD: Final = 10_000
"""Messages that may wait for a client that does not read, before it counts as gone."""
WAITING_LINES: Final = 64
LOOPBACK: Final = "127.0.0.1"


def serve_stdio(config: Config) -> int:
    """Serve the client on standard input until it closes it, and return the exit code.

    Raises:
        ConfigError: settings, file or data directory cannot be used, or the grant is missing or refused.
    """
    hardening.harden()
    log_to_stderr(config.log_level)
    return run(_serve(config, os.environ, _take_stdout()))


def _take_stdout() -> int:
    """Keep standard output for the client alone: whatever else is written there goes to standard error."""
    wire = os.dup(1)
    os.dup2(2, 1)
    return wire


async def _serve(config: Config, environment: Mapping[str, str], wire: int) -> int:
    gateway = await Gateway.open(config, environment)
    presented = _presented(environment)
    who = gateway.directory.snapshot.identify(presented)
    if not isinstance(who, Principal):
        await gateway.close()
        raise ConfigError(
            f"serverAuth does not let this client in: {who.sentence}",
            fix="export COATCHECK_GRANT with a token that serverAuth lists",
        )
    ended = ended_by_signal(gateway)
    lines: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING_LINES)
    _start_reading(lines, config.body_limit)
    writer = _Writer(wire, ended)
    pipe = Pipe(
        gateway.admission, gateway.methods, gateway.sessions, gateway.inflight, presented, writer.write
    )
    async with control_socket(gateway.api, config.data / SOCKET_NAME), background(gateway):
        talking = asyncio.create_task(_talk(lines, pipe))
        stopping = asyncio.create_task(ended.wait())
        await asyncio.wait({talking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        talking.cancel()
        stopping.cancel()
        await gateway.close()
        writer.close()
    return 0


async def _talk(lines: asyncio.Queue[bytes | None], pipe: Pipe) -> None:
    while (line := await lines.get()) is not None:
        if line.strip():
            pipe.receive(line)
    await pipe.drain()


def _presented(environment: Mapping[str, str]) -> Presented:
    """Return what the environment brings, in the form in which HTTP would bring it."""
    token = environment.get("COATCHECK_GRANT", "")
    headers = {"authorization": (f"Bearer {token}",)} if token else {}
    return Presented(headers, LOOPBACK, LOOPBACK)


def _start_reading(lines: asyncio.Queue[bytes | None], limit: int) -> None:
    """Read lines in a thread, since standard input may be a file, a terminal or a pipe.

    A line longer than `limit` bytes is passed on cut, and so refused as unreadable. The file is one of our
    own: the interpreter aborts if it finds its `sys.stdin` being read by a thread at the end.
    """
    loop = asyncio.get_running_loop()
    source = os.fdopen(os.dup(0), "rb")

    def put(line: bytes | None) -> None:
        asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()

    def read() -> None:
        with contextlib.suppress(RuntimeError, asyncio.CancelledError):  # the loop has ended
            while line := source.readline(limit + 2):
                rest = line
                while rest and not rest.endswith(b"\n"):
                    rest = source.readline(limit + 2)
                put(line)
            put(None)

    threading.Thread(target=read, name="coatcheck-stdin", daemon=True).start()


class _Writer:
    """Writes messages in a thread, so that a client that does not read holds nothing up."""

    def __init__(self, target: int, gone: asyncio.Event) -> None:
        self._target = target
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="coatcheck-stdout", daemon=True)
        self._thread.start()

    def write(self, message: bytes) -> None:
        """Write one message and its newline; the JSON of a message may hold line breaks between values."""
        if self._queue.qsize() >= MAX_UNREAD:
            self._gone.set()
            return
        self._queue.put(message.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n")

    def close(self) -> None:
        """Write what waits, for a moment."""
        self._queue.put(None)
        self._thread.join(2.0)

    def _run(self) -> None:
        try:
            while (message := self._queue.get()) is not None:
                rest = memoryview(message)
                while rest:
                    rest = rest[os.write(self._target, rest) :]
        except OSError:  # the client closed its side
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._gone.set)
