"""Records for the admin log, made from what an object was and is; nothing in them is secret."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from coatcheck.core.wire import messages
from coatcheck.model.change import Change, ObjectKind
from coatcheck.model.credential import Blank, Credential, Upkeep
from coatcheck.model.declaration import Declaration, DeclaredServer
from coatcheck.model.grant import Grant, IssuedGrant
from coatcheck.model.operator import Actor, Operator
from coatcheck.model.registry import Override
from coatcheck.model.server import HttpReach, StdioReach, StoredServer
from coatcheck.model.subject import Subject
from coatcheck.ports import Clock, Entropy

Outline = Mapping[str, Any]
"""What is told of an object, fit for JSON."""


class Scribe:
    """Writes change records with the time and an id of their own."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy

    def changed(
        self,
        actor: Actor,
        action: str,
        what: tuple[ObjectKind, str, str],
        before: Outline | None,
        after: Outline | None,
        because: str = "",
    ) -> Change:
        """Return the record of a change. `what` is kind, id and name; None: there was, or is, no object."""
        kind, id, name = what
        return Change(
            UUID(bytes=self._entropy.token(16), version=4),
            self._clock.now(),
            actor.name,
            actor.role.value,
            actor.origin,
            action,
            kind,
            id,
            name,
            _written(before),
            _written(after),
            because,
        )


def _written(outline: Outline | None) -> str:
    return "" if outline is None else messages.raw_of(dict(outline)).decode("utf-8")


# --- what is told of each kind of object -----------------------------------------------------------------


def of_grant(grant: IssuedGrant) -> Outline:
    """Return an issued grant without what proves its tokens."""
    return {
        "label": grant.label,
        "subject": grant.subject,
        "servers": sorted(map(str, grant.servers)) if grant.servers is not None else None,
        "tools": list(grant.tools) if grant.tools is not None else None,
        "tokens": [proof.token_id for proof in grant.proofs],
        "expires_at": _moment(grant.expires_at),
        "claim_until": _moment(grant.claim.until) if grant.claim is not None else None,
        "revoked_at": _moment(grant.revoked_at),
        "note": grant.note,
    }


def of_subject(subject: Subject) -> Outline:
    """Return a subject."""
    return {
        "kind": subject.kind.value,
        "roles": sorted(subject.roles),
        "disabled": subject.disabled,
        "note": subject.note,
    }


def of_server(server: StoredServer) -> Outline:
    """Return a stored server without the values of what it is given."""
    return {
        **_reach(server.reach),
        **_given(server.blanks, server.upkeep),
        "default": server.default.value,
        "approved": None if server.approved is None else list(server.approved),
        "trusted": server.trusted,
        "plain": sorted(server.plain),
        "disabled": server.disabled,
        "ended_at": _moment(server.ended_at),
        "note": server.note,
    }


def of_credential(credential: Credential) -> Outline:
    """Return a credential without any material."""
    return {
        "custody": credential.custody.value,
        "kind": credential.kind.value,
        "owner": credential.owner,
        "interval": credential.interval,
        "on_refusal": credential.on_refusal.value,
        "versions": [
            {"number": one.number, "stage": one.stage.value, "assurance": one.assurance.value}
            for one in credential.versions
        ],
        "ended_at": _moment(credential.ended_at),
        "note": credential.note,
    }


def of_operator(operator: Operator) -> Outline:
    """Return an operator without what proves its token, code or password."""
    return {
        "role": operator.role.value,
        "token": operator.token_id if operator.token_hmac else None,
        "password": bool(operator.password),
        "password_at": _moment(operator.password_at),
        "vouched": operator.vouched or None,
        "code_until": _moment(operator.code_until),
        "expires_at": _moment(operator.expires_at),
        "ended_at": _moment(operator.ended_at),
    }


def of_override(override: Override | None) -> Outline:
    """Return an operator's word on an object of the file."""
    said = None if override is None or override.lifted else override.verdict.value
    return {"source": "file", "verdict": said}


def of_file(declaration: Declaration | None, other: Declaration | None) -> Outline | None:
    """Return what one reading of the file declares, less what the other declares alike."""
    if declaration is None:
        return None
    servers, grants = _declared(declaration)
    other_servers, other_grants = _declared(other) if other is not None else ({}, {})
    return {
        "path": str(declaration.path) if declaration.path is not None else None,
        "servers": {name: said for name, said in servers.items() if other_servers.get(name) != said},
        "grants": {id: said for id, said in grants.items() if other_grants.get(id) != said},
        "providers": [provider.value for provider in declaration.identity.providers],
        "access": "as before"
        if other is not None and declaration.access == other.access
        else "as in the file",
    }


def _declared(declaration: Declaration) -> tuple[dict[str, Outline], dict[str, Outline]]:
    servers = {one.name: _of_declared(one) for one in declaration.servers}
    return servers, {grant.id: _of_file_grant(grant) for grant in declaration.identity.grants}


def _of_declared(server: DeclaredServer) -> Outline:
    return {**_reach(server.reach), **_given(server.blanks, server.upkeep)}


def _of_file_grant(grant: Grant) -> Outline:
    return {
        "label": grant.label,
        "subject": grant.subject,
        "roles": sorted(grant.roles),
        "servers": sorted(map(str, grant.servers)) if grant.servers is not None else None,
    }


def _reach(reach: HttpReach | StdioReach) -> dict[str, Any]:
    if isinstance(reach, HttpReach):
        return {"transport": reach.transport.value, "url": reach.shown_url, "headers": sorted(reach.headers)}
    return {
        "transport": "stdio",
        "command": reach.command,
        "args": len(reach.args),
        "env": sorted(reach.env),
        "cwd": reach.cwd,
    }


def _given(blanks: Mapping[str, Blank], upkeep: Upkeep) -> dict[str, Any]:
    """Return which credentials are named where, and how they are looked after; nothing that is as usual."""
    told: dict[str, Any] = {}
    if blanks:
        told["credentials"] = {place: list(blank.names) for place, blank in sorted(blanks.items())}
    if upkeep.replace is not Upkeep().replace:
        told["replace"] = upkeep.replace.value
    if upkeep.probe is not None:
        told["probe"] = upkeep.probe.tool
    return told


def _moment(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at is not None else None
