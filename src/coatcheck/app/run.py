"""Running a gateway: its background work, its signals, and an end that leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any, Final, TypeVar

import uvloop

from coatcheck.app import hardening
from coatcheck.app.compose import Gateway
from coatcheck.app.copies import Copies
from coatcheck.app.listening import SOCKET_NAME, bind, control_socket, http_on
from coatcheck.config import Config
from coatcheck.core.wire import framing
from coatcheck.errors import LedgerUnavailable, Unavailable
from coatcheck.front.door import Door, Surfaces
from coatcheck.front.protocol import GuardedProtocol

log = logging.getLogger(__name__)

_SEEN_SECONDS: Final = 5.0
"""Between two keepings of when grants were last used."""
_CATCH_UP_SECONDS: Final = 1.0
"""Between two tries to read the registry again, as long as it may be behind the store."""
COLLECT_EVERY: Final = 10_000
"""Objects made and not freed again before the youngest are looked through; Python's own is 700 to 2,000."""

_Done = TypeVar("_Done")


def serve(config: Config, *, team: bool = False) -> int:
    """Run the gateway over HTTP until SIGINT or SIGTERM, and return the exit code.

    `team`: callers need a grant, the file in the home directory is not read, and the line by which the first
    operator logs in is printed until somebody did.

    Raises:
        ConfigError: settings, file, data directory or address cannot be used.
    """
    hardening.harden()
    log_to_stderr(config.log_level)
    return run(_serve(config, os.environ, team=team))


async def _serve(config: Config, environment: Mapping[str, str], *, team: bool) -> int:
    with ExitStack() as bound:
        listening = bound.enter_context(contextlib.closing(bind(config.http)))
        administering = bound.enter_context(contextlib.closing(bind(config.admin))) if config.admin else None
        gateway = await Gateway.open(config, environment, team=team)
        host, port = listening.getsockname()[:2]
        gateway.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        ended = ended_by_signal(gateway)
        async with AsyncExitStack() as open_ones:
            await open_ones.enter_async_context(control_socket(gateway, config.data / SOCKET_NAME))
            await open_ones.enter_async_context(background(gateway))
            if administering is not None:
                door = door_of(gateway, administering, mcp=False)
                await open_ones.enter_async_context(http_on(door, administering, GuardedProtocol))
            door = door_of(gateway, listening, mcp=True)
            await open_ones.enter_async_context(http_on(door, listening, GuardedProtocol))
            spare_the_collector()
            log.info("listening on http://%s", gateway.address)
            if team:
                await _invite(gateway, administering or listening)
            await ended.wait()
            log.info("stopping: calls in flight get %g s", config.drain_timeout)
            await gateway.close()
    return 0


async def _invite(gateway: Gateway, listening: socket.socket) -> None:
    """Print how the first operator logs in, until somebody did. The code is for people, and in no log."""
    code = await gateway.registered.operators.bootstrap()
    if code is None:
        return
    host, port = listening.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    sys.stderr.write(f"coatcheck: first login: coatcheck login --url {url} --code {code.reveal()}\n")
    sys.stderr.flush()


def door_of(gateway: Gateway, listening: socket.socket, *, mcp: bool) -> Door:
    """Return what is served on a socket. With `mcp`: all but the API, where that has its own address."""
    config, admin = gateway.config, gateway.admin
    host, port = listening.getsockname()[:2]
    api = admin.network if config.admin is None or not mcp else None
    surfaces = Surfaces(
        gateway.endpoint.serve if mcp else None,
        gateway.probes.answer,
        api,
        admin.claims if mcp else None,
    )
    at = config.http if mcp else config.admin
    loopback = at is None or at.is_loopback
    public_url = config.public_url if mcp else None
    doors = framing.doors_for(host, port, loopback=loopback, public_url=public_url)
    own = framing.doors_for(host, port, loopback=True, public_url=public_url)
    return Door(surfaces, doors, config.trusted_proxies, gateway.tally, own)


@asynccontextmanager
async def background(gateway: Gateway) -> AsyncIterator[None]:
    """Follow edits, flush what is counted and copy the record, while the block runs."""
    copies = Copies(gateway.ledger)
    copies.follow(gateway.directory.snapshot)
    gateway.directory.subscribe(lambda snapshot, _: copies.follow(snapshot))
    tasks = [
        asyncio.create_task(_follow_edits(gateway)),
        asyncio.create_task(_flush_refusals(gateway)),
        asyncio.create_task(_sweep_sessions(gateway)),
        asyncio.create_task(_flush_seen(gateway)),
        asyncio.create_task(_catch_up(gateway)),
        asyncio.create_task(gateway.registered.expiring.run()),
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
        await gateway.directory.reread()


async def _flush_refusals(gateway: Gateway) -> None:
    while True:
        await asyncio.sleep(60.0)
        with contextlib.suppress(LedgerUnavailable):
            await gateway.refusals.flush()


async def _flush_seen(gateway: Gateway) -> None:
    while True:
        await asyncio.sleep(_SEEN_SECONDS)
        with contextlib.suppress(Unavailable):  # kept for the next time
            await gateway.seen.flush()


async def _catch_up(gateway: Gateway) -> None:
    while True:
        await asyncio.sleep(_CATCH_UP_SECONDS)
        with contextlib.suppress(Unavailable):  # nobody is let in until it succeeds
            await gateway.registered.book.catch_up()


async def _sweep_sessions(gateway: Gateway) -> None:
    while True:
        await asyncio.sleep(5.0)
        gateway.sessions.sweep()


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
        task = asyncio.create_task(gateway.directory.reread())
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


def spare_the_collector() -> None:
    """Set aside what lives as long as the process, and look for cycles less often.

    Calls leave next to no cycles behind: nearly all that the collector looks at is alive.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)


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
