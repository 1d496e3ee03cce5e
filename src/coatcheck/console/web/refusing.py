"""What is shown instead of a page: a status, what happened in one sentence, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Self

from coatcheck.console.web.commands import Retold
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
    500: "The gateway failed",
    502: "The server failed",
    503: "Not now",
}


class Refusal(Exception):
    """Why a page is not shown, or a form not taken; `field` is the one to blame, if one is.

    `on` is where to go on, and `button` what the button there says; without, it leads to the start.
    Of a foreseen failure, text and fix name pages where they named commands.
    """

    def __init__(
        self,
        status: int,
        title: str,
        text: str,
        fix: str = "",
        *,
        field: str = "",
        headers: Mapping[str, str] = MappingProxyType({}),
        on: str = "",
        button: str = "",
    ) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.text = Retold.as_it_is(text)
        self.fix = Retold.as_it_is(fix)
        self.field = field
        self.headers = headers
        self.on = on
        self.button = button

    @classmethod
    def of(cls, error: CoatcheckError, title: str = "") -> Self:
        """Return what is told of a foreseen failure; its title is that of its status, unless one is given."""
        status = status_of(error)
        blamed = error.field.rpartition(".")[2] if isinstance(error, Unfit) else ""  # forms are flat
        after = {"Retry-After": "5"} if status == 503 else {}
        if isinstance(error, SlowDown):
            after = {"Retry-After": str(error.seconds)}
        title = title or _TITLES.get(status, "This failed")
        text = Retold.of(error.message or "it failed").sentence()
        return cls(status, title, text, Retold.of(error.fix).sentence(), field=blamed, headers=after)
