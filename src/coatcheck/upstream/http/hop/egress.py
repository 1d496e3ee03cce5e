"""The only way out to servers: resolve once, judge every address, dial one that was judged.

There are no proxies from the environment and no redirects, so what was judged is what is reached.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, TypeVar

from coatcheck.core import addresses
from coatcheck.errors import UpstreamForbidden, UpstreamTimeout, UpstreamUnreachable
from coatcheck.upstream.http.hop.urls import Origin

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Name and port -> every address of the name, as text."""

Wire = TypeVar("Wire", bound=asyncio.BaseProtocol)


async def ask_system(host: str, port: int) -> Sequence[str]:
    """Ask the system for every address of a name, in its order of preference. Raises `OSError`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Names:
    """Resolves names; those who ask for one name at the same time share one question.

    A question costs a thread until the name service answers, so a burst of calls to a server with a slow
    one must not take them all. Answers are not kept: each new connection judges fresh addresses.
    """

    def __init__(self, ask: Resolve = ask_system) -> None:
        self._ask = ask
        self._asking: dict[tuple[str, int], asyncio.Task[Sequence[str]]] = {}

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return every address of a name. Raises `OSError`."""
        place = (host, port)
        asking = self._asking.get(place)
        if asking is None:
            asking = asyncio.get_running_loop().create_task(self._question(place))
            asking.add_done_callback(_retrieve)
            self._asking[place] = asking
        return await asyncio.shield(asking)

    async def _question(self, place: tuple[str, int]) -> Sequence[str]:
        try:
            return await self._ask(*place)
        finally:
            del self._asking[place]


def _retrieve(asking: asyncio.Future[Any]) -> None:
    if not asking.cancelled():
        asking.exception()  # those who waited have it; without this, asyncio logs it if all of them left


def make_tls() -> ssl.SSLContext:
    """Make a TLS context that trusts what the system trusts. Costs some 20 ms. Raises `OSError`."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Trust:
    """The one TLS context for every server: made when it is first needed, and again only if that failed."""

    def __init__(self, make: Callable[[], ssl.SSLContext] = make_tls) -> None:
        self._make = make
        self._making: asyncio.Future[ssl.SSLContext] | None = None

    async def context(self) -> ssl.SSLContext:
        """Return the context. Raises `OSError` (as is every `ssl.SSLError`) for certificates not read."""
        making = self._making
        if making is None or (making.done() and (making.cancelled() or making.exception() is not None)):
            self._making = making = asyncio.get_running_loop().run_in_executor(None, self._make)
            making.add_done_callback(_retrieve)
        return await asyncio.shield(making)


@dataclass(frozen=True, slots=True)
class Egress:
    """What may be dialled, and how names and trust are found.

    `loopback` is true while we listen on loopback ourselves. `private` are the private networks that the
    operator allowed. `dial_timeout` in seconds is for one connection: name, TCP and TLS together.
    """

    loopback: bool
    private: tuple[addresses.Network, ...] = ()
    dial_timeout: float = 10.0
    resolve: Resolve = field(default_factory=Names)
    trust: Trust = field(default_factory=Trust)

    async def dial(
        self, server: str, origin: Origin, tls: ssl.SSLContext | None, make: Callable[[], Wire]
    ) -> Wire:
        """Connect to a server and return the protocol that `make` made for the connection.

        Raises:
            UpstreamForbidden: an address of the host is one that we never dial.
            UpstreamTimeout: no connection within `dial_timeout`.
            UpstreamUnreachable: the name is unknown, nothing listens, or the certificate is not trusted.
        """
        try:
            async with asyncio.timeout(self.dial_timeout):
                found = await self._judged(server, origin)
                return await self._connect(server, origin, found, tls, make)
        except TimeoutError:
            raise UpstreamTimeout(
                f"{server} did not accept a connection within {self.dial_timeout:g} seconds",
                fix="check that the server runs and that no firewall drops the connection",
            ) from None

    async def _judged(self, server: str, origin: Origin) -> Sequence[str]:
        try:
            found = await self._addresses_of(origin)
            judged = [ip_address(text) for text in found]
        except (OSError, ValueError, UnicodeError):
            found, judged = [], []
        if not judged:
            raise UpstreamUnreachable(
                f"the host name of {server} cannot be resolved",
                fix="check the host in its url and the name service of this machine",
            )
        for address in judged:
            if reason := addresses.judge(address, self.loopback, self.private):
                raise UpstreamForbidden(
                    f"{server} has an address that is not dialled",
                    fix=_fix_for(address),
                    detail=f"its host is at {reason}",
                )
        return found

    async def _addresses_of(self, origin: Origin) -> Sequence[str]:
        try:
            return [str(ip_address(origin.host))]
        except ValueError:
            return await self.resolve(origin.host, origin.port)

    async def _connect(
        self,
        server: str,
        origin: Origin,
        found: Sequence[str],
        tls: ssl.SSLContext | None,
        make: Callable[[], Wire],
    ) -> Wire:
        loop = asyncio.get_running_loop()
        name = origin.host if tls is not None else None
        error: OSError | None = None
        for address in found:
            try:
                _, wire = await loop.create_connection(
                    make, address, origin.port, ssl=tls, server_hostname=name
                )
                return wire
            except OSError as failure:
                error = failure
        raise _unreachable(server, error)


def _fix_for(address: addresses.Address) -> str:
    if range_ := addresses.private_range(address):
        return f"if this network is yours, start with --allow-private {range_}"
    if addresses.is_loopback(address):
        return "servers on this machine are reached only while the gateway listens on loopback"
    return "point the url at the server's own address"


def _unreachable(server: str, error: OSError | None) -> UpstreamUnreachable:
    if isinstance(error, ssl.SSLCertVerificationError):
        return UpstreamUnreachable(
            f"the certificate of {server} is not trusted",
            fix="check the host in its url, or add its authority to the bundle named by SSL_CERT_FILE",
            detail=error.verify_message,
        )
    if isinstance(error, ssl.SSLError):
        return UpstreamUnreachable(
            f"{server} did not complete the TLS handshake",
            fix="check whether its url should say http instead of https",
            detail=error.reason or "",
        )
    detail = "" if error is None or error.strerror is None else error.strerror
    return UpstreamUnreachable(
        f"{server} does not accept connections",
        fix="check that the server runs and that the port in its url is right",
        detail=detail,
    )
