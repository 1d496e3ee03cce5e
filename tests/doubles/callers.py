"""Grants and requests of callers, for tests of identity."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

from coatcheck.core.tokens import Pepper, digest, mint, public_id
from coatcheck.model.grant import Grant, IssuedGrant, Proof
from coatcheck.ports import Presented
from doubles.clock import START

ALICE = mint(lambda size: hashlib.shake_256(b"alice").digest(size))
BOB = mint(lambda size: hashlib.shake_256(b"bob").digest(size))
GONE = mint(lambda size: hashlib.shake_256(b"gone").digest(size))
UNHEARD = mint(lambda size: hashlib.shake_256(b"nobody").digest(size))
PLAIN = "my-own-token"
"""A token of the operator's own making, which is no token of our form."""
SERVER = UUID(int=5)


def grant_of(token: str, subject: str, **more: object) -> Grant:
    known = digest(token)
    fields = {"roles": frozenset({"dev"}), "servers": None} | more
    return Grant(f"file-{known[:12]}", f"{subject}'s", subject, known, **fields)  # type: ignore[arg-type]


PEPPER = Pepper(bytes(range(32)))


def issued(subject: str, **more: Any) -> tuple[str, IssuedGrant]:
    """Return a token and the issued grant that it is of."""
    token = mint(lambda size: hashlib.shake_256(f"issued {subject}".encode()).digest(size))
    public = public_id(token)
    fields: dict[str, Any] = {"servers": None, "tools": None, "expires_at": None, **more}
    fields.setdefault("proofs", (Proof(public, PEPPER.prove(token)),))
    return token, IssuedGrant(public, f"{subject}'s", subject, issued_at=START, issued_by="admin", **fields)


GRANTS = (
    grant_of(ALICE, "alice"),
    grant_of(BOB, "bob", servers=frozenset({SERVER})),
    grant_of(PLAIN, "carol"),
)
ENDED = {digest(GONE): grant_of(GONE, "gone")}


def request(
    authorization: str | None = None,
    peer: str = "127.0.0.1",
    headers: dict[str, tuple[str, ...]] | None = None,
) -> Presented:
    found = dict(headers or {})
    if authorization is not None:
        found["authorization"] = (authorization,)
    return Presented(found, peer, peer)


def forwarded(
    *subjects: str, peer: str = "127.0.0.1", authorization: str | None = None, **more: tuple[str, ...]
) -> Presented:
    headers = {name.replace("_", "-"): values for name, values in more.items()}
    if subjects:
        headers["x-forwarded-user"] = subjects
    return request(authorization, peer, headers)
