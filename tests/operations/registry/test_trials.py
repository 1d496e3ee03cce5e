"""Servers that are tried before they are kept: given what they would be given, on record, and then let go of."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck.core.filling import values_of
from coatcheck.errors import CoatcheckError, Forbidden, Taken, Unfit
from coatcheck.model.credential import CredentialKind
from coatcheck.model.policy import Default
from coatcheck.model.secret import Secret
from coatcheck.operations.registry.patches import NewServer, OauthWanted
from coatcheck.operations.registry.serving.trials import Trials
from coatcheck.ports import Ask
from doubles.cloakrooms import NEW, OLD, Cloakroom
from doubles.registries import KEEPER, ROOT

BAD = "bad-secret-4711"


async def a_room(seconds: float = 1.0) -> tuple[Cloakroom, Trials]:
    room = await Cloakroom().open()
    return room, Trials(room.desk, room.registered, room.servers, seconds)


def remote(name: str = "crm", secret: str = OLD, **more: Any) -> NewServer:
    fields: dict[str, Any] = {"headers": {"Authorization": Secret(f"Bearer {secret}")}, **more}
    return NewServer(name, Secret(f"https://{name}.test/mcp"), **fields)


async def test_what_is_tried_is_given_what_it_would_be_and_nothing_is_kept() -> None:
    room, trials = await a_room()
    before = room.store.registry
    trial = await trials.run(ROOT, remote())
    assert trial.catalogue is not None
    assert list(trial.catalogue.tools) == ["find", "whoami"]
    assert (trial.error, trial.refused, trial.reach) == ("", False, "https://crm.test/mcp")
    assert trial.made == (("headers/Authorization", "crm-authorization"),)
    tried = room.upstreams.of("crm")
    assert dict(values_of(tried.server.reach))["headers/Authorization"].reveal() == f"Bearer {OLD}"
    assert tried.drained == [0.0]
    assert room.store.registry == before
    assert "crm" not in room.directory.snapshot.servers
    assert [(one.action, one.object_name, one.actor) for one in room.store.changes] == [
        ("server.try", "crm", "root")
    ]
    assert OLD not in repr((trial, room.store.changes))


async def test_a_failure_tells_why_without_the_secret() -> None:
    room, trials = await a_room()
    assert (await trials.run(ROOT, remote(secret=NEW))).catalogue is not None
    trial = await trials.run(ROOT, remote(secret=BAD))
    assert (trial.catalogue, trial.refused) == (None, True)
    assert trial.error.startswith("crm refused the credential (401): Bad credentials:")
    assert BAD not in trial.error
    room.upstreams.prepare = lambda upstream: upstream.hold()
    late = await Trials(room.desk, room.registered, room.servers, 0.05).run(ROOT, remote())
    assert late.error == "crm did not answer within 0.05 s"
    assert (late.refused, bool(late.fix)) == (False, True)
    assert room.upstreams.of("crm").drained == [0.0]


async def test_credentials_that_come_along_are_filled_in_and_kept_with_the_server() -> None:
    room, trials = await a_room()
    room.good = set()
    new = NewServer(
        "crm",
        Secret("https://crm.test/mcp?key=${credential:crm-url-key}"),
        credentials={"crm-url-key": Secret("planted-key-99")},
    )
    trial = await trials.run(KEEPER, new)
    assert trial.made == (("url", "crm-url-key"),)
    assert (
        dict(values_of(room.upstreams.of("crm").server.reach))["url"].reveal().endswith("?key=planted-key-99")
    )
    added = await room.registered.add(KEEPER, new)
    assert added.credentials == ("crm-url-key",)
    assert "crm-url-key" in {one.name for one in room.store.registry.credentials.values()}
    assert "planted-key-99" not in repr(room.store.changes)
    with pytest.raises(Taken, match="crm-url-key"):
        await trials.run(KEEPER, NewServer("two", new.url, credentials=new.credentials))


async def test_what_is_to_be_connected_first_is_not_asked() -> None:
    room, trials = await a_room()
    trial = await trials.run(ROOT, remote(headers={}, oauth=OauthWanted()))
    assert (trial.catalogue, trial.error) == (None, "")
    assert all(one.server.name != "crm" for one in room.upstreams.opened)
    assert room.store.changes == []
    added = await room.registered.add(ROOT, remote(headers={}, oauth=OauthWanted()))
    kinds = {one.name: one.kind for one in room.store.registry.credentials.values()}
    assert kinds[added.credentials[-1]] is CredentialKind.OAUTH


@pytest.mark.parametrize(
    ("new", "by", "error"),
    [
        (remote("git"), ROOT, Taken),
        (remote("a__b"), ROOT, Unfit),
        (remote(headers={"Bad Name": Secret("x")}), ROOT, Unfit),
        (remote(plain=frozenset({"X-None"})), ROOT, Unfit),
        (NewServer("kid", command="kid"), KEEPER, Forbidden),
        (remote(headers={}, credentials={"Bad Name": Secret("x")}), ROOT, Unfit),
    ],
    ids=["taken", "name", "header", "plain", "command", "credential"],
)
async def test_what_could_not_be_kept_is_not_tried(
    new: NewServer, by: Any, error: type[CoatcheckError]
) -> None:
    room, trials = await a_room()
    opened = len(room.upstreams.opened)
    with pytest.raises(error):
        await trials.run(by, new)
    assert len(room.upstreams.opened) == opened
    assert room.store.changes == []


async def test_tools_are_judged_as_if_the_server_were_kept_like_that() -> None:
    room, trials = await a_room()
    hint = b'{"name":"peek","annotations":{"readOnlyHint":true}}'
    room.upstreams.prepare = lambda upstream: upstream.offer(Ask.TOOLS, ["get_it", "put_it", hint])
    trial = await trials.run(ROOT, remote())

    def allowed(default: Default, approved: list[str] | None = None, *, trusted: bool = False) -> list[str]:
        found = trials.judged(trial, default, approved, trusted=trusted)
        return [one.tool.entry.name for one in found if one.default.judgement == "allowed"]

    assert allowed(Default.ALLOW_ALL) == ["get_it", "put_it", "peek"]
    assert allowed(Default.DENY_ALL) == []
    assert "put_it" not in allowed(Default.READ_ONLY)
    assert "peek" in allowed(Default.READ_ONLY, trusted=True)
    assert allowed(Default.ALLOW_ALL, ["p*"]) == ["put_it", "peek"]
    assert [one.tool.entry.name for one in trials.judged(trial, Default.READ_ONLY)] == [
        "get_it",
        "put_it",
        "peek",
    ]


async def test_who_may_add_commands_is_told_before_anything_is_typed() -> None:
    room, _ = await a_room()
    assert room.registered.may_add_commands(ROOT) == ""
    assert "admins" in room.registered.may_add_commands(KEEPER)


async def test_what_would_end_with_a_server_is_told_before_it_is_removed() -> None:
    room, _ = await a_room()
    name = await room.add("github")
    shared = NewServer("two", Secret("https://github.test/two"), headers={"X-Key": Secret(f"${{credential:{name}}}")}, plain=frozenset({"X-Key"}))  # fmt: skip
    assert list(room.registered.made_for("github")) == [name]
    assert list(room.registered.made_for("git")) == []
    await room.registered.add(ROOT, shared)
    assert list(room.registered.made_for("github")) == []
    ended = await room.registered.end(ROOT, "two", "")
    assert ended.calls == 0
    await room.registered.end(ROOT, "github", "")
    gone = next(one for one in room.store.registry.credentials.values() if one.name == name)
    assert gone.ended_at is not None
