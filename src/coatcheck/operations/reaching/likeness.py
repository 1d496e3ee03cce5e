"""Telling whether two servers are the same but for the material of their credentials."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from coatcheck.core.filling import STAND_IN, with_values
from coatcheck.model.secret import Secret
from coatcheck.model.server import Server

_BLANK: Final = Secret(STAND_IN)


def same_but_filled(one: Server, other: Server) -> bool:
    """Tell whether two servers differ at most in the versions of the same credentials in the same places.

    Of two that are equal this is true as well. A server that lacks a credential is like no other.
    """
    if one.lacking or other.lacking or _places(one) != _places(other):
        return False
    return _blanked(one) == _blanked(other)


def _places(server: Server) -> list[tuple[str, str]]:
    return sorted((use.place, str(use.credential)) for use in server.uses)


def _blanked(server: Server) -> Server:
    return replace(
        server, uses=(), reach=with_values(server.reach, {use.place: _BLANK for use in server.uses})
    )
