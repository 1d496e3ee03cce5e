"""A new server as it is kept, with the credentials that are made of what it is given."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from uuid import UUID

from coatcheck.core.credentials.making import material_of
from coatcheck.core.credentials.naming import name_of
from coatcheck.core.filling import Parted
from coatcheck.errors import Taken, Unfit
from coatcheck.model.credential import Credential
from coatcheck.model.operator import Actor
from coatcheck.model.server import StoredServer
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry import fitness
from coatcheck.operations.registry.patches import NewServer
from coatcheck.operations.registry.serving import equipping
from coatcheck.operations.registry.serving.equipping import Maker


def made(
    snapshot: Snapshot, actor: Actor, maker: Maker, new: NewServer, parted: Parted
) -> tuple[StoredServer, list[Credential]]:
    """Return a new server and the credentials made for it, those that are asked for along with it first.

    Raises:
        Taken: its name, or that of one of these, is taken.
        Unfit, Forbidden: as `RegisteredServers.add`.
    """
    if new.name.casefold() in _names(snapshot):
        raise Taken(f"there is a server {new.name!r} already", fix="choose another name")
    credentials = _named(snapshot, maker, new)
    registry = snapshot.registry
    given, own = equipping.equip(registry, maker, new.name, parted.secrets, _names_in(credentials))
    equipping.check_named(snapshot, actor, parted.reach, parted.blanks, more=credentials)
    credentials += own
    if new.oauth is not None:
        beside = _names_in(credentials)
        parted, tokens = equipping.with_oauth(registry, maker, new.name, parted, new.oauth, beside)
        credentials.append(tokens)
    server = StoredServer(
        id=UUID(bytes=maker.entropy.token(16), version=4),
        name=new.name,
        reach=parted.reach,
        created_at=maker.now,
        created_by=actor.name,
        plain=plain_of(new),
        note=fitness.note_of(new.note),
        upkeep=new.upkeep,
        blanks=MappingProxyType({**parted.blanks, **given}),
        default=new.default,
        approved=fitness.approved_of(new.approved),
        trusted=new.trusted,
    )
    return server, credentials


def plain_of(new: NewServer) -> frozenset[str]:
    """Return the headers or variables whose values may be shown.

    Raises:
        Unfit: one of them is not there.
    """
    if odd := sorted(new.plain - new.headers.keys() - new.env.keys()):
        raise Unfit(f"{odd[0]!r} is to be shown, but there is no such header or variable")
    return new.plain


def _named(snapshot: Snapshot, maker: Maker, new: NewServer) -> list[Credential]:
    """Return the credentials that are asked for by name."""
    taken = equipping.names_of(snapshot.registry)
    for name in new.credentials:
        if name_of(name) in taken:
            raise Taken(f"there is a credential {name!r} already", fix="choose another name")
    given = new.credentials.items()
    return [maker.credential(name, material_of(None, one.reveal(), lines=True)) for name, one in given]


def _names_in(credentials: Iterable[Credential]) -> frozenset[str]:
    return frozenset(one.name for one in credentials)


def _names(snapshot: Snapshot) -> set[str]:
    stored = (one.name for one in snapshot.registry.servers.values() if one.ended_at is None)
    return {name.casefold() for name in (*snapshot.declared.servers, *stored)}
