"""All pages of servers, put together."""

from __future__ import annotations

from collections.abc import Sequence

from coatcheck.console.pages.servers.adding import AddingPages
from coatcheck.console.pages.servers.changing import SettingPages
from coatcheck.console.pages.servers.drafts import Drafts
from coatcheck.console.pages.servers.framing import Framing
from coatcheck.console.pages.servers.listing import ServerListPages
from coatcheck.console.pages.servers.reviewing import ReviewPages
from coatcheck.console.pages.servers.showing import ServerPages
from coatcheck.console.web.page import AnyPage
from coatcheck.operations.use_cases import UseCases
from coatcheck.ports import Entropy


def server_pages(cases: UseCases, entropy: Entropy) -> Sequence[AnyPage]:
    """Return the pages. Those whose paths say what they are come before those of one server."""
    framing = Framing(cases.server_lists)
    return [
        *ServerListPages(cases).pages(),
        *AddingPages(cases, Drafts(cases.clock, entropy)).pages(),
        *ReviewPages(cases, framing).pages(),
        *ServerPages(cases, framing).pages(),
        *SettingPages(cases, framing).pages(),
    ]
