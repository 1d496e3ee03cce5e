"""All that callers are told by: what the file declares of them, and what operators made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from coatcheck.model.declaration import IdentityRules
from coatcheck.model.grant import Grant, IssuedGrant
from coatcheck.model.subject import Subject

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Known:
    """What an identifier needs. `live` and `ended` are grants of the file by the digest of their token.

    `issued` are grants that operators issued, those that are over among them, by the public id of each of
    their tokens; `subjects` are those that are stored, by name. `anonymous`: callers without a token are
    served where the file names no provider.
    """

    rules: IdentityRules = IdentityRules()
    live: Mapping[str, Grant] = field(default_factory=lambda: _NOTHING)
    ended: Mapping[str, Grant] = field(default_factory=lambda: _NOTHING)
    issued: Mapping[str, IssuedGrant] = field(default_factory=lambda: _NOTHING)
    subjects: Mapping[str, Subject] = field(default_factory=lambda: _NOTHING)
    anonymous: bool = True
