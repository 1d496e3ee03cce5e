"""Where the page of a server, a credential, a policy and a grant is: this is said here, and nowhere else.

A thing can be called as a page of ours is, such as `new`: its page is then a step below its name, at `show`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

OURS: Final[Mapping[str, frozenset[str]]] = {
    "/credentials": frozenset({"new"}),
    "/policies": frozenset({"explain", "new", "suggest"}),
    "/servers": frozenset({"new", "review"}),
}
"""What pages of ours are called, where things with names of their own stand beside them."""


def filled(pattern: str, name: Any) -> str:
    """Return a path with a name in place of `{}`, such as `/servers/{}/tools`."""
    room, _, below = pattern.partition("/{}")
    path = pattern.replace("{}", quote(str(name), safe=""))
    return f"{path}/show" if not below and str(name) in OURS.get(room, ()) else path


def _page(room: str, name: Any, below: Iterable[str | int]) -> str:
    return filled("/".join((f"{room}/{{}}", *map(str, below))), name)


def server_page(name: Any, *below: str | int) -> str:
    """Return the path of a server's page, or of one below it; the id of a server does for its name."""
    return _page("/servers", name, below)


def credential_page(name: Any, *below: str | int) -> str:
    """Return the path of a credential's page, or of one below it."""
    return _page("/credentials", name, below)


def policy_page(name: Any, *below: str | int) -> str:
    """Return the path of a policy's page, or of one below it."""
    return _page("/policies", name, below)


def grant_page(id: Any, *below: str | int) -> str:
    """Return the path of a grant's page, or of one below it."""
    return _page("/grants", id, below)
