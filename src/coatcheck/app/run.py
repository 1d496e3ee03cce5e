"""Running a gateway: its background work, its signals, and an end that leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import uvloop

from coatcheck.app import hardening
from coatcheck.app.compose import Gateway
from coatcheck.app.copies import Copies
from coatcheck.app.listening import SOCKET_NAME, bind, control_socket, http_on
from coatcheck.config import Config
from coatcheck.core.wire import framing
from coatcheck.errors import LedgerUnavailable
from coatcheck.front.door import Door, Surfaces
from coatcheck.front.protocol import GuardedProtocol

log = logging.getLogger(__name__)

COLLECT_EVERY: Final = 10_000
"""Objects made and not freed again before the youngest are looked through; Python's own is 700 to 2,000."""

_Done = TypeVar("_Done")


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
            http_on(door, listening, GuardedProtocol),
        ):
            spare_the_collector()
            log.info("listening on http://%s", gateway.address)
            await ended.wait()
            log.info("stopping: calls in flight get %g s", config.drain_timeout)
            await gateway.close()
    return 0


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
