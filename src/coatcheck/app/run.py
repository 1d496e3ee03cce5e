"""Running a gateway: its sockets, its background work, its signals, and an end that leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import uvicorn
import uvloop

from coatcheck.app import hardening
from coatcheck.app.compose import Gateway
from coatcheck.app.copies import Copies
from coatcheck.config import Config
from coatcheck.core.wire import framing
from coatcheck.errors import ConfigError, LedgerUnavailable
from coatcheck.front.door import Door, Surfaces
from coatcheck.front.protocol import GuardedProtocol

log = logging.getLogger(__name__)

SOCKET_NAME: Final = "coatcheck.sock"
KEEP_ALIVE_SECONDS: Final = 30
CLOSING_SECONDS: Final = 2
BACKLOG: Final = 2048
_Done = TypeVar("_Done")


class _HttpServer(uvicorn.Server):
    """uvicorn's server without its own hold on signals."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def serve(config: Config) -> int:
    """Run the gateway over HTTP until SIGINT or SIGTERM, and return the exit code.

    Raises:
        ConfigError: settings, file, data directory or address cannot be used.
    """
    hardening.harden()
    log_to_stderr(config.log_level)
    return run(_serve(config, os.environ))


async def _serve(config: Config, environment: Mapping[str, str]) -> int:
    listening = bind(config)
    with contextlib.closing(listening):
        gateway = await Gateway.open(config, environment)
        host, port = listening.getsockname()[:2]
        gateway.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        door = Door(
            Surfaces(gateway.endpoint.serve, gateway.probes.answer),
            framing.doors_for(host, port, loopback=config.http.is_loopback, public_url=config.public_url),
            config.trusted_proxies,
            gateway.tally,
        )
        ended = ended_by_signal(gateway)
        async with (
            control_socket(gateway, config.data / SOCKET_NAME),
            background(gateway),
            _http(door, listening, GuardedProtocol),
        ):
            log.info("listening on http://%s", gateway.address)
            await ended.wait()
            log.info("stopping: calls in flight get %g s", config.drain_timeout)
            await gateway.close()
    return 0


def bind(config: Config) -> socket.socket:
    """Return the listening socket.

    Raises:
        ConfigError: the address is taken or not ours.
    """
    host, port = config.http.host, config.http.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(found[0], socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(found[4])
        listening.listen(BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {config.http}: {error.strerror or error}",
            fix="stop what uses the address, or choose another with --http HOST:PORT",
        ) from None
    listening.setblocking(False)
    return listening


@asynccontextmanager
async def _http(application: Any, listening: socket.socket, protocol: Any) -> AsyncIterator[None]:
    """Serve an ASGI application on a socket while the block runs."""
    server = _HttpServer(
        uvicorn.Config(
            application,
            http=protocol,
            loop="none",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=CLOSING_SECONDS,
        )
    )
    running = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started and not running.done():  # noqa: ASYNC110 - uvicorn offers no event for it
        await asyncio.sleep(0.001)
    try:
        yield
    finally:
        server.should_exit = True
        await running


@asynccontextmanager
async def control_socket(gateway: Gateway, path: Path) -> AsyncIterator[None]:
    """Serve the API on a unix socket that only our own account can open.

    Raises:
        ConfigError: the socket cannot be made.
    """
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    control = _bind_control(path)
    try:
        async with _http(gateway.api, control, HttpToolsProtocol):
            yield
    finally:
        control.close()
        _remove(path)


def _bind_control(path: Path) -> socket.socket:
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove(path)  # a dead gateway's: we hold the lock of the data directory, so it is not in use
        before = os.umask(0o177)
        try:
            with _short_name(path) as name:
                control.bind(name)
        finally:
            os.umask(before)
        control.listen(128)
    except OSError as error:
        control.close()
        raise ConfigError(
            f"cannot make the socket {path}: {error.strerror or error}",
            fix="choose another data directory with --data",
        ) from None
    control.setblocking(False)
    return control


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


@contextmanager
def _short_name(path: Path) -> Iterator[str]:
    """Give a name of the socket that fits into a socket address, which has about 100 bytes (unix(7))."""
    if len(os.fsencode(path)) <= 100 or not sys.platform.startswith("linux"):
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


@asynccontextmanager
async def background(gateway: Gateway) -> AsyncIterator[None]:
    """Follow edits, flush what is counted and copy the record, while the block runs."""
    copies = Copies(gateway.ledger)
    copies.follow(gateway.directory.snapshot)
    gateway.directory.subscribe(lambda snapshot, _: copies.follow(snapshot))
    tasks = [
        asyncio.create_task(_follow_edits(gateway)),
        asyncio.create_task(_flush_refusals(gateway)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await copies.close()


async def _follow_edits(gateway: Gateway) -> None:
    async for _ in gateway.declaration.changes():
        await gateway.directory.refresh()


async def _flush_refusals(gateway: Gateway) -> None:
    while True:
        await asyncio.sleep(60.0)
        with contextlib.suppress(LedgerUnavailable):
            await gateway.refusals.flush()


def ended_by_signal(gateway: Gateway) -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set; SIGHUP reads the file. A second signal ends at once."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    rereads: set[asyncio.Task[None]] = set()

    def end() -> None:
        if ended.is_set():
            os._exit(130)  # asked twice: children die with us (PR_SET_PDEATHSIG)
        ended.set()

    def reread() -> None:
        task = asyncio.create_task(gateway.directory.refresh())
        rereads.add(task)
        task.add_done_callback(rereads.discard)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGHUP, reread)
    return ended


def run(main: Coroutine[Any, Any, _Done]) -> _Done:
    """Run a coroutine on a new event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def log_to_stderr(level: str) -> None:
    """Send logs to standard error; libraries that chat are heard from their errors on."""
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format="%(asctime)s %(levelname)s %(message)s",
        force=True,
    )
    for chatty in ("uvicorn.error", "alembic"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
