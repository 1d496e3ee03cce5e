"""Registered servers: added, changed, disabled and ended; those of the file can be disabled and enabled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol

from coatcheck.core.access import globs
from coatcheck.core.filling import Parted
from coatcheck.errors import Forbidden, Missing, Unfit
from coatcheck.model.change import Change, ObjectKind
from coatcheck.model.credential import NO_BLANKS, Credential, Upkeep
from coatcheck.model.operator import LOCAL_ACTOR, Actor, OperatorRole
from coatcheck.model.registry import Edit, Verdict
from coatcheck.model.server import Server, StdioReach, StoredServer
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.merging import verdict_on
from coatcheck.operations.registry import changes, fitness
from coatcheck.operations.registry.desk import Desk, check_version
from coatcheck.operations.registry.granting.ending import overriding
from coatcheck.operations.registry.paging import page_of
from coatcheck.operations.registry.patches import NewServer, ServerFilter, ServerPatch
from coatcheck.operations.registry.serving import amending, equipping, making
from coatcheck.operations.registry.serving.equipping import Maker
from coatcheck.operations.registry.serving.judged import JudgedTool, judged
from coatcheck.operations.registry.serving.registered import of_file, of_store
from coatcheck.operations.registry.views import Ended, Page, RegisteredView
from coatcheck.operations.views import ToolView

Fit = Callable[[NewServer], Parted]
"""Judges how a server is to be reached by the rules of the file, and takes it apart; raises `Unfit`."""
AnyServer = Server | StoredServer


class Probe(Protocol):
    """Connects to servers in use, to see their tools."""

    async def tools(self, name: str | None) -> tuple[Sequence[ToolView], Sequence[tuple[str, str]]]:
        """Return the tools of a server, and (server, error) if it gave none."""
        ...


@dataclass(frozen=True, slots=True)
class ServerAdded:
    """A server that was added or changed, and what came of asking it for its tools.

    `tools` None: it could not be asked, and `error` says why. It is registered all the same. `credentials`
    are the names of those that were made for it, renewed or ended with it.
    """

    server: RegisteredView
    tools: Sequence[JudgedTool] | None = None
    error: str = ""
    credentials: tuple[str, ...] = ()


class RegisteredServers:
    """The servers of both sources. `ref` is a name or a UUID.

    Commands are for admins, and only where `allow_commands` says so: they run as the gateway does.
    """

    def __init__(self, desk: Desk, fit: Fit, probe: Probe, *, allow_commands: bool) -> None:
        self._desk = desk
        self._fit = fit
        self._probe = probe
        self._allow_commands = allow_commands

    async def add(self, actor: Actor, new: NewServer) -> ServerAdded:
        """Register a server, connect to it and list its tools.

        Raises:
            Unfit: a name, URL, header, command or variable that cannot be; the rules are the file's.
            Taken: a server of either source has the name.
            Forbidden: a command or a probe, and the actor is no admin, or commands are not allowed.
        """
        parted, names = self._judged(actor, new), list[str]()

        def make(snapshot: Snapshot) -> Edit:
            server, made = making.made(snapshot, actor, self._maker(actor), new, parted)
            names.extend(one.name for one in made)
            return self._edit(actor, "server.add", None, server, made)

        await self._desk.book.edit(make)
        return await self._probed(new.name, names)

    def weigh(self, actor: Actor, new: NewServer) -> tuple[StoredServer, list[Credential]]:
        """Return a server and its new credentials as they would be kept; nothing is. Raises as `add`."""
        parted = self._judged(actor, new)
        return making.made(self._desk.snapshot, actor, self._maker(actor), new, parted)

    def may_add_commands(self, actor: Actor) -> str:
        """Return why this operator cannot add servers that are commands; empty: they can."""
        try:
            self._check_commands(actor)
        except Forbidden as error:
            return f"{error.message}: {error.fix}"
        return ""

    async def change(self, actor: Actor, ref: str, patch: ServerPatch, version: int | None) -> ServerAdded:
        """Change how a stored server is reached and what it allows of itself.

        New calls use it as it is now, those under way end as begun.

        Raises:
            Missing: no such server.
            Stale: it is not at `version`.
            Unfit: it is of the file, a value cannot be, or a secret one would be told or sent elsewhere.
            Forbidden: as for `add`, where more is changed than words and what it allows.
        """
        names: list[str] = []

        def make(snapshot: Snapshot) -> Edit:
            before = self._own(snapshot, ref)
            names.append(before.name)
            check_version(before.version, version, f"the server {before.name}")
            if not patch.runs:
                after = amending.allowing(before, patch)
                return self._edit(actor, "server.change", before, after)
            wanted = amending.amended(before, patch)
            if wanted.command is not None:
                self._check_commands(actor)
            if wanted.upkeep.probe != before.upkeep.probe:
                _check_probe(actor, wanted.upkeep)
            parted = self._fit(wanted)
            amending.check_secrets_stay(before, parted.reach, patch, wanted.plain)
            equipping.check_named(snapshot, actor, parted.reach, parted.blanks, before)
            kept = amending.kept_blanks(before, parted.reach, patch)
            fresh = {place: one for place, one in parted.secrets.items() if place not in kept}
            maker, moved = self._maker(actor), equipping.moved(before.reach, parted.reach)
            given, made = equipping.re_equip(snapshot, maker, before, fresh, moved=moved)
            blanks = {**parted.blanks, **kept, **given}
            after = replace(
                amending.allowing(before, patch),
                reach=parted.reach,
                plain=making.plain_of(wanted),
                upkeep=wanted.upkeep,
                blanks=MappingProxyType(blanks),
            )
            ended = equipping.orphans(snapshot, maker, before, blanks)
            names.extend(one.name for one in (*made, *ended))
            return self._edit(actor, "server.change", before, after, [*made, *ended])

        await self._desk.book.edit(make)
        return await self._probed(names[0], names[1:])

    async def disable(self, actor: Actor, ref: str, because: str) -> Ended:
        """Take a server of either source away from all callers; returns when its calls and children ended.

        Raises:
            Missing: no such server.
        """
        return await self._take_away(actor, ref, because, end=False)

    async def end(self, actor: Actor, ref: str, because: str) -> Ended:
        """Unregister a stored server; its name is free again. As `disable`.

        Raises:
            Missing: no such server.
            Unfit: it is of the file.
        """
        return await self._take_away(actor, ref, because, end=True)

    async def enable(self, actor: Actor, ref: str) -> RegisteredView:
        """Give a disabled server back.

        Raises:
            Missing: no such server.
            Forbidden: as for `add`; of a command that the file declares, the actor is no admin.
        """

        def make(snapshot: Snapshot) -> Edit | None:
            server = find_server(snapshot, ref)
            if isinstance(server, StoredServer):
                if not server.disabled:
                    return None
                if isinstance(server.reach, StdioReach):
                    self._check_commands(actor)
                after = replace(server, disabled=False, because="", version=server.version + 1)
                return self._edit(actor, "server.enable", server, after)
            if verdict_on(snapshot.registry, ObjectKind.SERVER, str(server.id)) is None:
                return None
            if isinstance(server.reach, StdioReach):
                _check_admin(actor)
            what = (ObjectKind.SERVER, str(server.id), server.name)
            word, change = overriding(self._desk, snapshot, actor, what, Verdict.DISABLED, "", lifted=True)
            return Edit((word,), (change,))

        await self._desk.book.edit(make)
        return await self.get(ref)

    # --- looking -----------------------------------------------------------------------------------------

    async def get(self, ref: str) -> RegisteredView:
        """Return one server.

        Raises:
            Missing: there is none.
        """
        return _view(self._desk.snapshot, find_server(self._desk.snapshot, ref))

    def every(self) -> Iterator[RegisteredView]:
        """Yield all servers, in no order."""
        snapshot = self._desk.snapshot
        return (_view(snapshot, one) for one in _all(snapshot))

    async def list(self, wanted: ServerFilter) -> Page[RegisteredView]:
        """Return a page of servers, by name.

        Raises:
            Unfit: a limit or cursor that cannot be.
        """
        snapshot = self._desk.snapshot
        found = [view for one in _all(snapshot) if _matches(view := _view(snapshot, one), wanted)]
        return page_of(found, lambda view: (view.name,), wanted.limit, wanted.after)

    def made_for(self, ref: str) -> Sequence[str]:
        """Return the credentials that would end with a server, by name: made for it, and used by no other.

        Raises:
            Missing: there is none.
        """
        snapshot = self._desk.snapshot
        server = find_server(snapshot, ref)
        if not isinstance(server, StoredServer):
            return ()
        ended = equipping.orphans(snapshot, self._maker(LOCAL_ACTOR), server, NO_BLANKS)
        return sorted(one.name for one in ended)

    # --- within ------------------------------------------------------------------------------------------

    def _judged(self, actor: Actor, new: NewServer) -> Parted:
        if new.command is not None:
            self._check_commands(actor)
        _check_probe(actor, new.upkeep)
        return self._fit(new)

    async def _take_away(self, actor: Actor, ref: str, because: str, *, end: bool) -> Ended:
        started = self._desk.clock.monotonic()
        fitness.note_of(because, "a reason")

        def make(snapshot: Snapshot) -> Edit | None:
            server = self._own(snapshot, ref) if end else find_server(snapshot, ref)
            if isinstance(server, StoredServer):
                if server.disabled and not end:
                    return None
                return self._ending(snapshot, actor, server, because, end=end)
            if verdict_on(snapshot.registry, ObjectKind.SERVER, str(server.id)) is not None:
                return None
            what = (ObjectKind.SERVER, str(server.id), server.name)
            word, change = overriding(self._desk, snapshot, actor, what, Verdict.DISABLED, because)
            return Edit((word,), (change,))

        return await self._desk.ended(await self._desk.book.edit(make), started)

    def _ending(
        self, snapshot: Snapshot, actor: Actor, server: StoredServer, because: str, *, end: bool
    ) -> Edit:
        """Return the end of a server, and of the credentials made for it alone; or its disabling."""
        changed = replace(server, because=because, version=server.version + 1)
        if not end:
            return self._edit(actor, "server.disable", server, replace(changed, disabled=True))
        maker = self._maker(actor)
        ended = equipping.orphans(snapshot, maker, server, NO_BLANKS)
        return self._edit(actor, "server.end", server, replace(changed, ended_at=maker.now), ended)

    async def _probed(self, name: str, credentials: Sequence[str]) -> ServerAdded:
        view = await self.get(name)
        try:
            tools, failing = await self._probe.tools(name)
        except KeyError:  # disabled, or ended meanwhile
            return ServerAdded(view, None, f"{name} is not in use", tuple(credentials))
        if failing:
            return ServerAdded(view, None, failing[0][1], tuple(credentials))
        return ServerAdded(view, judged(self._desk.snapshot, tools), "", tuple(credentials))

    def _own(self, snapshot: Snapshot, ref: str) -> StoredServer:
        server = find_server(snapshot, ref)
        if not isinstance(server, StoredServer):
            edit = f"edit the file, as `coatcheck remove {server.name}` does"
            fix = f"{edit}; here it can only be disabled and enabled"
            raise Unfit(f"the server {server.name} is declared in the file", fix=fix)
        return server

    def _check_commands(self, actor: Actor) -> None:
        _check_admin(actor)
        if not self._allow_commands:
            fix = "start the gateway with --allow-commands, or declare the server in the file"
            raise Forbidden("servers that are commands are not taken here", fix=fix)

    def _maker(self, actor: Actor) -> Maker:
        return Maker(actor.name, self._desk.now(), self._desk.entropy, self._desk.print_key)

    def _edit(
        self,
        actor: Actor,
        action: str,
        before: StoredServer | None,
        after: StoredServer,
        credentials: Sequence[Credential] = (),
    ) -> Edit:
        what = (ObjectKind.SERVER, str(after.id), after.name)
        told = changes.of_server(before) if before is not None else None
        change = self._desk.scribe.changed(actor, action, what, told, changes.of_server(after), after.because)
        more = (self._changed(actor, after, one) for one in credentials)
        return Edit((after, *credentials), (change, *more))

    def _changed(self, actor: Actor, server: StoredServer, after: Credential) -> Change:
        """Return the record of a credential that is made, renewed or ended with a change of its server."""
        before = self._desk.snapshot.registry.credentials.get(after.id)
        verb = "add" if before is None else "end" if after.ended_at is not None else "activate"
        what = (ObjectKind.CREDENTIAL, str(after.id), after.name)
        told = changes.of_credential(before) if before is not None else None
        because = f"with the server {server.name}"
        return self._desk.scribe.changed(
            actor, f"credential.{verb}", what, told, changes.of_credential(after), because
        )


def _check_probe(actor: Actor, upkeep: Upkeep) -> None:
    """Refuse a probe by those who may not call tools: it is a call with the server's credential."""
    if upkeep.probe is not None and actor.role is not OperatorRole.ADMIN:
        raise Forbidden(
            "a probe is a call with the server's credential, and those are for admins", fix="ask an admin"
        )


def _check_admin(actor: Actor) -> None:
    if actor.role is not OperatorRole.ADMIN:
        raise Forbidden("servers that are commands are for admins", fix="ask an admin")


def find_server(snapshot: Snapshot, ref: str) -> AnyServer:
    """Return a server by name or UUID, in use or disabled.

    Raises:
        Missing: there is none, or it ended.
    """
    for server in _all(snapshot):
        if ref in {server.name, str(server.id)}:
            return server
    raise Missing(f"there is no server {ref!r}", fix="`coatcheck list` names the servers")


def _all(snapshot: Snapshot) -> Iterator[AnyServer]:
    yield from snapshot.declared.servers.values()
    yield from (one for one in snapshot.registry.servers.values() if one.ended_at is None)


def _view(snapshot: Snapshot, server: AnyServer) -> RegisteredView:
    if isinstance(server, StoredServer):
        return of_store(server)
    word = verdict_on(snapshot.registry, ObjectKind.SERVER, str(server.id))
    written = snapshot.registry.overrides.get((ObjectKind.SERVER, str(server.id)))
    in_use = snapshot.by_id.get(server.id)
    return of_file(server, word, written, in_use.uses if in_use is not None else ())


def _matches(view: RegisteredView, wanted: ServerFilter) -> bool:
    if wanted.name is not None and not globs.matches(wanted.name, view.name):
        return False
    return wanted.source in {None, view.source.value} and wanted.disabled in {None, view.disabled}
