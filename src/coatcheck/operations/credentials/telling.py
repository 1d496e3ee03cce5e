"""What the admin log is told of the steps of a rotation: everything but material and what servers said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from coatcheck.model.change import ObjectKind
from coatcheck.model.credential import Credential, CredentialVersion, Stage
from coatcheck.operations.credentials.views import Verdict
from coatcheck.operations.registry.changes import Outline


def what(credential: Credential) -> tuple[ObjectKind, str, str]:
    """Return kind, id and name."""
    return ObjectKind.CREDENTIAL, str(credential.id), credential.name


def of_step(credential: Credential, verdicts: Sequence[Verdict], step: Mapping[str, Any]) -> Outline:
    """Return the versions as they are at a step, what the step is about, and what the servers said."""
    versions = [_of_version(one) for one in credential.versions if one.stage is not Stage.RETIRED]
    told: dict[str, Any] = {**step, "versions": versions}
    if verdicts:
        told["verdicts"] = [
            {"server": one.server, "ok": one.ok, "control": one.control.value, "probe": one.probe}
            for one in verdicts
        ]
    return told


def _of_version(version: CredentialVersion) -> Outline:
    told = {
        "number": version.number,
        "stage": version.stage.value,
        "print": version.print,
        "assurance": version.assurance.value,
        "expires_at": _moment(version.expires_at),
    }
    if version.refused_at is not None:
        told |= {"refused_at": _moment(version.refused_at), "refused_by": version.refused_by}
    return told


def _moment(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at is not None else None
