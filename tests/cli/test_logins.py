"""Gateways elsewhere: where the token comes from, where it is kept, and where it is never sent."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.fake_api import Canned, FakeApi, items, refusal, serving_at_port
from cli.ran import Run
from cli.test_servers import server
from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.reaching.logins import path_of, read_logins, refuse_plain

CODE = "cckb_a-one-time-code"
TOKEN = "ccka_the-token-of-bob"


@pytest.fixture
def far() -> Iterator[tuple[FakeApi, str]]:
    fake = FakeApi()
    operator = {"name": "bob", "role": "auditor", "expires_at": None}
    fake.answers["POST /login"] = lambda asked: (
        Canned({"operator": operator, "token": TOKEN})
        if asked.json() == {"code": CODE}
        else refusal(401, "bad_code", "The code is unknown, used or too old.", "Ask for another.")
    )
    fake.answers["GET /servers"] = items(server("time"))
    with serving_at_port(fake) as url:
        yield fake, url


def sent(fake: FakeApi) -> str | None:
    return fake.asked[-1].headers.get("authorization")


def test_log_in_work_and_log_out(far: tuple[FakeApi, str], run: Run) -> None:
    fake, url = far
    assert run("list", "--url", url).code == Exit.NOT_PERMITTED
    ran = run("login", "--url", url + "/", "--code", CODE)
    assert (ran.code, json.loads(ran.out)) == (
        0,
        {"url": url, "operator": "bob", "role": "auditor", "expires_at": None},
    )
    assert TOKEN not in ran.out + ran.err
    assert sent(fake) is None
    path = path_of(os.environ)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    ran = run("list", "--url", url)
    assert (ran.code, json.loads(ran.out)["items"][0]["name"]) == (0, "time")
    assert sent(fake) == f"Bearer {TOKEN}"
    assert run("logout", "--gateway", url).code == 0
    assert run("list", "--url", url).code == Exit.NOT_PERMITTED
    assert run("logout", "--url", url).code == Exit.NO
    assert TOKEN not in path.read_text()


def test_a_bad_code_keeps_nothing(far: tuple[FakeApi, str], run: Run) -> None:
    ran = run("login", "--url", far[1], "--code", "cckb_wrong")
    assert ran.code == Exit.NOT_PERMITTED
    assert "unknown, used or too old" in ran.err
    assert read_logins(os.environ) == {}


def test_the_environment_comes_first(
    far: tuple[FakeApi, str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, url = far
    assert run("login", "--url", url, "--code", CODE).code == 0
    monkeypatch.setenv("COATCHECK_OPERATOR_TOKEN", "ccka_of-the-pipeline")
    assert run("list", "--url", url).code == 0
    assert sent(fake) == "Bearer ccka_of-the-pipeline"


def test_logins_are_by_url(far: tuple[FakeApi, str], run: Run) -> None:
    _, url = far
    assert run("login", "--url", url, "--code", CODE).code == 0
    with serving_at_port(FakeApi()) as other:
        assert run("list", "--url", other).code == Exit.NOT_PERMITTED
        assert list(read_logins(os.environ)) == [url]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_can_read_is_refused(far: tuple[FakeApi, str], run: Run, mode: int) -> None:
    fake, url = far
    assert run("login", "--url", url, "--code", CODE).code == 0
    asked = len(fake.asked)
    path_of(os.environ).chmod(mode)
    ran = run("list", "--url", url)
    assert ran.code == Exit.CONFIG
    assert "chmod 600" in ran.err
    assert len(fake.asked) == asked


@pytest.mark.parametrize("text", ["", "[]", '{"logins": []}', '{"logins": {"x": {"y": 1}}}', "\xff"])
def test_a_file_that_is_none_is_refused(run: Run, text: str, tmp_path: Path) -> None:
    path = path_of(os.environ)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(0o600)
    assert run("list", "--url", "http://127.0.0.1:1").code == Exit.CONFIG


@pytest.mark.parametrize("url", ["http://mcp.example.com", "http://10.0.0.1:8080", "http://[2001:db8::1]"])
def test_no_token_goes_in_the_clear_to_another_machine(run: Run, url: str) -> None:
    for loopback in ("http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "https://mcp.example.com"):
        refuse_plain(loopback)
    with pytest.raises(Stop):
        refuse_plain(url)
    ran = run("login", "--url", url, "--code", CODE)
    assert ran.code == Exit.USAGE
    assert "plain http" in ran.err


@pytest.mark.parametrize(
    "url", ["mcp.example.com", "ftp://x", "https://a:b@x", "https://x/mcp", "https://x?y"]
)
def test_what_is_no_origin(run: Run, url: str) -> None:
    assert run("login", "--url", url, "--code", CODE).code == Exit.USAGE


def test_nobody_there_and_another_place_at_once(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COATCHECK_OPERATOR_TOKEN", TOKEN)
    ran = run("list", "--url", "http://127.0.0.1:1")
    assert ran.code == Exit.UNREACHABLE
    assert "cannot be reached" in ran.err
    assert run("list", "--url", "http://127.0.0.1:1", "--data", str(data)).code == Exit.USAGE
    assert run("grant", "list", "--url", "http://127.0.0.1:1", "--data", str(data)).code == Exit.USAGE
