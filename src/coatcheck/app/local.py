"""A gateway for the length of one command: no address, only a socket, in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from coatcheck.app.compose import Gateway
from coatcheck.app.listening import SOCKET_NAME, control_socket
from coatcheck.app.run import run
from coatcheck.config import Config

_ENDING_SECONDS: Final = 30.0


@contextmanager
def local_gateway(config: Config) -> Iterator[Path]:
    """Run a gateway without HTTP for the length of a block; yields the path of its socket.

    Raises:
        ConfigError: settings, file or data directory cannot be used.
    """
    with TemporaryDirectory(prefix="coatcheck-") as directory:
        path = Path(directory) / SOCKET_NAME
        started: Future[Callable[[], None]] = Future()
        thread = threading.Thread(
            target=_run, args=(config, path, started), name="coatcheck-gateway", daemon=True
        )
        thread.start()
        end = started.result()
        try:
            yield path
        finally:
            end()
            thread.join(_ENDING_SECONDS)


def _run(config: Config, path: Path, started: Future[Callable[[], None]]) -> None:
    try:
        run(_serve(config, path, started))
    except BaseException as error:
        if started.done():
            raise
        started.set_exception(error)


async def _serve(config: Config, path: Path, started: Future[Callable[[], None]]) -> None:
    gateway = await Gateway.open(config, os.environ)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.call_soon_threadsafe(ended.set)

    async with control_socket(gateway.api, path):
        started.set_result(end)
        await ended.wait()
        await gateway.close()
