"""Registered servers bring credentials with them: made, renewed, ended; and nobody learns another's by it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from coatcheck.errors import Forbidden, Unfit
from coatcheck.model.credential import (
    Assurance,
    Credential,
    CredentialKind,
    Custody,
    Probe,
    Replace,
    Stage,
    Upkeep,
)
from coatcheck.model.operator import Actor, OperatorRole
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, Server, StdioReach
from coatcheck.operations.registry.patches import NewServer, OauthWanted, ServerPatch
from doubles.registries import KEEPER, ROOT, Office

CANARY = "canary-8812"
OTHER = Actor("other", OperatorRole.POLICY_MANAGER, "192.0.2.11")
URL = "https://mcp.example.com/mcp"
NAMED = "${credential:crm-authorization}"


def remote(name: str = "crm", url: str = URL, plain: tuple[str, ...] = (), **headers: str) -> NewServer:
    secrets = {header.replace("_", "-"): Secret(value) for header, value in headers.items()}
    return NewServer(name, Secret(url), headers=secrets, plain=frozenset(plain))


def keyed(name: str = "crm", url: str = URL) -> NewServer:
    return remote(name, url, Authorization=f"Bearer {CANARY}")


def naming(name: str, url: str = URL) -> NewServer:
    return remote(name, url, ("Authorization",), Authorization=NAMED)


def held(office: Office) -> dict[str, Credential]:
    found = office.directory.snapshot.registry.credentials.values()
    return {one.name: one for one in found if one.ended_at is None}


def used(office: Office, name: str = "crm") -> Server:
    return office.directory.snapshot.servers[name]


def header(office: Office, name: str = "crm") -> str:
    reach = used(office, name).reach
    assert isinstance(reach, HttpReach)
    return reach.headers["Authorization"].reveal()


def stages(credential: Credential) -> list[tuple[int, Stage, bool]]:
    return [(one.number, one.stage, one.material is not None) for one in credential.versions]


async def change(office: Office, actor: Actor = ROOT, server: str = "crm", **patch: Any) -> Any:
    return await office.registered.change(actor, server, ServerPatch(**patch), None)


def secret(value: str) -> dict[str, Secret]:
    return {"Authorization": Secret(value)}


# --- made with a server ----------------------------------------------------------------------------------------


async def test_a_secret_becomes_a_credential_in_the_same_edit() -> None:
    office = await Office().open()
    added = await office.registered.add(KEEPER, keyed())
    assert (added.credentials, office.store.commits) == (("crm-authorization",), 1)
    credential = held(office)["crm-authorization"]
    assert (credential.custody, credential.kind, credential.created_by) == (
        Custody.STORE,
        CredentialKind.VALUE,
        "keeper",
    )
    assert stages(credential) == [(1, Stage.ACTIVE, True)]
    (version,) = credential.versions
    assert (version.assurance, version.made_by, len(version.print)) == (Assurance.NEVER, "keeper", 16)
    assert header(office) == f"Bearer {CANARY}"
    (use,) = used(office).uses
    assert (use.place, use.credential, use.name, use.number) == (
        "headers/Authorization",
        credential.id,
        "crm-authorization",
        1,
    )
    (stored,) = office.store.registry.servers.values()
    assert isinstance(stored.reach, HttpReach)
    assert stored.reach.headers["Authorization"].reveal() == "-"
    assert added.server.credentials == (("headers/Authorization", "crm-authorization"),)
    assert added.server.sealed == ("Authorization",)
    assert [one.action for one in office.store.changes] == ["server.add", "credential.add"]
    assert CANARY not in repr((added, office.store.changes, office.store.registry))


async def test_names_that_are_taken_get_a_number() -> None:
    office = await Office().open()
    await office.registered.add(ROOT, keyed("a-b"))
    await office.registered.add(ROOT, remote("a", B_Authorization="canary-2"))
    assert set(held(office)) == {"a-b-authorization", "a-b-authorization-2"}
    reach = used(office, "a").reach
    assert isinstance(reach, HttpReach)
    assert reach.headers["B-Authorization"].reveal() == "canary-2"


@pytest.mark.parametrize("pasted", [False, True])
async def test_the_name_of_oauth_is_not_one_that_is_made_beside_it(*, pasted: bool) -> None:
    office = await Office().open()
    value = "${credential:x-oauth}" if pasted else CANARY
    new = remote("x", plain=("OAuth",) if pasted else (), OAuth=value)
    given = {"x-oauth": Secret(CANARY)} if pasted else {}
    added = await office.registered.add(ROOT, replace(new, oauth=OauthWanted(), credentials=given))
    assert added.credentials == ("x-oauth", "x-oauth-2")
    assert [held(office)[name].kind for name in added.credentials] == [
        CredentialKind.VALUE,
        CredentialKind.OAUTH,
    ]


async def test_variables_of_a_command_become_credentials_and_arguments_can_name_them() -> None:
    office = await Office().open()
    kid = NewServer(
        "kid",
        command="kid",
        args=(Secret("--key=${credential:kid-db_key}"), Secret("plain")),
        env={"DB_KEY": Secret(CANARY), "MODE": Secret("fast")},
        plain=frozenset({"MODE"}),
    )
    with pytest.raises(Unfit, match="no credential 'kid-db_key'"):
        await office.registered.add(ROOT, kid)
    await office.registered.add(ROOT, NewServer("kid", command="kid", env={"DB_KEY": Secret(CANARY)}))
    await change(office, server="kid", args=kid.args)
    reach = used(office, "kid").reach
    assert isinstance(reach, StdioReach)
    assert [arg.reveal() for arg in reach.args] == [f"--key={CANARY}", "plain"]
    assert reach.env["DB_KEY"].reveal() == CANARY
    assert [one.reveal() for one in reach.hush] == [CANARY, CANARY]
    await change(office, server="kid", note="x")
    again = used(office, "kid").reach
    assert again == reach


async def test_upkeep_is_kept() -> None:
    office = await Office().open()
    upkeep = Upkeep(Replace.RESTART, Probe("whoami"))
    await office.registered.add(ROOT, NewServer("crm", Secret(URL), upkeep=upkeep))
    assert used(office).upkeep == upkeep
    changed = await change(office, upkeep=Upkeep())
    assert (changed.server.upkeep, used(office).upkeep) == (Upkeep(), Upkeep())


# --- changed ---------------------------------------------------------------------------------------------------


async def test_a_new_secret_is_the_next_version_and_the_former_can_be_brought_back() -> None:
    office = await Office().open()
    await office.registered.add(ROOT, keyed())
    changed = await change(office, KEEPER, headers=secret("Bearer second-9"))
    assert changed.credentials == ("crm-authorization",)
    assert header(office) == "Bearer second-9"
    credential = held(office)["crm-authorization"]
    assert stages(credential) == [(2, Stage.ACTIVE, True), (1, Stage.PREVIOUS, True)]
    assert (credential.versions[0].assurance, credential.versions[0].made_by) == (Assurance.SKIPPED, "keeper")
    reach = used(office).reach
    assert [one.reveal() for one in reach.hush] == ["Bearer second-9", f"Bearer {CANARY}"]
    await change(office, headers=secret("Bearer third-99"))
    assert stages(held(office)["crm-authorization"]) == [
        (3, Stage.ACTIVE, True),
        (2, Stage.PREVIOUS, True),
        (1, Stage.RETIRED, False),
    ]
    actions = [one.action for one in office.store.changes]
    assert actions == ["server.add", "credential.add", *["server.change", "credential.activate"] * 2]
    await change(office, headers=secret("Bearer third-99"))
    assert held(office)["crm-authorization"].versions[0].number == 3


async def test_what_is_kept_is_the_same_credential() -> None:
    office = await Office().open()
    await office.registered.add(ROOT, keyed())
    before = held(office)
    changed = await change(office, KEEPER, note="x", headers={"X-New": Secret("another-1")})
    assert held(office)["crm-authorization"] == before["crm-authorization"]
    assert (header(office), changed.credentials) == (f"Bearer {CANARY}", ("crm-x-new",))


async def test_a_header_that_is_taken_away_ends_its_credential() -> None:
    office = await Office().open()
    await office.registered.add(ROOT, keyed())
    await change(office, headers={"Authorization": None})
    assert held(office) == {}
    (ended,) = office.store.registry.credentials.values()
    assert stages(ended) == [(1, Stage.RETIRED, False)]
    assert CANARY not in repr(vars_of(ended))
    await change(office, headers=secret("Bearer again-1"))
    assert (list(held(office)), header(office)) == (["crm-authorization"], "Bearer again-1")


def vars_of(credential: Credential) -> list[str]:
    return [one.material.reveal() for one in credential.versions if one.material is not None]


async def test_a_credential_that_others_use_is_not_changed_with_one_of_them() -> None:
    office = await Office().open()
    await office.registered.add(ROOT, keyed())
    await office.registered.add(ROOT, naming("twin"))
    with pytest.raises(Unfit, match="used by twin too") as raised:
        await change(office, headers=secret("Bearer second-9"))
    assert "credential rotate crm-authorization" in raised.value.fix
    assert (header(office), header(office, "twin")) == (f"Bearer {CANARY}",) * 2
    await change(office, server="twin", plain=frozenset(), headers=secret("Bearer own-9999"))
    assert (header(office), header(office, "twin")) == (f"Bearer {CANARY}", "Bearer own-9999")


async def test_an_ended_server_ends_the_credentials_that_nobody_else_uses() -> None:
    office = await Office().open()
    both = remote(Authorization=f"Bearer {CANARY}", X_Two="second-key")
    await office.registered.add(ROOT, both)
    await office.registered.add(ROOT, naming("twin"))
    await office.registered.end(ROOT, "crm", "moved")
    assert list(held(office)) == ["crm-authorization"]
    assert header(office, "twin") == f"Bearer {CANARY}"
    last = [(one.action, one.object_name, one.because) for one in office.store.changes[-2:]]
    assert last == [("server.end", "crm", "moved"), ("credential.end", "crm-x-two", "with the server crm")]
    await office.registered.end(ROOT, "twin", "")
    assert list(held(office)) == ["crm-authorization"]  # it was not made for the twin


# --- secrets stay with their origin ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["https://evil.example.com/mcp", "http://mcp.example.com/mcp", f"{URL[:-4]}:8443/"]
)
async def test_nothing_is_left_that_could_be_sent_elsewhere(url: str) -> None:
    office = await Office().open()
    await office.registered.add(ROOT, keyed())
    await change(office, headers=secret("Bearer second-9"))
    with pytest.raises(Unfit, match="not sent elsewhere"):
        await change(office, KEEPER, url=Secret(url))
    await change(office, KEEPER, url=Secret(url), headers=secret("Bearer of-mine-1"))
    credential = held(office)["crm-authorization"]
    assert stages(credential) == [
        (3, Stage.ACTIVE, True),
        (2, Stage.RETIRED, False),
        (1, Stage.RETIRED, False),
    ]
    assert header(office) == "Bearer of-mine-1"


async def test_only_admins_send_what_others_gave_to_another_origin() -> None:
    office = await Office().open()
    await office.registered.add(ROOT, keyed())
    for new in (
        naming("evil", "https://evil.example.com/"),
        remote("evil", "https://evil.example.com/?k=${credential:crm-authorization}"),
    ):
        with pytest.raises(Forbidden, match="given by another"):
            await office.registered.add(KEEPER, new)
    await office.registered.add(KEEPER, naming("same"))
    assert header(office, "same") == f"Bearer {CANARY}"
    with pytest.raises(Forbidden):
        await change(office, KEEPER, "same", url=Secret("https://evil.example.com/"))
    await office.registered.add(ROOT, naming("elsewhere", "https://other.example.com/"))
    await office.registered.add(KEEPER, naming("there", "https://other.example.com/x"))


async def test_what_somebody_gave_himself_he_may_send_where_nobody_else_does() -> None:
    office = await Office().open()
    await office.registered.add(KEEPER, keyed())
    with pytest.raises(Forbidden):  # whoever rotates it would send the new one to both
        await office.registered.add(KEEPER, naming("other", "https://other.example.com/"))
    await office.registered.add(ROOT, naming("twin"))
    await office.registered.end(ROOT, "crm", "")
    await change(office, KEEPER, "twin", url=Secret("https://other.example.com/"))
    assert header(office, "twin") == f"Bearer {CANARY}"
    with pytest.raises(Forbidden):
        await change(office, OTHER, "twin", url=Secret("https://evil.example.com/"))


async def test_a_name_that_is_not_there_or_a_value_that_cannot_be_there_is_refused() -> None:
    office = await Office().open()
    with pytest.raises(Unfit, match="no credential 'crm-authorization'") as raised:
        await office.registered.add(ROOT, naming("crm"))
    assert "credential add crm-authorization" in raised.value.fix
    await office.registered.add(ROOT, NewServer("kid", command="kid", env={"K": Secret("two\nlines")}))
    bad = remote("crm", URL, ("A",), A="${credential:kid-k}")
    with pytest.raises(Unfit, match="headers/A") as raised:
        await office.registered.add(ROOT, bad)
    assert "lines" not in raised.value.message


# --- OAuth -----------------------------------------------------------------------------------------------------


async def test_a_server_with_oauth_gets_a_credential_of_that_kind() -> None:
    office = await Office().open()
    wanted = OauthWanted("client_credentials", ("read",), "https://as.example", "id", Secret(CANARY))
    added = await office.registered.add(ROOT, NewServer("crm", Secret(f"{URL}?x=1"), oauth=wanted))
    assert added.credentials == ("crm-oauth",)
    credential = held(office)["crm-oauth"]
    assert (credential.kind, credential.versions) == (CredentialKind.OAUTH, ())
    assert credential.oauth is not None
    assert (credential.oauth.resource, credential.oauth.client_id) == (URL, "id")
    server = used(office)
    assert isinstance(server.reach, HttpReach)
    assert (server.reach.bearer, server.lacking, dict(server.reach.headers)) == (credential.id, "", {})
    with pytest.raises(Unfit, match="not sent elsewhere"):
        await change(office, url=Secret("https://evil.example.com/"))
    await office.registered.end(ROOT, "crm", "")
    (ended,) = office.store.registry.credentials.values()
    assert ended.oauth is not None
    assert ended.oauth.client_secret is None


@pytest.mark.parametrize(
    "new",
    [
        NewServer("x", Secret(URL), oauth=OauthWanted("password")),
        NewServer("x", Secret(URL), oauth=OauthWanted("client_credentials", client_id="id")),
        NewServer("x", Secret(URL), headers={"authorization": Secret("x")}, oauth=OauthWanted()),
        NewServer("x", command="x", oauth=OauthWanted()),
    ],
)
async def test_no_oauth(new: NewServer) -> None:
    office = await Office().open()
    with pytest.raises(Unfit):
        await office.registered.add(ROOT, new)
    await office.registered.add(ROOT, NewServer("x", Secret(URL), oauth=OauthWanted()))
