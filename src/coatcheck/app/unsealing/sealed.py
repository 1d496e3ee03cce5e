"""A gateway that has not the key of its store: up, saying why, and going on by itself once it is there."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any, Final, TypeVar

from coatcheck import __version__
from coatcheck.admin.api.problems import problem_of
from coatcheck.admin.probes import Probes, Readiness
from coatcheck.app.listening import SOCKET_NAME, control_socket, http_on, standing_at
from coatcheck.config import Config
from coatcheck.core.wire.framing import Arrival
from coatcheck.errors import Sealed
from coatcheck.front.door import Surfaces
from coatcheck.front.protocol import GuardedProtocol
from coatcheck.front.turn import Application, Scope
from coatcheck.mcp import refusing
from coatcheck.mcp.outlets import Receive, Send
from coatcheck.mcp.relay import send_json
from coatcheck.operations.tally import Tally

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
"""Between two looks for the key."""

_FROM_AFAR: Final = Sealed(
    "this gateway is sealed: it waits for the key of its store",
    fix="`coatcheck doctor`, run where the gateway runs, says which key and where it belongs",
)
"""What the network is told: neither the id of a key nor a path."""

_Opened = TypeVar("_Opened")


class Turnstile:
    """An ASGI application that is another one from some moment on; a request stays with its own."""

    def __init__(self, first: Application) -> None:
        self.now = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self.now(scope, receive, send)


class _ClaimLinks:
    """The pages of a gateway whose key is not there: claim links are told so, and stay good."""

    def __init__(self, app: Application) -> None:
        self.app = app

    def owns(self, path: str, method: str) -> bool:  # noqa: ARG002 - the shape of a console
        """Tell whether a path is that of a claim link."""
        return path.startswith("/claim/")


class SealedGateway:
    """Answers on the addresses of a gateway that cannot be opened yet, and hands them over once it is."""

    def __init__(self, config: Config, error: Sealed) -> None:
        self._config = config
        self._error = error
        self._turnstiles: list[Turnstile] = []
        self.ended = asyncio.Event()
        """Set by SIGINT and SIGTERM."""

    async def listen(
        self, stack: AsyncExitStack, listening: socket.socket, administering: socket.socket | None
    ) -> None:
        """Answer on the control socket and on both addresses until the stack ends."""
        control = self._shown(lambda *request: self._refuse(self._error, *request))
        await stack.enter_async_context(control_socket(control, self._config.data / SOCKET_NAME))
        for place, mcp in ((listening, True), (administering, False)):
            if place is not None:
                door = standing_at(self._surfaces(mcp=mcp), self._config, place, Tally(), mcp=mcp)
                await stack.enter_async_context(http_on(self._shown(door), place, GuardedProtocol))

    async def wait(self, unseal: Callable[[], Awaitable[_Opened]]) -> _Opened | None:
        """Return what could be opened once the key is there; None if we are to end.

        Raises:
            CoatcheckError: something else than the key is missing.
        """
        log.error("SEALED: %s; %s", self._error.message, self._error.fix)
        self._take_signals()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.ended.wait(), LOOK_SECONDS)
                return None
            try:
                opened = await unseal()
            except Sealed as error:
                if error.message != self._error.message:
                    log.error("still sealed: %s; %s", error.message, error.fix)
                self._error = error
            else:
                log.info("the key is there: no longer sealed")
                return opened

    def give_way(self, *applications: Application | None) -> None:
        """Serve these from now on: on the control socket, the address of clients, and that of the API."""
        for turnstile, application in zip(self._turnstiles, filter(None, applications), strict=True):
            turnstile.now = application

    def _shown(self, application: Application) -> Turnstile:
        turnstile = Turnstile(application)
        self._turnstiles.append(turnstile)
        return turnstile

    def _take_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.ended.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)  # there is nothing to read anew yet

    # --- answers -----------------------------------------------------------------------------------------

    def _surfaces(self, *, mcp: bool) -> Surfaces:
        probes = Probes(lambda: Readiness((self._sentence(),)), self._overview, lambda: b"")
        return Surfaces(self._mcp if mcp else None, probes.answer, self._api, console=_ClaimLinks(self._api))

    def _sentence(self) -> str:
        return f"sealed: {self._error.message}; {self._error.fix}"

    def _overview(self) -> Mapping[str, Any]:
        return {"version": __version__, "pid": os.getpid(), "ready": False}

    async def _mcp(self, _arrival: Arrival, _receive: Receive, send: Send) -> None:
        reject = refusing.sealed()
        await send_json(send, reject.status, reject.body, reject.headers)

    async def _api(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._refuse(_FROM_AFAR, scope, receive, send)

    async def _refuse(self, error: Sealed, _scope: Scope, receive: Receive, send: Send) -> None:
        response = problem_of(error).response()
        response.headers.update({"Connection": "close", "Cache-Control": "no-store"})
        await response({"type": "http"}, receive, send)
