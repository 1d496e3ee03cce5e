"""Adding servers, page by page: what was chosen stays so, drafts have a page, and names are really free."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from coatcheck.console.pages.servers.adding import AddingPages
from coatcheck.console.pages.servers.drafts import Drafts
from coatcheck.console.pages.servers.shapes import AddForm, ChooseForm, PasteForm, UrlForm
from coatcheck.console.web.page import Asked, Moved
from coatcheck.declared.pasted.reading import read_pasted
from coatcheck.errors import Missing, Unfit
from coatcheck.model.secret import Secret
from coatcheck.operations.credentials.patches import NewCredential
from coatcheck.operations.registry.patches import NewServer
from coatcheck.operations.registry.serving.listing import ServerLists
from coatcheck.operations.registry.serving.trials import Trials
from doubles.asking import asked
from doubles.cloakrooms import OLD, Cloakroom
from doubles.entropy import CountingEntropy
from doubles.registries import ROOT

FORMS = {"choose": ChooseForm, "add": AddForm, "read": PasteForm, "try_url": UrlForm}


class Desk:
    """The pages over servers that take anything, and whoever fills them in."""

    def __init__(self, room: Cloakroom) -> None:
        self.room = room
        cases = SimpleNamespace(
            directory=room.directory,
            servers=room.registered,
            server_lists=ServerLists(room.registered, cast("Any", None), cast("Any", None), room.credentials),
            trials=Trials(room.desk, room.registered, room.servers),
            read_pasted=read_pasted,
        )
        self.drafts = Drafts(room.clock, CountingEntropy())
        self.pages = AddingPages(cast("Any", cases), self.drafts)
        self.draft = ""

    def asked(self, form: Any = None) -> Asked[Any, Any]:
        return asked(form=form, draft=self.draft)

    async def do(self, verb: str, **fields: Any) -> Moved:
        """Send a form; the draft that it leads to is the one from then on."""
        found = await getattr(self.pages, verb)(self.asked(FORMS[verb](**fields)))
        assert isinstance(found, Moved)
        if "/draft/" in found.to:
            self.draft = found.to.removesuffix("/choose").rpartition("/")[2]
        return found

    async def ticks(self) -> dict[str, bool]:
        """Return which servers the page of the draft has ticked."""
        shown = await self.pages.show(self.asked())
        return {one.new.name: one.ticked for one in shown.values["previews"]}


async def a_desk() -> Desk:
    room = Cloakroom()
    room.good = set()
    return Desk(await room.open())


def configuration(*names: str, **headers: str) -> Secret:
    servers = {name: {"url": f"https://{name}.test/mcp", "headers": headers} for name in names}
    return Secret(json.dumps({"mcpServers": servers}))


async def pasted(*names: str, **headers: str) -> Desk:
    """Return pages with a draft of servers that were pasted and tried."""
    desk = await a_desk()
    await desk.do("read", text=configuration(*names, **headers))
    await desk.do("choose", include=[str(number) for number in range(len(names))])
    return desk


# --- what was chosen --------------------------------------------------------------------------------------


async def test_what_was_left_out_stays_so_when_another_one_fails() -> None:
    desk = await pasted("a", "b", "c")
    assert await desk.ticks() == {"a": True, "b": True, "c": True}
    await desk.room.registered.add(ROOT, NewServer("c", Secret("https://c.test/mcp")))
    with pytest.raises(Unfit, match=r"b: added\. c: there is a server"):
        await desk.do("add", include=["1", "2"])
    assert await desk.ticks() == {"c": True, "a": False}


async def test_what_was_chosen_stays_so_when_all_are_tried_again() -> None:
    desk = await pasted("a", "b")
    await desk.do("add", act="again", include=["1"])
    assert await desk.ticks() == {"a": False, "b": True}
    await desk.do("add", act="again", include=["0", "1"])
    assert await desk.ticks() == {"a": True, "b": True}


async def test_what_failed_is_ticked_by_whoever_wants_it_and_once_it_answers() -> None:
    desk = await a_desk()
    desk.room.good = {OLD}
    await desk.do("read", text=configuration("a", "b"))
    await desk.do("choose", include=["0", "1"])
    assert await desk.ticks() == {"a": False, "b": False}
    await desk.do("add", act="again", include=["0"])
    assert await desk.ticks() == {"a": True, "b": False}
    desk.room.good = set()
    await desk.do("add", act="again", include=["0"])
    assert await desk.ticks() == {"a": True, "b": True}, "nobody said no to it"


# --- the page of a draft ----------------------------------------------------------------------------------


async def test_nothing_is_chosen_of_a_draft_that_was_not_pasted() -> None:
    desk = await a_desk()
    await desk.do("try_url", name="x", url=Secret("https://x.test/mcp"))
    with pytest.raises(Unfit, match="nothing was pasted"):
        await desk.do("choose", include=["0"])
    for page in (desk.pages.show, desk.pages.show_choice):
        assert (await page(desk.asked())).template == "servers/new_preview.html"


async def test_a_number_that_no_server_has_chooses_nothing() -> None:
    desk = await pasted("a")
    with pytest.raises(Unfit, match="no server is chosen"):
        await desk.do("choose", include=["7"])
    assert (await desk.pages.show(desk.asked())).template == "servers/new_preview.html"
    assert (await desk.pages.show_choice(desk.asked())).template == "servers/new_choose.html"


async def test_a_draft_of_nothing_is_no_page() -> None:
    desk = await a_desk()
    desk.draft = desk.drafts.put(ROOT.name).id
    for page in (desk.pages.show, desk.pages.show_choice):
        with pytest.raises(Missing):
            await page(desk.asked())


# --- names of credentials ---------------------------------------------------------------------------------


async def test_a_name_that_is_taken_is_not_given_again_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("coatcheck.operations.registry.serving.listing.MAX_LIMIT", 1)
    desk = await a_desk()
    for name in ("another", "u-url-api_key"):
        await desk.room.credentials.add(ROOT, NewCredential(name, Secret("k-1")))
    await desk.do("try_url", name="u", url=Secret("https://u.test/mcp?api_key=sk-abcdefgh12345678"))
    (candidate,) = desk.drafts.get(ROOT.name, desk.draft).candidates
    assert list(candidate.new.credentials) == ["u-url-api_key-2"]
