"""What a step of a rotation is refused for, and in which words."""

from __future__ import annotations

from datetime import datetime

from coatcheck.errors import Forbidden, NotVerified, Stale, Taken, Unfit, Unproven
from coatcheck.model.credential import Credential, CredentialVersion, Stage
from coatcheck.model.operator import Actor, OperatorRole
from coatcheck.operations.credentials.showing import used_by
from coatcheck.operations.credentials.views import Verdict
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry import fitness


def check_may(actor: Actor, snapshot: Snapshot, credential: Credential) -> None:
    """Refuse those who may not register commands to choose an argument of one.

    Raises:
        Forbidden: the credential is an argument, and the actor no admin.
    """
    places = [place for _, place in used_by(snapshot).get(credential.name, ())]
    if actor.role is not OperatorRole.ADMIN and any(place.startswith("args/") for place in places):
        words = f"the credential {credential.name} is an argument of a command, and those are for admins"
        raise Forbidden(words, fix="ask an admin")


def check_new(credential: Credential, version: CredentialVersion, now: datetime) -> None:
    """Refuse a version that cannot be staged.

    Raises:
        Taken: another is staged.
        Unfit: it is the one in use, or has expired.
    """
    staged, active = credential.at(Stage.STAGED), credential.active
    if staged is not None:
        raise Taken(
            f"version {staged.number} of {credential.name} is staged by {staged.made_by} already",
            fix=f"coatcheck credential activate {credential.name}, or discard it",
        )
    if active is not None and active.print == version.print:
        raise Unfit(f"the secret is the one that {credential.name} has already", fix="give the new one")
    if version.expires_at is not None and version.expires_at <= now:
        raise Unfit("the secret has expired, by what it says of itself", fix="give one that is still good")


def reason_of(because: str, *, anyway: bool) -> str:
    """Return why a step is made. Who goes on without a proof, `anyway`, says why: it is put on record.

    Raises:
        Unfit: a reason that cannot be, or none where one is needed.
    """
    said = fitness.note_of(because.strip(), "a reason")
    if anyway and not said:
        fix = "a version that is used without a proof needs a reason: `because`"
        raise Unfit("say why: it is put on record", fix=fix, field="because")
    return said


def at(credential: Credential, stage: Stage, command: str) -> CredentialVersion:
    """Return the version at a stage; `command` makes one.

    Raises:
        Unfit: there is none, or its material is gone.
    """
    found = credential.at(stage)
    if found is None or (stage is Stage.PREVIOUS and found.material is None):
        word = {Stage.STAGED: "staged", Stage.PREVIOUS: "previous", Stage.ACTIVE: "active"}[stage]
        raise Unfit(
            f"the credential {credential.name} has no {word} version", fix=f"{command} {credential.name}"
        )
    return found


def check_number(credential: Credential, found: CredentialVersion, wanted: int | None) -> None:
    """Refuse a step that was meant for another version.

    Raises:
        Stale: it was.
    """
    if wanted is not None and found.number != wanted:
        words = (
            f"version {found.number} of {credential.name} is {found.stage.value} now, not version {wanted}"
        )
        raise Stale(words, fix="look at it, then begin again")


def not_verified(name: str, verdicts: list[Verdict]) -> NotVerified:
    """Return the failure of a version that a server refused."""
    first = next(one for one in verdicts if not one.ok)
    return NotVerified(
        f"the new version of {name} was not switched to: {first.sentence}",
        fix="the old version stays in use; check the secret, or say --no-verify if the server is at fault",
        verdicts=verdicts,
    )


def unproven(name: str, verdicts: list[Verdict] | tuple[()]) -> Unproven:
    """Return the failure of a version of which nobody can tell whether it is good."""
    return Unproven(
        f"the servers take the new version of {name}, but an obviously wrong one as well: it is unproven",
        fix="give a server a probe call (coatcheck server change SERVER --probe 'TOOL {}'), or say "
        "--accept-unproven",
        verdicts=verdicts,
    )


def unasked(snapshot: Snapshot, name: str, verdicts: list[Verdict]) -> NotVerified | None:
    """Return the failure of a try in which there was nobody to ask, though servers use the credential."""
    users = sorted({server for server, _ in used_by(snapshot).get(name, ())})
    if verdicts or not users:
        return None
    return NotVerified(
        f"the new version of {name} was not switched to: nobody could be asked, for {', '.join(users)} "
        f"{'is' if len(users) == 1 else 'are'} disabled",
        fix="enable a server first, or say --no-verify",
        verdicts=verdicts,
    )
