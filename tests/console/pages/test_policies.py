"""Policies over real HTTP, without script: the list, one policy, its history, the editor, and why."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coatcheck.console.pages.policies.editing import Edited
from coatcheck.console.pages.policies.ready import ready
from coatcheck.console.web.rendering import Rendering
from coatcheck.core.policy.reading.document import read_policy
from coatcheck.declared.policies.typed import read_typed
from coatcheck.operations.policies.replay_runs import ReplayRun
from coatcheck.operations.policies.replaying import Progress
from houses import House
from visitor import Sheet, Visitor

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DOCS = Path("docs/how-to/policies")
CUSTOM = {
    "pay": {
        "outcome": "allow",
        "allow_if": [{"path": "/amount", "op": "le", "value": 1e2, "message": "Too much."}],
        "deny_if": [{"not": {"role": ["finance"]}}],
        "limits": [{"sum": "/amount", "most": 5000.5, "per": "day", "each": ["grant", "tool"]}],
    },
    "look": {"outcome": "allow"},
}
EXTRAS = {
    "limits": [{"at_once": 3, "each": "all"}],
    "resources": {"file:///*": {"deny_if": [{"ip": ["10.0.0.0/8"]}]}},
}


def put(house: House, name: str, **members: Any) -> None:
    """Put a policy by the API, over the one of that name."""
    document = {"coatcheck": 1, "name": name, "default": "read-only", **members}
    known = house.ask("GET", "/policies", name=name)["items"]
    match = {"If-Match": f'"{known[0]["version"]}"'} if known else {}
    body = {"document": document, "because": "for a test"}
    told = house.office.ask("PUT", f"/policies/{name}", "admin", body, match)
    assert told.status in {200, 201}, told


def document_of(house: House, name: str) -> Any:
    """Return the document that is in force."""
    return house.ask("GET", f"/policies/{name}")["document"]


def edited(visitor: Visitor, path: str, to: str = "", **fields: Any) -> Sheet:
    """Send the editor as it stands on the page, with what is typed into it, to one of its buttons."""
    shown = visitor.page.form(path).fields
    # A browser leaves out the first line end of a text area.
    areas: dict[str, Any] = {
        name: shown[name][0].removeprefix("\n") for name in ("text", "description", "cases") if name in shown
    }
    whole: dict[str, Any] = {**shown, **areas, **fields}
    return visitor.post(path + to, {name: value for name, value in whole.items() if value is not None})


def text_of(sheet: Sheet, path: str) -> str:
    """Return the document that the editor shows."""
    return sheet.form(path).fields["text"][0].removeprefix("\n")


def row_fields(sheet: Sheet, path: str, place: str, **changes: str) -> dict[str, Any]:
    """Return the columns of the rows with one row changed."""
    fields = sheet.form(path).fields
    number = fields["at"].index(place)
    found = {}
    for column in ("choice", "message", "most", "window"):
        values = list(fields[column])
        values[number] = changes.get(column, values[number])
        found[column] = values
    return found


# --- the list and one policy ---------------------------------------------------------------------------------


def test_the_list_is_empty_at_first_and_says_how_to_begin(own_house: House) -> None:
    page = own_house.as_role("admin").get("/policies")
    assert "None of your own yet" in page.text
    assert "/policies/new?start=payments-caps" in page.links
    assert "built in" in page.text
    assert "/policies/new" not in own_house.as_role("viewer").get("/policies").links


def test_the_policies_to_begin_with_are_those_of_the_documents() -> None:
    names = {path.name.removesuffix(".policy.yaml") for path in DOCS.glob("*.policy.yaml")}
    assert set(ready()) == names
    for name, one in ready().items():
        assert one.text == (DOCS / f"{name}.policy.yaml").read_text("utf-8")
        assert one.cases == (DOCS / f"{name}.cases.yaml").read_text("utf-8")


@pytest.mark.parametrize("name", sorted(ready()))
def test_each_opens_in_the_editor_with_its_cases_passed(admin: Visitor, name: str) -> None:
    page = admin.get(f"/policies/new?start={name}")
    assert (page.status, text_of(page, "/policies/new")) == (200, ready()[name].text)
    assert "The document reads well" in page.text
    assert "cases come as written" in page.text


def test_a_policy_says_what_it_does_and_where(house: House, admin: Visitor) -> None:
    put(house, "told", tools=CUSTOM, description="For the bot.")
    page = admin.get("/policies/told")
    for said in (
        "For the bot.",
        "“Too much.”",
        "The tool pay is allowed:",
        "only if /amount is at most 100",
        "not if not (the role is finance)",
        "at most 5000.5 as the sum of /amount per day for each grant and tool",
        "Everything else is allowed if it only reads",
        "So far it decides no call.",
        "Version 1",
    ):
        assert said in page.text
    listed = admin.get("/policies?q=TOLD")
    assert "told" in listed.text
    assert "allow-all" not in listed.text
    assert "None of your own" not in listed.text


def test_it_is_used_and_taken_off(house: House, admin: Visitor) -> None:
    put(house, "worn")
    admin.get("/policies/worn")
    page = admin.send("/policies/worn/use", kind="role", of="contractor", because="as agreed")
    assert "worn is used on the role contractor from the next call on." in page.text
    assert "Remove" not in page.text
    page = admin.send("/policies/worn/unuse")
    assert "So far it decides no call." in page.text
    admin.get("/policies/worn")
    page = admin.send("/policies/worn/use", kind="server", of="nowhere")
    assert page.status == 404
    assert next(one for one in page.forms if one.action == "/policies/worn/use").fields["of"] == ["nowhere"]
    admin.get("/policies/worn")
    page = admin.send("/policies/worn/remove")
    assert (page.path, "worn is removed" in page.text) == ("/policies", True)
    assert admin.get("/policies/worn").status == 404
    assert "removed" in admin.get("/policies?ended=1&q=worn").text
    admin.get("/policies/worn/history/1")
    page = admin.send("/policies/worn/history/1/revert", because="back again")
    assert "worn says again what version 1 said" in page.text


def test_a_policy_may_be_called_as_a_page_of_ours_is(house: House, admin: Visitor) -> None:
    for name in ("new", "suggest", "explain"):
        put(house, name, description=f"It is called {name}.")
        assert f"/policies/{name}/show" in admin.get("/policies").links
        assert f"It is called {name}." in admin.get(f"/policies/{name}/show").text
        page = admin.get(f"/policies/{name}/edit")
        fields = row_add(page, f"/policies/{name}/edit", "tools", "x")
        assert edited(admin, f"/policies/{name}/edit", "/save", text=fields).path == f"/policies/{name}/show"


def row_add(sheet: Sheet, path: str, section: str, key: str) -> str:
    """Return the text of the editor with a rule more."""
    return f"{text_of(sheet, path)}{section}:\n  {key}: {{outcome: allow}}\n"


# --- the editor ----------------------------------------------------------------------------------------------


def test_what_the_rows_cannot_show_is_neither_lost_nor_changed(house: House, admin: Visitor) -> None:
    put(house, "hand", tools=CUSTOM, **EXTRAS)
    before, path = document_of(house, "hand"), "/policies/hand/edit"
    page = admin.get(path)
    assert page.form(path).fields["at"] == ["tools/look"]
    assert page.text.count("It says more than a row can.") == 2
    page = edited(admin, path, **row_fields(page, path, "tools/look", choice="deny", message="Do not look."))
    assert "look: {outcome: deny, message: Do not look.}" in text_of(page, path)
    # A row that claims to be of what is custom says nothing.
    fields = page.form(path).fields
    forged: dict[str, Any] = {
        column: [*fields[column], one]
        for column, one in (
            ("at", "tools/pay"),
            ("choice", "hide"),
            ("message", ""),
            ("most", "1"),
            ("window", "day all"),
        )
    }
    page = edited(admin, path, **forged)
    assert "5000.5" in text_of(page, path)
    page = edited(admin, path, "/save", because="looking is over")
    assert "hand is saved as version 2." in page.text
    before["tools"]["look"] = {"outcome": "deny", "message": "Do not look."}
    assert document_of(house, "hand") == before
    assert list(document_of(house, "hand")["tools"]) == ["pay", "look"]


def test_both_sides_may_be_changed_at_once(house: House, admin: Visitor) -> None:
    put(house, "twice", tools={"a": {"outcome": "allow"}, "b": {"outcome": "allow"}})
    path = "/policies/twice/edit"
    page = admin.get(path)
    text = text_of(page, path).replace("b: {outcome: allow}", "b: {outcome: hide}")
    page = edited(
        admin,
        path,
        text=text,
        **row_fields(page, path, "tools/a", choice="limit", most="7", window="day all"),
    )
    policy = read_policy(read_typed(text_of(page, path)).value)
    told = {entry.key: (entry.outcome, len(entry.limits)) for entry in policy.entries}
    assert told == {"a": ("allow", 1), "b": ("hide", 0)}


def test_json_stays_json_and_what_is_only_typed_stays_as_typed(admin: Visitor) -> None:
    path = "/policies/new"
    admin.get(f"{path}?start=blank")
    text = '{"coatcheck": 1, "name": "j",\n "default": "deny-all", "tools": {"a": {"outcome": "allow"}}}'
    page = edited(admin, path, text=text)
    assert text_of(page, path) == text
    page = edited(admin, path, **row_fields(page, path, "tools/a", choice="hide"))
    assert json.loads(text_of(page, path))["tools"] == {"a": {"outcome": "hide"}}
    commented = "# why\ncoatcheck: 1\nname: y\ndefault: deny-all\n"
    assert text_of(edited(admin, path, text=commented), path) == commented


def test_a_rule_is_added_and_taken_away(admin: Visitor) -> None:
    path = "/policies/new"
    admin.get(f"{path}?start=blank")
    added = {"go": "add", "add_section": "tools", "add_key": "delete_*", "add_choice": "hide"}
    page = edited(admin, path, **added)
    assert '"delete_*": {outcome: hide}' in text_of(page, path)
    page = edited(admin, path, **added | {"add_section": "access", "add_key": "whatever"})
    assert "/access/whatever" in page.text
    assert "whatever" not in text_of(page, path)
    admin.get(f"{path}?start=blank")
    page = edited(admin, path, **added)
    page = edited(admin, path, **row_fields(page, path, "tools/delete_*", choice="nothing"))
    assert "delete" not in text_of(page, path)


def test_what_is_wrong_is_told_with_its_place_and_nothing_is_saved(house: House, admin: Visitor) -> None:
    path = "/policies/new"
    admin.get(f"{path}?start=blank")
    text = "coatcheck: 1\nname: wrong\ndefault: read-only\ntools:\n  a: {outcome: alow}\n"
    page = edited(admin, path, text=text)
    assert "Line 5 /tools/a/outcome is no known word (did you mean 'allow'?)" in page.text
    assert "a: {outcome: alow}" in page.text.partition("outcome is no known")[2]
    assert "default" not in page.form(path).fields or "disabled" in page.html
    page = edited(admin, path, "/save")
    assert (page.status, "It was not saved" in page.text) == (422, True)
    page = edited(admin, path, text="coatcheck: 1\nname: [\n")
    assert "Line 3" in page.text
    assert house.ask("GET", "/policies", name="wrong")["items"] == []


def test_a_row_that_cannot_be_stays_as_typed_and_the_document_as_it_was(admin: Visitor) -> None:
    path = "/policies/new"
    admin.get(f"{path}?start=rate-limits&server=srv")
    page = admin.page
    before, place = text_of(page, path), page.form(path).fields["at"][0]
    page = edited(admin, path, **row_fields(page, path, place, choice="limit", most="0"))
    assert "must be a whole number" in page.text
    assert text_of(page, path) == before
    assert page.form(path).fields["choice"][0] == "limit"
    page = edited(admin, path, **row_fields(page, path, place, choice="limit", most="8"))
    assert "calls: 8" in text_of(page, path)


def test_the_tools_of_a_server_are_beside_the_document(house: House, admin: Visitor) -> None:
    path = "/policies/new"
    page = admin.get(f"{path}?start=blank&server=srv")
    tools = [one["name"] for one in house.ask("GET", "/tools", server="srv")["items"]]
    assert page.form(path).fields["at"] == [f"tools/{name}" for name in tools]
    page = edited(admin, path, q=tools[0])
    assert f"tools/{tools[0]}" in page.form(path).fields["at"]
    page = edited(admin, path, q="no tool is called so")
    assert "No tool of srv is called like that." in page.text


def test_nobody_overwrites_what_they_did_not_see(house: House, admin: Visitor) -> None:
    put(house, "raced")
    path = "/policies/raced/edit"
    page = admin.get(path)
    put(house, "raced", description="Another was faster.")
    page = edited(admin, path, "/save", text=row_add(page, path, "tools", "mine"))
    assert page.status == 409
    assert "mine: {outcome: allow}" in text_of(page, path)
    assert document_of(house, "raced")["description"] == "Another was faster."
    admin.get("/policies/new?start=blank")
    page = edited(admin, "/policies/new", "/save", name="raced")
    assert (page.status, "there is a policy 'raced' already" in page.text.lower()) == (409, True)


def test_who_may_read_may_try_and_not_save(house: House) -> None:
    put(house, "tried")
    viewer, path = house.as_role("viewer"), "/policies/tried/edit"
    page = viewer.get(path)
    assert "Save" not in page.text.replace("Saving", "")
    assert "What would have changed" not in page.text
    assert edited(viewer, path, text=row_add(page, path, "tools", "x")).status == 200
    viewer.get(path)
    assert edited(viewer, path, "/save").status == 403
    viewer.get(path)
    assert edited(viewer, path, "/replay").status == 403
    assert "What would have changed" not in house.as_role("policy_manager").get(path).text
    assert "What would have changed" in house.as_role("auditor").get(path).text


def test_a_replay_says_where_and_is_on_record(house: House) -> None:
    put(house, "replayed")
    auditor, path = house.enter("auditor"), "/policies/replayed/edit"
    auditor.get(path)
    page = edited(auditor, path, "/replay", used_on="", of="")
    assert "is used on nothing now" in page.text
    page = edited(auditor, path, "/replay", used_on="grant", of="")
    assert "Name the grant that the policy would be used on." in page.text
    page = edited(auditor, path, "/replay", used_on="everything")
    assert "Looked at" in page.text
    assert "Used on everything." in page.text
    looks = [
        one
        for one in house.ask("GET", "/changes", limit=200)["items"]
        if one["action"] == "record.read_arguments"
    ]
    assert any(house.names.get(one["actor"]) == "auditor" for one in looks), looks[:1]


def test_a_replay_that_goes_on_is_told_alone_and_on_a_page_that_comes_back_by_itself() -> None:
    rendering = Rendering(lambda name: f"/static/{name}", "1.0")
    run = ReplayRun("r1", "alice", "long", 0.0)
    values = {"edited": Edited(), "run": run, "begun": True, "most_entries": 10, "csrf": "c", "now": NOW}
    part = rendering.render("policies/replay.html", {**values, "alone": False})
    assert 'hx-get="/policies/new/replay?run=r1"' in part
    assert "It waits until another replay has ended." in part
    assert 'formaction="/policies/new/replay/stop#replay"' in part
    run.progress = Progress(250, 1_000)
    part = rendering.render("policies/replay.html", {**values, "alone": False})
    assert "250 of 1\u202f000 entries of the record were looked through: 25 %." in part
    frame = {"me": None, "may": lambda _: True, "path": "/", "said": None, "typed": None, "fault": None}
    page = rendering.render("policies/replaying.html", {**values, **frame, "alone": True})
    assert '<noscript><meta http-equiv="refresh"' in page
    assert "/replay/stop" not in page
    run.stopped = True
    part = rendering.render("policies/replay.html", {**values, "alone": False})
    assert "The replay was stopped" in part
    assert "hx-get" not in part


def test_a_replay_that_is_not_kept_is_told_and_stopping_it_leaves_the_draft(
    house: House, admin: Visitor
) -> None:
    put(house, "kept")
    path = "/policies/kept/edit"
    page = admin.get(f"{path}/replay?run=nothing")
    assert (page.status, "not kept any more" in page.text) == (200, True)
    part = admin.get(f"{path}/replay?run=nothing", {"HX-Target": "replay"})
    assert "not kept any more" in part.text
    assert "Sign out" not in part.html
    page = admin.get(path)
    typed = row_add(page, path, "tools", "mine")
    assert "mine:" in text_of(edited(admin, path, "/replay/stop", text=typed, run="nothing"), path)
    viewer = house.as_role("viewer")
    assert viewer.get(f"{path}/replay?run=nothing").status == 403


def test_a_built_in_policy_is_not_edited(admin: Visitor) -> None:
    assert admin.get("/policies/read-only").status == 200
    assert admin.get("/policies/read-only/edit").status == 404
    assert admin.get("/policies/nobody/edit").status == 404


def test_cases_are_tried_against_what_is_in_force(house: House, admin: Visitor) -> None:
    put(house, "cased", tools={"a": {"outcome": "hide"}})
    admin.get("/policies/cased")
    cases = "coatcheck: 1\npolicy: cased\ncases:\n  - {name: a is there, tool: a, expect: allowed}\n"
    page = admin.send("/policies/cased/cases", cases=cases)
    assert "1 of 1 case comes otherwise than written" in page.text
    admin.get("/policies/cased")
    two = cases + "  - {name: a is hidden, tool: a, expect: hidden}\n"
    told = admin.send("/policies/cased/cases", cases=two).text
    assert "1 of 2 cases comes otherwise than written" in told
    assert "it is hidden by cased:/tools/a/outcome" in page.text
    admin.get("/policies/cased")
    page = admin.send("/policies/cased/cases", cases="cases: 1")
    assert "The cases cannot be read" in page.text


# --- history, why, suggestions -------------------------------------------------------------------------------


def test_versions_are_compared(house: House, admin: Visitor) -> None:
    for tools in ({"a": {"outcome": "allow"}}, {"a": {"outcome": "hide"}}, {}):
        put(house, "old", tools=tools)
    page = admin.get("/policies/old/history")
    assert [f"/policies/old/history/{number}" in page.links for number in (1, 2, 3)] == [True] * 3
    page = admin.get("/policies/old/history/2")
    assert "- a: {outcome: allow}" in page.text.replace("-   a", "- a").replace("-  a", "- a")
    assert "/tools/a/outcome" in page.text
    assert "Compared with version 1" in page.text
    assert "Compared with version 3" in admin.get("/policies/old/history/2?before=3").text
    assert admin.get("/policies/old/history/9").status == 404
    assert admin.get("/policies/old/history/x").status == 422
    page = admin.get("/policies/old/history/1")
    put(house, "old", description="Meanwhile.")
    assert admin.send("/policies/old/history/1/revert").status == 409


def test_it_is_explained_why(house: House, admin: Visitor) -> None:
    grant = house.ask("POST", "/grants", {"label": "asker", "subject": "ask.er", "servers": None})["grant"]
    tool = house.ask("GET", "/tools", server="srv")["items"][0]["name"]
    put(
        house, "why", default="allow-all", tools={tool: {"deny_if": [{"path": "/a", "op": "eq", "value": 1}]}}
    )
    house.ask("POST", "/policies/why/use", {"kind": "grant", "of": grant["id"]})
    page = admin.get(f"/policies/explain?grant=asker&server=srv&tool={tool}")
    assert f"why:/tools/{tool}/deny_if/0" in page.text
    asked = {"grant": "asker", "server": "srv", "name": tool}
    page = admin.send("/policies/explain", **asked, arguments='{"a": 1}')
    assert "denied because it denies if /a is 1, which holds" in page.text
    page = admin.send("/policies/explain", **asked, arguments='{"a": 2}')
    assert "allowed because" in page.text
    for arguments, said in (("[1]", "a JSON object"), ("{", "is not JSON"), ('{"a": 1, "a": 2}', "twice")):
        page = admin.send("/policies/explain", **asked, arguments=arguments)
        assert page.status == 422, said
    assert (
        admin.send("/policies/explain", grant="asker", subject="ask.er", server="srv", name=tool).status
        == 422
    )
    assert admin.send("/policies/explain", grant="asker", server="", name=tool).status == 422


def test_a_suggestion_needs_a_grant_that_is_there(house: House, admin: Visitor) -> None:
    page = admin.get("/policies/suggest?grant=nobody-at-all")
    assert "nobody-at-all" in page.text
    assert page.status == 200
    house.ask("POST", "/grants", {"label": "idle", "subject": "idle.er", "servers": None})
    assert "This grant called nothing in that time" in admin.get("/policies/suggest?grant=idle&days=7").text
    assert house.as_role("policy_manager").get("/policies/suggest").status == 403


# --- many ----------------------------------------------------------------------------------------------------


def test_many_policies_come_by_pages_and_a_large_one_is_edited(house: House, admin: Visitor) -> None:
    for number in range(60):
        put(house, f"many-{number:03}")
    page = admin.get("/policies?q=many")
    assert len([one for one in page.links if one.startswith("/policies/many-")]) == 50
    more = next(one for one in page.links if "after=" in one)
    assert len([one for one in admin.get(more).links if one.startswith("/policies/many-")]) == 10
    put(house, "large", tools={f"tool_{number}": {"outcome": "allow"} for number in range(1_000)})
    path = "/policies/large/edit"
    page = admin.get(path)
    assert len(page.form(path).fields["at"]) == 200
    assert "800 more are in the document" in page.text
    page = edited(admin, path, "/save", **row_fields(page, path, "tools/tool_7", choice="hide"))
    assert "large is saved as version 2" in page.text
    assert len(document_of(house, "large")["tools"]) == 1_000


def test_what_would_take_too_long_is_refused(admin: Visitor) -> None:
    path = "/policies/new"
    admin.get(f"{path}?start=blank")
    page = edited(admin, path, text="x" * 131_073)
    assert "it is longer than 131072 characters" in page.text
    admin.get(f"{path}?start=rate-limits")
    case = "  - {name: one, tool: a, after: 60000, expect: denied}\n"
    cases = f"coatcheck: 1\npolicy: rate-limits\ncases:\n{case}"
    assert "The case comes as written" in edited(admin, path, cases=cases).text
    admin.get(f"{path}?start=rate-limits")
    assert "make 120002 calls, and 100000 are tried here" in edited(admin, path, cases=cases + case).text
