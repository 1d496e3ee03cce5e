"""Giving credentials to stored servers that hold their secrets themselves, as all did before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from coatcheck.core import filling
from coatcheck.model.change import Change, ObjectKind
from coatcheck.model.credential import Credential
from coatcheck.model.operator import GATEWAY_ACTOR
from coatcheck.model.registry import Edit, Object
from coatcheck.model.secret import Secret
from coatcheck.model.server import StoredServer
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.merging import with_puts
from coatcheck.operations.registry import changes
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.serving.equipping import Maker, equip

_BECAUSE: Final = "secrets of servers are credentials from this version on"


class Adopting:
    """Turns the secrets of stored servers into credentials, all in one edit."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def run(self) -> int:
        """Do it, and return how many credentials were made. To be called once the directory is open.

        Raises:
            Unavailable: the store cannot be written; all is as it was.
        """
        made: list[Credential] = []

        def make(snapshot: Snapshot) -> Edit | None:
            made.clear()
            puts: list[Object] = []
            log: list[Change] = []
            registry = snapshot.registry
            maker = Maker(GATEWAY_ACTOR.name, self._desk.now(), self._desk.entropy, self._desk.print_key)
            for server in sorted(registry.servers.values(), key=lambda one: one.name):
                secrets = dict(_secrets_of(server)) if server.ended_at is None else {}
                if not secrets:
                    continue
                blanks, credentials = equip(registry, maker, server.name, secrets)
                after = replace(
                    server,
                    reach=filling.with_values(server.reach, dict.fromkeys(secrets, Secret(filling.STAND_IN))),
                    blanks=MappingProxyType({**server.blanks, **blanks}),
                    version=server.version + 1,
                )
                puts += [after, *credentials]
                log += self._told(server, after, credentials)
                made.extend(credentials)
                registry = with_puts(registry, credentials)
            return Edit(tuple(puts), tuple(log)) if puts else None

        await self._desk.book.edit(make)
        return len(made)

    def _told(
        self, before: StoredServer, after: StoredServer, credentials: list[Credential]
    ) -> Iterator[Change]:
        what = (ObjectKind.SERVER, str(after.id), after.name)
        outlines = changes.of_server(before), changes.of_server(after)
        yield self._desk.scribe.changed(GATEWAY_ACTOR, "server.change", what, *outlines, _BECAUSE)
        for one in credentials:
            kind = (ObjectKind.CREDENTIAL, str(one.id), one.name)
            told = changes.of_credential(one)
            yield self._desk.scribe.changed(GATEWAY_ACTOR, "credential.add", kind, None, told, _BECAUSE)


def _secrets_of(server: StoredServer) -> Iterator[tuple[str, Secret]]:
    """Yield the headers and variables that are secret, and are no credentials yet, by place."""
    for place, value in filling.values_of(server.reach):
        part, _, name = place.partition("/")
        if part in {"headers", "env"} and place not in server.blanks and name not in server.plain:
            yield place, value
