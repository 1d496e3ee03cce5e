"""Connections to a gateway: over the socket in its data directory, or over HTTP to another machine."""

from __future__ import annotations

import errno
import http.client
import os
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from coatcheck.cli.exits import Exit, Stop
from coatcheck.model.secret import Secret

SOCKET_NAME: Final = "coatcheck.sock"
MAX_SOCKET_PATH: Final = 100
"""A path in `sockaddr_un` has 108 bytes on Linux and 104 elsewhere."""
CONNECT_SECONDS: Final = 5.0

_NOBODY: Final = frozenset({errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR})


class NoGateway(Stop):
    """No socket, or nobody behind it."""

    code = "no_gateway"


@dataclass(frozen=True, slots=True)
class Remote:
    """A gateway behind a URL, which is an origin such as `https://mcp.example.com`, and our login there."""

    url: str
    token: Secret | None = field(default=None, repr=False)


def connection_to(place: Path | Remote, within: float | None) -> http.client.HTTPConnection:
    """Return a connection that is not open yet. `within` is seconds of silence at most, None for any."""
    if isinstance(place, Path):
        return _UnixConnection(place, within)
    parts = urlsplit(place.url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        return _TlsConnection(place.url, host, parts.port, within)
    return _TcpConnection(place.url, host, parts.port, within)


class _UnixConnection(http.client.HTTPConnection):
    """`HTTPConnection` over a unix socket; the host name is only what the Host header says."""

    def __init__(self, path: Path, within: float | None) -> None:
        super().__init__("localhost")
        self._path = path
        self._within = within

    def connect(self) -> None:
        """Connect, telling an absent gateway from one that we may not talk to."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECT_SECONDS)
        try:
            _dial(self.sock, self._path)
        except PermissionError:
            raise Stop(
                f"you may not talk to the gateway at {self._path}",
                exit_code=Exit.NOT_PERMITTED,
                fix="run the command as the account that runs the gateway",
            ) from None
        except OSError as error:
            if error.errno in _NOBODY:
                raise no_gateway(self._path) from None
            raise
        self.sock.settimeout(self._within)


class _TcpConnection(http.client.HTTPConnection):
    """`HTTPConnection` that says in our words why it could not be made."""

    def __init__(self, url: str, host: str, port: int | None, within: float | None) -> None:
        super().__init__(host, port, timeout=CONNECT_SECONDS)
        self._url = url
        self._within = within

    def connect(self) -> None:
        """Connect; silence is judged by another limit from then on."""
        try:
            super().connect()
        except OSError as error:
            raise _unreachable(self._url, error) from None
        self.sock.settimeout(self._within)


class _TlsConnection(_TcpConnection):
    """The same over TLS, with the certificate judged by the system's authorities."""

    default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        """Connect, and shake hands."""
        super().connect()
        import ssl  # slow to import, and most commands speak to a socket

        try:
            self.sock.settimeout(CONNECT_SECONDS)
            wrapped = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)
        except ssl.SSLCertVerificationError as error:
            raise Stop(
                f"the certificate of {self._url} is not trusted: {error.verify_message}",
                exit_code=Exit.UNREACHABLE,
                fix="SSL_CERT_FILE names further authorities; do not go on if you did not expect this",
            ) from None
        except OSError as error:
            raise _unreachable(self._url, error) from None
        wrapped.settimeout(self._within)
        self.sock = wrapped


def no_gateway(path: Path) -> NoGateway:
    """Return the failure of a command that needs a running gateway and found none at `path`."""
    return NoGateway(
        f"no gateway is running: nobody answers at {path}",
        exit_code=Exit.UNREACHABLE,
        fix="start one with `coatcheck up`, or name its data directory with --data",
    )


def _unreachable(url: str, error: OSError) -> NoGateway:
    reason = "it did not answer in time" if isinstance(error, TimeoutError) else error.strerror or "no answer"
    return NoGateway(
        f"the gateway at {url} cannot be reached: {reason}",
        exit_code=Exit.UNREACHABLE,
        fix="see that the URL is right, that it answers from here, and that `coatcheck up` runs there",
    )


def _dial(sock: socket.socket, path: Path) -> None:
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        sock.connect(str(path))
        return
    if not sys.platform.startswith("linux"):
        raise Stop(
            f"the path of the gateway's socket is longer than {MAX_SOCKET_PATH} bytes: {path}",
            exit_code=Exit.CONFIG,
            fix="choose a data directory with a shorter path (--data or COATCHECK_DATA)",
        )
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        sock.connect(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
