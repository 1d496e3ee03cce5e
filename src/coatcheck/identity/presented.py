"""Reading the `Authorization` header (RFC 6750 section 2.1): one bearer token, or why there is none."""

from __future__ import annotations

from typing import Final

import msgspec

from coatcheck.core import tokens
from coatcheck.ports import Presented, Refused

MAX_TOKEN_CHARS: Final = 4096

_MALFORMED: Final = "The Authorization header is malformed: it must be exactly `Bearer <grant>`."
_EMPTY: Final = (
    "The bearer token is empty: is the variable that holds your grant exported where your client was started?"
)


class Bearer(msgspec.Struct, frozen=True):
    """A presented token, not yet judged."""

    token: str

    def __repr__(self) -> str:
        return "Bearer(***)"


def read_bearer(presented: Presented) -> Bearer | Refused | None:
    """Return the token presented, a refusal if the header holds none, or None without the header."""
    values = presented.headers.get("authorization", ())
    if not values:
        return None
    if len(values) > 1:
        return Refused("malformed", _MALFORMED)
    scheme, space, token = values[0].strip(" \t").partition(" ")
    if not space and tokens.looks_like_ours(scheme):
        return _judge_shape(scheme)  # some clients send the bare token
    if scheme.lower() != "bearer":
        return Refused("empty", _EMPTY) if not scheme else Refused("malformed", _MALFORMED)
    return _judge_shape(token)


def _judge_shape(token: str) -> Bearer | Refused:
    if not token:
        return Refused("empty", _EMPTY)
    if len(token) > MAX_TOKEN_CHARS or not token.isascii() or not token.isprintable() or " " in token:
        return Refused("malformed", _MALFORMED)
    return Bearer(token)
