"""People see first what waits for somebody, and find credentials by what they remember of them."""

from __future__ import annotations

import pytest

from coatcheck.errors import Missing, UpstreamCredentialRefused
from coatcheck.model.secret import Secret
from coatcheck.operations.credentials.listing import CredentialLists, LookFilter
from coatcheck.operations.credentials.patches import CredentialPatch, NewCredential
from coatcheck.operations.credentials.views import CredentialState, Reason
from doubles.cloakrooms import NEW, Cloakroom
from doubles.registries import ROOT


async def a_room() -> tuple[Cloakroom, CredentialLists]:
    room = await Cloakroom().open()
    for name in ("alpha", "beta", "github"):
        await room.add(name)
    lists = CredentialLists(room.counter)
    for name in ("alpha", "beta", "github"):
        await room.rotations.verify(ROOT, f"{name}-authorization")
    await room.credentials.change(
        ROOT, "beta-authorization", CredentialPatch(owner="Ada", note="for the Team"), None
    )
    return room, lists


async def names(lists: CredentialLists, **wanted: object) -> list[str]:
    looked = await lists.list(LookFilter(**wanted))  # type: ignore[arg-type]
    return [row.view.name for row in looked.page.items]


async def test_the_gravest_come_first_and_the_rest_by_name() -> None:
    room, lists = await a_room()
    usual = ["alpha-authorization", "beta-authorization", "github-authorization"]
    assert await names(lists) == usual
    await room.credentials.add(ROOT, NewCredential("empty"))
    await room.rotations.stage(ROOT, "github-authorization", Secret(NEW))
    served = room.directory.snapshot.servers["beta"]
    room.refusing.refused(served, UpstreamCredentialRefused("beta refused it"))
    await room.refusing.close()
    assert await names(lists) == [
        "beta-authorization",
        "empty",
        "github-authorization",
        "alpha-authorization",
    ]
    looked = await lists.list(LookFilter())
    assert [row.reasons[:1] for row in looked.page.items] == [
        (Reason.FAILING,),
        (Reason.LACKING,),
        (Reason.STAGED,),
        (),
    ]
    assert looked.states == {CredentialState.FAILING: 1, CredentialState.LACKING: 1, CredentialState.OK: 2}
    assert await names(lists, state=CredentialState.LACKING) == ["empty"]


async def test_a_text_is_looked_for_in_name_owner_note_and_servers_in_any_case() -> None:
    _room, lists = await a_room()
    for text in ("ADA", "the team", "BETA-auth", " beta "):
        assert await names(lists, text=text) == ["beta-authorization"]
    looked = await lists.list(LookFilter(text="authorization", state=CredentialState.OK))
    assert (looked.found, looked.all, len(looked.page.items)) == (3, 3, 3)
    looked = await lists.list(LookFilter(text="nobody"))
    assert (looked.found, looked.all, looked.page.items, dict(looked.states)) == (0, 3, [], {})


async def test_pages_go_on_where_the_last_one_ended() -> None:
    _room, lists = await a_room()
    seen: list[str] = []
    after: str | None = None
    for _ in range(3):
        looked = await lists.list(LookFilter(limit=1, after=after))
        seen += [row.view.name for row in looked.page.items]
        after = looked.page.next
    assert (seen, after) == (["alpha-authorization", "beta-authorization", "github-authorization"], None)


async def test_one_is_told_with_its_reasons() -> None:
    room, lists = await a_room()
    await room.credentials.add(ROOT, NewCredential("empty"))
    row = await lists.get("empty")
    assert (row.view.name, row.reasons) == ("empty", (Reason.LACKING, Reason.UNUSED))
    with pytest.raises(Missing):
        await lists.get("nothing")
