"""The version of access rules: a hash by which a record says under which rules it was decided."""

from __future__ import annotations

import hashlib
from types import MappingProxyType
from typing import Any, Final

import msgspec

from coatcheck.model.access import Access

VERSION_DIGITS: Final = 12


def version_of(access: Access) -> str:
    """Return 12 hexadecimal digits of the SHA-256 of the rules: equal for equal rules, on every start."""
    written = _encoder.encode([type(access).__name__, access])
    return hashlib.sha256(written).hexdigest()[:VERSION_DIGITS]


def _plain(value: Any) -> Any:
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise NotImplementedError(type(value).__name__)


_encoder: Final = msgspec.json.Encoder(enc_hook=_plain, order="deterministic")
