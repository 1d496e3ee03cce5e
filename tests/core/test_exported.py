"""Lines of an exported chain are read strictly: what two readers could take differently is no line."""

from __future__ import annotations

import json

import pytest

from coatcheck.core.recording.exported import NoLine, read_first, read_line

ENTRY = json.dumps(
    {
        "seq": 1,
        "kind": "record",
        "hash": "00" * 32,
        "stored": '{"a":"\\ud83d"}',
        "tool": "caf\u00e9 \U0001f600",
    }
)
FIRST = '{"log": "0123456789abcdef", "first": 0, "before": 0}'


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda line: b"\xef\xbb\xbf" + line, "begins with a byte order mark"),
        (lambda line: line.decode().encode("utf-16"), "is not UTF-8"),
        (lambda line: line.decode().encode("utf-16-le"), "is no JSON"),
        (lambda line: line[:-1] + b', "note": "caf\xe9"}', "is not UTF-8"),
        (lambda line: line[:-1] + b', "note": NaN}', "has NaN, which is no number of JSON"),
        (lambda line: line[:-1] + b', "note": [-Infinity]}', "has -Infinity, which is no number of JSON"),
        (lambda line: line[:-1] + b', "note": {"x": "\\uDC00"}}', "holds text that is none"),
        (lambda line: line[:-1] + b', "\\ud800": 1}', "holds text that is none"),
        (lambda line: line[:-1] + b', "note": 1, "note": 1}', "has a member twice"),
    ],
)
def test_what_can_be_read_in_two_ways_is_no_line(spoil: object, why: str) -> None:
    assert callable(spoil)
    for line, read in ((ENTRY.encode(), read_line), (FIRST.encode(), read_first)):
        read(line)
        with pytest.raises(NoLine, match=why):
            read(spoil(line))
