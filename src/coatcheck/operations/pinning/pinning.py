"""Judges what servers list by what was accepted of it, at once and in memory; the store follows.

What is judged is the very list that is then shown, so nothing that was not compared is ever visible.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

from coatcheck.core.pins.judging import Compared, why_held
from coatcheck.model.catalogue import Catalogue, Entry
from coatcheck.model.operator import GATEWAY_ACTOR
from coatcheck.model.pin import Definition, Pin, Quarantine
from coatcheck.model.server import AccessMarks, Server
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.reaching.served import Pins

MAX_PINS: Final = 20_000
"""Tools of one server that are pinned, those that are gone until that was accepted; more are held back."""
MAX_KEPT: Final = 16 * 1024 * 1024
"""Characters of all definitions of one server that are kept; beyond that only their digests are."""
SLICE: Final = 64 * 1024
"""Bytes of tools that are compared before others get their turn."""
_NONE: Final[Mapping[str, Pin]] = MappingProxyType({})

PinsByServer = Mapping[UUID, Mapping[str, Pin]]
_Compared = tuple[str, str | None, bool, AccessMarks]
"""What it hangs on whether a tool that waits is hidden: digests, whether it is new, and the marks."""


class Pinning(Pins):
    """The pins of all servers: those of the store, and over them those that are not kept there yet.

    `wake` is told of a server with something to be kept. A pin that is not kept has the `version` of the one
    that it takes the place of, 0 for none.
    """

    def __init__(
        self, snapshot: Callable[[], Snapshot], now: Callable[[], datetime], quarantine: Quarantine
    ) -> None:
        self.quarantine = quarantine
        self.wake: Callable[[UUID], None] = _unheard
        self._snapshot = snapshot
        self._now = now
        self._source: object = None
        self._kept: PinsByServer = {}
        self._followed: PinsByServer = {}
        self._unkept: dict[UUID, dict[str, Pin]] = {}
        self._held: dict[tuple[UUID, str], tuple[_Compared, bool]] = {}
        """What `is_held` says of tools that wait: to compare them takes long, and they are counted often."""

    # --- what is pinned ------------------------------------------------------------------------------------

    def of(self, server_id: UUID) -> Mapping[str, Pin]:
        """Return the pins of a server by tool, as of now."""
        kept, unkept = self._kept_pins().get(server_id, _NONE), self._unkept.get(server_id)
        return {**kept, **_still(unkept, kept)} if unkept else kept

    def servers(self) -> frozenset[UUID]:
        """Return the servers that have pins."""
        return frozenset((*self._kept_pins(), *self._unkept))

    def unkept(self, server_id: UUID) -> Sequence[Pin]:
        """Return what is not kept in the store yet."""
        return tuple(self._unkept.get(server_id, {}).values())

    def why_held(self, pin: Pin, now: Definition) -> tuple[str, ...]:
        """Say why a tool that is listed as `now` is hidden; nothing: it is not."""
        server = self._snapshot().by_id.get(pin.server)
        return why_held(pin, now, server.marks, self.quarantine) if server is not None else ()

    def is_held(self, pin: Pin) -> bool:
        """Tell whether a tool is hidden where its server lists what waits for an operator."""
        server = self._snapshot().by_id.get(pin.server)
        if server is None:
            return False
        compared, found = self._held.get(pin.key, (None, False))
        if compared != _compared(pin, server.marks):
            found = bool(self.why_held(pin, pin.pending or pin.accepted))
            self._held[pin.key] = _compared(pin, server.marks), found
        return found

    def follow(self) -> frozenset[UUID]:
        """Take up what the store holds by now; return the servers whose lists are to be judged again."""
        before, kept = self._followed, self._kept_pins()
        if kept is before:
            return frozenset()
        self._followed = kept
        for server_id, unkept in list(self._unkept.items()):
            if left := _still(unkept, kept.get(server_id, _NONE)):
                self._unkept[server_id] = left
            else:
                del self._unkept[server_id]
        return frozenset(id for id in {*kept, *before} if kept.get(id) != before.get(id))

    def _kept_pins(self) -> PinsByServer:
        pins = self._snapshot().registry.pins
        if pins is not self._source:
            found: dict[UUID, dict[str, Pin]] = {}
            for pin in pins.values():
                found.setdefault(pin.server, {})[pin.tool] = pin
            self._source, self._kept = pins, found
        return self._kept

    # --- what is listed ------------------------------------------------------------------------------------

    async def compared(self, server: Server, catalogue: Catalogue) -> Compared:
        """Compare lists with what was accepted. Others get their turn meanwhile."""
        found, pins, size = Compared(), self.of(server.id), 0
        for name, entry in catalogue.tools.items():
            now, pin = found.definition(entry), pins.get(name)
            if pin is not None and now.digest != pin.accepted.digest:
                found.worse(pin, now, server.marks)
            size += sum(map(len, entry.members.values()))
            if size > SLICE:
                size = 0
                await asyncio.sleep(0)
        return found

    def judged(self, server: Server, catalogue: Catalogue, compared: Compared) -> Catalogue:
        """Return the lists with the tools that nobody may see yet among `held_back`, not among `tools`.

        Judged again, a list puts nothing in the place of what waits already: sessions that a server gives
        different ones would have theirs noted in turns, for ever.
        """
        pins = self.of(server.id)
        noted: dict[str, Pin] = {}
        held: dict[str, Entry] = {}
        room, size = MAX_PINS - sum(map(_stands, pins.values())), sum(map(_size, pins.values()))
        for name, entry in catalogue.tools.items():
            now, known = compared.definition(entry), pins.get(name)
            pin = self._pinned(server.id, name, now, known, first=not pins, is_news=compared.is_news)
            room -= not _stands(known)
            if room < 0 and not _stands(known):
                if self.quarantine is not Quarantine.NEVER:
                    held[name] = entry
                continue
            if pin is not known:
                size += _size(pin) - (_size(known) if known is not None else 0)
                noted[name] = pin = pin if size <= MAX_KEPT else _trimmed(pin, known)
            if self._why_held(pin, now, server.marks, compared):
                held[name] = entry
        compared.is_news = False
        if noted and not self._snapshot().registry.uncertain:
            self._unkept.setdefault(server.id, {}).update(noted)
            self.wake(server.id)
        if not held:
            return catalogue
        left = {name: entry for name, entry in catalogue.tools.items() if name not in held}
        return replace(catalogue, tools=MappingProxyType(left), held_back=MappingProxyType(held))

    def _pinned(
        self, server_id: UUID, name: str, now: Definition, pin: Pin | None, *, first: bool, is_news: bool
    ) -> Pin:
        """Return the pin of a tool that is listed; another one where there is something to be noted."""
        if pin is None or pin.ended_at is not None:
            version = 0 if pin is None else pin.version
            return Pin(server_id, name, now, self._now(), GATEWAY_ACTOR.name, new=not first, version=version)
        if now.digest in {pin.accepted.digest, pin.pending.digest if pin.pending else None}:
            return pin
        if pin.pending is not None and not is_news:
            return pin
        return replace(pin, pending=now, since=self._now())

    def _why_held(self, pin: Pin, now: Definition, marks: AccessMarks, compared: Compared) -> tuple[str, ...]:
        """Say why a tool of a list is hidden: by what is kept of it, since that is what can be reviewed."""
        pending = pin.pending
        if pending is None or pending.digest != now.digest:
            return why_held(pin, now, marks, self.quarantine, compared)
        kept = (now, compared) if pending.text else (pending, None)
        why = why_held(pin, kept[0], marks, self.quarantine, kept[1])
        self._held[pin.key] = _compared(pin, marks), bool(why)
        return why


def _compared(pin: Pin, marks: AccessMarks) -> _Compared:
    return pin.accepted.digest, pin.pending.digest if pin.pending else None, pin.new, marks


def _still(unkept: Mapping[str, Pin], kept: Mapping[str, Pin]) -> dict[str, Pin]:
    """Return what is still to be kept: nothing where the store got another pin meanwhile, but for one that
    waits otherwise by now: its tool was changed once more while it was written.
    """
    found: dict[str, Pin] = {}
    for tool, pin in unkept.items():
        now = kept.get(tool)
        if _version(now) == pin.version:
            found[tool] = pin
        elif now is not None and now.pending is not None and pin.pending not in {None, now.pending}:
            found[tool] = replace(now, pending=pin.pending, since=pin.since)
    return found


def _version(pin: Pin | None) -> int:
    return 0 if pin is None else pin.version


def _stands(pin: Pin | None) -> bool:
    """Tell whether a tool is pinned, and not gone with the word of an operator."""
    return pin is not None and pin.ended_at is None


def _size(pin: Pin) -> int:
    return len(pin.accepted.text) + (len(pin.pending.text) if pin.pending is not None else 0)


def _trimmed(pin: Pin, before: Pin | None) -> Pin:
    """Return a pin with the digest alone of what is new in it."""
    if pin.pending is not None:
        return replace(pin, pending=replace(pin.pending, text=""))
    return pin if before is not None else replace(pin, accepted=replace(pin.accepted, text=""))


def _unheard(server_id: UUID) -> None:
    """Keep nothing."""
