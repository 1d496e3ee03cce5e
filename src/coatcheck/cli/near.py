"""For a name that does not exist: which names do, and which of them was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.reach import PATIENT_SECONDS, Reach
from coatcheck.errors import CoatcheckError

_SHOWN = 12
SERVERS = "servers"
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
