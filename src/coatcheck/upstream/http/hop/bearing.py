"""Sends requests with the access token of an OAuth credential, and once more with another if it is refused.

A server that answers 401 did not act on the request (RFC 9110 section 15.5.2).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

from coatcheck.core.redact import Redactor
from coatcheck.core.wire.challenges import read_challenge
from coatcheck.errors import UpstreamForbidden
from coatcheck.model.secret import Secret
from coatcheck.ports import Bearers
from coatcheck.upstream.http.hop.reading import Received

_INSUFFICIENT: Final = "insufficient_scope"

Send = Callable[[bytes], Awaitable[Received]]
"""Sends a whole request. Raises `UpstreamError`."""


class Bearing:
    """The credential of one line. What is sent is taken out of what comes back, by the line's redactor."""

    def __init__(self, bearers: Bearers, credential: UUID, redactor: Redactor) -> None:
        self._bearers = bearers
        self._credential = credential
        self._redactor = redactor
        self._last: Secret | None = None

    async def send(self, request: bytes, send: Send) -> Received:
        """Send a request that has no Authorization line yet; `send` is called once or twice.

        Raises:
            UpstreamCredentialRefused: there is no token, the server takes none, or wants more scopes.
            UpstreamUnreachable: there is no token for now.
            UpstreamError: whatever `send` raises.
        """
        bearers, credential = self._bearers, self._credential
        token = bearers.find(credential) or await bearers.get(credential)
        received = await self._send(request, token, send)
        if received.status == 401:
            token = await bearers.refused(credential, token)
            received = await self._send(request, token, send)
            if received.status == 401:
                await bearers.refused(credential, token)  # says so, unless it thinks that a third would do
        if received.status == 403:
            challenge = read_challenge(received.challenge)
            if challenge.error == _INSUFFICIENT:
                raise await bearers.outgrown(credential, challenge.scopes)
        return received

    async def _send(self, request: bytes, token: Secret, send: Send) -> Received:
        version = self._bearers.version_of(self._credential, token)
        received = await send(self._signed(request, token))
        received.bearer = version
        return received

    def _signed(self, request: bytes, token: Secret) -> bytes:
        if token is not self._last:
            self._last = token
            for secret in (token, *self._bearers.hush(self._credential)):
                self._redactor.learn(secret.reveal())
        start, _, rest = request.partition(b"\r\n")
        line = b"Authorization: Bearer %b" % token.reveal().encode("ascii")
        return b"\r\n".join((start, line, rest))


def bearing_of(
    server: str, credential: UUID | None, bearers: Bearers | None, redactor: Redactor
) -> Bearing | None:
    """Return what sends the tokens of a server; None: it wants none.

    Raises:
        UpstreamForbidden: it wants tokens, and nobody here has any.
    """
    if credential is None:
        return None
    if bearers is None:
        raise UpstreamForbidden(f"{server} wants OAuth, and this program keeps no tokens")
    return Bearing(bearers, credential, redactor)
