"""Finds the gateway a command speaks to: the one that runs, or one started for this command alone."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from coatcheck.cli.reach import SOCKET_NAME, NoGateway, Reach
from coatcheck.config import Config

_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def gateway(config: Config) -> Iterator[Reach]:
    """Reach the gateway of the configured data directory, or run one until the command is done.

    Both answer the same API, so a command cannot tell them apart.

    Raises:
        ConfigError: no gateway runs, and the configuration does not let one start.
        CoatcheckError: the data directory is held by a gateway that does not answer.
    """
    running = find_running(config)
    if running is not None:
        yield running
        return
    from coatcheck.app import local_gateway  # heavy: only paid where no gateway runs

    with _ending_quietly(), local_gateway(config) as path:
        yield Reach(path)


def find_running(config: Config) -> Reach | None:
    """Return the reach of the gateway that runs in the configured data directory, or None."""
    reach = Reach(config.data / SOCKET_NAME)
    try:
        reach.get("/status")
    except NoGateway:
        return None
    return reach


@contextmanager
def _ending_quietly() -> Iterator[None]:
    """Let a signal that ends us unwind the stack first, so that no server outlives the command."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _end) for number in _ENDING}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
