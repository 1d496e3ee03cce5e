"""What an operator does about tools that servers changed: look, and accept what was seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from coatcheck.core.pins.definitions import differences
from coatcheck.errors import Missing, ToolChanged, Unfit
from coatcheck.model.change import ObjectKind
from coatcheck.model.operator import Actor
from coatcheck.model.pin import Definition, Pin
from coatcheck.model.registry import Edit
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.pinning.keeping import is_flagged
from coatcheck.operations.pinning.pinning import Pinning
from coatcheck.operations.pinning.views import ChangeFilter, ToolChange, ToolState, Waiting
from coatcheck.operations.reaching.servers import Servers
from coatcheck.operations.registry import fitness
from coatcheck.operations.registry.desk import Desk, server_id_of, server_name_of
from coatcheck.operations.registry.paging import page_of
from coatcheck.operations.registry.views import Page

MAX_ACCEPTED: Final = 10_000
MOST_TOLD: Final = 1_000
"""Of more tools accepted at once, the admin log has the number."""
LEAST_SEEN: Final = 20
"""Characters of a digest that are enough to say which definition was seen: 80 bits."""


class Reviewing:
    """Shows what waits, and takes the word of operators."""

    def __init__(self, desk: Desk, pinning: Pinning, servers: Servers) -> None:
        self._desk = desk
        self._pinning = pinning
        self._servers = servers

    def waiting(self) -> Waiting:
        """Return how many tools wait; those that are gone or back are no news that cannot."""
        snapshot = self._desk.snapshot
        flagged = [
            pin
            for server_id in self._pinning.servers()
            if server_id in snapshot.by_id
            for pin in self._pinning.of(server_id).values()
            if is_flagged(pin)
        ]
        return Waiting(len(flagged), sum(map(self._pinning.is_held, flagged)))

    def waiting_by_server(self) -> Mapping[UUID, int]:
        """Return how many tools of each server wait, as `waiting` counts them, where any do."""
        counted = {
            server_id: sum(map(is_flagged, self._pinning.of(server_id).values()))
            for server_id in self._pinning.servers() & self._desk.snapshot.by_id.keys()
        }
        return {server_id: count for server_id, count in counted.items() if count}

    async def list(self, wanted: ChangeFilter) -> Page[ToolChange]:
        """Return a page of what waits, by server and tool.

        Raises:
            Missing: no such server.
            Unfit: a limit or cursor that cannot be.
        """
        snapshot = self._desk.snapshot
        if wanted.server is None:
            ids = self._pinning.servers() & snapshot.by_id.keys()
        else:
            ids = frozenset({server_id_of(snapshot, wanted.server)})
        found = (change for server_id in ids for change in self._of(snapshot, server_id))
        fit = (
            (pin, state, name)
            for pin, state, name in found
            if wanted.state in {None, state}
            and wanted.quarantined in {None, state in _HIDING and self._pinning.is_held(pin)}
        )
        page = page_of(fit, lambda one: (one[2], one[0].tool), wanted.limit, wanted.after)
        return Page([self._view(*one) for one in page.items], page.next)

    async def accept(
        self, actor: Actor, server: str, seen: Mapping[str, str], because: str = ""
    ) -> Sequence[ToolChange]:
        """Accept tools as they were seen: name to digest, or its first 20 characters. All of them or none.

        A tool that is gone is forgotten. What is accepted is listed and can be called from now on.

        Raises:
            Missing: no such server, or a tool that does not wait.
            ToolChanged: a tool is not any more what was seen.
            Unfit: no tools, too many, or what is no digest.
        """
        fitness.note_of(because, "a reason")
        _check(seen)
        done: list[ToolChange] = []

        def make(snapshot: Snapshot) -> Edit:
            server_id = server_id_of(snapshot, server)
            waiting = {pin.tool: (pin, state, name) for pin, state, name in self._of(snapshot, server_id)}
            for tool, digest in seen.items():
                _check_seen(server_name_of(snapshot, server_id), tool, digest, waiting.get(tool))
            done[:] = [self._view(*waiting[tool]) for tool in seen]
            puts = tuple(self._accepted(*waiting[tool][:2], actor, because) for tool in seen)
            what = (ObjectKind.SERVER, str(server_id), server_name_of(snapshot, server_id))
            before, after = (_told(done, before=before) for before in (True, False))
            change = self._desk.scribe.changed(actor, "tools.accept", what, before, after, because)
            return Edit(puts, (change,))

        await self._desk.book.edit(make)
        return done

    def _accepted(self, pin: Pin, state: ToolState, actor: Actor, because: str) -> Pin:
        now = self._desk.now()
        seen = _to_accept(pin, state)
        return replace(
            pin,
            accepted=replace(seen, text="") if state is ToolState.GONE else seen,
            at=now,
            by=actor.name,
            because=because,
            new=False,
            pending=None,
            since=None,
            ended_at=now if state is ToolState.GONE else None,
            version=pin.version + 1,
        )

    def _of(self, snapshot: Snapshot, server_id: UUID) -> Iterator[tuple[Pin, ToolState, str]]:
        """Yield what waits of one server, with its name."""
        served = self._servers.find(server_id)
        listed = served.listed if served is not None else None
        name = server_name_of(snapshot, server_id)
        for pin in self._pinning.of(server_id).values():
            if pin.ended_at is not None:
                continue
            entry = listed.tools.get(pin.tool) if listed is not None else None
            if listed is not None and entry is None:
                yield pin, ToolState.GONE, name
            elif pin.pending is not None:
                now = served.compared.definition(entry) if served is not None and entry is not None else None
                is_back = now is not None and now.digest == pin.accepted.digest
                yield pin, ToolState.BACK if is_back else ToolState.CHANGED, name
            elif pin.new:
                yield pin, ToolState.NEW, name

    def _view(self, pin: Pin, state: ToolState, name: str) -> ToolChange:
        to_accept = _to_accept(pin, state)
        before = None if state is ToolState.NEW else pin.accepted
        after = pin.pending if state is ToolState.BACK and pin.pending is not None else to_accept
        kept = all(one is None or one.text for one in (before, after))
        return ToolChange(
            pin.server,
            name,
            pin.tool,
            state,
            pin.since or pin.at,
            self._pinning.why_held(pin, to_accept) if state in _HIDING else (),
            to_accept.digest,
            "" if before is None else before.digest,
            differences(before, after) if kept else (),
            not kept,
        )


_HIDING: Final = frozenset({ToolState.NEW, ToolState.CHANGED})
"""The states in which a tool can be hidden."""


def _to_accept(pin: Pin, state: ToolState) -> Definition:
    return pin.pending if state is ToolState.CHANGED and pin.pending is not None else pin.accepted


def _check(seen: Mapping[str, str]) -> None:
    if not 0 < len(seen) <= MAX_ACCEPTED:
        raise Unfit(f"name 1 to {MAX_ACCEPTED} tools", fix="with the digest of each that was seen")
    for tool, digest in seen.items():
        if not LEAST_SEEN <= len(digest) <= 64 or not set(digest) <= set("0123456789abcdef"):
            raise Unfit(
                f"{digest[:80]!r} is not the digest of {tool[:80]!r}",
                fix="`coatcheck server review` shows it: at least 20 characters are needed",
            )


def _check_seen(server: str, tool: str, digest: str, found: tuple[Pin, ToolState, str] | None) -> None:
    fix = f"look again: coatcheck server review {server}"
    if found is None:
        raise Missing(f"{server} has no tool {tool!r} that waits to be accepted", fix=fix)
    if not _to_accept(*found[:2]).digest.startswith(digest):
        raise ToolChanged(f"{server} changed {tool!r} again since it was looked at", fix=fix)


def _told(done: Sequence[ToolChange], *, before: bool) -> dict[str, Any]:
    tools = [
        {"name": one.tool, "digest": one.accepted if before else ("" if _is_gone(one) else one.digest)}
        for one in done[:MOST_TOLD]
    ]
    return {"accepted": len(done), "tools": tools}


def _is_gone(one: ToolChange) -> bool:
    return one.state is ToolState.GONE
