"""One server in use: its upstream, the last good lists it gave, and whether they still hold."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count
from types import MappingProxyType
from typing import Final

from coatcheck.core import names
from coatcheck.core.pins.judging import Compared
from coatcheck.core.wire import messages
from coatcheck.core.wire.standing import Standing
from coatcheck.errors import (
    Busy,
    CoatcheckError,
    UpstreamCredentialRefused,
    UpstreamError,
    UpstreamUnreachable,
)
from coatcheck.model.call import Caller, Fault, Kind, Notice, Question, Reply, Target
from coatcheck.model.catalogue import Catalogue, Greeting
from coatcheck.model.credential import Use
from coatcheck.model.decision import Permit
from coatcheck.model.era import LEGACY_VERSIONS, Era
from coatcheck.model.server import Server, StdioReach
from coatcheck.operations.reaching.fetching import fetch_catalogue
from coatcheck.ports import Client, Clock, Hop, Notify, State, Upstreams

log = logging.getLogger(__name__)

MAX_TTL: Final = 3600.0
LIST_CHANGED: Final = frozenset(
    {
        "notifications/tools/list_changed",
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
    }
)
_ASK_AGAIN: Final = 1.0
"""Seconds between two askings for a name that no list holds: guessing names must not load a server."""
_SETTLE: Final = 0.2
"""Seconds after a change before the lists are asked for: changes come in bursts."""
_CALM: Final = 1.0
"""The same where the lists changed again while they were asked for: some servers never stop."""
_NOT_OFFERED: Final = Fault(messages.METHOD_NOT_FOUND, "Method not found")
_serials: Final = count(1)


@dataclass(frozen=True, slots=True)
class ListTimes:
    """Seconds: how long a list is kept, an aggregated one waits for a server, calls may drain."""

    keep: float = 5.0
    wait: float = 10.0
    drain: float = 30.0


Changed = Callable[["Served"], None]
"""Told that the lists of a server are other than they were."""


class Heed:
    """Told what servers do to the credentials that they are given. This one takes no note."""

    def refused(self, server: Server, error: UpstreamCredentialRefused) -> None:
        """Take note that a server refused what is in its reach. Never blocks and never raises."""

    def taken(self, server: Server) -> bool:  # noqa: ARG002 - as declared
        """Take note that a server took it after all; tell whether nothing more is to be told of that."""
        return True


NOBODY: Final = Heed()


class Pins:
    """Judges what servers list by what was accepted of it. This one takes everything."""

    async def compared(self, server: Server, catalogue: Catalogue) -> Compared:  # noqa: ARG002 - as declared
        """Compare lists, as the server sent them, with what was accepted. Others get their turn meanwhile."""
        return Compared()

    def judged(self, server: Server, catalogue: Catalogue, compared: Compared) -> Catalogue:  # noqa: ARG002
        """Return the lists with the tools that nobody may see yet among `held_back`, not among `tools`.

        Never blocks and never raises. `compared` is what came of comparing them, perhaps with less.
        """
        return catalogue


UNPINNED: Final = Pins()


class Ourselves:
    """The gateway as the client of an upstream that callers share: it can be asked nothing."""

    era = Era.MODERN
    version = LEGACY_VERSIONS[0]
    capabilities = b"{}"

    def __init__(self, hear: Callable[[Notice], None]) -> None:
        self.standing = Standing()
        self._hear = hear

    async def ask(self, question: Question, within: bytes | None) -> Reply:  # noqa: ARG002 - as declared
        """Refuse: no client declared that it can be asked."""
        return _NOT_OFFERED

    def tell(self, notice: Notice) -> None:
        """Listen for changes; nothing else is for all who share the upstream."""
        self._hear(notice)

    def pause(self, within: bytes, retry: int | None) -> None:
        """Take no note: whose request it is cannot be told to wait."""


class Served:
    """One server in use: its upstream, its last good catalogue and how the last asking for it went."""

    def __init__(
        self,
        server: Server,
        upstreams: Upstreams,
        clock: Clock,
        times: ListTimes,
        changed: Changed,
        client: Client | None = None,
        heed: Heed = NOBODY,
        pins: Pins = UNPINNED,
    ) -> None:
        self.server = server
        self.serial = next(_serials)
        """Tells two of the same server apart, such as before and after an edit."""
        self.kin = self.serial
        """Tells them apart, but for those that differ in the material of credentials alone."""
        self.upstream = upstreams.open(server, client or Ourselves(self.hear))
        self.catalogue: Catalogue | None = None
        self.listed: Catalogue | None = None
        """The same as the server sent it, before anything was held back."""
        self.compared = Compared()
        self.exposed: Mapping[str, str] = MappingProxyType({})
        self.last_error = ""
        self.heard: Greeting | None = None
        """What this very upstream said of itself; the lists may be taken over from another."""
        self._clock = clock
        self._times = times
        self._changed = changed
        self._heed = heed
        self._pins = pins
        self._in_doubt = bool(server.uses)
        """Whether it is news that the server takes its credentials."""
        self._asked_at = float("-inf")
        self._outdated = False
        self._attending = 0
        self._asking: asyncio.Task[Catalogue] | None = None
        self._refresh: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def degraded(self) -> bool:
        """Whether the lists shown are older than the last failed asking."""
        return bool(self.last_error) and self.catalogue is not None

    def inherit(self, old: Served) -> None:
        """Take over the lists of the same server before an edit, until it was asked anew."""
        self.catalogue, self.listed, self.exposed = old.catalogue, old.listed, old.exposed
        self.compared = old.compared
        self.judge_again()

    def judge_again(self) -> None:
        """Hold back what is not accepted by now, and no more what is."""
        if self.listed is not None:
            self._show(self.listed)

    async def known(self) -> Catalogue:
        """Return the lists at hand, however old; ask for them if there are none.

        Raises:
            UpstreamError: there are none and the server fails.
        """
        return self.catalogue or await self.ask()

    async def fresh(self) -> Catalogue:
        """Return lists no older than their time to keep; the last good ones if the server fails.

        Raises:
            UpstreamError: the server fails and never gave any.
        """
        if self.catalogue is not None and self.is_fresh():
            return self.catalogue
        return await self._ask_or_last()

    def is_fresh(self) -> bool:
        """Tell whether the lists at hand are no older than their time to keep.

        Those of a child that was stopped for want of calls stay good: a list must not start it again. Lists
        taken over from before an edit are never fresh.
        """
        if self.catalogue is None or self._outdated or self._asked_at == float("-inf"):
            return False
        if self._age() < self._keep():
            return True
        return isinstance(self.server.reach, StdioReach) and self.upstream.state is State.IDLE

    def own_name(self, shown: str) -> str:
        """Return the server's own name for one shown on the aggregated route."""
        return self.exposed.get(shown) or shown.partition(names.SEPARATOR)[2]

    async def offers(self, target: Target) -> bool:
        """Tell whether a list of the server names the target; ask once more before saying that none does.

        Raises:
            UpstreamError: there is no list and the server fails.
        """
        found = _offers(await self.known(), target)
        if not found and self._age() > _ASK_AGAIN:
            found = _offers(await self._ask_or_last(), target)
        return found

    async def forward(self, permit: Permit, caller: Caller, notify: Notify, hop: Hop | None = None) -> Reply:
        """Send the permitted call, and take note of what the server makes of our credential.

        What it took and what came goes into `hop`, and with it which credentials were given.

        Raises:
            UpstreamError: the server fails.
            Busy: it is being restarted, and was not back in time.
        """
        hop = hop or Hop()
        before, began = hop.uses, self._clock.monotonic()
        hop.uses += self.server.uses
        try:
            reply = await self.upstream.forward(permit, caller, notify, hop)
        except UpstreamCredentialRefused as error:
            self._note_refused(error)
            raise
        except (UpstreamUnreachable, Busy):
            hop.uses, hop.request_bytes = before, 0  # it was given nothing
            raise
        finally:
            hop.seconds += self._clock.monotonic() - began
            if hop.bearer:
                hop.uses = tuple(_numbered(hop.uses, hop.bearer))
        hop.answer_bytes = _size_of(reply)
        if self._in_doubt:
            self._in_doubt = not self._heed.taken(self.server)
        return reply

    def _note_refused(self, error: UpstreamCredentialRefused) -> None:
        self._in_doubt = True
        self._heed.refused(self.server, error)

    async def _ask_or_last(self) -> Catalogue:
        try:
            return await self.ask()
        except UpstreamError:
            if self.catalogue is None:
                raise
            return self.catalogue

    async def ask(self) -> Catalogue:
        """Ask the server for its lists, once for all who wait.

        Raises:
            UpstreamError: the server fails.
        """
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(_retrieve)
        return await asyncio.shield(self._asking)

    async def _ask(self) -> Catalogue:
        self._outdated = False  # what changes from here on is asked for again
        try:
            catalogue = await fetch_catalogue(self.upstream)
        except CoatcheckError as error:
            self.last_error = error.message
            self._asked_at = self._clock.monotonic()
            if isinstance(error, UpstreamCredentialRefused):
                self._note_refused(error)
            raise
        self._asked_at = self._clock.monotonic()
        self.heard = catalogue.greeting
        self.last_error = ""
        if self.catalogue is None or catalogue != self.listed:
            compared = await self._pins.compared(self.server, catalogue)
            self.listed, self.compared = catalogue, compared
            self.exposed = MappingProxyType(
                {names.exposed(self.server.name, own): own for own in (*catalogue.tools, *catalogue.prompts)}
            )
            for problem in catalogue.quarantined:
                log.warning("server %s: %s", self.server.name, problem)
            return self._show(catalogue)
        return self.catalogue

    def _show(self, listed: Catalogue) -> Catalogue:
        """Make what a server listed, but what is held back, what is shown and may be called."""
        judged = self._pins.judged(self.server, listed, self.compared)
        if self.catalogue is None or judged != replace(self.catalogue, version=0):
            self.catalogue = replace(judged, version=self.catalogue.version + 1 if self.catalogue else 1)
            self._changed(self)
        return self.catalogue

    # --- changes -----------------------------------------------------------------------------------------

    def hear(self, notice: Notice) -> None:
        """Take a notification of the server's; lists that changed are asked for anew."""
        if notice.method in LIST_CHANGED:
            self._outdated = True
            if self._attending:
                self._refresh_in(_SETTLE)

    def attend(self) -> None:
        """Listen for changes from now on; `neglect` must follow."""
        self._attending += 1
        if self._attending == 1:
            self.upstream.attend(True)
            if self._outdated and self.catalogue is not None:
                self._refresh_in(_SETTLE)  # it said so while nobody listened

    def neglect(self) -> None:
        """End what `attend` began."""
        self._attending -= 1
        if not self._attending:
            self.upstream.attend(False)

    def _refresh_in(self, seconds: float) -> None:
        if self._refresh is None and not self._closed:
            self._refresh = asyncio.get_running_loop().call_later(seconds, self._start_refresh)

    def _start_refresh(self) -> None:
        asking = self._asking
        if asking is None or asking.done():
            self._asking = asking = asyncio.create_task(self._ask())
            asking.add_done_callback(_retrieve)
        asking.add_done_callback(self._end_refresh)

    def _end_refresh(self, asking: asyncio.Task[Catalogue]) -> None:  # noqa: ARG002 - a callback
        self._refresh = None
        if self._outdated and self._attending and not self.last_error:
            self._refresh_in(_CALM)

    def _age(self) -> float:
        return self._clock.monotonic() - self._asked_at

    def _keep(self) -> float:
        offered = self.catalogue.ttl_ms / 1000 if self.catalogue else 0.0
        return min(max(offered, self._times.keep), MAX_TTL)

    def kill(self) -> None:
        """End a child at once; `close` follows."""
        self.upstream.kill()

    async def close(self, drain: float) -> None:
        """Let calls in flight end, then let go of the server.

        An asking under way is several requests, of which the later ones would find the door closed, so it
        ends first: a call may wait for what it brings.
        """
        self._closed = True
        if self._refresh is not None:
            self._refresh.cancel()
        if drain and self._asking is not None and not self._asking.done():
            began = self._clock.monotonic()
            await asyncio.wait([self._asking], timeout=drain)
            drain = max(0.0, drain - (self._clock.monotonic() - began))
        await self.upstream.close(drain)


def _size_of(reply: Reply) -> int:
    if isinstance(reply, Fault):
        return len(reply.message.encode("utf-8", "replace")) + len(reply.data or b"")
    return len(reply.raw)


def _numbered(uses: Iterable[Use], bearer: int) -> Iterator[Use]:
    """Yield uses with the number of an OAuth credential's version, which only its token tells."""
    for use in uses:
        yield use if use.number else replace(use, number=bearer)


def _offers(catalogue: Catalogue, target: Target) -> bool:
    if target.kind is Kind.TOOL:
        return target.name in catalogue.tools
    if target.kind is Kind.PROMPT:
        return target.name in catalogue.prompts
    return target.name in catalogue.resources or target.name in catalogue.templates


def _retrieve(task: asyncio.Task[Catalogue]) -> None:
    """Take the exception of an asking that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
