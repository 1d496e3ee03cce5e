"""Legacy messages (MCP up to 2025-11-25): in a session, resumed where a stream broke, never done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Final

from coatcheck.bridge import exchange
from coatcheck.bridge.answers import Replied
from coatcheck.bridge.exchange import Cursor
from coatcheck.bridge.hop import Hop, lost
from coatcheck.bridge.limits import Limits, Patience
from coatcheck.bridge.sessions import Session, Sessions
from coatcheck.bridge.trouble import Lost, Refused, SessionGone, Trouble, Unreached
from coatcheck.model.call import Call

INITIALIZED: Final = "notifications/initialized"
_MAX_MAIL: Final = 256
_MAX_RENEWALS: Final = 2


class Legacy:
    """The legacy messages of one client."""

    def __init__(self, hop: Hop, sessions: Sessions, limits: Limits, say: Callable[[str], None]) -> None:
        self._hop = hop
        self._sessions = sessions
        self._limits = limits
        self._say = say
        self._mail: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(_MAX_MAIL)
        self._told = asyncio.Event()
        self._told.set()
        self._carrier = asyncio.create_task(self._carry())

    def expect_handshake(self) -> None:
        """Let what comes after an `initialize` wait until that is answered; `ask` must follow."""
        self._sessions.expect_handshake()

    async def ask(self, call: Call, line: bytes) -> bytes:
        """Return the line that answers a request; what comes before it is written as it comes.

        Raises:
            Trouble: there is no answer.
        """
        if call.method == "initialize":
            return (await self._sessions.open(call, line)).line
        await self._sessions.ready()
        await self._told.wait()
        patience = Patience(self._limits.wait)
        renewals = 0
        while True:
            session = self._sessions.current
            try:
                replied = await self._once(session, call, line)
            except SessionGone:
                renewals += 1
                if renewals > _MAX_RENEWALS or session is None:
                    raise Refused("the gateway forgets its sessions at once") from None
                await self._sessions.renew(session)
            except Lost:
                if call.method not in exchange.SAFE or not await patience.pause():
                    raise
            else:
                self._sessions.memory.note(call, replied.reply)
                return replied.line

    def tell(self, method: str, line: bytes) -> None:
        """Post a notification, after those before it."""
        if self._put(method, line) and method == INITIALIZED:
            self._told.clear()  # no request overtakes it

    def reply(self, id: bytes, line: bytes) -> None:
        """Post the client's reply to a request of the gateway, unless the session that asked is gone."""
        if self._sessions.waits_for(id):
            self._put("a reply", line)

    async def close(self) -> None:
        """End the session."""
        self._carrier.cancel()
        await self._sessions.close()

    # --- requests ---

    async def _once(self, session: Session | None, call: Call, line: bytes) -> Replied:
        cursor = Cursor()
        other = self._sessions.relay(session)
        headers = session.headers if session else []
        try:
            async with aclosing(await self._hop.open("POST", headers, line)) as answer:
                if answer.status == 404 and session is not None and session.id:
                    raise SessionGone("the gateway does not know the session")
                return await exchange.read_reply(answer, call.id, cursor, self._limits.reply, other)
        except Lost:
            if not cursor.id or session is None:
                raise
        return await self._go_back(session, call, cursor)

    async def _go_back(self, session: Session, call: Call, cursor: Cursor) -> Replied:
        """Take a stream up again where it broke, after the time it asked for."""
        patience = Patience(self._limits.wait)
        other = self._sessions.relay(session)
        while cursor.id:
            await asyncio.sleep(cursor.retry)
            seen = cursor.id
            try:
                back = [*session.headers, ("Last-Event-ID", cursor.id)]
                async with aclosing(await self._hop.open("GET", back)) as answer:
                    if not answer.is_stream and answer.status < 500:
                        break  # the stream is not kept, or the session is gone
                    return await exchange.read_reply(answer, call.id, cursor, self._limits.reply, other)
            except Unreached:
                break
            except (Lost, Refused):
                if cursor.id != seen:
                    patience = Patience(self._limits.wait)
                elif not await patience.pause():
                    break
        raise lost()

    # --- notifications and replies ---

    def _put(self, method: str, line: bytes) -> bool:
        if self._mail.full():
            self._say(f"coatcheck: {method[:100]} is dropped: {_MAX_MAIL} messages wait for the gateway")
            return False
        self._mail.put_nowait((method, line))
        return True

    async def _carry(self) -> None:
        """Post what needs no answer, one after the other."""
        while True:
            method, line = await self._mail.get()
            await self._sessions.ready()
            session = self._sessions.current
            try:
                await self._post(session, method, line)
            except Trouble as trouble:
                self._say(f"coatcheck: {method[:100]} did not reach the gateway: {trouble.message}")
            except Exception as error:  # noqa: BLE001  # one message's defect must not hold up the next
                self._say(f"coatcheck: unforeseen {type(error).__name__} while bridging {method[:100]!r}")
            finally:
                if method == INITIALIZED:
                    self._told.set()

    async def _post(self, session: Session | None, method: str, line: bytes) -> None:
        async with aclosing(await self._hop.open("POST", session.headers if session else [], line)) as answer:
            status = answer.status
        if status == 404 and session is not None and session.id:
            await self._sessions.renew(session)  # which says `initialized` by itself
        elif status >= 300:
            raise Refused(f"HTTP status {status}")
        elif method == INITIALIZED:
            self._sessions.hear()
