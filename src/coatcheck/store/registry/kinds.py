"""The kinds of object in the registry: the table of each, its key, and how its rows are made and read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Table

from coatcheck.model.credential import Credential
from coatcheck.model.grant import IssuedGrant
from coatcheck.model.operator import Operator
from coatcheck.model.pin import Pin
from coatcheck.model.registry import Object, Override
from coatcheck.model.server import StoredServer
from coatcheck.model.stored_policy import PolicyUse, PolicyVersion, StoredPolicy
from coatcheck.model.subject import Subject
from coatcheck.store import tables
from coatcheck.store.registry import rows, rows_of_pins, rows_of_policies
from coatcheck.store.registry.rows import Row, Stored
from coatcheck.store.registry.rows_of_credentials import CredentialSeal
from coatcheck.store.registry.secrets_of_servers import ReachSeal


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. `named` is the column people know it by; `unique` what that name is called in a refusal."""

    table: Table
    row_of: Callable[[Any], Row]
    noun_of: Callable[[Stored], Any]
    key_of: Callable[[Any], Any]
    """From the noun to its key in the `Registry`."""
    named: str
    unique: str = "name"
    again: bool = False
    """Whether an object of a taken key is a name that is taken, rather than an edit that came late."""
    restricts: bool = False
    """Whether its rows may take something away from callers, who must not get it back by losing a row."""

    later: frozenset[str] = frozenset()
    """Columns that rows of an older schema have nothing in: where null, the MAC is one without them.

    Such a null cannot be forged: a row that was written with the column has another MAC.
    """

    @property
    def keys(self) -> list[Column[Any]]:
        """The columns of the primary key."""
        return list(self.table.primary_key.columns)

    def name_of(self, row: Stored) -> str:
        """Return what to call a row in messages; nothing in it can be relied on."""
        return f"{self.table.name} {str(row[self.named])[:200]}"


def kinds_for(seal: ReachSeal, credentials: CredentialSeal) -> dict[type[Object], Kind]:
    """Return the kinds by the type of their nouns, in the order of the fields of `Registry`."""
    return {
        IssuedGrant: Kind(
            tables.grant, rows.grant_row, rows.grant_of, lambda grant: grant.id, "label", "label"
        ),
        Subject: Kind(
            tables.subject,
            rows.subject_row,
            rows.subject_of,
            lambda one: one.name,
            "name",
            again=True,
            restricts=True,
        ),
        StoredServer: Kind(
            tables.server,
            lambda server: rows.server_row(server, seal),
            lambda row: rows.server_of(row, seal),
            lambda server: server.id,
            "name",
            later=frozenset({"upkeep", "blanks", "allowing"}),
        ),
        Operator: Kind(
            tables.operator,
            rows.operator_row,
            rows.operator_of,
            lambda one: one.name,
            "name",
            again=True,
            later=frozenset({"signing_in"}),
        ),
        Override: Kind(
            tables.override,
            rows.override_row,
            rows.override_of,
            lambda one: (one.kind, one.id),
            "id",
            restricts=True,
        ),
        Credential: Kind(
            tables.credential, credentials.row, credentials.noun, lambda credential: credential.id, "name"
        ),
        StoredPolicy: Kind(
            tables.policy,
            rows_of_policies.policy_row,
            rows_of_policies.policy_of,
            lambda one: one.name,
            "name",
            again=True,
            restricts=True,
        ),
        PolicyUse: Kind(
            tables.policy_use,
            rows_of_policies.use_row,
            rows_of_policies.use_of,
            lambda one: one.key,
            "policy",
            restricts=True,
        ),
        PolicyVersion: Kind(
            tables.policy_version,
            rows_of_policies.version_row,
            rows_of_policies.version_of,
            lambda one: (one.name, one.number),
            "name",
        ),
        Pin: Kind(
            tables.pin,
            rows_of_pins.pin_row,
            rows_of_pins.pin_of,
            lambda one: one.key,
            "tool",
            restricts=True,
        ),
    }
