"""All pages of the settings."""

from __future__ import annotations

from collections.abc import Sequence

from coatcheck.console.pages.settings.machine import MachinePages
from coatcheck.console.pages.settings.operators import LIST, OperatorPages
from coatcheck.console.pages.settings.own import ME, OwnSettingPages
from coatcheck.console.web.page import AnyPage, Asked, Moved, Nothing, seen
from coatcheck.operations.permissions import Permission, may
from coatcheck.operations.signing_in.sessions import BrowserSessions
from coatcheck.operations.signing_in.signing import SigningIn
from coatcheck.operations.use_cases import UseCases


def setting_pages(cases: UseCases, sessions: BrowserSessions, signing: SigningIn) -> Sequence[AnyPage]:
    """Return them."""
    return [
        seen("/settings", Permission.SELF, _first),
        *OperatorPages(cases, sessions).pages(),
        *OwnSettingPages(cases, sessions, signing).pages(),
        *MachinePages(cases).pages(),
    ]


async def _first(asked: Asked[Nothing, Nothing]) -> Moved:
    """Go to the first tab of the settings that the role may see."""
    return Moved(LIST if may(asked.actor.role, Permission.OPERATORS_READ) else ME)
