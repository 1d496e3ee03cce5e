"""How operators come in by browsers: codes used up there, and passwords kept."""

from __future__ import annotations

from dataclasses import replace

from coatcheck.errors import Missing, Stale
from coatcheck.model.operator import GATEWAY_ACTOR, Actor, Operator
from coatcheck.model.registry import Edit
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.operators import NO_LOGIN, edit_of, invited_by, state_of, view_of
from coatcheck.operations.registry.views import OperatorState, OperatorView


class Entering:
    """What signing in reads and writes of operators."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def find(self, name: str) -> Operator | None:
        """Return an operator that may sign in now: not ended, not expired, not waiting for its code."""
        found = self._desk.book.registry.operators.get(name)
        active = found is not None and state_of(found, self._desk.now()) is OperatorState.ACTIVE
        return found if active else None

    def waiting(self, code: str) -> OperatorView | None:
        """Return whom a code is for, if it is good; nothing is changed."""
        try:
            return view_of(invited_by(self._desk, self._desk.snapshot, code), self._desk.now())
        except Missing:
            return None

    async def enter(self, code: str, name: str, hashed: str, origin: str) -> OperatorView:
        """Use up a code at a browser. `hashed` is a password of this operator; empty: as it was.

        Raises:
            Missing: as `login`; or the code is not this operator's.
        """

        def make(snapshot: Snapshot) -> Edit:
            before, now = invited_by(self._desk, snapshot, code), self._desk.now()
            if before.name != name:
                raise Missing(NO_LOGIN, fix="ask an admin for another")
            after = replace(
                before,
                code_hmac="",
                code_until=None,
                password=hashed or before.password,
                password_at=now if hashed else before.password_at,
                entered_at=before.entered_at or now,
                version=before.version + 1,
            )
            return edit_of(self._desk, Actor(name, before.role, origin), "operator.login", before, after)

        await self._desk.book.edit(make)
        return self._view(name)

    async def set_password(self, name: str, former: str, hashed: str, by: Actor | None = None) -> None:
        """Put a hash in the place of the one that was judged. `by` None: the same password, hashed anew.

        Raises:
            Stale: it has another password by now, or may not sign in any more.
        """

        def make(snapshot: Snapshot) -> Edit:
            before, now = snapshot.registry.operators.get(name), self._desk.now()
            if (
                before is None
                or before.password != former
                or state_of(before, now) is not OperatorState.ACTIVE
            ):
                raise Stale(f"the operator {name!r} was changed meanwhile", fix="sign in again")
            set_at = before.password_at if by is None else now
            after = replace(before, password=hashed, password_at=set_at, version=before.version + 1)
            action = "operator.rehash" if by is None else "operator.password"
            return edit_of(self._desk, by or GATEWAY_ACTOR, action, before, after)

        await self._desk.book.edit(make)

    # --- within ------------------------------------------------------------------------------------------

    def _view(self, name: str) -> OperatorView:
        return view_of(self._desk.book.registry.operators[name], self._desk.now())
