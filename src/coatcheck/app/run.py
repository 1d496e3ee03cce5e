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
from coatcheck.app.listening import SOCKET_NAME, bind, control_socket, http_on, standing_at
from coatcheck.app.notifying import notifying
from coatcheck.app.unsealing.sealed import SealedGateway
from coatcheck.config import Config
from coatcheck.errors import LedgerUnavailable, Sealed, Unavailable
from coatcheck.front.door import Door, Surfaces
from coatcheck.front.protocol import GuardedProtocol
from coatcheck.operations.alarming import Alarming
from coatcheck.store.opening import open_database

log = logging.getLogger(__name__)

_FLUSH_SECONDS: Final = 5.0
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
        database = open_database(config.data, config.database)
        bound.callback(database.close)
        async with AsyncExitStack() as open_ones:
            sealed = None
            try:
                gateway = await Gateway.on(database, config, environment, team=team)
            except Sealed as error:
                sealed = SealedGateway(config, error)
                await sealed.listen(open_ones, listening, administering)
                found = await sealed.wait(lambda: Gateway.on(database, config, environment, team=team))
                if found is None:
                    return 0
                gateway = found
            ended = ended_by_signal(gateway)
            gateway.address = _address_of(listening)
            if sealed is None:
                await open_ones.enter_async_context(control_socket(gateway.api, config.data / SOCKET_NAME))
            await open_ones.enter_async_context(background(gateway))
            door = door_of(gateway, listening, mcp=True)
            desk = door_of(gateway, administering, mcp=False) if administering is not None else None
            if sealed is not None:
                sealed.give_way(gateway.api, door, desk)
                if sealed.ended.is_set():
                    ended.set()  # while the store was being opened
            else:
                if desk is not None and administering is not None:
                    await open_ones.enter_async_context(http_on(desk, administering, GuardedProtocol))
                await open_ones.enter_async_context(http_on(door, listening, GuardedProtocol))
            await _run(gateway, ended, administering or listening)
    return 0


async def _run(gateway: Gateway, ended: asyncio.Event, administering: socket.socket) -> None:
    """Serve until the end is asked for, then let what is under way come to its own."""
    spare_the_collector()
    log.info("listening on http://%s", gateway.address)
    if gateway.team:
        await _invite(gateway, administering)
    await ended.wait()
    log.info("stopping: calls in flight get %g s", gateway.config.drain_timeout)
    await gateway.close()


def _address_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _invite(gateway: Gateway, listening: socket.socket) -> None:
    """Print how the first operator logs in, until somebody did. The code is for people, and in no log."""
    code = await gateway.registered.operators.bootstrap()
    if code is None:
        return
    url = f"http://{_address_of(listening)}"
    sys.stderr.write(
        f"coatcheck: open {url}/welcome/{code.reveal()}\n"
        f"coatcheck: first login: coatcheck login --url {url} --code {code.reveal()}\n"
    )
    sys.stderr.flush()


def door_of(gateway: Gateway, listening: socket.socket, *, mcp: bool) -> Door:
    """Return what is served on a socket.

    With `mcp`: all but the API where that has its own address, and of the console the pages of developers.
    """
    config, admin = gateway.config, gateway.admin
    api = admin.network if config.admin is None or not mcp else None
    surfaces = Surfaces(
        gateway.endpoint.serve if mcp else None,
        gateway.probes.answer,
        api,
        admin.callbacks if mcp else None,
        gateway.console if api is not None else gateway.developers,
    )
    note = gateway.admission.note_at_door
    return standing_at(surfaces, config, listening, gateway.tally, mcp=mcp, note=note)


@asynccontextmanager
async def background(gateway: Gateway) -> AsyncIterator[None]:
    """Follow edits, flush what is counted and tell of credentials, while the block runs."""
    tasks = [
        asyncio.create_task(_follow_edits(gateway)),
        asyncio.create_task(_flush_refusals(gateway)),
        asyncio.create_task(_sweep_sessions(gateway)),
        asyncio.create_task(_flush(gateway)),
        asyncio.create_task(_catch_up(gateway)),
        asyncio.create_task(gateway.checkpointing.run()),
        asyncio.create_task(gateway.registered.expiring.run()),
        asyncio.create_task(gateway.readings.retention.run()),
    ]
    try:
        knocking, alarming = gateway.recording.knocking, Alarming(lambda: gateway.checkpointing.alarms)
        async with notifying(gateway.config, gateway.cloakroom.counter, knocking, alarming):
            yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow_edits(gateway: Gateway) -> None:
    async for _ in gateway.declaration.changes():
        await gateway.directory.reread()


async def _flush_refusals(gateway: Gateway) -> None:
    while True:
        await asyncio.sleep(60.0)
        with contextlib.suppress(LedgerUnavailable):
            await gateway.refusals.flush()


async def _flush(gateway: Gateway) -> None:
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        with contextlib.suppress(Unavailable):  # kept for the next time
            await gateway.seen.flush()
        with contextlib.suppress(Unavailable):
            await gateway.consoling.sessions.flush()


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
