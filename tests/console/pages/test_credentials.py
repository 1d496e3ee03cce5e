"""Credentials in a browser without script: listed, rotated step by step, refused, rolled back; never shown."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench.door import Door, a_door
from coatcheck.app.real import SystemClock
from doubles.authorization import World
from houses import House
from journeys.operating import office_at
from visitor import Sheet, Visitor, counted

ENV = "tok_env-planted-material"


class Eye(Visitor):
    """A visitor who remembers every page, header and cookie."""

    def __init__(self, like: Visitor) -> None:
        super().__init__(like.port, like.host)
        self.cookies = like.cookies
        self.saw: list[str] = []

    def _once(self, method: str, path: str, body: bytes | None, headers: Any) -> Sheet:
        sheet = super()._once(method, path, body, headers)
        self.saw += [path, sheet.html, repr(sheet.headers), repr(self.cookies)]
        return sheet


@dataclass
class Place:
    """One server behind the gateway that checks tokens, its credential, and somebody who looks at it."""

    house: House
    door: Door
    eye: Eye
    server: str
    good: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.server}-authorization"

    @property
    def path(self) -> str:
        return f"/credentials/{self.name}"

    def token(self, word: str) -> str:
        return self.good[word]

    def credential(self) -> Any:
        return self.house.ask("GET", self.path)

    def stages(self) -> dict[int, str]:
        found = {one["number"]: one["stage"] for one in self.credential()["versions"]}
        return {number: stage for number, stage in found.items() if stage != "retired"}

    def call(self) -> str:
        """Make a call, and return whose token the server saw."""
        told = self.house.office.hall.ask("tools/call", {"name": f"{self.server}__which"}, grant=self.grant())
        return str(json.loads(told.body)["result"]["content"][0]["text"])

    def grant(self) -> str:
        body = {
            "label": f"g-{secrets.token_hex(4)}",
            "subject": "alice",
            "servers": [self.server],
            "expires_at": None,
        }
        return str(self.house.ask("POST", "/grants", body)["token"])

    def asked(self, path: str) -> Sheet:
        """Return the page when the servers have been asked; each look is a whole page."""
        limit = time.monotonic() + 30
        while "Asking the servers" in (sheet := self.eye.get(path)).text:
            assert time.monotonic() < limit, sheet.text
            time.sleep(0.05)
        return sheet

    def paste(self, word: str, **more: Any) -> Sheet:
        """Paste a secret, and return the page when it was tried."""
        self.eye.get(f"{self.path}/rotate")
        moved = self.eye.send(f"{self.path}/rotate", secret=self.good.get(word, word), follow=False, **more)
        assert moved.status == 303, moved.text
        return self.asked(moved.header("location"))


def form_of(sheet: Sheet, action: str) -> str:
    """Return where a form goes, with its query."""
    return next(one.action for one in sheet.forms if one.action.partition("?")[0] == action)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Run a gateway one of whose servers has a credential from the environment."""
    declared = {"url": "http://127.0.0.1:9/mcp", "headers": {"Authorization": "Bearer ${OUR_TOKEN}"}}
    place = tmp_path_factory.mktemp("house") / "data"
    with office_at(place, {"mcpServers": {"fromenv": declared}}, env={"OUR_TOKEN": ENV}) as office:
        yield House(office)


@pytest.fixture(scope="module")
def the_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with a_door(tmp_path_factory.mktemp("door")) as found:
        yield found


@pytest.fixture
def place(house: House, the_door: Door) -> Iterator[Place]:
    """Give a server of the test's own; at the end no secret is on any page, in any cookie, URL or log."""
    eye = Eye(house.as_role("admin"))
    made = Place(house, the_door, eye, f"srv-{secrets.token_hex(3)}")
    made.good = {word: f"tok_{word}-{secrets.token_urlsafe(18)}" for word in ("old", "new", "third")}
    the_door.set(made.good)
    body = {
        "name": made.server,
        "url": the_door.url,
        "headers": {"Authorization": f"Bearer {made.token('old')}"},
        "default": "allow-all",
    }
    added = house.ask("POST", "/servers", body)
    assert added["error"] == ""
    yield made
    eye.get(made.path)
    seen = [*eye.saw, house.office.hall.gateway.said()]
    assert made.name in "".join(seen), "the search looks at something"
    for secret in made.good.values():
        assert not any(secret in one for one in seen)


# --- looking ------------------------------------------------------------------------------------------------


def test_the_list_tells_how_each_stands_the_most_urgent_first(place: Place, house: House) -> None:
    empty = f"empty-{place.server}"
    house.ask("POST", "/credentials", {"name": empty, "owner": "ada@example.com"})
    sheet = place.eye.get("/credentials")
    assert sheet.status == 200
    assert sheet.text.index(empty) < sheet.text.index(place.name)
    assert "No version is active: servers that need it cannot be used" in sheet.text
    assert "from the gateway's environment" in sheet.text
    assert f"/servers/{place.server}" in sheet.links
    found = place.eye.get(f"/credentials?q={place.server.upper()}-auth")
    assert place.name in found.text
    assert empty not in found.text
    assert empty in place.eye.get("/credentials?state=lacking&q=ADA@").text
    assert "No credential is like that" in place.eye.get("/credentials?q=nothing-like-this").text
    assert place.eye.get("/credentials?state=strange").status == 422


def test_the_list_says_why_of_each_kind(place: Place, house: House) -> None:
    house.ask("POST", f"{place.path}/stage", {"material": place.token("new")})
    of_it = f"/credentials?q={place.name}"
    assert "Version 2 is staged by local, and not in use yet, and 1 more" in place.eye.get(of_it).text
    shown = place.eye.get(place.path).text
    for words in ("What is to be done", "The active version was never verified", "Go on rotating"):
        assert words in shown
    house.ask("POST", f"{place.path}/activate", {"unverified": True, "because": "to begin"})
    assert "was activated without asking any server" in place.eye.get(of_it).text
    place.door.set({"old": place.token("old")})
    place.house.office.hall.ask("tools/call", {"name": f"{place.server}__which"}, grant=place.grant())
    limit = time.monotonic() + 20
    while "failing" not in (told := place.eye.get(of_it).text).partition("Used by")[2]:
        assert time.monotonic() < limit, told
        time.sleep(0.05)
    assert f"{place.server} refused version 2" in told
    former = place.eye.get(f"{place.path}/former").text
    assert f"{place.server} refused version 2 Go back to version 1 below" in former


def test_one_credential_tells_its_versions_and_uses_and_never_its_secret(place: Place) -> None:
    sheet = place.eye.get(place.path)
    print_ = place.credential()["versions"][0]["print"]
    for words in ("Version 1", "active", print_, "header Authorization", place.server, "never verified"):
        assert words in sheet.text, words
    assert f"{place.path}/rotate" in sheet.links
    moved = place.eye.send(f"{place.path}/verify", follow=False)
    sheet = place.asked(moved.header("location"))
    assert "Version 1 was tried" in sheet.text
    assert "an obviously wrong one was refused" in sheet.text


def test_a_credential_of_the_environment_is_changed_there(place: Place, house: House) -> None:
    name = next(one["name"] for one in house.ask("GET", "/credentials")["items"] if one["custody"] == "env")
    sheet = place.eye.get(f"/credentials/{name}")
    assert "It comes from the environment that the gateway was started with." in sheet.text
    assert f"/credentials/{name}/rotate" not in sheet.links
    asked = place.eye.get(f"/credentials/{name}/rotate")
    assert "Its secret is not changed here" in asked.text
    assert not [one for one in asked.forms if one.action.endswith("/rotate")]
    refused = place.eye.post(f"/credentials/{name}/rotate", {"csrf": place.eye.csrf, "secret": "tok_other"})
    assert refused.status == 422
    assert ENV not in "".join(place.eye.saw)


def test_a_viewer_sees_all_of_it_and_can_change_nothing(place: Place, house: House) -> None:
    viewer = house.as_role("viewer")
    sheet = viewer.get(place.path)
    assert sheet.status == 200
    assert [one.action for one in sheet.forms if "credentials" in one.action] == []
    assert not [one for one in sheet.links if one.startswith(place.path)]
    assert viewer.get(f"{place.path}/rotate").status == 403


def test_what_a_version_touched_is_told(place: Place) -> None:
    assert place.call() == "old"
    sheet = counted(place.eye, f"{place.path}/radius?version=1")
    for words in (f"What version 1 of {place.name} touched", f"{place.server}", "which", "alice"):
        assert words in sheet.text
    assert "It touched nothing" in counted(place.eye, f"{place.path}/radius?version=7").text
    assert place.house.ask("GET", "/changes")["items"][-1]["action"] == "record.blast_radius"


# --- rotating -----------------------------------------------------------------------------------------------


def test_a_secret_is_rotated_step_by_step_without_script(place: Place) -> None:
    assert place.call() == "old"
    sheet = place.paste("new")
    assert "Version 2 is good" in sheet.text
    assert "an obviously wrong one was refused" in sheet.text
    assert "If you stop here: version 2 stays staged" in sheet.text
    assert (place.stages(), place.call()) == ({2: "staged", 1: "active"}, "old")
    sheet = place.eye.send(form_of(sheet, f"{place.path}/activate"))
    assert sheet.path == f"{place.path}/former"
    assert "Version 2 is used from the next call on." in sheet.text
    assert "Nothing uses version 1 any more" in sheet.text
    assert (place.stages(), place.call()) == ({2: "active", 1: "previous"}, "new")
    sheet = place.eye.send(f"{place.path}/retire")
    assert sheet.path == place.path
    assert "The secret of version 1 is forgotten. Version 2 is in use." in sheet.text
    assert place.stages() == {2: "active"}
    assert "No version is kept to go back to" in place.eye.get(f"{place.path}/former").text


def test_a_wrong_secret_is_refused_and_nothing_changes(place: Place) -> None:
    sheet = place.paste("tok_wrong-planted-one")
    assert f"{place.server} refused version 2" in sheet.text
    assert "Bad credentials" in sheet.text
    assert "401" in sheet.text
    assert "Nothing has changed: version 1 stays in use." in sheet.text
    assert (place.stages(), place.call()) == ({2: "staged", 1: "active"}, "old")
    assert "tok_wrong-planted-one" not in "".join(place.eye.saw)
    later = place.eye.get(f"{place.path}/rotate")
    assert f"{place.server} refused version 2" in later.text, "whoever comes back sees how it went"
    # Not activated without a reason, and neither by the usual button of another page.
    action = form_of(sheet, f"{place.path}/activate")
    again = place.eye.send(action, because="")
    assert again.status == 422
    assert "Say why: it is put on record." in again.text
    assert place.stages() == {2: "staged", 1: "active"}
    # Another one is pasted instead.
    form = next(one for one in again.forms if one.fields.get("again") == ["yes"])
    sheet = place.eye.post(form.action, {name: value[0] for name, value in form.fields.items()})
    assert sheet.path == f"{place.path}/rotate"
    assert "Version 2 is forgotten. Version 1 is in use." in sheet.text
    assert "Version 3 is good" in place.paste("new").text


def test_one_is_activated_anyway_with_a_reason_and_rolled_back(place: Place) -> None:
    sheet = place.paste("tok_wrong-planted-two")
    place.eye.send(form_of(sheet, f"{place.path}/activate"), because="their check is broken")
    assert place.stages() == {2: "active", 1: "previous"}
    change = place.house.ask("GET", "/changes")["items"][-1]
    assert (change["action"], change["because"]) == ("credential.activate", "their check is broken")
    sheet = place.eye.send(f"{place.path}/rollback", because="it was not")
    assert sheet.path == f"{place.path}/former"
    assert "Version 1 is used from the next call on." in sheet.text
    assert (place.stages(), place.call()) == ({2: "previous", 1: "active"}, "old")
    # What is sent twice does nothing twice.
    twice = place.eye.post(
        f"{place.path}/rollback", {"csrf": place.eye.csrf, "number": "1", "because": "again"}
    )
    assert twice.status == 409
    assert place.stages() == {2: "previous", 1: "active"}


def test_it_is_activated_by_itself_if_that_was_wanted(place: Place) -> None:
    sheet = place.paste("new", at_once="yes")
    assert "Version 2 is in use" in sheet.text
    assert f"{place.path}/former" in sheet.links
    assert (place.stages(), place.call()) == ({2: "active", 1: "previous"}, "new")
    sheet = place.paste("tok_wrong-planted-three", at_once="yes")
    assert f"{place.server} refused version 3" in sheet.text
    assert place.call() == "new"


def test_what_nobody_can_tell_is_activated_with_a_reason_only(place: Place) -> None:
    place.door.set(place.good, is_open=True)
    sheet = place.paste("new")
    assert "Version 2 is not proven" in sheet.text
    action = form_of(sheet, f"{place.path}/activate")
    plainly = place.eye.post(action, {"csrf": place.eye.csrf, "number": "2"})
    assert plainly.status == 409
    assert place.stages() == {2: "staged", 1: "active"}
    place.eye.page = sheet
    place.eye.send(action, because="it has no secrets")
    assert place.stages() == {2: "active", 1: "previous"}


def test_a_page_that_is_too_old_switches_nothing(place: Place) -> None:
    sheet = place.paste("new")
    old = place.eye.page
    place.house.ask("POST", f"{place.path}/discard", {})
    place.house.ask("POST", f"{place.path}/stage", {"material": place.token("third")})
    place.eye.page = old
    moved = place.eye.send(form_of(sheet, f"{place.path}/activate"), follow=False)
    assert moved.status == 303
    told = place.asked(moved.header("location"))
    assert "is staged now, not version 2" in told.text
    assert place.stages() == {3: "staged", 1: "active"}


def test_a_step_that_is_not_known_any_more_says_so(place: Place) -> None:
    sheet = place.eye.get(f"{place.path}/rotate?run=000000000000-1")
    assert "The gateway was started anew since this step began" in sheet.text
    place.paste("new")
    other = place.house.enter("admin")
    seen = other.get(f"{place.path}/rotate")
    assert "Version 2 is good" in seen.text, "what was found out is kept"
    assert "an obviously wrong one was refused" not in seen.text, "how it went is told to whoever began it"


def test_a_secret_that_cannot_be_is_refused_and_not_shown_again(place: Place) -> None:
    place.eye.get(f"{place.path}/rotate")
    for secret in (" ", place.token("old"), "tok_planted\x07bell"):
        sheet = place.eye.send(f"{place.path}/rotate", secret=secret)
        assert sheet.status == 422, sheet.text
        assert "tok_planted" not in sheet.html
    sheet = place.eye.send(f"{place.path}/rotate", secret=place.token("new"), expires="2001-01-01")
    assert (sheet.status, "The end lies in the past" in sheet.text) == (422, True)
    assert place.stages() == {1: "active"}


# --- made, changed, forgotten -------------------------------------------------------------------------------


def test_one_is_added_given_a_secret_changed_and_forgotten(place: Place) -> None:
    eye, name = place.eye, f"own-{place.server}"
    eye.get("/credentials/new")
    assert eye.send("/credentials/new", name="Not A Name").status == 422
    assert eye.send("/credentials/new", name="plan").status == 422
    assert "what the list of what is due is called" in eye.page.text
    eye.get("/credentials/new")
    sheet = eye.send("/credentials/new", name=name, owner="ada", interval="30", note="for tests")
    assert sheet.path == f"/credentials/{name}"
    for words in ("is kept, sealed", "Give it a secret", "No version is active", "No server uses it"):
        assert words in sheet.text
    eye.get(f"/credentials/{name}/rotate")
    moved = eye.send(f"/credentials/{name}/rotate", secret=place.token("new"), follow=False)
    sheet = place.asked(moved.header("location"))
    assert "No server uses this credential yet" in sheet.text
    moved = eye.send(form_of(sheet, f"/credentials/{name}/activate"), follow=False)
    assert "Version 1 is in use" in place.asked(moved.header("location")).text
    eye.get(f"/credentials/{name}/terms")
    form = eye.page.form(f"/credentials/{name}/terms")
    assert (form.fields["interval"], form.fields["owner"]) == (["30"], ["ada"])
    sheet = eye.send(f"/credentials/{name}/terms", interval="", on_refusal="roll-back", expires="2030-05-06")
    assert "never due" in sheet.text
    told = place.house.ask("GET", f"/credentials/{name}")
    assert (told["interval_days"], told["on_refusal"]) == (None, "roll-back")
    assert told["expires_at"].startswith("2030-05-06T23:59:59")
    stale = eye.post(f"/credentials/{name}/terms", {"csrf": eye.csrf, "version": "1", "owner": "eve"})
    assert stale.status == 409
    eye.get(f"/credentials/{name}/end")
    assert eye.send(f"/credentials/{name}/end", name="another").status == 422
    assert "are forgotten" in eye.send(f"/credentials/{name}/end", name=name, because="moved").text
    assert eye.get(f"/credentials/{name}").status == 404


def test_one_that_is_used_is_not_forgotten(place: Place) -> None:
    sheet = place.eye.get(f"{place.path}/end")
    assert "Servers use it" in sheet.text
    fields = {"csrf": place.eye.csrf, "name": place.name}
    assert place.eye.post(f"{place.path}/end", fields).status == 422
    assert place.house.as_role("policy_manager").get(f"{place.path}/end").status == 403


# --- OAuth --------------------------------------------------------------------------------------------------


async def test_an_oauth_credential_is_connected_by_a_plain_link(place: Place) -> None:
    name, eye = f"linear-{place.server}", place.eye

    def added(url: str) -> Sheet:
        eye.get("/credentials/new")
        eye.send("/credentials/new", name=name, auth="oauth", resource=url)
        return eye.send(f"/credentials/{name}/connect")

    async with World(SystemClock()) as world:
        sheet = await asyncio.to_thread(added, world.url)
        assert sheet.status == 200, sheet.text
        link = next(one for one in sheet.links if one.startswith(f"{world.origin}/authorize?"))
        assert not [one for one in sheet.forms if one.action.startswith("http")]
        query = world.authorize(link)
        told = await asyncio.to_thread(
            place.house.stranger().get, "/oauth/callback?" + "&".join(f"{k}={v}" for k, v in query)
        )
        assert told.status == 200, told.text
        shown = await asyncio.to_thread(eye.get, f"/credentials/{name}")
    assert "connected" in shown.text
    assert "Reconnect" in shown.text
    assert not [token for token in world.tokens if token in "".join(eye.saw)]


def test_a_form_without_its_url_says_which_field(place: Place) -> None:
    place.eye.get("/credentials/new")
    sheet = place.eye.send("/credentials/new", name="x", auth="oauth", resource="ftp://x")
    assert (sheet.status, "The server that tokens are for is named by its URL" in sheet.text) == (422, True)
