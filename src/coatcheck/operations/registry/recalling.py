"""Keeping in the admin log what each edit of the file changed, before the edit is in force."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from coatcheck.core.wire import messages
from coatcheck.model.change import ChangeFilter, ObjectKind
from coatcheck.model.declaration import Declaration
from coatcheck.model.operator import Actor, OperatorRole
from coatcheck.model.registry import Edit
from coatcheck.operations.registry import changes
from coatcheck.operations.registry.changes import Scribe
from coatcheck.ports import RegistryStore

_DIGEST: Final = "sha256"
"""What tells at the next start whether the file was edited meanwhile: over all that is told of it."""


class Recalling:
    """Writes a change record for each reading that says something else than the one before."""

    def __init__(self, store: RegistryStore, scribe: Scribe) -> None:
        self._store = store
        self._scribe = scribe

    async def __call__(self, before: Declaration | None, after: Declaration) -> None:
        """Keep an edit, or at the start that the file is other than it was at the end.

        Raises:
            StoreUnavailable: nothing was kept, and the edit must wait.
        """
        path = str(after.path) if after.path is not None else "nowhere"
        digest = _digest(after)
        if before is None and (after.path is None or digest == await self._last()):
            return
        told = {**(changes.of_file(after, before) or {}), _DIGEST: digest}
        actor = Actor("file", OperatorRole.ADMIN, path)
        what = (ObjectKind.CONFIG, "file", path)
        verb = "config.start" if before is None else "config.edit"
        change = self._scribe.changed(actor, verb, what, changes.of_file(before, after), told)
        await self._store.commit(Edit((), (change,)))

    async def _last(self) -> str:
        entries = await self._store.list_changes(ChangeFilter(kind=ObjectKind.CONFIG, limit=1))
        if not entries or not entries[0].change.after:
            return ""
        return str(json.loads(entries[0].change.after).get(_DIGEST, ""))


def _digest(declaration: Declaration) -> str:
    outline = changes.of_file(declaration, None) or {}
    return hashlib.sha256(messages.raw_of(dict(outline))).hexdigest()
