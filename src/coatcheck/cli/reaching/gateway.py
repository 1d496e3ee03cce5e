"""Finds the gateway a command speaks to: the one that runs, or one started for this command alone."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Final

from coatcheck.cli.exits import LOCKED
from coatcheck.cli.options import Where, load
from coatcheck.cli.reaching.dialling import SOCKET_NAME, NoGateway
from coatcheck.cli.reaching.reach import Reach
from coatcheck.config import Config
from coatcheck.errors import ConfigError

_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
_ATTEMPTS: Final = 20
_PAUSE_SECONDS: Final = 0.25


def reach_of(where: Where) -> Reach:
    """Return the reach of the gateway that must run: at the URL, or in the data directory.

    Whether it does is told by the first request (`NoGateway`).

    Raises:
        ConfigError: a setting that is unknown or unfit.
        Stop: there is no login for the URL, or it is not safe for one.
    """
    if where.url is not None:
        from coatcheck.cli.reaching.logins import remote_at

        return Reach(remote_at(where.url, os.environ))
    return Reach(load(where).data / SOCKET_NAME)


@contextmanager
def gateway_of(where: Where, config: Config) -> Iterator[Reach]:
    """Reach the gateway at the URL or, where none is given, as `gateway` does."""
    if where.url is not None:
        yield reach_of(where)
        return
    with gateway(config) as reach:
        yield reach


@contextmanager
def record_of(where: Where, config: Config) -> Iterator[Reach]:
    """Reach a gateway as `gateway_of` does, to read its record: there must be one.

    Raises:
        ConfigError: as for `gateway`; or no gateway runs, and none ever did in the data directory, or its
            store is on a server that nobody names.
    """
    if where.url is None and (running := find_running(config)):
        yield running
        return
    if where.url is None and config.database is None:
        from coatcheck.store.engines.directory import DATABASE_FILE  # heavy, as what follows is here
        from coatcheck.store.engines.elsewhere import require_here

        require_here(config.data)
        if not os.path.lexists(config.data / DATABASE_FILE):
            raise ConfigError(
                f"there is no record in {config.data}: no gateway runs there, and none ever did",
                fix="name the data directory of the gateway with --data",
            )
    with gateway_of(where, config) as reach:
        yield reach


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
