"""A browser session: who is signed in at one browser, how that was proven, and until when it holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

MAX_AGENT_CHARS: Final = 200


class Whose(StrEnum):
    """Who is signed in: somebody who administers Coatcheck, or an owner of grants on a page of its own."""

    OPERATOR = "operator"
    SUBJECT = "subject"


class Way(StrEnum):
    """How somebody proved who they are: a one-time link, a password, an identity provider, or a grant."""

    LINK = "link"
    PASSWORD = "password"  # noqa: S105 - the name of a way in
    OIDC = "oidc"
    GRANT = "grant"


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """One browser that somebody is signed in at. Times are UTC.

    `id` is the public id of its token, `who` the name of an operator or a subject. `proof` is over the token
    and everything that never changes: all fields but `seen_at`, `address` and `agent`, which are told to
    people and, the first alone, judged for idleness; after a blank, the same without the token. `by` is what
    `how` rests on where that can end by itself: the public id of a grant's token, or an identity at a
    provider. `until` is the end however busy it is. `verified_at` is when they last proved who they are.
    """

    id: str
    whose: Whose
    who: str
    how: Way
    proof: str
    created_at: datetime
    until: datetime
    seen_at: datetime
    verified_at: datetime
    address: str
    agent: str
    by: str = ""
