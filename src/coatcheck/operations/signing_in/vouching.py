"""Who somebody is here for whom the OpenID provider vouches: an operator, an owner of grants, or nobody.

An operator is known by issuer and subject once linked, and by its name before. Where claims give roles, the
provider has the last word on every operator that signs in with it: it makes them, changes their role and ends
them, each recorded as a change. What an operator of ours removed stays removed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from coatcheck.errors import OpenIdRefused, Unfit
from coatcheck.model.browser import Whose
from coatcheck.model.change import ObjectKind
from coatcheck.model.openid import OpenIdRules, Vouched
from coatcheck.model.operator import Actor, Operator, OperatorRole
from coatcheck.model.registry import Edit
from coatcheck.model.subject import Subject, SubjectKind
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry import changes, fitness
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.subjects import find_subject

PROVIDER: Final = "openid"
"""What the provider is called where it makes a change; no operator can have this name."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """Who is let in: an operator or a subject by this name; `by` is the identity at the provider."""

    whose: Whose
    who: str
    by: str


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What comes of a sign-in: the operator as it is and as it shall be, or why there is none."""

    before: Operator | None = None
    after: Operator | None = None
    action: str = ""
    refusal: str = ""


class Vouching:
    """Judges by the registry in force, and writes in it what the provider's word changes."""

    def __init__(self, desk: Desk, rules: OpenIdRules) -> None:
        self._desk = desk
        self._rules = rules
        self._actor = Actor(PROVIDER, OperatorRole.ADMIN, rules.issuer)

    async def admit(self, vouched: Vouched) -> Entrant:
        """Return who somebody is here; operators are made, linked, changed and ended as the claims say.

        Raises:
            OpenIdRefused: nobody who may come in.
            Stale, Taken: somebody else wrote the store meanwhile; nothing happened.
            Unavailable: the store cannot be written.
        """
        outcomes: list[_Outcome] = []

        def make(snapshot: Snapshot) -> Edit | None:
            outcome = self._judge(snapshot, vouched)
            outcomes.append(outcome)
            return self._edit(outcome, vouched) if outcome.action else None

        snapshot = (await self._desk.book.edit(make)).snapshot
        outcome = outcomes[-1]
        if outcome.after is not None and outcome.after.ended_at is None:
            return Entrant(Whose.OPERATOR, outcome.after.name, vouched.link)
        subject, why = self._subject(snapshot, vouched.name)
        if subject is not None:
            return Entrant(Whose.SUBJECT, subject.name, vouched.link)
        raise self._refused(vouched, outcome.refusal or vouched.because, why)

    # --- operators -----------------------------------------------------------------------------------------

    def _judge(self, snapshot: Snapshot, vouched: Vouched) -> _Outcome:
        operators = snapshot.registry.operators
        linked = _linked(operators.values(), vouched.link)
        if self._rules.operators and vouched.role is None:
            if linked is None or linked.ended_at is not None:
                return _Outcome()
            return _Outcome(linked, self._ended(linked), "operator.end")
        if linked is not None:
            return self._known(linked, vouched) if linked.ended_at is None else self._back(linked, vouched)
        return self._unknown(operators.get(vouched.name.lower()), vouched)

    def _known(self, linked: Operator, vouched: Vouched) -> _Outcome:
        if self._is_over(linked):
            return _Outcome(refusal=f"the time of the operator {linked.name} is over")
        if vouched.role in (None, linked.role):
            return _Outcome(linked, linked)
        return _Outcome(linked, self._next(linked, role=vouched.role), "operator.change")

    def _back(self, ended: Operator, vouched: Vouched) -> _Outcome:
        """Return an operator whom the provider ended: who is ended by an admin is linked no more."""
        if vouched.role is None:
            return _Outcome(refusal=f"the provider ended the operator {ended.name}")
        if self._is_over(ended):
            return _Outcome(refusal=f"the time of the operator {ended.name} is over")
        now = self._desk.now()  # what was signed in before the end is not signed in again by this
        after = self._next(ended, role=vouched.role, ended_at=None, invited_at=now)
        return _Outcome(ended, after, "operator.restore")

    def _unknown(self, named: Operator | None, vouched: Vouched) -> _Outcome:
        """Judge by the name, which nobody is linked to yet."""
        if named is None:
            nobody = _Outcome(refusal="nobody invited them")
            return nobody if vouched.role is None else self._new(vouched, vouched.role)
        if named.ended_at is not None:
            return _Outcome(refusal=f"an admin removed the operator {named.name}")
        if self._is_over(named):
            return _Outcome(refusal=f"the time of the operator {named.name} is over")
        if named.code_hmac and named.code_until is not None and named.code_until <= self._desk.now():
            return _Outcome(refusal=f"the invitation of the operator {named.name} has lapsed")
        if named.vouched or not named.code_hmac:
            return _Outcome(refusal=f"the operator {named.name} signs in otherwise until it is invited anew")
        after = self._next(
            named, role=vouched.role or named.role, vouched=vouched.link, code_hmac="", code_until=None
        )
        return _Outcome(named, after, "operator.link")

    def _new(self, vouched: Vouched, role: OperatorRole) -> _Outcome:
        try:
            name = fitness.operator_of(vouched.name.lower())
        except Unfit:
            return _Outcome(refusal="their name cannot be that of an operator")
        now = self._desk.now()
        made = Operator(name, role, created_at=now, version=1, vouched=vouched.link, entered_at=now)
        return _Outcome(None, made, "operator.add")

    def _ended(self, linked: Operator) -> Operator:
        return self._next(
            linked,
            ended_at=self._desk.now(),
            token_hmac="",
            code_hmac="",
            code_until=None,
            password="",
            password_at=None,
        )

    def _next(self, before: Operator, **fields: object) -> Operator:
        entered = before.entered_at or self._desk.now()
        return replace(before, version=before.version + 1, entered_at=entered, **fields)  # type: ignore[arg-type]  # each caller names fields of an operator

    def _is_over(self, operator: Operator) -> bool:
        return operator.expires_at is not None and operator.expires_at <= self._desk.now()

    def _edit(self, outcome: _Outcome, vouched: Vouched) -> Edit:
        after = outcome.after
        if after is None:
            raise ValueError("an edit has something to put")
        before = None if outcome.before is None else changes.of_operator(outcome.before)
        what = (ObjectKind.OPERATOR, after.name, after.name)
        told = changes.of_operator(after)
        change = self._desk.scribe.changed(self._actor, outcome.action, what, before, told, vouched.because)
        return Edit((after,), (change,))

    # --- owners of grants ----------------------------------------------------------------------------------

    def _subject(self, snapshot: Snapshot, name: str) -> tuple[Subject | None, str]:
        """Return the person of this name who owns grants, or why there is none. Addresses have no case."""
        spelled = (name, name.lower()) if self._rules.name_claim == "email" else (name,)
        found = next((one for text in spelled if (one := find_subject(snapshot, text)) is not None), None)
        if found is None or found.kind is not SubjectKind.PERSON:
            return None, "there is no person of that name among the subjects"
        if found.disabled or snapshot.registry.uncertain:
            return None, "the subject of that name is disabled"
        return found, ""

    def _refused(self, vouched: Vouched, *why: str) -> OpenIdRefused:
        missing = "a group that has a role here" if self._rules.operators else "an invitation"
        return OpenIdRefused(
            f"the provider knows you as {vouched.name}, but nobody of that name may come in here",
            fix=f"ask an admin of Coatcheck for {missing}, or for a grant of your own",
            because=f"{vouched.name} was vouched for, but {' and '.join(why)}",
        )


def _linked(operators: Iterable[Operator], link: str) -> Operator | None:
    return next((one for one in operators if one.vouched == link), None)
