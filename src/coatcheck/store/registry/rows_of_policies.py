"""Between policies and their rows: a document is kept as its canonical JSON, and read back strictly."""

from __future__ import annotations

from functools import lru_cache
from sys import intern
from uuid import UUID

from coatcheck.core.policy.reading.document import read_json
from coatcheck.core.policy.writing import write_json
from coatcheck.errors import CoatcheckError
from coatcheck.model.policy import Policy
from coatcheck.model.stored_policy import PolicyUse, PolicyVersion, StoredPolicy, UseKind
from coatcheck.store.columns import micros_of, time_of
from coatcheck.store.registry.rows import Row, Stored


def policy_row(policy: StoredPolicy) -> Row:
    """Return the row of a policy, but its MAC."""
    return {
        "name": policy.name,
        "document": _text_of(policy.policy),
        "at": micros_of(policy.at),
        "by": policy.by,
        "because": policy.because,
        "ended_at": None if policy.ended_at is None else micros_of(policy.ended_at),
        "version": policy.version,
    }


def policy_of(row: Stored) -> StoredPolicy:
    """Read the row of a policy.

    Raises:
        ValueError: the document is none that this version knows.
    """
    return StoredPolicy(
        name=row["name"],
        policy=_policy_of(row),
        at=time_of(row["at"]),
        by=intern(row["by"]),
        because=row["because"],
        ended_at=None if row["ended_at"] is None else time_of(row["ended_at"]),
        version=row["version"],
    )


def version_row(version: PolicyVersion) -> Row:
    """Return the row of a version, but its MAC."""
    return {
        "name": version.name,
        "number": version.number,
        "document": _text_of(version.policy),
        "at": micros_of(version.at),
        "by": version.by,
        "because": version.because,
        "version": version.version,
    }


def version_of(row: Stored) -> PolicyVersion:
    """Read the row of a version. Raises as `policy_of`."""
    return PolicyVersion(
        name=intern(row["name"]),
        number=row["number"],
        policy=_policy_of(row),
        at=time_of(row["at"]),
        by=intern(row["by"]),
        because=row["because"],
        version=row["version"],
    )


def use_row(use: PolicyUse) -> Row:
    """Return the row of a use, but its MAC."""
    return {
        "kind": use.kind.value,
        "of": use.of,
        "server": "" if use.server is None else str(use.server),
        "policy": use.policy,
        "at": micros_of(use.at),
        "by": use.by,
        "because": use.because,
        "ended_at": None if use.ended_at is None else micros_of(use.ended_at),
        "version": use.version,
    }


def use_of(row: Stored) -> PolicyUse:
    """Read the row of a use."""
    return PolicyUse(
        policy=intern(row["policy"]),
        kind=UseKind(row["kind"]),
        of=intern(row["of"]),
        at=time_of(row["at"]),
        by=intern(row["by"]),
        server=UUID(row["server"]) if row["server"] else None,
        because=row["because"],
        ended_at=None if row["ended_at"] is None else time_of(row["ended_at"]),
        version=row["version"],
    )


def _text_of(policy: Policy) -> str:
    return write_json(policy).decode("utf-8")


def _policy_of(row: Stored) -> Policy:
    policy = _read(row["document"])
    if policy.name != row["name"]:
        raise ValueError("the document is that of another policy")
    return policy


@lru_cache(maxsize=512)  # the newest version of a policy is the policy
def _read(document: str) -> Policy:
    try:
        return read_json(document.encode("utf-8"))
    except CoatcheckError as error:
        raise ValueError(error.message) from None
