"""What is the same on all pages of one server: its name, how it stands, and the way to its other pages."""

from __future__ import annotations

from functools import partial
from typing import Any

from coatcheck.console.pages.servers.words import TONES
from coatcheck.console.web.page import Asked
from coatcheck.console.web.paths import server_page
from coatcheck.model.operator import Actor, OperatorRole
from coatcheck.model.server import Transport
from coatcheck.operations.permissions import Permission, may
from coatcheck.operations.registry.serving.listing import ServerLists, ServerRow

Tab = tuple[str, str, bool, int | None]


class Framing:
    """Makes the frame."""

    def __init__(self, lists: ServerLists) -> None:
        self._lists = lists

    async def of(self, asked: Asked[Any, Any], tab: str) -> dict[str, Any]:
        """Return what the frame needs. `at` tells where the server's page is, and those below it.

        Raises:
            Missing: there is no such server.
        """
        row = await self._lists.get(asked.names["ref"])
        return {
            "row": row,
            "at": partial(server_page, row.view.name),
            "tone": TONES[row.condition],
            "tabs": _tabs(row, tab, asked.actor),
            "tab": tab,
        }


def _tabs(row: ServerRow, tab: str, actor: Actor) -> list[Tab]:
    standing = row.standing
    is_child = row.view.transport is Transport.STDIO
    credentials = len({name for _, name in row.view.credentials})
    found: list[tuple[str, str, int | None, bool]] = [
        ("overview", "Overview", None, True),
        ("tools", "Tools", standing.tools if standing else None, may(actor.role, Permission.TOOLS)),
        ("review", "To review", row.waiting, bool(row.waiting) or tab == "review"),
        ("credentials", "Credentials", credentials, may(actor.role, Permission.CREDENTIALS_READ)),
        ("grants", "Grants", None, may(actor.role, Permission.GRANTS_READ)),
        ("calls", "Calls", None, may(actor.role, Permission.RECORDS)),
        ("output", "Output", None, is_child and actor.role is OperatorRole.ADMIN),
        ("settings", "Settings", None, may(actor.role, Permission.SERVERS_WRITE)),
    ]
    return [
        (label, server_page(row.view.name, *([] if name == "overview" else [name])), name == tab, count)
        for name, label, count, is_there in found
        if is_there
    ]
