"""The session of a legacy client (MCP 2025-11-25): opened by its handshake, renewed when it was forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from coatcheck.bridge import answers, exchange, missed
from coatcheck.bridge.answers import Replied
from coatcheck.bridge.exchange import Cursor
from coatcheck.bridge.hop import Answer, Hop
from coatcheck.bridge.limits import Limits, Patience
from coatcheck.bridge.missed import Memory
from coatcheck.bridge.pipes import Write
from coatcheck.bridge.trouble import Lost, Refused, Trouble
from coatcheck.core.wire import messages
from coatcheck.model.call import Call, Fault

INITIALIZED: Final = messages.notification("notifications/initialized")
_SESSION_ID: Final = re.compile(r"[!-~]{1,1024}\Z")
_VERSION: Final = re.compile(r"[!-~]{1,64}\Z")
_MAX_ASKED: Final = 1_000
_LONGEST_PAUSE: Final = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """What a handshake gave: session id or "", the version agreed on, and the raw result."""

    id: str
    version: str
    result: bytes

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers that every request in this session carries."""
        fields = [("Mcp-Session-Id", self.id), ("MCP-Protocol-Version", self.version)]
        return [(name, value) for name, value in fields if value]


class Sessions:
    """Holds the one session there is, if any, and its stream of what belongs to no request."""

    def __init__(self, hop: Hop, write: Write, limits: Limits, say: Callable[[str], None]) -> None:
        self._hop = hop
        self._write = write
        self._limits = limits
        self._say = say
        self._greeting: Call | None = None
        self._no_handshake = asyncio.Event()
        self._no_handshake.set()
        self._renewal: asyncio.Task[None] | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._asked: dict[bytes, Session] = {}
        self._own_ids = 0
        self.current: Session | None = None
        self.memory = Memory()

    async def ready(self) -> None:
        """Return when no handshake of the client is under way."""
        await self._no_handshake.wait()

    def expect_handshake(self) -> None:
        """Note that the client begins a handshake; `open` must follow."""
        self._no_handshake.clear()

    async def open(self, call: Call, line: bytes) -> Replied:
        """Pass on the client's `initialize`; its success is the session from now on.

        Raises:
            Trouble: there is no answer.
        """
        try:
            replied, session = await self._initialize(line, call.id)
            if session is not None:
                await self.close()
                self._greeting, self.current, self.memory = call, session, Memory()
        finally:
            self._no_handshake.set()
        return replied

    async def renew(self, dead: Session) -> None:
        """Open a new session in place of one that the gateway does not know any more, once for all who ask.

        Raises:
            Trouble: the gateway opens none.
        """
        if self.current is not dead:
            return
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self._renew())
            self._renewal.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._renewal)

    def hear(self) -> None:
        """Open the stream on which the gateway sends what belongs to no request, in place of an older one."""
        if self._hearing is not None:
            self._hearing.cancel()
        self._hearing = asyncio.create_task(self._hear(self.current)) if self.current else None

    def relay(self, session: Session | None) -> exchange.Other:
        """Return what writes requests and notifications of the gateway, and remembers who asked."""

        async def relay(incoming: messages.Incoming, line: bytes) -> None:
            if incoming.method is None:
                return  # a reply to nothing that is under way here
            if incoming.id is not None and session is not None:
                self._asked[answers.id_key(incoming.id)] = session
                if len(self._asked) > _MAX_ASKED:
                    del self._asked[next(iter(self._asked))]
            await self._write(line)

        return relay

    def waits_for(self, id: bytes) -> bool:
        """Tell whether the session of now asked the client this, and take note that it was answered."""
        return self._asked.pop(answers.id_key(id), None) is self.current is not None

    async def close(self) -> None:
        """End the session, with a DELETE that gets a moment."""
        for task in (self._hearing, self._renewal):
            if task is not None:
                task.cancel()
        session, self.current = self.current, None
        if session is not None and session.id:
            with contextlib.suppress(Trouble, TimeoutError):
                async with asyncio.timeout(self._limits.goodbye):
                    await (await self._hop.open("DELETE", session.headers)).aclose()

    # --- opening ---

    async def _initialize(self, line: bytes, id: bytes) -> tuple[Replied, Session | None]:
        patience = Patience(self._limits.wait)
        while True:
            try:
                async with aclosing(await self._hop.open("POST", [], line)) as answer:
                    other = self.relay(None)
                    replied = await exchange.read_reply(answer, id, Cursor(), self._limits.reply, other)
                    return replied, _session_in(replied, answer.header("mcp-session-id"))
            except Lost:  # at worst, the gateway has a session that no one uses
                if not await patience.pause():
                    raise

    async def _renew(self) -> None:
        greeting = self._greeting
        assert greeting is not None  # noqa: S101  # for the type checker: a session has a greeting
        id = self._own_id()
        meta = {"_meta": messages.object_of(greeting.meta)} if greeting.meta else {}
        line = messages.request(id, "initialize", {**greeting.params, **meta})
        replied, session = await self._initialize(line, id)
        if session is None:
            said = replied.reply.message if isinstance(replied.reply, Fault) else "its answer is none"
            raise Refused(f"the gateway opens no new session: {said[:300]}")
        async with aclosing(await self._hop.open("POST", session.headers, INITIALIZED)):
            pass
        self.current = session
        await self._replay(session)
        self.hear()
        self._say("coatcheck: the gateway had forgotten the session; a new one is open")
        for message in missed.on_session(session.result, self.memory.subscribed()):
            await self._write(message)

    async def _replay(self, session: Session) -> None:
        """Tell the new session what the client told the old one."""
        for method, params in self.memory.requests():
            id = self._own_id()
            line = messages.request(id, method, params)
            with contextlib.suppress(Trouble):
                await exchange.ask(
                    self._hop, session.headers, line, id, self._limits.reply, self.relay(session)
                )

    def _own_id(self) -> bytes:
        self._own_ids += 1
        return b'"coatcheck-bridge-%d"' % self._own_ids

    # --- hearing ---

    async def _hear(self, session: Session) -> None:
        cursor = Cursor()
        pause = cursor.retry
        while True:
            with contextlib.suppress(Trouble):
                back = [("Last-Event-ID", cursor.id)] if cursor.id else []
                async with aclosing(await self._hop.open("GET", [*session.headers, *back])) as answer:
                    if answer.is_stream:
                        with contextlib.suppress(Lost):
                            await self._take_in(answer, cursor, session)
                        pause = cursor.retry
                    elif answer.status == 404 and session.id:
                        await self.renew(session)
                    elif answer.status < 500 and answer.status not in {404, 409, 429}:
                        return  # 405 of a gateway that has no such stream, as a rule
            await asyncio.sleep(max(cursor.retry, pause))
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _take_in(self, answer: Answer, cursor: Cursor, session: Session) -> None:
        relay = self.relay(session)
        async with aclosing(exchange.events(answer, cursor, self._limits.reply)) as found:
            async for incoming, data in found:
                await relay(incoming, answers.one_line(data))


def _session_in(replied: Replied, id: str | None) -> Session | None:
    """Return the session that a reply to `initialize` opened, or None if it is an error."""
    if isinstance(replied.reply, Fault):
        return None
    result = messages.members_of(replied.reply.raw) or {}
    version = messages.text_of(result.get("protocolVersion")) or ""
    return Session(
        id if id is not None and _SESSION_ID.match(id) else "",
        version if _VERSION.match(version) else "",
        replied.reply.raw,
    )
