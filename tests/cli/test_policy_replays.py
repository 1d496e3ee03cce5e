"""`policy replay` and `policy suggest`: what is asked, how it is told, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.fake_api import Canned, FakeApi
from cli.ran import Run
from cli.terminal import on_terminal, settled

CAPS = "coatcheck: 1\nname: caps\ndefault: allow-all\ntools:\n  pay: {deny_if: [{path: /n, op: gt, value: 5000.10}]}\n"
YAML = "coatcheck: 1\nname: bot-git\ndefault: deny-all\ntools:\n  pull: {outcome: allow}  # 2 calls\n"


@pytest.fixture
def caps(tmp_path: Path) -> Path:
    path = tmp_path / "caps.policy.yaml"
    path.write_text(CAPS)
    return path


def found(**changes: Any) -> Canned:
    change = {
        "subject": "bob",
        "grant": "bot",
        "server": "git",
        "method": "tools/call",
        "name": "pay",
        "before": "allowed",
        "before_rule": "(no policy)",
        "after": "denied",
        "after_rule": "caps:/tools/pay/deny_if/0",
        "because": "it denies",
        "calls": 3,
        "first": "2026-11-21T08:00:00.000000Z",
        "last": "2026-11-21T09:00:00.000000Z",
    }
    usual = {
        "policy": "caps",
        "used_on": ["the grant bot"],
        "looked_at": 10,
        "same": 5,
        "newly_denied": 3,
        "newly_hidden": 0,
        "newly_allowed": 0,
        "undecided": 2,
        "undecided_by": [{"what": "caps:/tools/pay/deny_if/0", "calls": 2}],
        "left_out": [{"what": "its server is not in use any more", "calls": 4}],
        "changes": [change],
        "untold": 0,
        "back_to": "2026-11-21T08:00:00.000000Z",
        "cut": False,
        "sealed": False,
        "failing": [],
    }
    return Canned(usual | changes)


def item(server: str = "git") -> dict[str, Any]:
    return {
        "server": server,
        "policy": f"bot-{server}",
        "document": {},
        "yaml": YAML.replace("bot-git", f"bot-{server}"),
        "used": [],
        "left_out": [],
        "unused": [],
    }


def suggested(*items: dict[str, Any], **changes: Any) -> Canned:
    return Canned({"grant": "bot", "items": list(items), "back_to": None, "cut": False, "failing": [], "next": None} | changes)  # fmt: skip


# --- replay -------------------------------------------------------------------------------------------------


def test_a_policy_goes_out_as_it_is_written_and_nothing_is_put(api: FakeApi, caps: Path, run: Run) -> None:
    api.answers["POST /policies/caps/replay"] = found()
    done = run("policy", "replay", str(caps), "--since", "2026-11-01", "--until", "2026-11-02", "--grant", "bot", "--server", "git")  # fmt: skip
    assert (done.code, done.err) == (0, ""), done
    assert json.loads(done.out)["newly_denied"] == 3
    (asked,) = api.asked
    assert b"5000.1}" in asked.body.replace(b"\n", b"").replace(b" ", b"")
    sent = asked.json()
    assert sent.pop("document")["name"] == "caps"
    assert (sent.pop("since")[:10], sent.pop("until")[:10]) == ("2026-11-01", "2026-11-02")
    assert sent == {"kind": "grant", "of": "bot", "server": "git", "limit": 100}
    run("policy", "replay", str(caps))
    assert "kind" not in api.asked[-1].json()
    assert run("policy", "replay", str(caps), "--everything", "--role", "x").code == 2
    caps.write_text("coatcheck: 1")
    assert run("policy", "replay", str(caps)).code == 78
    assert len(api.asked) == 2, "nothing is sent"


def test_a_change_is_an_exit_code_where_it_is_asked_for(api: FakeApi, caps: Path, run: Run) -> None:
    for name, code in (("newly_denied", 1), ("newly_hidden", 1), ("newly_allowed", 1), ("undecided", 0)):
        none = dict.fromkeys(("newly_denied", "newly_hidden", "newly_allowed"), 0)
        api.answers["POST /policies/caps/replay"] = found(**{**none, name: 1})
        assert run("policy", "replay", str(caps), "--fail-on-change").code == code, name
        assert run("policy", "replay", str(caps)).code == 0


def test_what_changes_is_told_in_rows_with_what_to_know_of_the_numbers(api: FakeApi, caps: Path) -> None:
    api.answers["POST /policies/caps/replay"] = found(
        cut=True, sealed=True, untold=7, failing=[{"server": "time", "error": "it is away"}]
    )
    code, text = on_terminal(("policy", "replay", str(caps)))
    told = " ".join(settled(text).split())
    assert code == 0
    for words in (
        "newly denied 3",
        "undecided: 2 by caps:/tools/pay/deny_if/0",
        "not judged: 4, since its server is not in use any more",
        "7 more calls are changed",
        "only the newest were looked at",
        "files of sealed parts",
        "time gave no list of tools",
    ):
        assert words in told, words
    assert "bob" in told


# --- suggest ------------------------------------------------------------------------------------------------


def test_yaml_comes_out_as_it_is(api: FakeApi, run: Run) -> None:
    api.answers["GET /access/suggest"] = suggested(item())
    done = run(
        "policy", "suggest", "--grant", "bot", "--server", "git", "--name", "least", "--since", "2026-11-01"
    )
    assert (done.code, done.out, done.err) == (0, YAML, "")
    query = api.asked[-1].query
    assert (query.pop("since")[:10], query) == (
        "2026-11-01",
        {"grant": "bot", "server": "git", "name": "least"},
    )
    assert json.loads(run("policy", "suggest", "--grant", "bot", "--json").out)["items"] == [item()]
    api.answers["GET /access/suggest"] = suggested(item(), cut=True)
    assert "only the newest" in run("policy", "suggest", "--grant", "bot").err


def test_several_servers_go_to_several_files(api: FakeApi, run: Run, tmp_path: Path) -> None:
    api.answers["GET /access/suggest"] = suggested(item("git"), item("time"))
    done = run("policy", "suggest", "--grant", "bot")
    assert (done.code, done.out) == (2, "")
    assert "git, time" in done.err
    folder = tmp_path / "new" / "policies"
    done = run("policy", "suggest", "--grant", "bot", "--out", str(folder))
    assert (done.code, done.err) == (0, ""), done
    assert "coatcheck policy use bot-time --grant bot --server time" in done.out
    assert (folder / "bot-git.policy.yaml").read_text() == YAML
    done = run("policy", "suggest", "--grant", "bot", "--out", str(folder))
    assert (done.code, "is there already" in done.err) == (1, True)


def test_a_grant_that_used_nothing_is_told(api: FakeApi, run: Run) -> None:
    api.answers["GET /access/suggest"] = suggested()
    done = run("policy", "suggest", "--grant", "bot")
    assert (done.code, done.out, "tells of no call with bot" in done.err) == (1, "", True)
    assert run("policy", "suggest").code == 2
