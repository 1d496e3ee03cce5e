"""Between the nouns of the registry and the rows of its tables: texts, whole numbers and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from sys import intern
from typing import Any, Final
from uuid import UUID

import msgspec

from coatcheck.core.sealing.row_macs import Value
from coatcheck.model.change import ObjectKind
from coatcheck.model.credential import Probe, Replace, Upkeep
from coatcheck.model.grant import Claim, IssuedGrant, Proof
from coatcheck.model.operator import Operator, OperatorRole
from coatcheck.model.policy import Default
from coatcheck.model.registry import Override, Verdict
from coatcheck.model.server import AccessMarks, IdlePolicy, StoredServer
from coatcheck.model.subject import Subject, SubjectKind
from coatcheck.store.columns import micros_of, time_of
from coatcheck.store.registry.secrets_of_servers import ReachSeal

Row = dict[str, Value]
Stored = Mapping[str, Any]
"""A row whose MAC fits: what is in it, we wrote."""


_json = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def _micros(at: datetime | None) -> int | None:
    return None if at is None else micros_of(at)


def _time(micros: int | None) -> datetime | None:
    return None if micros is None else time_of(micros)


def _sorted(values: Iterable[object]) -> str:
    return _json(sorted(map(str, values)))


@lru_cache(maxsize=4_096)  # thousands of grants share a few scopes
def _servers_of(text: str) -> frozenset[UUID]:
    return frozenset(map(UUID, json.loads(text)))


@lru_cache(maxsize=4_096)
def _texts_of(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


@lru_cache(maxsize=4_096)
def _roles_of(text: str) -> frozenset[str]:
    return frozenset(map(intern, json.loads(text)))


_read_proofs: Final = msgspec.json.Decoder(list[tuple[str, str, int | None]]).decode


def _proofs_of(text: str, grant_id: str) -> tuple[Proof, ...]:
    """Read proofs. The public id of a first token is the id of its grant: one text serves both."""
    return tuple(
        Proof(grant_id if id == grant_id else id, mac, _time(until)) for id, mac, until in _read_proofs(text)
    )


# --- grants --------------------------------------------------------------------------------------------


def grant_row(grant: IssuedGrant) -> Row:
    """Return the row of a grant, but its MAC."""
    claim = grant.claim
    return {
        "id": grant.id,
        "label": grant.label,
        "subject": grant.subject,
        "servers": None if grant.servers is None else _sorted(grant.servers),
        "tools": None if grant.tools is None else _json(grant.tools),
        "proofs": _json([[proof.token_id, proof.hmac, _micros(proof.until)] for proof in grant.proofs]),
        "claim": None if claim is None else _json([claim.code_hmac, micros_of(claim.until)]),
        "issued_at": micros_of(grant.issued_at),
        "issued_by": grant.issued_by,
        "expires_at": _micros(grant.expires_at),
        "revoked_at": _micros(grant.revoked_at),
        "revoked_by": grant.revoked_by,
        "because": grant.because,
        "note": grant.note,
        "version": grant.version,
    }


def grant_of(row: Stored) -> IssuedGrant:
    """Read the row of a grant. Texts that many grants share are kept once."""
    claim = None if row["claim"] is None else json.loads(row["claim"])
    return IssuedGrant(
        id=row["id"],
        label=row["label"],
        subject=intern(row["subject"]),
        servers=None if row["servers"] is None else _servers_of(row["servers"]),
        tools=None if row["tools"] is None else _texts_of(row["tools"]),
        proofs=_proofs_of(row["proofs"], row["id"]),
        issued_at=time_of(row["issued_at"]),
        issued_by=intern(row["issued_by"]),
        expires_at=_time(row["expires_at"]),
        claim=None if claim is None else Claim(claim[0], time_of(claim[1])),
        revoked_at=_time(row["revoked_at"]),
        revoked_by=intern(row["revoked_by"]),
        because=intern(row["because"]),
        note=intern(row["note"]),
        version=row["version"],
    )


# --- subjects, operators, overrides ----------------------------------------------------------------------


def subject_row(subject: Subject) -> Row:
    """Return the row of a subject, but its MAC."""
    return {
        "name": subject.name,
        "kind": subject.kind.value,
        "roles": _sorted(subject.roles),
        "disabled": int(subject.disabled),
        "because": subject.because,
        "note": subject.note,
        "created_at": _micros(subject.created_at),
        "version": subject.version,
    }


def subject_of(row: Stored) -> Subject:
    """Read the row of a subject."""
    return Subject(
        name=intern(row["name"]),
        kind=SubjectKind(row["kind"]),
        roles=_roles_of(row["roles"]),
        disabled=bool(row["disabled"]),
        because=row["because"],
        note=row["note"],
        created_at=_time(row["created_at"]),
        version=row["version"],
    )


def operator_row(operator: Operator) -> Row:
    """Return the row of an operator, but its MAC."""
    return {
        "name": operator.name,
        "role": operator.role.value,
        "token_id": operator.token_id,
        "token_hmac": operator.token_hmac,
        "code_hmac": operator.code_hmac,
        "code_until": _micros(operator.code_until),
        "expires_at": _micros(operator.expires_at),
        "created_at": _micros(operator.created_at),
        "ended_at": _micros(operator.ended_at),
        "version": operator.version,
        "signing_in": _signing_in(operator),
    }


def operator_of(row: Stored) -> Operator:
    """Read the row of an operator."""
    password, password_at, vouched, invited_at, entered_at = _signing_in_of(row["signing_in"])
    return Operator(
        name=row["name"],
        role=OperatorRole(row["role"]),
        token_id=row["token_id"],
        token_hmac=row["token_hmac"],
        code_hmac=row["code_hmac"],
        code_until=_time(row["code_until"]),
        expires_at=_time(row["expires_at"]),
        created_at=_time(row["created_at"]),
        ended_at=_time(row["ended_at"]),
        version=row["version"],
        password=password,
        password_at=_time(password_at),
        vouched=vouched,
        invited_at=_time(invited_at),
        entered_at=_time(entered_at),
    )


def _signing_in(operator: Operator) -> str:
    times = map(_micros, (operator.password_at, operator.invited_at, operator.entered_at))
    password_at, invited_at, entered_at = times
    return _json([operator.password, password_at, operator.vouched, invited_at, entered_at])


def _signing_in_of(text: str | None) -> tuple[str, int | None, str, int | None, int | None]:
    """Read how an operator signs in at browsers. Those of before had tokens alone."""
    if text is None:
        return "", None, "", None, None
    password, password_at, vouched, invited_at, entered_at = json.loads(text)
    return password, password_at, vouched, invited_at, entered_at


def override_row(override: Override) -> Row:
    """Return the row of an override, but its MAC."""
    return {
        "kind": override.kind.value,
        "id": override.id,
        "verdict": override.verdict.value,
        "because": override.because,
        "at": micros_of(override.at),
        "by": override.by,
        "lifted": int(override.lifted),
        "version": override.version,
    }


def override_of(row: Stored) -> Override:
    """Read the row of an override."""
    return Override(
        kind=ObjectKind(row["kind"]),
        id=row["id"],
        verdict=Verdict(row["verdict"]),
        because=row["because"],
        at=time_of(row["at"]),
        by=row["by"],
        version=row["version"],
        lifted=bool(row["lifted"]),
    )


# --- servers -------------------------------------------------------------------------------------------


def server_row(server: StoredServer, seal: ReachSeal) -> Row:
    """Return the row of a server, but its MAC; what is secret in it is sealed."""
    idle, marks = server.idle, server.marks
    return {
        "id": str(server.id),
        "name": server.name,
        "folded": server.name.casefold(),
        "reach": seal.close(server.reach, server.id, server.version),
        "idle": _json([idle.adaptive, idle.after, idle.least, idle.most]),
        "marks": _json([marks.read, marks.write]),
        "plain": _sorted(server.plain),
        "disabled": int(server.disabled),
        "because": server.because,
        "created_at": micros_of(server.created_at),
        "created_by": server.created_by,
        "ended_at": _micros(server.ended_at),
        "note": server.note,
        "version": server.version,
        "upkeep": _upkeep(server.upkeep),
        "blanks": seal.close_blanks(server.blanks, server.id, server.version),
        "allowing": _json([server.default.value, server.approved, server.trusted]),
    }


def server_of(row: Stored, seal: ReachSeal) -> StoredServer:
    """Read the row of a server.

    Raises:
        BrokenSeal: a secret in it was sealed for another place, or with another key.
    """
    id = UUID(row["id"])
    default, approved, trusted = _allowing_of(row["allowing"])
    return StoredServer(
        id=id,
        name=row["name"],
        reach=seal.open(row["reach"], id, row["version"]),
        created_at=time_of(row["created_at"]),
        created_by=row["created_by"],
        idle=IdlePolicy(*json.loads(row["idle"])),
        marks=AccessMarks(*map(tuple, json.loads(row["marks"]))),
        plain=frozenset(json.loads(row["plain"])),
        disabled=bool(row["disabled"]),
        because=row["because"],
        ended_at=_time(row["ended_at"]),
        note=row["note"],
        upkeep=_upkeep_of(row["upkeep"]),
        blanks=seal.open_blanks(row["blanks"], id, row["version"]),
        default=default,
        approved=approved,
        trusted=trusted,
        version=row["version"],
    )


def _allowing_of(text: str | None) -> tuple[Default, tuple[str, ...] | None, bool]:
    """Read the default of a server and what is with it. Those of before had none: all was allowed."""
    if text is None:
        return Default.ALLOW_ALL, None, False
    default, approved, trusted = json.loads(text)
    return Default(default), None if approved is None else tuple(approved), trusted


def _upkeep(upkeep: Upkeep) -> str:
    probe = None if upkeep.probe is None else [upkeep.probe.tool, upkeep.probe.arguments]
    return _json([upkeep.replace.value, probe])


def _upkeep_of(text: str | None) -> Upkeep:
    if text is None:  # a row of before
        return Upkeep()
    replace, probe = json.loads(text)
    return Upkeep(Replace(replace), None if probe is None else Probe(*probe))
