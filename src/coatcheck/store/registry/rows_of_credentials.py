"""Between credentials and their rows: every material is sealed for one version of one credential alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from coatcheck.core.sealing.keys import Keys, Purpose
from coatcheck.core.sealing.sealed_values import ValueSeal
from coatcheck.core.sealing.states import NONCE_BYTES
from coatcheck.model.credential import (
    Assurance,
    Credential,
    CredentialKind,
    CredentialVersion,
    Custody,
    OauthTerms,
    OnRefusal,
    Stage,
)
from coatcheck.model.secret import Secret
from coatcheck.ports import Entropy
from coatcheck.store.columns import micros_of, time_of
from coatcheck.store.registry.rows import Row, Stored

_TABLE: Final = "credential"
_TIMES: Final = ("verified_at", "activated_at", "ended_at", "expires_at", "refused_at")


class CredentialSeal:
    """Makes and reads rows of credentials.

    A material is bound to credential, number of the version, field and key: it opens in no other place, so
    that none can be moved to another credential, or an old one be passed off as the new one.
    """

    def __init__(self, keys: Keys, entropy: Entropy) -> None:
        self._seal = ValueSeal(keys.of(Purpose.SECRET_SEAL))
        self._key_id = keys.id
        self._entropy = entropy

    def row(self, credential: Credential) -> Row:
        """Return the row of a credential, but its MAC. The material of a retired version is left out."""
        return {
            "id": str(credential.id),
            "name": credential.name,
            "folded": credential.name.casefold(),
            "custody": credential.custody.value,
            "kind": credential.kind.value,
            "owner": credential.owner,
            "interval_days": credential.interval,
            "on_refusal": credential.on_refusal.value,
            "versions": _json([self._version(credential.id, one) for one in credential.versions]),
            "oauth": None if credential.oauth is None else _json(self._terms(credential, credential.oauth)),
            "note": credential.note,
            "created_at": micros_of(credential.created_at),
            "created_by": credential.created_by,
            "ended_at": _micros(credential.ended_at),
            "version": credential.version,
        }

    def noun(self, row: Stored) -> Credential:
        """Read the row of a credential.

        Raises:
            BrokenSeal: a secret in it was sealed for another place, or with another key.
        """
        id = UUID(row["id"])
        return Credential(
            id=id,
            name=row["name"],
            custody=Custody(row["custody"]),
            versions=tuple(self._version_of(id, form) for form in json.loads(row["versions"])),
            created_at=time_of(row["created_at"]),
            created_by=row["created_by"],
            kind=CredentialKind(row["kind"]),
            owner=row["owner"],
            interval=row["interval_days"],
            on_refusal=OnRefusal(row["on_refusal"]),
            oauth=None if row["oauth"] is None else self._terms_of(id, row["version"], row["oauth"]),
            note=row["note"],
            ended_at=_time(row["ended_at"]),
            version=row["version"],
        )

    # --- versions ----------------------------------------------------------------------------------------

    def _version(self, id: UUID, version: CredentialVersion) -> dict[str, Any]:
        kept = version.material if version.stage is not Stage.RETIRED else None
        return {
            "number": version.number,
            "stage": version.stage.value,
            "print": version.print,
            "made_at": micros_of(version.made_at),
            "made_by": version.made_by,
            "material": self._close(kept, id, "material", version.number),
            "assurance": version.assurance.value,
            "refused_by": version.refused_by,
            **{name: _micros(getattr(version, name)) for name in _TIMES},
        }

    def _version_of(self, id: UUID, form: Mapping[str, Any]) -> CredentialVersion:
        return CredentialVersion(
            number=form["number"],
            stage=Stage(form["stage"]),
            print=form["print"],
            made_at=time_of(form["made_at"]),
            made_by=form["made_by"],
            material=self._open(form["material"], id, "material", form["number"]),
            assurance=Assurance(form["assurance"]),
            refused_by=form["refused_by"],
            **{name: _time(form[name]) for name in _TIMES},
        )

    # --- OAuth -------------------------------------------------------------------------------------------

    def _terms(self, credential: Credential, terms: OauthTerms) -> dict[str, Any]:
        form = {name: getattr(terms, name) for name in OauthTerms.__slots__}
        secret = self._close(terms.client_secret, credential.id, "client_secret", credential.version)
        return {**form, "scopes": list(terms.scopes), "client_secret": secret}

    def _terms_of(self, id: UUID, version: int, text: str) -> OauthTerms:
        form = json.loads(text)
        secret = self._open(form["client_secret"], id, "client_secret", version)
        return OauthTerms(**{**form, "scopes": tuple(form["scopes"]), "client_secret": secret})

    # --- seals -------------------------------------------------------------------------------------------

    def _close(self, secret: Secret | None, id: UUID, field: str, number: int) -> str | None:
        if secret is None:
            return None
        nonce = self._entropy.token(NONCE_BYTES)
        return self._seal.seal(secret.reveal(), self._place(id, field, number), nonce)

    def _open(self, sealed: str | None, id: UUID, field: str, number: int) -> Secret | None:
        return None if sealed is None else Secret(self._seal.open(sealed, self._place(id, field, number)))

    def _place(self, id: UUID, field: str, number: int) -> tuple[str, ...]:
        return (_TABLE, str(id), str(number), field, self._key_id)


_json = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def _micros(at: datetime | None) -> int | None:
    return None if at is None else micros_of(at)


def _time(micros: int | None) -> datetime | None:
    return None if micros is None else time_of(micros)
