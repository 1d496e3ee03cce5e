"""A sink at a syslog receiver: unix datagrams, UDP, TCP with counted octets, or TLS.

Syslog has no acknowledgements. On TCP and TLS we wait until the receiver's system has acknowledged every
byte, and after a broken connection send the last messages again.
"""

from __future__ import annotations

import fcntl
import select
import socket
import ssl
import struct
import termios
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from coatcheck.audit.lane import Lane
from coatcheck.core.copies.syslog import Sender, message_of, octet_counted
from coatcheck.errors import SinkFailed
from coatcheck.model.sink import Copy, SyslogOptions, Transport

SECONDS: Final = 10.0
"""The longest that connecting, or sending one batch without progress, may take."""
AGAIN: Final = 1024 * 1024
"""Bytes of messages that are sent again after a connection broke: about what may lie in buffers unread."""
_DATAGRAMS: Final = frozenset({Transport.UNIX, Transport.UDP})
_POLL_SECONDS: Final = 0.005


class SyslogSink:
    """Implements `ports.Sink`. `seconds` bounds connecting and each wait for the receiver."""

    def __init__(self, options: SyslogOptions, sender: Sender, *, seconds: float = SECONDS) -> None:
        self._options = options
        self._sender = sender
        self._seconds = seconds
        self._lane = Lane("syslog-sink")
        self._socket: socket.socket | None = None
        self._sent: deque[bytes] = deque()
        self._sent_bytes = 0
        self._broke = False
        self._closed = threading.Event()

    async def deliver(self, copies: Sequence[Copy]) -> None:
        """Send one message for each copy."""
        await self._lane.run(lambda: self._send(copies))

    async def close(self) -> None:
        """Close the connection."""
        self._closed.set()
        with suppress(SinkFailed):
            await self._lane.run(self._let_go)
        self._lane.close()

    def _send(self, copies: Sequence[Copy]) -> None:
        messages = [self._message(copy) for copy in copies]
        try:
            if self._options.transport in _DATAGRAMS:
                self._send_datagrams(messages)
            else:
                self._send_stream([octet_counted(message) for message in messages])
        except OSError as error:  # also every ssl.SSLError
            self._broke = True
            self._let_go()
            raise SinkFailed(self._why(error)) from None

    def _message(self, copy: Copy) -> bytes:
        return message_of(copy, self._sender, self._options.format, self._options.most)

    def _send_datagrams(self, messages: Sequence[bytes]) -> None:
        connection = self._socket or self._connect()
        for message in messages:
            connection.send(message)

    def _send_stream(self, frames: Sequence[bytes]) -> None:
        if self._socket is not None and _has_ended(self._socket):
            self._broke = True
            self._let_go()
        connection = self._socket or self._connect()
        if self._broke:
            connection.sendall(b"".join(self._sent))
            self._broke = False
        connection.sendall(b"".join(frames))
        self._await_acknowledged(connection)
        self._remember(frames)

    def _remember(self, frames: Sequence[bytes]) -> None:
        self._sent.extend(frames)
        self._sent_bytes += sum(map(len, frames))
        while self._sent_bytes > AGAIN and len(self._sent) > 1:
            self._sent_bytes -= len(self._sent.popleft())

    def _await_acknowledged(self, connection: socket.socket) -> None:
        """Wait until the other system has taken every byte: a write only fills our own buffer."""
        waited = 0.0
        unsent = _unsent(connection)
        while unsent:
            if self._closed.is_set():
                raise TimeoutError("the gateway is stopping")
            self._closed.wait(_POLL_SECONDS)
            waited += _POLL_SECONDS
            before, unsent = unsent, _unsent(connection)
            if unsent < before:
                waited = 0.0
            if waited >= self._seconds:
                raise TimeoutError("timed out")

    def _connect(self) -> socket.socket:
        made = _OPENERS[self._options.transport](self._options, self._seconds)
        self._socket = made
        return made

    def _let_go(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            with suppress(OSError):
                connection.close()

    def _why(self, error: OSError) -> str:
        where = str(self._options.path or f"{self._options.host}:{self._options.port}")
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"{where}: its certificate is not trusted: {error.verify_message}"
        if isinstance(error, TimeoutError):
            return f"{where} does not take what is sent within {self._seconds:g} seconds"
        if isinstance(error, ssl.SSLError):
            return f"{where}: TLS failed ({error.reason or 'unknown'})"
        return f"{where}: {error.strerror or type(error).__name__}"


def _unix(options: SyslogOptions, seconds: float) -> socket.socket:
    return _opened(
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
        seconds,
        lambda made: made.connect(str(options.path)),
    )


def _udp(options: SyslogOptions, seconds: float) -> socket.socket:
    family, kind, number, _, address = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_DGRAM)[
        0
    ]
    return _opened(socket.socket(family, kind, number), seconds, lambda made: made.connect(address))


def _tcp(options: SyslogOptions, seconds: float) -> socket.socket:
    made = socket.create_connection((options.host, options.port), seconds)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return made


def _tls(options: SyslogOptions, seconds: float) -> socket.socket:
    context = ssl.create_default_context(cafile=str(options.ca) if options.ca else None)
    if options.certificate is not None:
        context.load_cert_chain(options.certificate, options.key)
    plain = _tcp(options, seconds)
    try:
        return context.wrap_socket(plain, server_hostname=options.host)
    except BaseException:
        plain.close()
        raise


def _opened(made: socket.socket, seconds: float, how: Callable[[socket.socket], None]) -> socket.socket:
    try:
        made.settimeout(seconds)
        how(made)
    except BaseException:
        made.close()
        raise
    return made


_OPENERS: Final[dict[Transport, Callable[[SyslogOptions, float], socket.socket]]] = {
    Transport.UNIX: _unix,
    Transport.UDP: _udp,
    Transport.TCP: _tcp,
    Transport.TLS: _tls,
}


def _has_ended(connection: socket.socket) -> bool:
    """Tell whether the other side closed the connection; receivers never send anything but TLS's own."""
    ready = select.poll()
    ready.register(connection, select.POLLIN)
    if not ready.poll(0):
        return False
    before = connection.gettimeout()
    connection.settimeout(0.0)
    try:
        return connection.recv(4096) == b""
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(before)


def _unsent(connection: socket.socket) -> int:
    """Return how many bytes the other system has not acknowledged (tcp(7), SIOCOUTQ); 0 where unknown."""
    try:
        raw = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * 4)
    except OSError:
        return 0
    return int(struct.unpack("i", raw)[0])
