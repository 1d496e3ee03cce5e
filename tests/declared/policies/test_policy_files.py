"""Of YAML only what has one reading is read; everything odd is refused with its line."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.core.policy.reading.document import read_policy
from coatcheck.core.policy.writing import write_json
from coatcheck.declared.policies.files import MAX_BYTES, cases_beside, read_file
from coatcheck.declared.policies.yaml_text import read_yaml
from coatcheck.errors import ConfigError, Unfit
from policies import documents

GOOD = """\
# caps
coatcheck: 1
name: caps
default: read-only
tools:
  create_charge:
    outcome: allow
    message: "Ask finance: it's theirs."
    deny_if:
      - {path: /amount, op: gt, value: 5000.10, message: No.}
      - path: /note
        op: in
        value: ["yes", 'no', true, null, -1e3]
  "*_x": {outcome: hide}
"""


def test_what_has_one_reading_is_read_exactly() -> None:
    written = read_yaml(GOOD)
    entry = written.value["tools"]["create_charge"]
    assert entry["deny_if"][0]["value"] == Decimal("5000.10")
    assert entry["deny_if"][1]["value"] == ["yes", "no", True, None, Decimal("-1E+3")]
    assert entry["message"] == "Ask finance: it's theirs."
    assert (written.lines[""], written.lines["/tools/create_charge/deny_if/1/op"]) == (2, 12)
    assert written.lines["/tools/*_x/outcome"] == 14
    read_policy(written.value)
    assert read_yaml("a: |\n  one\n  two\nb: >-\n  x\n  y\n").value == {"a": "one\ntwo\n", "b": "x y"}
    assert read_yaml("- plain text, with: no\n".replace(": no", "; no")).value == ["plain text, with; no"]
    assert read_yaml("---\na: b\n...\n").value == {"a": "b"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        *((f"a: {word}", "not read alike") for word in (
            "yes", "No", "on", "OFF", "y", "N", "True", "NULL", "~", "", "012", "0x1F", "0o17", "0b1", "1_000",
            "+1", ".5", "1.", ".inf", "-.INF", ".nan", "12:30", "190:20:30", "2026-11-21", "<<", "=",
            "2026-11-21T08:00:00Z", "01.5", "-012", "+.5", "1__0",
        )),
        ("a: &x 1", "anchor"),
        ("a: [*x]", "alias"),
        ("*: {}", "no YAML"),
        ("a: {*: 1}", "no YAML"),
        ("a: !!str 1", "tag"),
        ("a: !x {}", "tag"),
        ("a: !!python/object/apply:os.system [x]", "tag"),
        ("a: ! [1]", "tag"),
        ("a: 1\na: 2", "twice"),
        ('a: 1\n"a": 2', "twice"),
        ("1: a", "key must be text"),
        ("true: a", "key must be text"),
        ("? [a]\n: b", "key must be text"),
        ("<<: {a: 1}", "not read alike"),
        ("a: b\n---\nc: d", "second document"),
        ("%YAML 1.1\n---\na: b", "directive"),
        ("%TAG ! tag:x,2000:\n---\na: b", "directive"),
        ("", "nothing in it"),
        ("# only words", "nothing in it"),
        ("a: [", "no YAML"),
        ("a:\n\t- b", "no YAML"),
        ("a: \x07", "characters"),
        ("[" * 70 + "]" * 70, "deep"),
        ("a: '" + "x" * 300_000 + "'", "longer"),
    ],
)  # fmt: skip
def test_what_is_odd_is_refused(text: str, said: str) -> None:
    with pytest.raises(Unfit, match=said) as refused:
        read_yaml(text)
    assert refused.value.fix
    if text.startswith("a: 1\n"):
        assert refused.value.message.startswith("line 2:")


@given(documents())
@settings(max_examples=50)
def test_a_policy_in_json_is_the_same_policy_in_yaml(document: dict[str, Any]) -> None:
    policy = read_policy(document)
    assert read_policy(read_yaml(write_json(policy).decode()).value) == policy


@given(st.text(max_size=40) | st.text("ab:-#&*!|>[]{}'\"\n ,?%@~01.\t", max_size=40))
@settings(max_examples=200)
def test_no_text_is_read_as_something_else_than_other_readers_take_it_for(text: str) -> None:
    try:
        found = read_yaml(text).value
    except Unfit:
        return
    assert _same(found, yaml.safe_load(text)), found


def _same(found: Any, other: Any) -> bool:
    if isinstance(found, dict | list):
        pairs = zip(found.items() if isinstance(found, dict) else enumerate(found),
                    other.items() if isinstance(other, dict) else enumerate(other), strict=True)  # fmt: skip
        return type(found) is type(other) and all(a == b and _same(x, y) for (a, x), (b, y) in pairs)
    if isinstance(found, Decimal):  # PyYAML takes `1e5` for text, as YAML 1.1 has it
        return float(found) == float(other)
    return type(found) is type(other) and bool(found == other)


# --- files -------------------------------------------------------------------------------------------


def test_a_json_file_is_read_as_json_and_strictly(tmp_path: Path) -> None:
    path = tmp_path / "a.policy.json"
    path.write_text('{"n": 1.10, "l": [null]}')
    assert read_file(path).value == {"n": Decimal("1.10"), "l": [None]}
    for bad in ('{"a": 1, "a": 2}', "{", "a: b"):
        path.write_text(bad)
        with pytest.raises(Unfit, match=str(path)):
            read_file(path)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.policy.yaml"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_file(path)
    for raw, said in (
        (b"\xff", "UTF-8"),
        (b"\xef\xbb\xbfa: b", "byte order mark"),
        ("a: b".encode("utf-16"), "UTF-8"),
        (b"#" * (MAX_BYTES + 1), "larger"),
    ):
        path.write_bytes(raw)
        with pytest.raises(Unfit, match=said):
            read_file(path)


def test_the_cases_are_beside_the_policy(tmp_path: Path) -> None:
    path = tmp_path / "caps.policy.yaml"
    assert cases_beside(path) is None
    (tmp_path / "caps.cases.json").touch()
    assert cases_beside(path) == tmp_path / "caps.cases.json"
    assert cases_beside(tmp_path / "caps.policy.json") == tmp_path / "caps.cases.json"
    assert cases_beside(tmp_path / "caps.yaml") == tmp_path / "caps.cases.json"
    (tmp_path / "caps.cases.yaml").touch()
    with pytest.raises(ConfigError, match="both there"):
        cases_beside(path)
