"""What policies are used on: everything, a role, a grant (on one server or all), or a server."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from coatcheck.core.policy.builtin import BUILT_IN
from coatcheck.errors import Forbidden, Missing, Unfit
from coatcheck.model.change import Change, ObjectKind
from coatcheck.model.grant import IssuedGrant
from coatcheck.model.operator import Actor
from coatcheck.model.registry import Edit
from coatcheck.model.stored_policy import PolicyUse, UseKind
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.permissions import Permission, may
from coatcheck.operations.policies.showing import (
    stored_policy,
    told_of_use,
    use_view,
    use_views,
    uses_of,
    words_of,
)
from coatcheck.operations.policies.views import UseView
from coatcheck.operations.registry import fitness
from coatcheck.operations.registry.access import principal_of
from coatcheck.operations.registry.desk import Desk, server_id_of
from coatcheck.operations.registry.granting.showing import find_grant

MAX_USES: Final = 100_000
_ONE_ONLY: Final = frozenset({UseKind.GRANT, UseKind.SERVER})


@dataclass(frozen=True, slots=True)
class Place:
    """What a policy is to be used on. `of` is a role, a grant's label or id, or a server's name or UUID.

    `server`, a name or UUID, narrows the use on a grant to that server; empty for all.
    """

    kind: UseKind
    of: str = ""
    server: str = ""


class PolicyUses:
    """Uses of policies. They hold for the next request."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def use(self, actor: Actor, name: str, place: Place, because: str = "") -> UseView:
        """Use a policy. On a grant or a server it takes the place of the one that was used there.

        Raises:
            Missing: no such policy, grant or server.
            Unfit: a place that cannot be, a grant that is over for good, or too many uses.
        """
        fitness.note_of(because, "a reason")
        done: list[PolicyUse] = []

        def make(snapshot: Snapshot) -> Edit | None:
            done.clear()
            if name not in BUILT_IN:
                stored_policy(snapshot, name)
            wanted = use_of(snapshot, name, place, self._desk.now(), actor.name, because)
            known = snapshot.registry.policy_uses.get(wanted.key)
            if known is not None and known.ended_at is None:
                done.append(known)
                return None
            _check_room(snapshot)
            _check_grant(snapshot, wanted)
            former = former_uses(snapshot, wanted)
            new = replace(wanted, version=known.version + 1 if known is not None else 1)
            done.extend((new, *former))
            ended = tuple(self._ended(one, actor, because) for one in former)
            view = use_view(snapshot, new)
            return Edit((*ended, new), (_change(self._desk, actor, former, new, view),))

        edited = await self._desk.book.edit(make)
        return use_view(edited.snapshot, done[0], done[1].policy if len(done) > 1 else "")

    async def unuse(self, actor: Actor, name: str, place: Place, because: str = "") -> UseView:
        """Take a policy off something, of which nothing else needs to be there any more.

        Raises:
            Missing: it is not used there.
        """
        fitness.note_of(because, "a reason")
        done: list[PolicyUse] = []

        def make(snapshot: Snapshot) -> Edit:
            done[:] = [_find(snapshot, name, place, self._desk.now())]
            after = self._ended(done[0], actor, because)
            view = use_view(snapshot, after)
            return Edit((after,), (_change(self._desk, actor, done, after, view),))

        edited = await self._desk.book.edit(make)
        return use_view(edited.snapshot, done[0])

    def on_grants(self, ids: Collection[str]) -> Mapping[str, Sequence[UseView]]:
        """Return the policies that are used on grants themselves, by the ids of the grants."""
        snapshot = self._desk.snapshot
        live = snapshot.registry.live_uses()
        uses = [use for use in live if use.kind is UseKind.GRANT and use.of in ids]
        found: dict[str, list[UseView]] = {}
        for view in use_views(snapshot, uses):
            found.setdefault(view.of, []).append(view)
        return found

    def bearing_on(self, ref: str) -> Sequence[UseView]:
        """Return the uses that bear on the calls of a grant: on itself, its owner's roles, its servers, all.

        Raises:
            Missing: there is no such grant.
        """
        snapshot = self._desk.snapshot
        grant = find_grant(snapshot, ref, self._desk.now())
        who = principal_of(snapshot, grant, grant.subject)
        servers = None if grant.servers is None else {str(id) for id in grant.servers}

        def bears(use: PolicyUse) -> bool:
            match use.kind:
                case UseKind.GRANT:
                    return use.of == grant.id
                case UseKind.ROLE:
                    return use.of in who.roles
                case UseKind.SERVER:
                    return servers is None or use.of in servers
                case UseKind.EVERYTHING:
                    return True

        bearing = filter(bears, snapshot.registry.live_uses())
        return use_views(snapshot, sorted(bearing, key=lambda use: (use.kind, use.policy)))

    # --- within ------------------------------------------------------------------------------------------

    def _ended(self, use: PolicyUse, actor: Actor, because: str) -> PolicyUse:
        now = self._desk.now()
        return replace(use, at=now, by=actor.name, because=because, ended_at=now, version=use.version + 1)


class FirstUses:
    """Puts policies on grants that are issued by the very same edit."""

    def __init__(self, desk: Desk, snapshot: Snapshot, actor: Actor) -> None:
        self._desk = desk
        self._snapshot = snapshot
        self._actor = actor
        self._room = _room_for_uses(snapshot)

    def put(self, name: str, grant: IssuedGrant) -> tuple[PolicyUse, Change]:
        """Return what puts a policy on a grant, and the record of that.

        Raises:
            Missing: no such policy.
            Unfit: too many uses.
        """
        if name not in BUILT_IN:
            stored_policy(self._snapshot, name)
        if self._room <= 0:
            raise _no_room()
        self._room -= 1
        use = PolicyUse(name, UseKind.GRANT, grant.id, self._desk.now(), self._actor.name, None, "")
        view = replace(use_view(self._snapshot, use), shown=grant.label)
        return use, _change(self._desk, self._actor, [], use, view)


def check_may_use(actor: Actor) -> None:
    """Refuse those who may issue a grant, but not say what policy is on it.

    Raises:
        Forbidden: the role of the actor does not allow it.
    """
    if not may(actor.role, Permission.POLICIES_WRITE):
        words = f"putting a policy on a grant needs the permission {Permission.POLICIES_WRITE.value}"
        raise Forbidden(words, fix="leave the policy out, or ask an admin")


def _change(desk: Desk, actor: Actor, former: list[PolicyUse], after: PolicyUse, view: UseView) -> Change:
    before = told_of_use(former[0]) if former else None
    action = "policy.use" if after.ended_at is None else "policy.unuse"
    what = (ObjectKind.POLICY, after.policy, after.policy)
    told = told_of_use(after)
    if told is not None:
        told["called"] = words_of(view)
    return desk.scribe.changed(actor, action, what, before, told, after.because)


def use_of(
    snapshot: Snapshot, name: str, place: Place, now: datetime, by: str, because: str = ""
) -> PolicyUse:
    """Return the use of a policy that is wanted.

    Raises:
        Missing: no such grant or server.
        Unfit: a place that cannot be.
    """
    server = None
    if place.server:
        if place.kind is not UseKind.GRANT:
            raise Unfit("only the use on a grant can be narrowed to a server", fix="leave server out")
        server = server_id_of(snapshot, place.server)
    return PolicyUse(name, place.kind, _of(snapshot, place, now), now, by, server, because)


def _of(snapshot: Snapshot, place: Place, now: datetime) -> str:
    match place.kind:
        case UseKind.EVERYTHING:
            if place.of:
                raise Unfit("everything needs no name", fix="leave of out")
            return ""
        case UseKind.ROLE:
            return next(iter(fitness.roles_of(frozenset({place.of}))))
        case UseKind.GRANT:
            return find_grant(snapshot, place.of, now).id
        case UseKind.SERVER:
            return str(server_id_of(snapshot, place.of))


def former_uses(snapshot: Snapshot, wanted: PolicyUse) -> list[PolicyUse]:
    """Return the use whose place another takes: a grant and a server have one policy each."""
    if wanted.kind not in _ONE_ONLY:
        return []
    place = (wanted.kind, wanted.of, wanted.server)
    return [use for use in snapshot.registry.live_uses() if (use.kind, use.of, use.server) == place]


def _find(snapshot: Snapshot, name: str, place: Place, now: datetime) -> PolicyUse:
    """Return the use that is meant; also on a grant or server that is gone.

    Of several that are called the same, it is the one that `use` would mean.
    """
    with suppress(Missing, Unfit):  # what it is used on may be gone
        meant = snapshot.registry.policy_uses.get(use_of(snapshot, name, place, now, "").key)
        if meant is not None and meant.ended_at is None:
            return meant
    uses = uses_of(snapshot, name)
    for use, view in zip(uses, use_views(snapshot, uses), strict=True):
        if use.kind is not place.kind or place.of not in {use.of, view.shown}:
            continue
        if place.server in {view.server, str(use.server or "")}:
            return use
    raise Missing(
        f"the policy {name!r} is not used there", fix=f"`coatcheck policy show {name}` tells where it is used"
    )


def _check_grant(snapshot: Snapshot, wanted: PolicyUse) -> None:
    """Refuse a grant that never comes back: whoever names it means the next one of its label."""
    grant = snapshot.registry.grants.get(wanted.of) if wanted.kind is UseKind.GRANT else None
    if grant is not None and grant.is_over(wanted.at):
        raise Unfit(
            f"the grant {grant.label!r} is over, and none that is issued later gets a policy by this",
            fix="use it on the new one, once that is issued",
        )


def _room_for_uses(snapshot: Snapshot) -> int:
    return MAX_USES - sum(1 for _ in snapshot.registry.live_uses())


def _check_room(snapshot: Snapshot) -> None:
    if _room_for_uses(snapshot) <= 0:
        raise _no_room()


def _no_room() -> Unfit:
    return Unfit(f"there are {MAX_USES} uses of policies", fix="use policies on roles rather than on grants")
