"""CEF: the escaping rules of its specification by table and by property, and what each kind of entry holds."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck import __version__
from coatcheck.core.copies.cef import cef_of, escaped_header, escaped_value
from coatcheck.model.record import Outcome, Verdict
from coatcheck.model.sink import Copy, Trial
from doubles.copies import a_change_copy, a_copy
from ledgers import START

texts = st.text(max_size=200)


def parted(line: bytes) -> tuple[list[str], dict[str, str]]:
    """Read a line as a SIEM does."""
    text = line.decode("utf-8")
    fields = re.split(r"(?<!\\)(?:\\\\)*\|", text, maxsplit=7)
    header = [re.sub(r"\\([\\|])", r"\1", field) for field in fields[:7]]
    keys = list(re.finditer(r"(?:^| )([A-Za-z0-9]+)=", fields[7]))
    keys = [key for key in keys if not re.search(r"(?<!\\)(?:\\\\)*\\$", fields[7][: key.end() - 1])]
    ends = [key.start() for key in keys[1:]] + [len(fields[7])]
    found = {key[1]: fields[7][key.end() : end] for key, end in zip(keys, ends, strict=True)}
    return header, {name: _unescaped(value) for name, value in found.items()}


def _unescaped(value: str) -> str:
    words = {"n": "\n", "r": "\r"}
    return re.sub(r"\\(.)", lambda match: words.get(match[1], match[1]), value)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain", "plain"), ("a|b", r"a\|b"), ("a\\b", r"a\\b"), ("a=b", "a=b"), ("a\\|b", r"a\\\|b"), ("a\nb\r\nc", "a b c"), ("\x1b[31mred\x00", "[31mred"),
        ("", ""), ("grüße", "grüße"), ("\ud800x", "x"),
    ],
)  # fmt: skip
def test_headers(text: str, escaped: str) -> None:
    assert escaped_header(text) == escaped


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain", "plain"), ("a=b", r"a\=b"), ("a\\b", r"a\\b"), ("a|b", "a|b"), ("a\nb", r"a\nb"), ("a\r\nb", r"a\r\nb"), ("x\x00\x1by", "xy"),
        ("\\n", r"\\n"), ("=\\=", r"\=\\\="), ("\u2028", ""),
    ],
)  # fmt: skip
def test_values(text: str, escaped: str) -> None:
    assert escaped_value(text) == escaped


@given(texts, texts)
def test_no_text_leaves_its_field(name: str, reason: str) -> None:
    header, extension = parted(cef_of(a_copy(7, tool=name, reason=reason, decision=Verdict.DENIED)))
    kept = re.sub("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", "", reason)
    assert header[0] == "CEF:0"
    assert header[6] == "6"
    assert extension.get("reason", "") == kept
    assert extension["externalId"] == "7"
    assert extension["act"] == "denied"


@given(texts)
def test_a_line_is_one_line(text: str) -> None:
    line = cef_of(a_change_copy(3, because=text, object_name=text))
    assert len(line.splitlines()) == 1
    assert not re.search(rb"[\x00-\x1f\x7f]", line)


def test_a_record() -> None:
    header, extension = parted(cef_of(a_copy(12, Outcome.TOOL_ERROR)))
    assert header == ["CEF:0", "Coatcheck", "Coatcheck", __version__, "call.allowed", "tools/call github search allowed", "4"]  # fmt: skip
    assert extension["suser"] == "alice"
    assert extension["src"] == "127.0.0.1"
    assert extension["rt"] == "1793696887061"  # to the nearest millisecond
    assert (extension["outcome"], extension["cn1"], extension["cn1Label"]) == (
        "tool_error",
        "250",
        "durationMs",
    )
    labels = {extension[f"cs{number}Label"]: extension[f"cs{number}"] for number in range(1, 7)}
    assert (labels["server"], labels["tool"], labels["method"]) == ("github", "search", "tools/call")


@pytest.mark.parametrize(
    ("address", "field"), [("::1", "c6a2"), ("10.1.2.3", "src"), ("", None), ("unix", None)]
)
def test_addresses_go_into_the_field_of_their_family(address: str, field: str | None) -> None:
    _, extension = parted(cef_of(a_copy(1, client_ip=address)))
    assert [name for name in ("src", "c6a2") if name in extension] == ([field] if field else [])


def test_a_change_and_a_trial() -> None:
    header, extension = parted(cef_of(a_change_copy(9)))
    assert header[4:] == ["grant.issue", "grant.issue alice-laptop by root", "5"]
    assert (extension["cat"], extension["suser"], extension["reason"]) == ("change", "root", "new laptop")
    header, extension = parted(cef_of(Copy(0, Trial(START))))
    assert (header[4], extension["cat"]) == ("test", "test")


def test_long_texts_are_bounded() -> None:
    change = a_change_copy(1, because="x" * 5_000)
    assert len(cef_of(replace(change))) < 3_000
