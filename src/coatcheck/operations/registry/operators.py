"""Operators: invited by a one-time code, let in by a token, a password or a provider of identities, ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from coatcheck.core import tokens
from coatcheck.errors import Missing, Taken, Unfit
from coatcheck.model.change import ObjectKind
from coatcheck.model.operator import Actor, Operator, OperatorRole
from coatcheck.model.registry import Edit
from coatcheck.model.secret import Secret
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry import changes, fitness
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.views import OperatorState, OperatorView

CODE_LIFE: Final = timedelta(hours=24)
"""How long a login code can be used."""
FIRST: Final = "admin"
"""The operator whom the first login makes."""
GATEWAY: Final = Actor("gateway", OperatorRole.ADMIN, "start")
"""The gateway itself, which gives out the first code."""
_OVER: Final = frozenset({OperatorState.ENDED, OperatorState.EXPIRED})
NO_LOGIN: Final = "This code is not good: it was used, is too old, or was never given out."


class Operators:
    """Those who administer Coatcheck, besides the account that runs it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @property
    def has_login(self) -> bool:
        """Whether an operator ever logged in: from then on the API takes peers beyond the loopback."""
        operators = self._desk.book.registry.operators.values()
        return any(one.token_id or one.entered_at is not None for one in operators)

    async def bootstrap(self) -> Secret | None:
        """Return a new one-time code for the operator `admin` while nobody ever logged in, else None.

        Codes given before are void from then on. None as well if the local account invited someone else by
        that name: it can invite again.
        """
        known = self._desk.book.registry.operators.get(FIRST)
        taken = known is not None and known.ended_at is None and known.role is not OperatorRole.ADMIN
        if self.has_login or taken:
            return None
        _, code = await self.add(GATEWAY, FIRST, OperatorRole.ADMIN)
        return code

    async def add(
        self, actor: Actor, name: str, role: OperatorRole, expires_at: datetime | None = None
    ) -> tuple[OperatorView, Secret]:
        """Add an operator, or invite one anew: all that let it in before is void.

        Raises:
            Unfit: a name or time that cannot be.
            Taken: there is an operator of another role of that name, who has not ended or expired.
        """
        fitness.operator_of(name)
        until = fitness.end_of(expires_at, self._desk.now())
        code = tokens.mint(self._desk.entropy.token, tokens.CODE_PREFIX)

        def make(snapshot: Snapshot) -> Edit:
            before = snapshot.registry.operators.get(name)
            is_over = before is None or state_of(before, self._desk.now()) in _OVER
            if before is not None and not is_over and before.role is not role:
                words = f"there is an operator {name!r} with the role {before.role.value}"
                raise Taken(words, fix=f"run: coatcheck operator role {name} {role.value}")
            action = "operator.add" if before is None else "operator.invite"
            return edit_of(self._desk, actor, action, before, self._invited(before, name, role, until, code))

        await self._desk.book.edit(make)
        return view_of(self._desk.book.registry.operators[name], self._desk.now()), Secret(code)

    async def change_role(self, actor: Actor, name: str, role: OperatorRole) -> tuple[OperatorView, Secret]:
        """Give an operator another role, in one change; the one that it has: just another invitation.

        Whatever let it in before is void, so that nothing begun in the former role goes on; the code lets it
        in anew. One that has ended or expired is back by it. Until when it is an operator stays, unless that
        is past. Nobody changes their own role, and the last admin who can come in stays one: another comes
        in first.

        Raises:
            Missing: no such operator.
            Unfit: it is the actor, or the last admin.
        """
        code = tokens.mint(self._desk.entropy.token, tokens.CODE_PREFIX)

        def make(snapshot: Snapshot) -> Edit:
            before, now = _known(snapshot, name), self._desk.now()
            changes_role = before.role is not role and state_of(before, now) not in _OVER
            if changes_role:
                self._check_change(snapshot, actor, before)
            action = "operator.change" if changes_role else "operator.invite"
            until = before.expires_at if before.expires_at is not None and before.expires_at > now else None
            return edit_of(self._desk, actor, action, before, self._invited(before, name, role, until, code))

        await self._desk.book.edit(make)
        return view_of(self._desk.book.registry.operators[name], self._desk.now()), Secret(code)

    def _check_change(self, snapshot: Snapshot, actor: Actor, before: Operator) -> None:
        if before.name == actor.name:
            raise Unfit("nobody changes their own role", fix="ask another admin to do it")
        if _is_last_admin(snapshot, before.name, self._desk.now()):
            words = f"{before.name} is the last admin who can come in"
            raise Unfit(words, fix="invite another admin, and change this role once they came in")

    def _invited(
        self, before: Operator | None, name: str, role: OperatorRole, until: datetime | None, code: str
    ) -> Operator:
        """Return an operator whom nothing but a code lets in."""
        now = self._desk.now()
        return Operator(
            name,
            role,
            token_id=before.token_id if before is not None else "",
            code_hmac=self._desk.pepper.prove(code),
            code_until=now + CODE_LIFE,
            expires_at=until,
            created_at=before.created_at if before is not None else now,
            invited_at=now,
            entered_at=before.entered_at if before is not None else None,
            version=before.version + 1 if before is not None else 1,
        )

    async def login(self, code: str, origin: str) -> tuple[OperatorView, Secret]:
        """Trade a code for a token, once.

        Raises:
            Missing: the code is unknown, used or too old. One sentence for all.
        """
        token = tokens.mint(self._desk.entropy.token, tokens.OPERATOR_PREFIX)
        names: list[str] = []

        def make(snapshot: Snapshot) -> Edit:
            before = invited_by(self._desk, snapshot, code)
            names.append(before.name)
            after = self._with_token(before, token)
            actor = Actor(before.name, before.role, origin)
            return edit_of(self._desk, actor, "operator.login", before, after)

        await self._desk.book.edit(make)
        return view_of(self._desk.book.registry.operators[names[0]], self._desk.now()), Secret(token)

    async def end(self, actor: Actor, name: str) -> OperatorView:
        """End an operator; its token, code, password and browser sessions are void when this returns.

        Raises:
            Missing: no such operator.
            Unfit: it ended before.
        """

        def make(snapshot: Snapshot) -> Edit:
            before = _known(snapshot, name)
            if before.ended_at is not None:
                raise Unfit(f"the operator {name!r} has ended")
            after = replace(
                before,
                token_hmac="",
                code_hmac="",
                code_until=None,
                password="",
                password_at=None,
                vouched="",
                ended_at=self._desk.now(),
                version=before.version + 1,
            )
            return edit_of(self._desk, actor, "operator.end", before, after)

        await self._desk.book.edit(make)
        return view_of(self._desk.book.registry.operators[name], self._desk.now())

    async def token(self, actor: Actor, name: str) -> tuple[OperatorView, Secret]:
        """Give an operator a token for programs. One of before is void, and so is a code that waits.

        Whoever signs in at a browser otherwise still does.

        Raises:
            Missing: no such operator.
            Unfit: it has ended, or its time is over.
        """
        token = tokens.mint(self._desk.entropy.token, tokens.OPERATOR_PREFIX)

        def make(snapshot: Snapshot) -> Edit:
            before = self._standing(snapshot, name)
            after = self._with_token(before, token)
            return edit_of(self._desk, actor, "operator.token", before, after)

        await self._desk.book.edit(make)
        return view_of(self._desk.book.registry.operators[name], self._desk.now()), Secret(token)

    async def void_token(self, actor: Actor, name: str) -> OperatorView:
        """Void the token of an operator; all else that lets it in stays.

        Raises:
            Missing: no such operator.
            Unfit: it has ended, or has no token.
        """

        def make(snapshot: Snapshot) -> Edit:
            before = self._standing(snapshot, name)
            if not before.token_hmac:
                raise Unfit(f"the operator {name!r} has no token")
            after = replace(before, token_hmac="", version=before.version + 1)
            return edit_of(self._desk, actor, "operator.void_token", before, after)

        await self._desk.book.edit(make)
        return view_of(self._desk.book.registry.operators[name], self._desk.now())

    def _with_token(self, before: Operator, token: str) -> Operator:
        """Return an operator whom this token lets in; one of before is void, and so is a code."""
        return replace(
            before,
            token_id=tokens.public_id(token),
            token_hmac=self._desk.pepper.prove(token),
            code_hmac="",
            code_until=None,
            version=before.version + 1,
        )

    def _standing(self, snapshot: Snapshot, name: str) -> Operator:
        """Return an operator that may still be given something."""
        found = _known(snapshot, name)
        state = state_of(found, self._desk.now())
        if state in _OVER:
            raise Unfit(f"the operator {name!r} has {state.value}", fix="invite it anew")
        return found

    def identify(self, token: str, origin: str) -> Actor | None:
        """Return whose token this is, or None; the same time is spent on one that nobody has."""
        if not (token.startswith(tokens.OPERATOR_PREFIX) and tokens.is_well_formed(token)):
            return None
        public = tokens.public_id(token)
        operators = self._desk.book.registry.operators.values()
        found = next((one for one in operators if one.token_id == public), None)
        if not self._desk.pepper.fits(token, found.token_hmac if found is not None else "") or found is None:
            return None
        if state_of(found, self._desk.now()) is not OperatorState.ACTIVE:
            return None
        return Actor(found.name, found.role, origin)

    # --- looking -----------------------------------------------------------------------------------------

    def is_last_admin(self, name: str) -> bool:
        """Tell whether nobody else can come in as an admin; an invitation counts once it is used."""
        return _is_last_admin(self._desk.snapshot, name, self._desk.now())

    def list(self) -> Sequence[OperatorView]:
        """Return all operators by name, those that ended last."""
        now = self._desk.now()
        views = [view_of(one, now) for one in self._desk.book.registry.operators.values()]
        return sorted(views, key=lambda view: (view.state is OperatorState.ENDED, view.name))


def state_of(operator: Operator, now: datetime) -> OperatorState:
    """Return how an operator stands. One that came by a browser, without a password, is active as well.

    One that nothing lets in is `invited`, too: whether the invitation is good, `can_come_in` tells.
    """
    if operator.ended_at is not None:
        return OperatorState.ENDED
    if operator.expires_at is not None and operator.expires_at <= now:
        return OperatorState.EXPIRED
    came = operator.entered_at is not None and not operator.code_hmac
    active = operator.token_hmac or operator.password or operator.vouched or came
    return OperatorState.ACTIVE if active else OperatorState.INVITED


def can_come_in(operator: Operator, now: datetime) -> bool:
    """Tell whether an operator can come in, now or by a code that waits for it."""
    match state_of(operator, now):
        case OperatorState.ACTIVE:
            return True
        case OperatorState.INVITED:
            return bool(operator.code_hmac) and _has_time(operator, now)
        case _:
            return False


def _has_time(operator: Operator, now: datetime) -> bool:
    """Tell whether the code of an operator is not too old."""
    return operator.code_until is not None and operator.code_until > now


def _known(snapshot: Snapshot, name: str) -> Operator:
    """Return an operator, however it stands.

    Raises:
        Missing: there is none of that name.
    """
    found = snapshot.registry.operators.get(name)
    if found is None:
        raise Missing(f"there is no operator {name!r}", fix="`coatcheck operator list` names them")
    return found


def _is_last_admin(snapshot: Snapshot, name: str, now: datetime) -> bool:
    admins = (one for one in snapshot.registry.operators.values() if one.role is OperatorRole.ADMIN)
    return [one.name for one in admins if state_of(one, now) is OperatorState.ACTIVE] == [name]


def view_of(operator: Operator, now: datetime) -> OperatorView:
    """Return an operator as it is shown."""
    return OperatorView(
        operator.name,
        operator.role,
        state_of(operator, now),
        operator.created_at,
        operator.expires_at,
        operator.code_until,
        operator.ended_at,
        operator.version,
        bool(operator.token_hmac),
        bool(operator.password),
        operator.vouched,
    )


def invited_by(desk: Desk, snapshot: Snapshot, code: str) -> Operator:
    """Return whom a code is for.

    Raises:
        Missing: the code is unknown, used or too old. One sentence for all.
    """
    now = desk.now()
    good = [one for one in snapshot.registry.operators.values() if desk.pepper.fits(code, one.code_hmac)]
    for operator in good:
        if operator.ended_at is None and _has_time(operator, now):
            return operator
    raise Missing(NO_LOGIN, fix="ask an admin for another, or start the gateway again for the first one")


def edit_of(desk: Desk, actor: Actor, action: str, before: Operator | None, after: Operator) -> Edit:
    """Return the edit that puts an operator, with its record."""
    what = (ObjectKind.OPERATOR, after.name, after.name)
    told = changes.of_operator(before) if before is not None else None
    return Edit((after,), (desk.scribe.changed(actor, action, what, told, changes.of_operator(after)),))
