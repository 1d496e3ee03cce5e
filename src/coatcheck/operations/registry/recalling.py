"""Keeping what each edit of the file changed, before it is in force: a record, and the file's credentials."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from coatcheck.core.wire import messages
from coatcheck.errors import Stale, Taken
from coatcheck.model.change import Change, ChangeFilter, ObjectKind
from coatcheck.model.credential import Credential
from coatcheck.model.declaration import Declaration
from coatcheck.model.operator import Actor, OperatorRole
from coatcheck.model.registry import Edit, Registry
from coatcheck.operations.merging import Declared, with_puts
from coatcheck.operations.registry import changes
from coatcheck.operations.registry.changes import Scribe
from coatcheck.operations.registry.tracing import traced
from coatcheck.ports import Clock, RegistryStore

log = logging.getLogger(__name__)

FILE: Final = "file"
_DIGEST: Final = "sha256"
"""What tells at the next start whether the file was edited meanwhile: over all that is told of it."""
_ROUNDS: Final = 3
"""How often a commit is tried where the store knows more of the credentials than we do."""


class Recalling:
    """Writes a change record for each reading that says something else than the one before.

    The credentials that the file itself gives are kept by their fingerprints, made with `print_key`, so that
    their age and versions are known beyond a start.
    """

    def __init__(self, store: RegistryStore, scribe: Scribe, clock: Clock, print_key: bytes) -> None:
        self._store = store
        self._scribe = scribe
        self._clock = clock
        self._print_key = print_key

    async def __call__(
        self, before: Declaration | None, declared: Declared, registry: Registry
    ) -> Mapping[UUID, Credential]:
        """Keep an edit, or at the start that the file is other than it was at the end.

        Returns the credentials as they are then. A variable may have another value than at the last start.

        Raises:
            StoreUnavailable: nothing was kept, and the edit must wait.
        """
        for _ in range(_ROUNDS):
            puts = traced(declared, registry, self._print_key, self._clock.now())
            try:
                return await self._keep(before, declared.declaration, registry, puts)
            except (Stale, Taken):
                registry = await self._store.load()  # a commit whose word was lost, or another gateway's
        log.warning("the credentials of the file cannot be kept: their rows are not as they were written")
        return await self._keep(before, declared.declaration, registry, ())

    async def _keep(
        self,
        before: Declaration | None,
        after: Declaration,
        registry: Registry,
        puts: tuple[Credential, ...],
    ) -> Mapping[UUID, Credential]:
        path = str(after.path) if after.path is not None else "nowhere"
        actor = Actor(FILE, OperatorRole.ADMIN, path)
        told = [self._changed(actor, registry, one) for one in puts]
        if (change := await self._edited(actor, before, after)) is not None:
            told.insert(0, change)
        if told:
            await self._store.commit(Edit(puts, tuple(told)))
        return with_puts(registry, puts).credentials

    async def _edited(self, actor: Actor, before: Declaration | None, after: Declaration) -> Change | None:
        digest = _digest(after)
        if before is None and (after.path is None or digest == await self._last()):
            return None
        told = {**(changes.of_file(after, before) or {}), _DIGEST: digest}
        what = (ObjectKind.CONFIG, FILE, actor.origin)
        verb = "config.start" if before is None else "config.edit"
        return self._scribe.changed(actor, verb, what, changes.of_file(before, after), told)

    def _changed(self, actor: Actor, registry: Registry, after: Credential) -> Change:
        before = registry.credentials.get(after.id)
        if after.ended_at is not None:
            verb = "end"
        elif before is None:
            verb = "add"
        else:
            verb = "activate" if before.ended_at is None else "restore"
        what = (ObjectKind.CREDENTIAL, str(after.id), after.name)
        told = changes.of_credential(before) if before is not None else None
        return self._scribe.changed(actor, f"credential.{verb}", what, told, changes.of_credential(after))

    async def _last(self) -> str:
        entries = await self._store.list_changes(ChangeFilter(kind=ObjectKind.CONFIG, limit=1))
        if not entries or not entries[0].change.after:
            return ""
        return str(json.loads(entries[0].change.after).get(_DIGEST, ""))


def _digest(declaration: Declaration) -> str:
    outline = changes.of_file(declaration, None) or {}
    return hashlib.sha256(messages.raw_of(dict(outline))).hexdigest()
