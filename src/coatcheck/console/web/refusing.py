"""What is shown instead of a page: a status, what happened in one sentence, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Self

from coatcheck.console.web.forms import BadField
from coatcheck.errors import (
    CallerError,
    CoatcheckError,
    ConfirmFirst,
    Forbidden,
    Missing,
    OpenIdRefused,
    SignedOut,
    SignInRefused,
    SlowDown,
    Stale,
    Taken,
    Unavailable,
    Unfit,
    UpstreamError,
)

_STATUS: Final[tuple[tuple[type[CoatcheckError], int], ...]] = (
    (Missing, 404),
    (Stale, 409),
    (Taken, 409),
    (Forbidden, 403),
    (Unfit, 422),
    (OpenIdRefused, 403),
    (SignInRefused, 401),
    (SignedOut, 401),
    (ConfirmFirst, 403),
    (SlowDown, 429),
    (CallerError, 409),
    (UpstreamError, 502),
    (Unavailable, 503),
)


def status_of(error: CoatcheckError) -> int:
    """Return the HTTP status of a foreseen failure."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


_TITLES: Final = {
    404: "There is no such thing",
    409: "This cannot be done now",
    401: "You are not signed in",
    403: "This is not allowed",
    429: "Too many tries",
    422: "This cannot be accepted",
    502: "The server failed",
    503: "Not now",
}


class Refusal(Exception):
    """Why a page is not shown, or a form not taken; `field` is the one to blame, if one is."""

    def __init__(
        self,
        status: int,
        title: str,
        text: str,
        fix: str = "",
        *,
        field: str = "",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.text = text
        self.fix = fix
        self.field = field
        self.headers = headers

    @classmethod
    def of(cls, error: CoatcheckError) -> Self:
        """Return what is told of a foreseen failure."""
        status = status_of(error)
        blamed = error.field if isinstance(error, BadField) else ""
        after = {"Retry-After": "5"} if status == 503 else {}
        if isinstance(error, SlowDown):
            after = {"Retry-After": str(error.seconds)}
        fix = _sentence(error.fix) if error.fix else ""
        title = _TITLES.get(status, "This failed")
        return cls(status, title, _sentence(error.message), fix, field=blamed, headers=after)


def _sentence(text: str) -> str:
    """Return a message as a sentence."""
    if not text:
        return "It failed."
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?", ":")) else ".")
