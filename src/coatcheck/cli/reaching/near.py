"""For a name that does not exist: which names do, and which of them was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.reaching.answers import ApiRefusal
from coatcheck.cli.reaching.reach import PATIENT_SECONDS, Reach
from coatcheck.errors import CoatcheckError

_SHOWN: Final = 12
_SHORT: Final = "operators"
"""The list that has no pages."""
_LASTING: Final = "policies"
"""What can be asked for when it was removed, too."""
_ONE: Final = {"policies": "policy"}
MOST_LOOKED_AT: Final = 2_000
"""How many names are looked through for one that is close."""
SERVERS: Final = "servers"
"""The kind of name that `coatcheck add` makes."""


def unknown_server(reach: Reach, server: str) -> Stop | None:
    """Return the failure to tell when `server` is not among the gateway's servers, else None."""
    try:
        names = [str(item["name"]) for item in reach.get("/servers")["items"]]
    except CoatcheckError:
        return None
    if server in names:
        return None
    return Stop(f"there is no server {server!r}", exit_code=Exit.NO, fix=suggestion(server, names, SERVERS))


def unknown_tool(reach: Reach, server: str, tool: str) -> Stop | None:
    """Return the failure to tell when `tool` is not among the server's tools, else None."""
    try:
        answer = reach.get("/tools", {"server": server}, within=PATIENT_SECONDS)
        names = [str(item["name"]) for item in answer["items"]]
    except CoatcheckError:
        return None
    if tool in names:
        return None
    return Stop(
        f"server {server!r} has no tool {tool!r}",
        exit_code=Exit.NO,
        fix=suggestion(tool, names, f"tools of {server}"),
    )


@contextmanager
def unknown_name(reach: Reach, *, servers: Sequence[str], tool: str | None = None) -> Iterator[None]:
    """Give a refusal for a server or tool that there is none of the names that there are."""
    try:
        yield
    except ApiRefusal as refusal:
        if refusal.status != 404 or not servers:
            raise
        found = next((stop for server in servers if (stop := unknown_server(reach, server))), None)
        if found is None and tool is not None:
            found = unknown_tool(reach, servers[0], tool)
        raise found or refusal from None


@contextmanager
def unknown_object(reach: Reach, kind: str, name: str, member: str = "name") -> Iterator[None]:
    """Give a refusal for an object of the API (`kind` is `grants`, ...) the names that there are."""
    try:
        yield
    except ApiRefusal as refusal:
        if refusal.status != 404:
            raise
        try:
            found = reach.get(f"/{kind}")["items"] if kind == _SHORT else _many(reach, kind)
            names = [str(item[member]) for item in found]
        except CoatcheckError:
            names = []
        if not names or name in names:
            raise
        fix = suggestion(name, list(dict.fromkeys(names)), kind)
        one = _ONE.get(kind, kind.removesuffix("s"))
        raise Stop(f"there is no {one} {name!r}", exit_code=Exit.NO, fix=fix) from None


def _many(reach: Reach, kind: str) -> list[Any]:
    query = {"ended": "true"} if kind == _LASTING else {}
    return reach.pages(f"/{kind}", query, MOST_LOOKED_AT)[0]


def suggestion(wanted: str, names: Sequence[str], kind: str) -> str:
    """Return what to try instead: names close to `wanted`, else those that there are, else nothing there."""
    if not names:
        return f"there are no {kind}{'; `coatcheck add` declares one' if kind == SERVERS else ''}"
    folded = {name.casefold(): name for name in names}
    near = [folded[key] for key in difflib.get_close_matches(wanted.casefold(), folded, n=3, cutoff=0.6)]
    near += [name for name in names if wanted.casefold() in name.casefold() and name not in near][:3]
    if near:
        return f"did you mean {' or '.join(near)}?"
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"the {kind} are: {', '.join(names[:_SHOWN])}{rest}"
