"""Finds the gateway a command speaks to: the one that runs, or one started for this command alone."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Final

from coatcheck.cli.exits import LOCKED
from coatcheck.cli.reach import SOCKET_NAME, NoGateway, Reach
from coatcheck.config import Config
from coatcheck.errors import ConfigError

_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
_ATTEMPTS: Final = 20
_PAUSE_SECONDS: Final = 0.25


@contextmanager
def gateway(config: Config) -> Iterator[Reach]:
    """Reach the gateway of the configured data directory, or run one until the command is done.

    Both answer the same API, so a command cannot tell them apart.

    Raises:
        ConfigError: no gateway runs, and the configuration does not let one start; or, with the code
            `LOCKED`, the data directory stays in use by a process that does not answer.
    """
    with ExitStack() as stack:
        yield _running_or_own(config, stack)


def _running_or_own(config: Config, stack: ExitStack) -> Reach:
    """Look again while the directory is in use: a gateway is starting, or another command has its own."""
    for attempt in range(_ATTEMPTS):
        if running := find_running(config):
            return running
        from coatcheck.app import local_gateway  # heavy: only paid where no gateway runs

        if not attempt:
            logging.getLogger().addHandler(logging.NullHandler())  # errors are told in the answers
            stack.enter_context(_ending_quietly())
        try:
            return Reach(stack.enter_context(local_gateway(config)))
        except ConfigError as error:
            if error.code != LOCKED or attempt == _ATTEMPTS - 1:
                raise
        time.sleep(_PAUSE_SECONDS)
    raise AssertionError  # the last attempt returned or raised


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
