"""Whether somebody who signed in may still be signed in: asked of the snapshot in force, every time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from coatcheck.model.browser import Way, Whose
from coatcheck.model.grant import Grant, IssuedGrant
from coatcheck.model.operator import Operator
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.merging import Declared
from coatcheck.operations.registry.operators import state_of
from coatcheck.operations.registry.views import OperatorState
from coatcheck.ports import Clock


class Standing:
    """The look-up of operators, subjects and grants that browser sessions hang on."""

    def __init__(self, snapshot: Callable[[], Snapshot], clock: Clock) -> None:
        self._snapshot = snapshot
        self._clock = clock
        self._live: Mapping[str, Grant] = {}
        self._of_file: frozenset[tuple[str, str]] = frozenset()
        """Id and subject of each of `_live`, the grants of the file that were looked at last."""
        self._declared: Declared | None = None
        self._owners: frozenset[str] = frozenset()
        """Whom the grants of `_declared` are for, the file that was looked at last."""

    def basis(self, whose: Whose, who: str, how: Way, by: str) -> str | None:
        """Return what a session of theirs rests on; None: they may not be signed in now.

        The text differs once an operator was invited anew, was given another role or another password: no
        session of before is proven by it any more, whatever was lost of its ending.
        """
        snapshot, now = self._snapshot(), self._clock.now()
        if whose is Whose.OPERATOR:
            return _basis_of(snapshot.registry.operators.get(who), how, by, now)
        subject = snapshot.registry.subjects.get(who)
        if snapshot.registry.uncertain or (subject is not None and subject.disabled):
            return None  # where a row may be missing that disables somebody, nobody is let in
        if how is Way.GRANT:
            return "" if self._is_good(snapshot, who, by, now) else None
        is_person = (
            subject.kind is SubjectKind.PERSON if subject is not None else self._is_named(snapshot, who)
        )
        return "" if is_person else None  # a provider vouches for a name; here it must be somebody's

    def _is_named(self, snapshot: Snapshot, subject: str) -> bool:
        """Tell whether the file names a subject. Not stored, it is a person, as for `find_subject`."""
        if snapshot.declared is not self._declared:  # asked as often as `_is_good`
            self._declared = snapshot.declared
            self._owners = frozenset(grant.subject for grant in snapshot.declared.grants.values())
        return subject in self._owners

    def _is_good(self, snapshot: Snapshot, subject: str, by: str, now: datetime) -> bool:
        """Tell whether what proved a subject is good yet: a token of an issued grant, a grant of the file."""
        issued = snapshot.issued.get(by)
        if issued is not None:
            return issued.subject == subject and not issued.is_over(now) and _has_token(issued, by, now)
        if snapshot.live is not self._live:  # asked at each request, and of every session at each change
            self._live = snapshot.live
            self._of_file = frozenset((grant.id, grant.subject) for grant in snapshot.live.values())
        return (by, subject) in self._of_file


def _basis_of(operator: Operator | None, how: Way, by: str, now: datetime) -> str | None:
    if operator is None or state_of(operator, now) is not OperatorState.ACTIVE:
        return None
    if how is Way.OIDC and operator.vouched != by:
        return None
    return f"{operator.role.value} {_stamp(operator.invited_at)} {_stamp(operator.password_at)}"


def _has_token(grant: IssuedGrant, token_id: str, now: datetime) -> bool:
    proofs = (proof for proof in grant.proofs if proof.token_id == token_id)
    return any(proof.until is None or proof.until > now for proof in proofs)


def _stamp(moment: datetime | None) -> str:
    return "-" if moment is None else moment.isoformat()
