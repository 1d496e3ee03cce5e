"""Syslog messages: the grammar of RFC 5424, its escaping, and limits of size."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.copies.syslog import SD_ID, Sender, escaped_param, message_of, octet_counted
from coatcheck.model.record import Outcome, Verdict
from coatcheck.model.sink import Format
from doubles.copies import a_change_copy, a_copy

SENDER = Sender(13, "gate.example.com", "coatcheck", 4711)
HEAD = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) "
)
PARAM = re.compile(r' ([^\s="\]]{1,32})="((?:[^"\\\]]|\\.)*)"', re.DOTALL)


def head_of(message: bytes) -> tuple[list[bytes], bytes]:
    match = HEAD.match(message)
    assert match
    return list(match.groups()), message[match.end() :]


def params_of(element: bytes) -> dict[str, str]:
    text = element.decode("utf-8")
    assert text.startswith(f"[{SD_ID}")
    assert text.endswith("]")
    inner = text[len(SD_ID) + 1 : -1]
    found = {match[1]: re.sub(r"\\(.)", r"\1", match[2]) for match in PARAM.finditer(inner)}
    assert PARAM.sub("", inner) == ""
    return found


def test_a_message_with_json() -> None:
    head, rest = head_of(message_of(a_copy(3), SENDER, Format.JSON, 8192))
    assert head == [b"110", b"2026-11-03T09:08:07.060504Z", b"gate.example.com", b"coatcheck", b"4711", b"call.allowed"]  # fmt: skip
    assert rest.startswith(b"- {")
    assert json.loads(rest[2:])["seq"] == 3


@pytest.mark.parametrize(
    ("outcome", "decision", "severity"),
    [(Outcome.OK, Verdict.ALLOWED, 6), (Outcome.TIMEOUT, Verdict.ALLOWED, 4), (Outcome.DENIED, Verdict.REFUSED, 4), (Outcome.UNKNOWN, Verdict.ALLOWED, 3)],
)  # fmt: skip
def test_severities(outcome: Outcome, decision: Verdict, severity: int) -> None:
    head, _ = head_of(message_of(a_copy(1, outcome, decision=decision), SENDER, Format.JSON, 8192))
    assert int(head[0]) == 13 * 8 + severity


@given(st.text(max_size=300), st.text(max_size=300))
def test_structured_data_can_be_read_back(tool: str, reason: str) -> None:
    copy = a_copy(4, tool=tool, reason=reason)
    _, element = head_of(message_of(copy, SENDER, Format.STRUCTURED, 8192))
    found = params_of(element)
    assert found.get("tool", "") == tool.encode("utf-8", "replace").decode()
    assert found.get("reason", "") == reason.encode("utf-8", "replace").decode()
    assert (found["kind"], found["seq"]) == ("record", "4")


@given(st.sampled_from(Format), st.integers(480, 4_000), st.text(max_size=3_000))
def test_no_message_is_larger_than_its_limit(form: Format, most: int, text: str) -> None:
    for copy in (a_copy(1, reason=text), a_change_copy(2, because=text)):
        message = message_of(copy, SENDER, form, most)
        assert len(message) <= most
        _, rest = head_of(message)
        rest.decode("utf-8")
        if form is Format.JSON:
            json.loads(rest[2:])
        if form is Format.STRUCTURED:
            params_of(rest)


@pytest.mark.parametrize(
    ("text", "escaped"), [('a"b', 'a\\"b'), ("a]b", "a\\]b"), ("a\\b", "a\\\\b"), ("[x", "[x")]
)
def test_escaping_of_parameters(text: str, escaped: str) -> None:
    assert escaped_param(text) == escaped


def test_frames_count_octets() -> None:
    assert octet_counted("ü".encode()) == b"2 \xc3\xbc"


def test_a_host_without_a_name_is_a_hyphen() -> None:
    head, rest = head_of(message_of(a_copy(1), Sender(13, "", "", 1), Format.CEF, 8192))
    assert head[2:4] == [b"-", b"-"]
    assert rest.startswith(b"- \xef\xbb\xbfCEF:0|")
