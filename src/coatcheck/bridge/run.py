"""Runs the bridge: the pipes of one client, the way to one gateway, and the signals that end it."""

from __future__ import annotations

import asyncio
import contextlib
import signal

from coatcheck.bridge import pipes
from coatcheck.bridge.grants import Source
from coatcheck.bridge.hop import Hop, Say
from coatcheck.bridge.legacy import Legacy
from coatcheck.bridge.limits import Limits
from coatcheck.bridge.modern import Modern
from coatcheck.bridge.place import Place
from coatcheck.bridge.sessions import Sessions
from coatcheck.bridge.talk import Talk
from coatcheck.bridge.tools import Tools


def run(place: Place, source: Source, limits: Limits, say: Say) -> None:
    """Bridge the client on standard input until it closes it, or until a signal.

    `say` prints a line of words on standard error.

    Raises:
        ConfigError: the grant, the proxy or the certificates cannot be used.
    """
    hop = Hop(place, source, limits, say)
    asyncio.run(_run(hop, limits, say, pipes.take_stdout()))


async def _run(hop: Hop, limits: Limits, say: Say, wire: int) -> None:
    ended = _ended_by_signal()
    write = pipes.Writer(wire, ended).write
    lines = pipes.lines_of_stdin(limits.body)
    async with hop:
        legacy = Legacy(hop, Sessions(hop, write, limits, say), limits, say)
        talk = Talk(Modern(hop, Tools(say), write, limits), legacy, write, limits, say)
        talking = asyncio.create_task(_talk(lines, talk))
        stopping = asyncio.create_task(ended.wait())
        await asyncio.wait({talking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not talking.done():
            talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        await talk.close()
    if not talking.cancelled():
        talking.result()


async def _talk(lines: asyncio.Queue[bytes | None], talk: Talk) -> None:
    while (line := await lines.get()) is not None:
        await talk.receive(line)
    await talk.drain()


def _ended_by_signal() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set, where the system has such signals."""
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
    return ended
