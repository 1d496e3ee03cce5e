"""`coatcheck token check`, offline: what a text is, whether it is whole, and never a word of its secret."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.ran import Run
from cli.terminal import on_terminal
from coatcheck.cli.keeping.token import KINDS, judge
from coatcheck.core.tokens import ALPHABET, is_well_formed, mint

COMMAND = [sys.executable, "-m", "coatcheck", "token", "check"]
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "secret-scanning.md"


def check(text: str, *arguments: str) -> tuple[int, dict[str, Any], str]:
    ran = subprocess.run(
        [*COMMAND, *arguments], input=text, capture_output=True, text=True, check=False, timeout=20
    )
    return ran.returncode, json.loads(ran.stdout), ran.stdout + ran.stderr


@pytest.mark.parametrize("prefix", KINDS)
def test_each_kind_of_ours(prefix: str) -> None:
    token = mint(os.urandom, prefix)
    for text in (token, f"  {token}\n", f"Bearer {token}", f"bearer\t{token}\r\n"):
        judged = judge(text)
        assert (judged.kind, judged.checksum, judged.is_good) == (KINDS[prefix], True, True)
        assert judged.public_id == token[5:17]


def test_from_standard_input_without_its_secret() -> None:
    token = mint(os.urandom)
    code, told, everything = check(token + "\n")
    assert (code, told["kind"], told["public_id"], told["good"]) == (0, "grant", token[5:17], True)
    assert token[17:60] not in everything
    code, told, _ = check(token, "-")
    assert (code, told["good"]) == (0, True)


def test_one_changed_character_is_found_everywhere() -> None:
    token = mint(os.urandom)
    assert judge(token).is_good
    for place in range(5, len(token)):
        other = ALPHABET[(ALPHABET.index(token[place]) + 1) % 62]
        judged = judge(token[:place] + other + token[place + 1 :])
        assert (judged.is_good, judged.checksum, judged.public_id) == (False, False, None), place


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda token: token[:-1], "was not copied whole"),
        (lambda token: token + "x", "was not copied whole"),
        (lambda token: token[:30] + "-" + token[31:], "characters that no token has"),
        (lambda token: token[:30] + "0 " + token[31:], "several words"),
        (lambda _: "ghp_0123456789", "this is a GitHub token"),
        (lambda _: "AKIA0123456789", "this is an AWS access key"),
        (lambda _: "hunter2", "none of our tokens"),
    ],
)
def test_what_is_wrong_is_told(change: Any, said: str) -> None:
    token = mint(os.urandom)
    assert check(token)[0] == 0
    code, told, everything = check(change(token))
    assert (code, told["good"]) == (1, False)
    assert said in told["message"]
    assert token[17:30] not in everything


def test_on_the_command_line_it_is_judged_with_a_warning(run: Run) -> None:
    token = mint(os.urandom)
    ran = run("token", "check", token)
    assert (ran.code, json.loads(ran.out)["good"]) == (0, True)
    assert "can be read by other accounts" in ran.err
    assert token[17:] not in ran.out + ran.err


def test_a_terminal_is_not_read_from() -> None:
    code, shown = on_terminal(["token", "check"])
    assert code == 2
    assert "pipe it in" in shown


@pytest.mark.parametrize("text", ["", " \n", "x" * 70_000])
def test_nothing_to_check(text: str) -> None:
    ran = subprocess.run(COMMAND, input=text, capture_output=True, text=True, check=False, timeout=20)
    assert (ran.returncode, ran.stdout) == (2, "")


# --- the rule for scanners -------------------------------------------------------------------------------


def rule() -> re.Pattern[str]:
    found = re.search(r"^regex = '''(.+)'''$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return re.compile(found[1])


@pytest.mark.parametrize("prefix", KINDS)
def test_the_rule_finds_every_token_in_its_surroundings(prefix: str) -> None:
    for _ in range(50):
        token = mint(os.urandom, prefix)
        for text in (token, f'"{token}"', f"GRANT={token}\n", f"Bearer {token},"):
            found = rule().search(text)
            assert found is not None
            assert (found[1], is_well_formed(found[1])) == (token, True)


@pytest.mark.parametrize(
    "text",
    [
        "cckg_short",
        "cckx_" + "a" * 61,
        "xcckg_" + "a" * 61,
        "cckg_" + "a" * 62,
        "cckg_" + "a" * 30 + "-" * 31,
    ],
)
def test_the_rule_leaves_alone_what_is_no_token(text: str) -> None:
    assert rule().search(mint(os.urandom)) is not None
    assert rule().search(text) is None


def test_the_checksum_of_the_page_is_ours() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    namespace: dict[str, Any] = {}
    for block in blocks:
        exec(block, namespace)
    for prefix in KINDS:
        token = mint(os.urandom, prefix)
        assert namespace["is_token"](token)
        assert not namespace["is_token"](token[:-1] + ALPHABET[(ALPHABET.index(token[-1]) + 1) % 62])
