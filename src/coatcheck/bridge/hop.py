"""HTTP to a gateway: one connection pool, the grant in every request, and patience where nothing was sent."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, Self

import httpx2

from coatcheck import __version__
from coatcheck.bridge import answers
from coatcheck.bridge.grants import Source
from coatcheck.bridge.limits import MIB, Limits, Patience
from coatcheck.bridge.place import Place
from coatcheck.bridge.trouble import BadAnswer, Lost, Unreached
from coatcheck.core.redact import Redactor
from coatcheck.errors import ConfigError
from coatcheck.model.secret import Secret

Headers = Sequence[tuple[str, str]]
Say = Callable[[str], None]

_MAX_ERROR_BODY: Final = MIB
_IDLE_SECONDS: Final = 20.0
"""Shorter than a gateway's 30, so that no request meets a connection that is just being closed."""
_UNSENT: Final = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)
"""Failures before the first byte of a request (connection, TLS, or the tunnel of a proxy)."""


class Answer:
    """One HTTP answer, its body not read yet. Close it, read or not."""

    def __init__(self, response: httpx2.Response, limit: int, grant: Secret | None) -> None:
        self._response = response
        self._limit = limit
        self._grant = grant
        self._body: bytes | None = None
        self.status = response.status_code
        self.media = response.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def is_stream(self) -> bool:
        """Tell whether the body is a stream of events that belongs to a success."""
        return self.status == 200 and self.media == answers.EVENTS

    def header(self, name: str) -> str | None:
        """Return the value of a header, or None."""
        value: str | None = self._response.headers.get(name)
        return value

    async def read(self) -> bytes:
        """Return the whole body; that of an error without the grant, should somebody send it back.

        Raises:
            BadAnswer: it is longer than the limit (1 MiB for errors).
            Lost: the connection ended before the body did.
        """
        if self._body is None:
            limit = self._limit if self.status < 300 else _MAX_ERROR_BODY
            body = bytearray()
            async with contextlib.aclosing(self.chunks()) as chunks:
                async for chunk in chunks:
                    body += chunk
                    if len(body) > limit:
                        raise too_long(limit)
            self._body = bytes(body)
            if self.status >= 300 and self._grant is not None:
                self._body = Redactor([self._grant.reveal()]).redact(self._body)
        return self._body

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes.

        Raises:
            BadAnswer: it is compressed, which we did not ask for.
            Lost: the connection ended before the body did.
        """
        if self.header("content-encoding") not in {None, "", "identity"}:
            raise BadAnswer("the answer is compressed, which was not asked for")
        try:
            async for chunk in self._response.aiter_raw():
                yield chunk
        except httpx2.HTTPError:
            raise lost() from None

    async def aclose(self) -> None:
        """Let go of the connection; where the body was not read to its end, it is closed."""
        with contextlib.suppress(httpx2.HTTPError):
            await self._response.aclose()


class Hop:
    """The way to one gateway.

    Raises, when made: `ConfigError` for a grant, proxy or certificates that cannot be used.
    """

    def __init__(self, place: Place, source: Source, limits: Limits, say: Say) -> None:
        self._place = place
        self._source = source
        self._limits = limits
        self._say = say
        self._grant = source.read()
        self._client = _client(place, limits)
        self._was_reached = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.aclose()

    async def open(self, method: str, headers: Headers, body: bytes | None = None) -> Answer:
        """Send a request and return its answer, of whatever status but 401.

        What proves that nothing was done with the request is waited out or mended, and the request sent
        again: no connection, a gateway that is stopping, a grant that has changed since it was read.

        Raises:
            Unreached: no connection within `wait` seconds, or never one.
            Lost: the connection ended before the head of the answer.
            Refused: the grant is refused.
        """
        patience = Patience(self._limits.wait)
        while True:
            grant = self._grant
            try:
                answer = await self._send(method, headers, body, grant)
            except Unreached as trouble:
                self._note(reached=False)
                if trouble.lasting or not await patience.pause():
                    raise
                continue
            self._note(reached=True)
            try:
                again = await self._is_to_repeat(answer, grant, patience)
            except BaseException:
                await answer.aclose()
                raise
            if not again:
                return answer
            await answer.aclose()

    async def _is_to_repeat(self, answer: Answer, grant: Secret | None, patience: Patience) -> bool:
        if answer.status == 503:
            return answers.says_stopping(await answer.read()) and await patience.pause()
        if answer.status != 401:
            return False
        if await self._reread(grant):
            return True
        raise answers.unauthorized(await answer.read(), self._source.origin, self._source.mend)

    async def _send(self, method: str, headers: Headers, body: bytes | None, grant: Secret | None) -> Answer:
        fields = [*headers, *([("Content-Type", "application/json")] if body is not None else [])]
        if grant is not None:
            fields.append(("Authorization", f"Bearer {grant.reveal()}"))
        request = self._client.build_request(method, self._place.url, headers=fields, content=body)
        try:
            response = await self._client.send(request, stream=True)
        except _UNSENT as error:
            raise self._unreached(error) from None
        except httpx2.HTTPError:
            raise lost() from None
        return Answer(response, self._limits.reply, grant)

    async def _reread(self, used: Secret | None) -> bool:
        """Tell whether there is another grant by now than the one that was refused."""
        if self._grant == used:
            try:
                self._grant = await asyncio.to_thread(self._source.read)
            except ConfigError as error:
                self._say(f"coatcheck: {error.message}")
        return self._grant != used

    def _note(self, *, reached: bool) -> None:
        """Say once that the gateway went away, and once that it is back."""
        if reached != self._was_reached:
            self._was_reached = reached
            state = "answers again" if reached else "does not answer; waiting for it"
            self._say(f"coatcheck: the gateway at {self._place.url} {state}")

    def _unreached(self, error: httpx2.HTTPError) -> Unreached:
        causes = list(_causes(error))
        where = f"the gateway at {self._place.url} cannot be reached"
        untrusted = next((it for it in causes if isinstance(it, ssl.SSLCertVerificationError)), None)
        if untrusted is not None:
            return Unreached(
                f"{where}: its certificate is not trusted ({untrusted.verify_message})",
                fix="set SSL_CERT_FILE to a file with your company's certificate authorities",
                lasting=True,
            )
        if isinstance(error, httpx2.ProxyError):
            return Unreached(f"{where}: the proxy lets nothing through", fix="check HTTPS_PROXY and NO_PROXY")
        if any(isinstance(it, ssl.SSLError) for it in causes):
            return Unreached(f"{where}: it does not speak TLS there", fix="check the URL", lasting=True)
        if any(isinstance(it, socket.gaierror) for it in causes):
            return Unreached(
                f"{where}: its name is not known",
                fix="check the URL, the network, and HTTPS_PROXY if it is set",
            )
        return Unreached(f"{where}: nobody answers there", fix="check the URL, and that the gateway runs")


def too_long(limit: int) -> BadAnswer:
    """Return the trouble for a message over the limit."""
    return BadAnswer(
        f"the answer is longer than {limit} bytes",
        fix="ask for less at once, or allow more with --reply-limit; the request may have been acted on",
    )


def lost() -> Lost:
    """Return the trouble for an answer that never came to its end."""
    return Lost(
        "the connection ended before the answer: the request may have been acted on",
        fix="look at what it did before you repeat it",
    )


def _causes(error: BaseException | None) -> list[BaseException]:
    """Return an error and everything that it came from."""
    found: list[BaseException] = []
    pending = [error]
    while pending:
        one = pending.pop()
        if one is None or one in found:
            continue
        found.append(one)
        pending += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
    return found


def _client(place: Place, limits: Limits) -> httpx2.AsyncClient:
    """Make the client. Proxies are for TLS to other machines only: through one, plain http shows the grant.

    Cookies are not kept, redirects not followed, and nothing is taken compressed.
    """
    try:
        return httpx2.AsyncClient(
            headers={
                "Accept": "application/json, text/event-stream",
                "Accept-Encoding": "identity",
                "User-Agent": f"coatcheck-bridge/{__version__}",
            },
            trust_env=place.tls and not place.local,
            verify=httpx2.create_ssl_context() if place.tls else False,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=httpx2.Timeout(limits.silence, connect=limits.connect, pool=limits.connect),
            limits=httpx2.Limits(
                max_connections=None, max_keepalive_connections=8, keepalive_expiry=_IDLE_SECONDS
            ),
        )
    except ImportError:
        raise ConfigError(
            "the environment names a SOCKS proxy, which needs a package that is not installed",
            fix="pip install 'httpx2[socks]', or set HTTPS_PROXY to an HTTP proxy",
        ) from None
    except OSError:
        raise ConfigError(
            "the certificate authorities cannot be read",
            fix="check the files that SSL_CERT_FILE and SSL_CERT_DIR name",
        ) from None
    except (ValueError, httpx2.InvalidURL):
        raise ConfigError(
            "the environment names a proxy that is no URL", fix="check HTTPS_PROXY, ALL_PROXY and NO_PROXY"
        ) from None
