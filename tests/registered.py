"""What operators make, filled in: grants, subjects, servers, operators, overrides, and changes of them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from coatcheck.core.policy.reading.document import read_policy
from coatcheck.core.sealing.keys import Keys
from coatcheck.model.change import Change, ObjectKind
from coatcheck.model.credential import (
    Assurance,
    Blank,
    Credential,
    CredentialKind,
    CredentialVersion,
    Custody,
    OauthTerms,
    OnRefusal,
    Probe,
    Replace,
    Stage,
    Upkeep,
)
from coatcheck.model.grant import Claim, IssuedGrant, Proof
from coatcheck.model.operator import Operator, OperatorRole
from coatcheck.model.pin import Definition, Pin
from coatcheck.model.policy import Policy
from coatcheck.model.registry import Edit, Object, Override, Verdict
from coatcheck.model.secret import Secret
from coatcheck.model.server import AccessMarks, HttpReach, IdlePolicy, StdioReach, StoredServer, Transport
from coatcheck.model.stored_policy import PolicyUse, PolicyVersion, StoredPolicy, UseKind
from coatcheck.model.subject import Subject, SubjectKind
from ledgers import START

KEYS = Keys(bytes.fromhex("8f1d0c6a5b7e93b2447fd2a1c0e8365994de7710ab2c4f68d30b915a7e62cc0f"))
OTHER_KEYS = Keys(bytes.fromhex("17a0c55d2e9b8463fe01d7c82b6a4f9033b85e6cd4197a02ef65d83a1b0c7e92"))


class SystemEntropy:
    def token(self, size: int) -> bytes:
        return os.urandom(size)


def a_grant(label: str = "alice-laptop", **changes: Any) -> IssuedGrant:
    id = changes.pop("id", uuid4().hex[:12])
    grant = IssuedGrant(
        id=id,
        label=label,
        subject="alice",
        servers=frozenset({UUID(int=7), UUID(int=9)}),
        tools=("github__get_*", "jira__*"),
        proofs=(Proof(id, "ab" * 32), Proof("former", "cd" * 32, START + timedelta(hours=1))),
        issued_at=START,
        issued_by="root",
        expires_at=START + timedelta(days=90),
        claim=Claim("ef" * 32, START + timedelta(days=1)),
        note="caf\u00e9 \u2028 line",
    )
    return dataclasses.replace(grant, **changes)


def a_subject(name: str = "alice", **changes: Any) -> Subject:
    subject = Subject(
        name, SubjectKind.AUTOMATION, frozenset({"dev", "ops"}), note="n", created_at=START, version=1
    )
    return dataclasses.replace(subject, **changes)


def a_server(name: str = "github", **changes: Any) -> StoredServer:
    reach = HttpReach(
        Secret("https://user:planted-url@example.com/mcp?key=1"),
        "https://example.com/mcp",
        {"Authorization": Secret("Bearer planted-header"), "X-Team": Secret("blue")},
        Transport.HTTP,
    )
    server = StoredServer(
        id=uuid4(),
        name=name,
        reach=reach,
        created_at=START,
        created_by="root",
        idle=IdlePolicy(adaptive=False, after=30.5),
        marks=AccessMarks(read=("get_*",), write=("put_*", "x")),
        plain=frozenset({"X-Team"}),
        upkeep=Upkeep(Replace.RESTART, Probe("whoami", '{"caf\u00e9": 1}')),
        blanks={"headers/Authorization": Blank((Secret("planted-before "), Secret("")), ("github-token",))},
    )
    return dataclasses.replace(server, **changes)


def a_child(name: str = "files", **changes: Any) -> StoredServer:
    reach = StdioReach(
        "npx", (Secret("-y"), Secret("planted-arg")), {"API_KEY": Secret("planted-env")}, "/srv"
    )
    return a_server(name, reach=reach, **changes)


def an_operator(name: str = "root", **changes: Any) -> Operator:
    operator = Operator(
        name,
        OperatorRole.ADMIN,
        token_id="t" * 12,
        token_hmac="12" * 32,
        code_hmac="34" * 32,
        code_until=START + timedelta(hours=1),
        created_at=START,
        version=1,
        password="$argon2id$v=19$m=47104,t=1,p=1$planted",
        password_at=START,
        vouched="https://id.example#7",
        invited_at=START - timedelta(hours=1),
        entered_at=START + timedelta(minutes=1),
    )
    return dataclasses.replace(operator, **changes)


def an_override(id: str = "file-0123456789ab", **changes: Any) -> Override:
    override = Override(ObjectKind.GRANT, id, Verdict.REVOKED, "left", START, "root", version=1)
    return dataclasses.replace(override, **changes)


def a_version(number: int = 1, stage: Stage = Stage.ACTIVE, **changes: Any) -> CredentialVersion:
    gone = stage is Stage.RETIRED
    version = CredentialVersion(
        number,
        stage,
        f"{number:016x}",
        START,
        "root",
        material=None if gone else Secret(f"planted-material-{number}"),
        assurance=Assurance.PROVEN,
        verified_at=START + timedelta(minutes=1),
        activated_at=START + timedelta(minutes=2),
        ended_at=START + timedelta(days=1) if gone else None,
        expires_at=START + timedelta(days=30),
        refused_at=START + timedelta(days=2),
        refused_by="github",
    )
    return dataclasses.replace(version, **changes)


def a_credential(name: str = "github-token", **changes: Any) -> Credential:
    versions = (
        a_version(4, Stage.STAGED, assurance=Assurance.NEVER, verified_at=None, activated_at=None),
        a_version(3, Stage.ACTIVE),
        a_version(2, Stage.PREVIOUS, refused_at=None, refused_by=""),
        a_version(1, Stage.RETIRED),
    )
    credential = Credential(
        uuid4(), name, Custody.STORE, versions, START, "root", owner="team-a", interval=30, note="caf\u00e9"
    )
    return dataclasses.replace(credential, **changes)


def an_oauth_credential(name: str = "notion-oauth", **changes: Any) -> Credential:
    terms = OauthTerms(
        "authorization_code",
        "https://example.com/mcp",
        "https://issuer.example",
        "client-1",
        Secret("planted-client-secret"),
        "client_secret_basic",
        registered=True,
        scopes=("read", "write"),
        reconnect="the refresh token is dead",
    )
    return a_credential(
        name,
        kind=CredentialKind.OAUTH,
        versions=(a_version(7),),
        oauth=terms,
        on_refusal=OnRefusal.ROLL_BACK,
        interval=None,
        **changes,
    )


def a_document(name: str = "caps", most: str = "5000.10") -> Policy:
    large = {"path": "/amount", "op": "gt", "value": Decimal(most), "message": "Ask \u00dcli."}
    tools = {"create_*": {"deny_if": [large]}, "get/~x": {"outcome": "hide"}}
    return read_policy({"coatcheck": 1, "name": name, "default": "allow-all", "tools": tools})


def a_stored_policy(name: str = "caps", **changes: Any) -> StoredPolicy:
    return dataclasses.replace(StoredPolicy(name, a_document(name), START, "root", "as agreed"), **changes)


def a_policy_version(name: str = "caps", number: int = 1, **changes: Any) -> PolicyVersion:
    version = PolicyVersion(name, number, a_document(name), START, "root", "as agreed")
    return dataclasses.replace(version, **changes)


def a_policy_use(policy: str = "caps", **changes: Any) -> PolicyUse:
    use = PolicyUse(policy, UseKind.GRANT, "g1", START, "root", UUID(int=7), "new")
    return dataclasses.replace(use, **changes)


def a_pin(tool: str = "create_charge", **changes: Any) -> Pin:
    before, after = Definition("a" * 64, '{"name":"create_charge"}'), Definition("b" * 64, "")
    pin = Pin(UUID(int=7), tool, before, START, "gateway", "seen", True, after, START, START)
    return dataclasses.replace(pin, **changes)


def one_of_each() -> tuple[Object, ...]:
    return (
        a_grant(),
        a_subject(),
        a_server(),
        a_child(),
        an_operator(),
        an_override(),
        a_credential(),
        an_oauth_credential(),
        a_stored_policy(),
        a_policy_use(),
        a_policy_version(),
        a_pin(),
    )


def a_change(name: str = "alice-laptop", **changes: Any) -> Change:
    change = Change(
        id=uuid4(),
        at=START,
        actor="root",
        role="admin",
        origin="10.0.0.9",
        action="grant.issue",
        kind=ObjectKind.GRANT,
        object_id=f"id-of-{name}",
        object_name=name,
        before="",
        after='{"label":"alice-laptop"}',
        because="new laptop",
    )
    return dataclasses.replace(change, **changes)


def an_edit(puts: Sequence[Object], *changes: Change) -> Edit:
    return Edit(tuple(puts), changes or (a_change(),))
