"""A server that refuses what is in use flags it, once, and has it rolled back where that is set."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from coatcheck.errors import UpstreamCredentialRefused
from coatcheck.model.credential import OnRefusal
from coatcheck.model.secret import Secret
from coatcheck.operations.credentials.patches import CredentialPatch
from coatcheck.operations.credentials.views import CredentialState, CredentialView
from doubles.cloakrooms import BAD, NEW, OLD, Cloakroom
from doubles.registries import ROOT

NAME = "github-authorization"


async def a_room(**patch: Any) -> Cloakroom:
    room = await Cloakroom().open()
    await room.add()
    await room.credentials.change(ROOT, NAME, CredentialPatch(**patch), None)
    return room


async def asked(room: Cloakroom, good: bool = False) -> CredentialView:
    """Have the server asked, and return what is then known of its credential."""
    served = room.servers.of(room.directory.snapshot.servers["github"])
    if good:
        served.upstream.failing = None  # type: ignore[attr-defined]
        assert room.refusing.taken(served.server) in {True, False}
    else:
        with pytest.raises(UpstreamCredentialRefused):
            await served.ask()
    await room.refusing.close()
    return await room.credentials.get(NAME)


async def test_a_refusal_is_flagged_once() -> None:
    room = await a_room()
    await room.rotations.rotate(ROOT, NAME, Secret(BAD), verify=False, because="planted")
    view = await asked(room)
    assert (view.state, view.versions[0].refused_by) == (CredentialState.FAILING, "github")
    commits = room.store.commits
    await asked(room)
    assert room.store.commits == commits
    assert room.actions()[-1] == "credential.refused"
    assert room.store.changes[-1].actor == "gateway"
    assert view.versions[0].stage.value == "active", "by default nothing is switched"


async def test_it_is_rolled_back_where_that_is_set() -> None:
    room = await a_room(on_refusal=OnRefusal.ROLL_BACK)
    await room.rotations.rotate(ROOT, NAME, Secret(BAD), verify=False, because="planted")
    view = await asked(room)
    assert [(one.number, one.stage.value, bool(one.refused_at)) for one in view.versions] == [
        (2, "previous", True),
        (1, "active", False),
    ]
    assert view.state is CredentialState.OK
    assert room.store.changes[-1].because == "github refused version 2"
    served = room.servers.of(room.directory.snapshot.servers["github"])
    assert await served.ask()
    room.good.clear()
    room.good.add("nothing")
    served.upstream.failing = UpstreamCredentialRefused("no more")  # type: ignore[attr-defined]
    view = await asked(room)
    assert [one.stage.value for one in view.versions] == ["previous", "active"], "not from bad to bad"


async def test_long_after_an_activation_nothing_is_rolled_back() -> None:
    room = await a_room(on_refusal=OnRefusal.ROLL_BACK)
    await room.rotations.rotate(ROOT, NAME, Secret(BAD), verify=False, because="planted")
    room.clock.advance(timedelta(minutes=10).total_seconds())
    view = await asked(room)
    assert (view.versions[0].stage.value, view.state) == ("active", CredentialState.FAILING)


async def test_a_server_that_is_content_again_takes_the_flag_back() -> None:
    room = await a_room()
    await room.rotations.rotate(ROOT, NAME, Secret(BAD), verify=False, because="planted")
    await asked(room)
    assert (await asked(room, good=True)).state is CredentialState.FAILING, "not at once: some calls only"
    room.clock.advance(60.0)
    assert (await asked(room, good=True)).state is CredentialState.OK
    assert room.actions()[-1] == "credential.accepted"
    assert room.refusing.taken(room.directory.snapshot.servers["github"])


async def test_verifying_takes_the_flag_back_or_sets_it() -> None:
    room = await a_room()
    await room.rotations.rotate(ROOT, NAME, Secret(NEW))
    room.good.discard(NEW)
    verdicts = await room.rotations.verify(ROOT, NAME)
    await room.refusing.close()
    assert not verdicts.ok
    assert (await room.credentials.get(NAME)).state is CredentialState.FAILING
    room.good.add(NEW)
    assert (await room.rotations.verify(ROOT, NAME)).ok
    assert (await room.credentials.get(NAME)).state is CredentialState.OK
    assert OLD in room.good


async def test_what_is_only_tried_is_not_flagged() -> None:
    room = await a_room()
    await room.rotations.stage(ROOT, NAME, Secret(BAD))
    assert not (await room.rotations.verify(ROOT, NAME)).ok
    await room.refusing.close()
    assert "credential.refused" not in room.actions()
