"""Pages that tell of the record, among other things, while it cannot be read: all else is told as ever."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from jinja2 import ChoiceLoader, DictLoader

from coatcheck.console.pages.reading import if_readable
from coatcheck.console.pages.servers.showing import ServerPages
from coatcheck.console.pages.start import StartPages
from coatcheck.console.web.page import Answer, Shown
from coatcheck.console.web.rendering import Rendering
from coatcheck.errors import LedgerUnavailable, Unavailable, Unfit
from coatcheck.model.operator import Actor, OperatorRole
from doubles.asking import asked
from doubles.clock import HandClock
from doubles.registries import ROOT


async def failing(*_: Any, **__: Any) -> Any:
    raise LedgerUnavailable("the disk is full")


async def nothing(*_: Any, **__: Any) -> None:
    pass


class Frames:
    """Frames a server of which nothing is known but its name."""

    async def of(self, asked: Any, tab: str) -> dict[str, Any]:
        view = SimpleNamespace(name="crm")
        row = SimpleNamespace(view=view, standing=None, waiting=0)
        return {"row": row, "here": "/servers/crm", "tab": tab, "tabs": (), "tone": "good"}


CASES = cast(
    "Any",
    SimpleNamespace(
        activity=SimpleNamespace(over=failing),
        ledger=SimpleNamespace(look=failing),
        readers=SimpleNamespace(look=nothing),
        directory=SimpleNamespace(snapshot=SimpleNamespace(servers={})),
        attention=SimpleNamespace(has_grants=lambda: True),
        clock=HandClock(),
    ),
)


def rendered(shown: Answer) -> str:
    """Return a page as it is shown, without what all pages of a server have around it."""
    assert isinstance(shown, Shown)
    environment = Rendering(str, "1")._environment
    frame = DictLoader({"servers/one.html": "{% block tab %}{% endblock %}"})
    environment.loader = ChoiceLoader([frame, environment.loader])  # type: ignore[list-item]
    values = {**shown.values, "may": lambda _: True, "csrf": "", "once": ""}
    return environment.get_template(shown.template).render(values)


@pytest.mark.parametrize("page", ["overview", "calls"])
async def test_a_server_is_shown(page: str) -> None:
    shown = await getattr(ServerPages(CASES, cast("Any", Frames())), page)(asked(ref="crm"))
    assert shown.values["errors" if page == "overview" else "entries"] is None


async def test_that_the_calls_of_a_server_cannot_be_told_is_no_lack_of_calls() -> None:
    html = rendered(await ServerPages(CASES, cast("Any", Frames())).calls(asked(ref="crm")))
    assert "The record cannot be read" in html
    assert "Nobody called it yet" not in html


@pytest.mark.parametrize("role", [OperatorRole.ADMIN, OperatorRole.VIEWER])
async def test_the_first_steps_are_shown(role: OperatorRole) -> None:
    by = Actor("ann", role, ROOT.origin)
    html = rendered(await StartPages(CASES).show(asked(by, part="calls")))
    assert "The record cannot be read" in html
    assert "Waiting for the first call" not in html


async def test_only_what_cannot_be_read_now_is_passed_over() -> None:
    async def refusing(error: Exception) -> int:
        raise error

    assert await if_readable(refusing(Unavailable("not now"))) is None
    with pytest.raises(Unfit):
        await if_readable(refusing(Unfit("a defect of ours")))
