"""Servers that follow a script: what they list, what they answer, when they fail or hang."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from coatcheck.core.wire.messages import object_of, raw_of
from coatcheck.errors import UpstreamError, UpstreamUnreachable
from coatcheck.model.call import Caller, Fault, Notice, Reply, Result
from coatcheck.model.catalogue import Greeting
from coatcheck.model.decision import Permit
from coatcheck.model.era import Era
from coatcheck.model.server import Server
from coatcheck.ports import Ask, Client, Hop, Notify, ProbeCall, State, Upstream, Upstreams, UpstreamStatus

REQUEST_BYTES = 321
"""What each forwarded call is said to have taken on its way."""
ALL = {"tools": b"{}", "prompts": b"{}", "resources": b"{}"}
_LISTED = {
    Ask.TOOLS: ("tools", "name"),
    Ask.PROMPTS: ("prompts", "name"),
    Ask.RESOURCES: ("resources", "uri"),
    Ask.TEMPLATES: ("resourceTemplates", "uriTemplate"),
}
Answer = Callable[[Permit], Awaitable[Reply]]


def page_of(what: Ask, found: Iterable[str | bytes], **more: object) -> Result:
    """Return one page of a list: names become bare entries, bytes are entries as they are."""
    member, key = _LISTED[what]
    items = [object_of({key: raw_of(one)}) if isinstance(one, str) else one for one in found]
    return Result(
        object_of(
            {member: b"[%b]" % b",".join(items), **{name: raw_of(value) for name, value in more.items()}}
        )
    )


async def _echo(permit: Permit) -> Reply:
    return Result(object_of({"content": b"[]", "of": raw_of(permit.target.name)}))


class ScriptedUpstream:
    """Implements `ports.Upstream`. `failing` is raised by everything; while `held`, nothing is answered."""

    def __init__(self, server: Server, client: Client) -> None:
        self.server = server
        self.client = client
        self.relayed: list[Notice] = []
        self.attended: list[bool] = []
        self.state = State.IDLE
        self.greeting = Greeting(Era.LEGACY, "2025-06-18", ALL)
        self.pages: dict[tuple[Ask, str | None], Reply | UpstreamError] = {}
        self.answer: Answer = _echo
        self.failing: UpstreamError | None = None
        self.greeted = 0
        self.asked: list[tuple[Ask, str | None]] = []
        self.probed: list[ProbeCall] = []
        self.to_probe: Reply = Result(b'{"content":[]}')
        self.forwarded: list[Permit] = []
        self.cancelled = 0
        self.drained: list[float] = []
        self._let_go = asyncio.Event()
        self._let_go.set()

    def offer(self, what: Ask, found: Iterable[str | bytes], **more: object) -> None:
        self.pages[what, None] = page_of(what, found, **more)

    def hold(self) -> None:
        self._let_go.clear()

    def let_go(self) -> None:
        self._let_go.set()

    def status(self) -> UpstreamStatus:
        return UpstreamStatus(self.state, self.failing.message if self.failing else "")

    async def greet(self) -> Greeting:
        self.greeted += 1
        await self._serve()
        return self.greeting

    async def ask(self, what: Ask | ProbeCall, cursor: str | None = None) -> Reply:
        if isinstance(what, ProbeCall):
            self.probed.append(what)
            await self._serve()
            return self.to_probe
        self.asked.append((what, cursor))
        await self._serve()
        reply = self.pages.get((what, cursor)) or page_of(what, ())
        if isinstance(reply, UpstreamError):
            raise reply
        return reply

    async def forward(self, permit: Permit, caller: Caller, notify: Notify, hop: Hop | None = None) -> Reply:
        self.forwarded.append(permit)
        if hop is not None:
            hop.request_bytes, hop.status = REQUEST_BYTES, 200
        self.notify = notify
        try:
            await self._serve()
            return await self.answer(permit)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def relay(self, notice: Notice) -> None:
        self.relayed.append(notice)

    def attend(self, wanted: bool) -> None:
        self.attended.append(wanted)

    def kill(self) -> None:
        self.killed = True

    async def close(self, drain: float) -> None:
        self.drained.append(drain)
        self.state = State.STOPPED

    async def _serve(self) -> None:
        if self.state is State.STOPPED:
            raise UpstreamUnreachable(f"{self.server.name} is closed")
        await self._let_go.wait()
        if self.failing is not None:
            raise self.failing
        self.state = State.READY


class ScriptedUpstreams:
    """Implements `ports.Upstreams` and keeps what it opened, newest last; `prepare` writes their scripts."""

    def __init__(self) -> None:
        self.opened: list[ScriptedUpstream] = []
        self.prepare: Callable[[ScriptedUpstream], None] = lambda upstream: None

    def open(self, server: Server, client: Client) -> Upstream:
        upstream = ScriptedUpstream(server, client)
        self.prepare(upstream)
        self.opened.append(upstream)
        return upstream

    def of(self, name: str) -> ScriptedUpstream:
        return next(upstream for upstream in reversed(self.opened) if upstream.server.name == name)


_: type[Upstreams] = ScriptedUpstreams
UNKNOWN_METHOD = Fault(-32601, "Method not found")
