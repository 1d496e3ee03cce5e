"""`coatcheck grant`: what is asked of the gateway, and what is told of its answers."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from cli.fake_api import Asked, Canned, FakeApi, items, refusal
from cli.objects import TOKEN, ended, grant, issued
from cli.ran import Run
from cli.terminal import on_terminal


@pytest.fixture
def issuing(api: FakeApi) -> FakeApi:
    api.answers["POST /grants"] = Canned(issued("alice-laptop"), 201)
    return api


def test_issue(issuing: FakeApi, run: Run) -> None:
    ran = run(
        "grant", "issue", "alice-laptop", "--to", "alice", "--server", "github", "--tools", "github__get_*"
    )
    assert (ran.code, ran.err) == (0, "")
    assert issuing.asked[-1].json() == {
        "label": "alice-laptop",
        "subject": "alice",
        "servers": ["github"],
        "tools": ["github__get_*"],
        "note": "",
        "by_claim": False,
    }
    told = json.loads(ran.out)
    assert (told["token"], told["grant"]["label"]) == (TOKEN, "alice-laptop")
    assert told["url"] == "http://127.0.0.1:8080/mcp/github/"
    assert [each["client"] for each in told["clients"]] == [
        "Claude Code",
        "Cursor",
        "VS Code",
        "Windsurf",
        "Codex",
        "Gemini CLI",
        "Zed",
        "Claude Desktop",
    ]
    assert {each["supply"] for each in told["clients"]} == {"variable", "asked", "text", "file"}
    assert not any(TOKEN in each["text"] + each["link"] for each in told["clients"])


def test_on_a_terminal_the_token_stands_alone_and_first(issuing: FakeApi) -> None:
    code, shown = on_terminal(["grant", "issue", "alice-laptop", "--to", "alice", "--all"])
    assert code == 0
    lines = shown.splitlines()
    assert lines[0] == TOKEN
    assert shown.count(TOKEN) == 1
    assert "claude mcp add" in shown
    assert "bearer_token_env_var" in shown


def test_a_policy_is_put_on_it_by_the_same_request(issuing: FakeApi, run: Run) -> None:
    assert run("grant", "issue", "a", "--to", "b", "--all", "--policy", "read-only").code == 0
    assert issuing.asked[-1].json()["policy"] == "read-only"


@pytest.mark.parametrize(
    ("expires", "body"),
    [
        ((), {}),
        (("--expires", "never"), {"expires_at": None}),
        (("--expires", "2027-01-31"), {"expires_at": "2027-01-31T00:00:00Z"}),
    ],
)
def test_when_it_ends(issuing: FakeApi, run: Run, expires: tuple[str, ...], body: dict[str, Any]) -> None:
    assert run("grant", "issue", "a", "--to", "b", "--all", *expires).code == 0
    asked = issuing.asked[-1].json()
    assert {name: asked[name] for name in asked if name == "expires_at"} == body
    assert asked["servers"] is None


def test_a_time_from_now(issuing: FakeApi, run: Run) -> None:
    assert run("grant", "issue", "a", "--to", "b", "--all", "--expires", "90d").code == 0
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:.]+Z", issuing.asked[-1].json()["expires_at"])


def test_a_claim_link(api: FakeApi) -> None:
    link = "http://127.0.0.1:8080/claim/cckb_x"
    found = grant("a", state="unclaimed", claim_until="2026-11-22T08:00:00Z")
    api.answers["POST /grants"] = Canned(
        issued("a", grant=found, token=None, claim_code="cckb_x", claim_url=link), 201
    )
    code, shown = on_terminal(["grant", "issue", "a", "--to", "b", "--all", "--claim"])
    assert (code, shown.splitlines()[0]) == (0, link)
    assert api.asked[-1].json()["by_claim"] is True


@pytest.mark.parametrize(
    "words",
    [
        "issue",
        "issue a",
        "issue a --to b",
        "issue a --all",
        "issue a --to b --all --server x",
        "issue a --to b --all --expires soon",
        "issue a --to b --all --out x",
        "issue --csv x --to b",
        "issue --csv x --expires 1d",
        "revoke",
        "revoke a --all-of b",
        "rotate a --overlap 2d",
        "change a --tools x --every-tool",
        "change a",
        "list --state odd",
    ],
)
def test_usage(issuing: FakeApi, run: Run, words: str) -> None:
    assert run("grant", *words.split()).code == 2
    assert {asked.method for asked in issuing.asked} <= {"GET"}


def test_an_unknown_server_comes_with_near_ones(api: FakeApi, run: Run) -> None:
    api.answers["GET /servers"] = items({"name": "github"})
    api.answers["POST /grants"] = refusal(404, "not_found", "There is no such server.")
    ran = run("grant", "issue", "a", "--to", "b", "--server", "gihub")
    assert (ran.code, ran.err) == (1, "coatcheck: there is no server 'gihub'\nfix: did you mean github?\n")


def test_a_taken_label(api: FakeApi, run: Run) -> None:
    api.answers["POST /grants"] = refusal(409, "taken", "A live grant has this label.", "Choose another.")
    ran = run("grant", "issue", "a", "--to", "b", "--all")
    assert (ran.code, ran.err) == (1, "coatcheck: A live grant has this label.\nfix: Choose another.\n")


def test_list_goes_through_all_pages(api: FakeApi, run: Run) -> None:
    def page(asked: Asked) -> Canned:
        assert (asked.query["subject"], asked.query["state"]) == ("alice", "live")
        if "after" not in asked.query:
            return Canned({"items": [grant("a"), grant("b")], "next": "c2"})
        assert asked.query["after"] == "c2"
        return items(grant("c"))

    api.answers["GET /grants"] = page
    told = json.loads(run("grant", "list", "--subject", "alice", "--state", "live").out)
    assert ([each["label"] for each in told["items"]], told["next"]) == (["a", "b", "c"], None)
    told = json.loads(run("grant", "list", "--subject", "alice", "--state", "live", "--limit", "2").out)
    assert (len(told["items"]), told["next"]) == (2, "c2")


def test_the_table(api: FakeApi) -> None:
    used = {"at": "2026-11-21T08:00:00Z", "address": "10.0.0.1", "client": "claude-code 2.4\x1b[2J"}
    api.answers["GET /grants"] = items(grant("a", servers=None, expires_at=None, last_used=used))
    code, shown = on_terminal(["grant", "list"])
    assert code == 0
    assert re.search(r"a +alice +all +live +never +2026-11-\d\d", shown)
    api.answers["GET /grants/a"] = Canned(grant("a", last_used=used, clients=[used]))
    code, shown = on_terminal(["grant", "show", "a"])
    assert code == 0
    assert "from 10.0.0.1, claude-code 2.4" in shown
    assert "\x1b[2J" not in shown


def test_revoke_says_how_long_it_took_and_what_was_cut(api: FakeApi, run: Run) -> None:
    api.answers["POST /grants/revoke"] = Canned(ended("a", "b"))
    ran = run("grant", "revoke", "a", "b", "a", "--because", "left")
    assert (ran.code, json.loads(ran.out)["seconds"]) == (0, 0.0123)
    assert api.asked[-1].json() == {"grants": ["a", "b"], "because": "left"}
    code, shown = on_terminal(["grant", "revoke", "a", "b"])
    assert (code, shown) == (
        0,
        "revoked a, b in 12 ms: 2 calls cancelled, 1 stream closed, 0 sessions ended\n",
    )


def test_revoke_tells_what_was_revoked_before(api: FakeApi, run: Run) -> None:
    both = ended("a", "b")
    api.answers["POST /grants/revoke"] = Canned({**both, "revoked": [both["grants"][1]["id"]]})
    code, shown = on_terminal(["grant", "revoke", "a", "b"])
    assert code == 0
    assert shown.startswith("revoked b in 12 ms: ")
    api.answers["POST /grants/revoke"] = Canned({**both, "revoked": []})
    ran = run("grant", "revoke", "a", "b")
    assert (ran.code, ran.err) == (0, "coatcheck: a, b were revoked before\n")


def test_revoke_all_of_a_subject(api: FakeApi, run: Run) -> None:
    api.answers["GET /grants"] = items(
        grant("a"), grant("old", state="revoked"), grant("c", state="unclaimed")
    )
    api.answers["POST /grants/revoke"] = Canned(ended("a", "c"))
    assert run("grant", "revoke", "--all-of", "alice").code == 0
    assert api.asked[-1].json()["grants"] == ["id-of-a", "id-of-c"]
    api.answers["GET /grants"] = items()
    ran = run("grant", "revoke", "--all-of", "nobody")
    assert ran.code == 1
    assert "has no grants" in ran.err


def test_revoke_what_there_is_none_of(api: FakeApi, run: Run) -> None:
    api.answers["POST /grants/revoke"] = refusal(404, "not_found", "There is no such grant.")
    api.answers["GET /grants/a"] = Canned(grant("a"))
    api.answers["GET /grants"] = items(grant("a"), grant("alice-laptop"))
    ran = run("grant", "revoke", "a", "alice-latop")
    assert (ran.code, ran.err) == (
        1,
        "coatcheck: there is no grant 'alice-latop'\nfix: did you mean alice-laptop?\n",
    )


def test_rotate(api: FakeApi, run: Run) -> None:
    found = grant("a", overlap_until="2026-11-21T09:00:00Z")
    api.answers["POST /grants/a/rotate"] = Canned(issued("a", grant=found))
    ran = run("grant", "rotate", "a", "--overlap", "1h")
    assert (ran.code, json.loads(ran.out)["token"]) == (0, TOKEN)
    assert api.asked[-1].json() == {"overlap_seconds": 3600.0}


def test_change_is_meant_for_the_version_that_was_read(api: FakeApi, run: Run) -> None:
    api.answers["GET /grants/a"] = Canned(grant("a"))
    api.answers["PATCH /grants/id-of-a"] = Canned(grant("a"))
    assert run("grant", "change", "a", "--all", "--every-tool", "--expires", "never", "--note", "n").code == 0
    assert api.asked[-1].json() == {"servers": None, "tools": None, "expires_at": None, "note": "n"}
    assert api.asked[-1].headers["if-match"] == '"3"'
    api.answers["PATCH /grants/id-of-a"] = refusal(412, "stale", "Another operator was faster.")
    assert run("grant", "change", "a", "--label", "b").code == 1


def test_restore(api: FakeApi, run: Run) -> None:
    api.answers["POST /grants/file-1/restore"] = Canned(grant("a", source="file"))
    assert run("grant", "restore", "file-1").code == 0


def test_names_of_any_kind_in_a_path(api: FakeApi, run: Run) -> None:
    api.answers["GET /grants/a b"] = Canned(grant("x"))
    assert run("grant", "show", "a b").code == 0
    odd = base64.urlsafe_b64encode(b"a b/../c%").decode().rstrip("=")
    api.answers[f"GET /grants/~{odd}"] = Canned(grant("x"))
    assert run("grant", "show", "a b/../c%").code == 0


def test_without_a_gateway(data: object, run: Run) -> None:
    for words in ("list", "show a", "issue a --to b --all", "revoke a", "rotate a", "change a --note x"):
        ran = run("grant", *words.split())
        assert (ran.code, ran.out) == (69, "")
        assert "`coatcheck up`" in ran.err
