"""The sockets that a gateway listens on, and HTTP on them: an address for clients, a file for commands."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import uvicorn

from coatcheck.config import Config
from coatcheck.core.wire import framing
from coatcheck.declared.reading.addresses import Address
from coatcheck.errors import ConfigError
from coatcheck.front.door import Door, Note, Surfaces
from coatcheck.operations.tally import Tally

SOCKET_NAME: Final = "coatcheck.sock"
KEEP_ALIVE_SECONDS: Final = 30
CLOSING_SECONDS: Final = 2
BACKLOG: Final = 2048


class _HttpServer(uvicorn.Server):
    """uvicorn's server without its own hold on signals."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def bind(address: Address) -> socket.socket:
    """Return the listening socket.

    Raises:
        ConfigError: the address is taken or not ours.
    """
    host, port = address.host, address.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(found[0], socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(found[4])
        listening.listen(BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {address}: {error.strerror or error}",
            fix="stop what uses the address, or choose another with --http (or --admin) HOST:PORT",
        ) from None
    listening.setblocking(False)
    return listening


def standing_at(
    surfaces: Surfaces,
    config: Config,
    listening: socket.socket,
    tally: Tally,
    *,
    mcp: bool,
    note: Note | None = None,
) -> Door:
    """Return the door to what is served on a socket; `mcp`: on the one for clients."""
    host, port = listening.getsockname()[:2]
    at = config.http if mcp else config.admin
    loopback = at is None or at.is_loopback
    public_url, setting = (config.public_url, "public_url") if mcp else (config.admin_url, "admin_url")
    doors = framing.doors_for(host, port, loopback=loopback, public_url=public_url, setting=setting)
    own = framing.doors_for(host, port, loopback=True, public_url=public_url, setting=setting)
    return Door(surfaces, doors, config.trusted_proxies, tally, own, note)


@asynccontextmanager
async def http_on(application: Any, listening: socket.socket, protocol: Any) -> AsyncIterator[None]:
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
async def control_socket(api: Any, path: Path) -> AsyncIterator[None]:
    """Serve the API, an ASGI application, on a unix socket that only our own account can open.

    Raises:
        ConfigError: the socket cannot be made.
    """
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    control = _bind_control(path)
    try:
        async with http_on(api, control, HttpToolsProtocol):
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
