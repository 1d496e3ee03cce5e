"""Who asks the REST API: whoever can open the data directory's socket, or an operator with a token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from coatcheck.admin.api.problems import Problem, Wrong, problem
from coatcheck.core import tokens
from coatcheck.core.wire import peers
from coatcheck.core.wire.framing import Headers
from coatcheck.model.operator import LOCAL_ACTOR, Actor

OPERATOR_PREFIX: Final = "ccka_"
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="coatcheck operators"'}
_HOW: Final = "Send `Authorization: Bearer ccka_...`; `coatcheck login` gets one for a one-time code."


@dataclass(frozen=True, slots=True)
class Coming:
    """Where a request comes from: the TCP peer, and the client's address behind proxies that are trusted."""

    headers: Headers
    peer: str
    address: str


class Authenticate(Protocol):
    """One way of telling who asks."""

    def admit(self, coming: Coming) -> None:
        """Judge whether anything at all is answered there.

        Raises:
            Problem: 403.
        """
        ...

    def identify(self, coming: Coming) -> Actor:
        """Return who asks.

        Raises:
            Problem: 401, or 429 for too many unknown tokens.
        """
        ...

    def stands(self, coming: Coming) -> bool:
        """Tell whether whoever was identified would still be."""
        ...

    def spend(self, address: str) -> None:
        """Count a wrong code.

        Raises:
            Problem: 429 once there were too many from this address.
        """
        ...


class BySocket:
    """Behind the socket is the account that runs the gateway, and nobody else: its mode is 0600."""

    def admit(self, coming: Coming) -> None:
        """Answer everyone."""

    def identify(self, coming: Coming) -> Actor:  # noqa: ARG002 - a token changes nothing here
        """Return the local account."""
        return LOCAL_ACTOR

    def stands(self, coming: Coming) -> bool:  # noqa: ARG002 - as above
        """It always does."""
        return True

    def spend(self, address: str) -> None:
        """Count nothing: whoever is here can read the store."""


class Known(Protocol):
    """The operators, as far as this is concerned."""

    @property
    def has_login(self) -> bool:
        """Whether an operator ever logged in."""
        ...

    def identify(self, token: str, origin: str) -> Actor | None:
        """Return whose token this is, or None."""
        ...


class ByToken:
    """On an address: operators by token; before the first login, callers from this machine only."""

    def __init__(self, operators: Known, spend: Callable[[str], bool]) -> None:
        self._operators = operators
        self._spend = spend

    def admit(self, coming: Coming) -> None:
        """Answer this machine; others from the first login on."""
        if not self._operators.has_login and not peers.is_near(coming.peer, coming.address, coming.headers):
            raise problem(
                "no_login_yet",
                "Until an operator has logged in, this API is for the gateway's own machine.",
                "On that machine, run `coatcheck login` with the code that the gateway printed.",
            )

    def identify(self, coming: Coming) -> Actor:
        """Return the operator whose token it is; what cannot be a token is no guess."""
        token = _read_token(coming.headers)
        actor = self._operators.identify(token, coming.address)
        if actor is None:
            self.spend(coming.address)
            raise _unknown("This token is not known here, has expired or was ended.")
        return actor

    def stands(self, coming: Coming) -> bool:
        """Tell whether the token is still good."""
        try:
            token = _read_token(coming.headers)
        except Problem:
            return False
        return self._operators.identify(token, coming.address) is not None

    def spend(self, address: str) -> None:
        """Count a wrong code or token."""
        if not self._spend(address):
            raise Problem(
                "slow_down",
                Wrong("Too many unknown tokens or codes from this address.", "Wait a minute."),
                headers={"Retry-After": "60"},
            )


def _read_token(headers: Headers) -> str:
    """Return the bearer token (RFC 6750 section 2.1)."""
    values = headers.get("authorization", ())
    if not values:
        raise Problem("not_logged_in", Wrong("No operator token was presented.", _HOW), headers=CHALLENGE)
    scheme, _, token = values[0].strip(" \t").partition(" ")
    token = token.strip(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token:
        raise _unknown("The Authorization header must be exactly `Bearer <token>`.")
    if not token.isascii() or not token.startswith(OPERATOR_PREFIX) or not tokens.is_well_formed(token):
        kind = "a grant" if token.startswith(tokens.GRANT_PREFIX) else "no operator token"
        raise _unknown(f"This is {kind}, or characters of it are missing or changed.")
    return token


def _unknown(detail: str) -> Problem:
    challenge = {"WWW-Authenticate": CHALLENGE["WWW-Authenticate"] + ', error="invalid_token"'}
    return Problem("bad_token", Wrong(detail, _HOW), headers=challenge)
