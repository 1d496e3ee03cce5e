"""Many grants from a CSV file: all or none, and their tokens in a file for its owner alone."""

from __future__ import annotations

import csv
import json
import re
import stat
from pathlib import Path

import pytest

from cli.fake_api import Asked, Canned, FakeApi, refusal
from cli.objects import grant
from cli.ran import Run
from coatcheck.cli.administering.grants.bulk import read_rows

GOOD = "label,subject,servers,tools,expires,note,claim\na,alice,all,,never,,\nb,bob,git sentry,git__get_*,,n,yes\n"


@pytest.fixture
def batch(api: FakeApi) -> FakeApi:
    def answer(asked: Asked) -> Canned:
        made = []
        for one in asked.json()["grants"]:
            token = None if one["by_claim"] else f"cckg_{one['label']}"
            link = f"http://x/claim/{one['label']}" if one["by_claim"] else None
            made.append({"grant": grant(one["label"]), "token": token, "claim_code": None, "claim_url": link})
        return Canned({"items": made}, 201)

    api.answers["POST /grants/batch"] = answer
    return api


@pytest.fixture
def team(tmp_path: Path) -> Path:
    path = tmp_path / "team.csv"
    path.write_text(GOOD)
    return path


def test_issue_many(batch: FakeApi, run: Run, team: Path, tmp_path: Path) -> None:
    out = tmp_path / "tokens.csv"
    ran = run("grant", "issue", "--csv", str(team), "--out", str(out))
    assert (ran.code, json.loads(ran.out)) == (0, {"issued": 2, "file": str(out)})
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert batch.asked[-1].json()["grants"] == [
        {
            "label": "a",
            "subject": "alice",
            "servers": None,
            "tools": None,
            "expires_at": None,
            "note": "",
            "by_claim": False,
        },
        {
            "label": "b",
            "subject": "bob",
            "servers": ["git", "sentry"],
            "tools": ["git__get_*"],
            "note": "n",
            "by_claim": True,
        },
    ]
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [(row["label"], row["token"], row["claim_url"]) for row in rows] == [
        ("a", "cckg_a", ""),
        ("b", "", "http://x/claim/b"),
    ]


def test_a_column_names_policies(batch: FakeApi, run: Run, team: Path) -> None:
    team.write_text("label,subject,servers,policy\na,alice,all,read-only\nb,bob,all,\n")
    assert run("grant", "issue", "--csv", str(team)).code == 0
    assert [one.get("policy") for one in batch.asked[-1].json()["grants"]] == ["read-only", None]


def test_without_a_file_the_answer_is_the_result(batch: FakeApi, run: Run, team: Path) -> None:
    told = json.loads(run("grant", "issue", "--csv", str(team)).out)
    assert [each["token"] for each in told["items"]] == ["cckg_a", None]


def test_what_excel_writes(batch: FakeApi, run: Run, team: Path) -> None:
    team.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode() + b",,,,,,\r\n")
    assert run("grant", "issue", "--csv", str(team)).code == 0
    assert len(batch.asked[-1].json()["grants"]) == 2


def test_a_refusal_leaves_no_file(batch: FakeApi, run: Run, team: Path, tmp_path: Path) -> None:
    out = tmp_path / "tokens.csv"
    batch.answers["POST /grants/batch"] = refusal(409, "taken", "Grant 2: a live grant has this label.")
    ran = run("grant", "issue", "--csv", str(team), "--out", str(out))
    assert (ran.code, out.exists()) == (1, False)
    assert ran.err.startswith(f"coatcheck: {team}:3: a live grant has this label.\n")
    batch.answers["POST /grants/batch"] = refusal(404, "not_found", "There is no server.")
    assert run("grant", "issue", "--csv", str(team)).err.startswith("coatcheck: There is no server.")


def test_no_file_is_overwritten(batch: FakeApi, run: Run, team: Path, tmp_path: Path) -> None:
    out = tmp_path / "tokens.csv"
    out.write_text("mine")
    assert run("grant", "issue", "--csv", str(team), "--out", str(out)).code == 1
    assert out.read_text() == "mine"
    assert "POST /grants/batch" not in batch.paths()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column label"),
        ("label,subject\na,b\n", "no column servers"),
        ("label,subject,servers,color\n", "an unknown column 'color'"),
        ("label,subject,servers,label\n", "a column twice"),
        ("label,subject,servers\n", "0 rows"),
        ("label,subject,servers\na,b\n", ":2: it has more or fewer cells"),
        ("label,subject,servers\na,b,all,x\n", ":2: it has more or fewer cells"),
        ("label,subject,servers\na,,all\n", ":2: subject is empty"),
        ("label,subject,servers,expires\na,b,all,soon\n", ":2: 'soon' is neither"),
        ("label,subject,servers,claim\na,b,all,perhaps\n", ":2: claim is neither"),
        ('label,subject,servers\n"a,b,all\n', "unexpected end of data"),
        ("label,subject,servers\n" + "a,b,all\n" * 1001, "1001 rows"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(
    batch: FakeApi, run: Run, team: Path, text: str, said: str
) -> None:
    assert run("grant", "issue", "--csv", str(team)).code == 0
    asked = len(batch.asked)
    team.write_text(text)
    ran = run("grant", "issue", "--csv", str(team))
    assert ran.code == 2
    assert said in ran.err
    assert len(batch.asked) == asked


def test_every_bad_row_is_told(batch: FakeApi, run: Run, team: Path) -> None:
    team.write_text("label,subject,servers\n,b,all\na,b,all\na,b,\n")
    err = run("grant", "issue", "--csv", str(team)).err
    assert (":2: label is empty" in err, ":4: servers is empty" in err, ":3:" in err) == (True, True, False)


def test_the_file_of_the_page(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "grants.md"
    found = re.search(r"^label,.*?(?=^\$)", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    path = tmp_path / "team.csv"
    path.write_text(found[0])
    assert [row["label"] for row in read_rows(path).values()] == ["alice-laptop", "bob-laptop", "nightly"]
