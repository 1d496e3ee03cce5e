"""Names that a running gateway knows, for a shell that completes them: quick, and silent where none runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import click

QUICK_SECONDS: Final = 1.0
MOST: Final = 100
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.@][A-Za-z0-9_.@+/-]*")
"""What a shell takes as it stands. Other names are not offered: a shell would act on what is in them."""

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def _names(path: str, member: str, by: str = "") -> Complete:
    """Return a callback that lists the `member` of each item at `path`, filtered by the query `by`."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        already = context.params.get(parameter.name or "")
        taken = set(already) if isinstance(already, tuple | list) else set()
        try:
            query = {by: f"{incomplete}*", "limit": str(MOST)} if by else {}
            found = _ask(context.params, path, query)
            names = [str(item[member]) for item in found]
        except Exception:  # noqa: BLE001  # whatever is wrong, a shell that completes is no place to tell it
            return []
        fit = (name for name in names if name.startswith(incomplete) and _PLAIN.fullmatch(name))
        return sorted(set(fit) - taken)

    return complete


def _ask(given: Mapping[str, Any], path: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
    from coatcheck.cli.options import Where
    from coatcheck.cli.reaching.gateway import reach_of

    data, url = (given.get(name) or None for name in ("data", "url"))
    reach = reach_of(Where(data=data, url=url))
    items: list[dict[str, Any]] = reach.get(path, query, within=QUICK_SECONDS)["items"]
    return items


servers: Final = _names("/servers", "name", "name")
grants: Final = _names("/grants", "label", "label")
subjects: Final = _names("/subjects", "name", "name")
credentials: Final = _names("/credentials", "name", "name")
operators: Final = _names("/operators", "name")
policies: Final = _names("/policies", "name", "name")


def tools(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """List the tools of the server that stands before."""
    server = context.params.get("server")
    if not isinstance(server, str):
        return []
    try:
        names = [str(item["name"]) for item in _ask(context.params, "/tools", {"server": server})]
    except Exception:  # noqa: BLE001  # as above
        return []
    return sorted(name for name in names if name.startswith(incomplete) and _PLAIN.fullmatch(name))
