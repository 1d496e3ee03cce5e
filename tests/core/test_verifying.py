"""A chain is judged as a stream, whole or with entries left out, from its lines alone."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.recording.chain import begin, entry_hash
from coatcheck.core.recording.exported import (
    NoLine,
    checkpoint_line,
    entry_line,
    first_line,
    read_first,
    read_line,
)
from coatcheck.core.recording.notes import SigningKey
from coatcheck.core.recording.verifying import MOST_FINDINGS, Verifier
from coatcheck.model.chain import Beginning, EntryKind, FindingKind, Head, Link, Presented, Report
from coatcheck.model.segment import Segment

LOG = "0123456789abcdef"
START = begin(LOG, 10, 3)
KEY = SigningKey(LOG, bytes(range(32)))
AT = datetime(2026, 11, 3, tzinfo=UTC)


def a_chain(count: int = 12) -> list[Link]:
    links, prev = [], START.prev
    for seq in range(START.seq + 1, START.seq + 1 + count):
        kind, stored = list(EntryKind)[seq % 3], b'{"v":1,"n":%d}' % seq
        prev = entry_hash(seq, kind, prev, stored)
        links.append(Link(seq, kind, stored, prev))
    return links


LINKS = a_chain()
SIGNED = [KEY.sign(Head(link.seq, link.hash), AT) for link in (LINKS[4], LINKS[9])]


def a_segment(first: int, end: Link = LINKS[6]) -> Segment:
    return Segment(first, end.seq, START.prev, end.hash, 7, AT, "a.jsonl.gz", "0" * 64)


def judged(links: list[Link], receipts: list[Presented] | None = None) -> Report:
    verifier = Verifier(START, receipts or [])
    verifier.expect(iter(SIGNED))
    for link in links:
        verifier.feed(link)
    return verifier.report()


def test_a_sound_chain() -> None:
    held = Presented(LOG, LINKS[2].seq, LINKS[2].hash[:16])
    report = judged(LINKS, [held])
    assert (report.sound, report.entries, report.checkpoints, report.receipts) == (True, 12, 2, 1)
    assert (report.unproven, report.head.seq, report.left_out) == (2, 22, 0)


@given(at=st.integers(0, 11), byte=st.integers(0, 255), field=st.sampled_from(["stored", "hash"]))
def test_every_edit_of_one_byte_is_found(at: int, byte: int, field: str) -> None:
    old = getattr(LINKS[at], field)
    new = old[:5] + bytes([byte]) + old[6:]
    links = [*LINKS[:at], dataclasses.replace(LINKS[at], **{field: new}), *LINKS[at + 1 :]]
    assert judged(links).sound == (new == old)


@given(st.permutations(range(12)), st.integers(0, 12))
def test_every_other_order_or_choice_is_found(order: list[int], count: int) -> None:
    links = [LINKS[place] for place in order][:count]
    assert judged(links).sound == (links == LINKS[: len(links)] and len(links) >= 10)


def test_entries_that_are_left_out_keep_the_chain() -> None:
    short = [
        link if link.seq % 2 else Link(link.seq, link.kind, b"", link.hash, sha256(link.stored).digest())
        for link in LINKS
    ]
    report = judged(short)
    assert (report.sound, report.left_out) == (True, 6)
    short[1] = dataclasses.replace(short[1], digest=bytes(32))
    assert not judged(short).sound


def test_sealed_entries_are_gone_over() -> None:
    verifier = Verifier(START, [Presented(LOG, LINKS[0].seq, LINKS[0].hash[:16])])
    verifier.expect(iter(SIGNED))
    verifier.skip(a_segment(START.seq + 1))
    for link in LINKS[7:]:
        verifier.feed(link)
    report = verifier.report()
    assert (report.sealed, report.checkpoints, report.entries, report.findings) == (7, 1, 5, ())
    (lacking,) = report.lacking
    assert "the receipt of entry 11 can only be proven with the file a.jsonl.gz" in lacking
    assert not report.sound
    wrong = Verifier(START)
    wrong.skip(a_segment(START.seq + 2))
    assert [finding.what for finding in wrong.report().findings] == [FindingKind.MISSING]


def test_another_log_and_an_end_too_early() -> None:
    other = Presented("f" * 16, 12, bytes(16))
    late = Presented(LOG, 99, bytes(16))
    report = judged(LINKS[:7], [other, late])
    assert [(finding.what, finding.seq) for finding in report.findings] == [
        (FindingKind.FOREIGN, 12),
        (FindingKind.CUT, SIGNED[1].seq),
        (FindingKind.CUT, 99),
    ]


def test_findings_are_counted_and_not_all_kept() -> None:
    links = [dataclasses.replace(link, stored=b"{}") for link in a_chain(3 * MOST_FINDINGS)]
    report = judged(links)
    assert len(report.findings) == MOST_FINDINGS
    assert report.found == 3 * MOST_FINDINGS


def test_what_nobody_proves_is_a_finding_in_a_file() -> None:
    verifier = Verifier(START)
    verifier.feed(LINKS[0])
    assert verifier.report().sound
    assert [one.what for one in verifier.report(needs_proof=True).findings] == [FindingKind.UNSIGNED]
    cut = Verifier(START)
    cut.expect(iter(SIGNED))
    for link in LINKS:
        cut.feed(link)
    report = cut.report(needs_proof=True)
    assert (report.findings, report.sound, report.unproven) == ((), False, 2)
    assert "the end was cut off" in report.lacking[0]


def test_the_end_of_a_sealed_part_is_the_one_that_was_signed() -> None:
    for end, what in ((LINKS[4], []), (dataclasses.replace(LINKS[4], hash=bytes(32)), [FindingKind.FORKED])):
        verifier = Verifier(START)
        verifier.expect(iter(SIGNED[:1]))
        verifier.skip(a_segment(START.seq + 1, end))
        assert [one.what for one in verifier.report().findings] == what


def test_lines_are_read_as_they_are_written() -> None:
    def lines(line: dict[str, object]) -> bytes:
        return json.dumps(line).encode("ascii")

    assert read_first(lines(first_line(START))) == START
    assert [read_line(lines(entry_line(link))) for link in LINKS] == LINKS
    short = read_line(lines(entry_line(LINKS[0], leave_out=True)))
    assert isinstance(short, Link)
    assert (short.stored, short.digest) == (b"", sha256(LINKS[0].stored).digest())
    assert read_line(lines(checkpoint_line(SIGNED[0]))) == SIGNED[0].note


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{",
        b'{"seq":1}',
        b'{"seq":-1,"kind":"record","hash":"00","stored":""}',
        b'{"seq":true,"kind":"record","hash":"%s","stored":""}' % (b"0" * 64),
        b'{"seq":1,"kind":"odd","hash":"%s","stored":""}' % (b"0" * 64),
        b'{"seq":1,"kind":"record","hash":"%s"}' % (b"0" * 64),
        b'{"seq":1,"kind":"record","hash":"%s","stored":"\\ud800"}' % (b"0" * 64),
        b"[" * 100_000,
    ],
)
def test_what_is_no_line(line: bytes) -> None:
    with pytest.raises(NoLine):
        read_line(line)
    with pytest.raises(NoLine):
        read_first(line)


def test_a_line_has_one_face() -> None:
    """What people read in a line is what is judged."""

    def lines(line: dict[str, object]) -> bytes:
        return json.dumps(line, separators=(",", ":")).encode("ascii")

    whole, short = entry_line(LINKS[0]), entry_line(LINKS[0], leave_out=True)
    assert read_line(lines(whole)) == LINKS[0], "the positive path"
    assert read_line(lines(short)).seq == LINKS[0].seq  # type: ignore[union-attr]
    for stored in (5, None, ["a text"], {"a": "text"}):
        with pytest.raises(NoLine, match="text that is none"):
            read_line(lines({**short, "stored": stored}))
    twice = lines(whole).replace(b'{"seq"', b'{"stored":"another","seq"', 1)
    with pytest.raises(NoLine, match="member twice"):
        read_line(twice)


def test_a_beginning_that_was_moved_past_what_was_signed() -> None:
    """Whoever moves it voids everything before it; a part of a chain that is exported begins later as well."""
    moved = begin(LOG, LINKS[-1].seq, 15)
    verifier = Verifier(moved)
    verifier.expect(iter(SIGNED))
    findings = verifier.report().findings
    assert [(one.what, one.seq) for one in findings] == [(FindingKind.MISSING, one.seq) for one in SIGNED]
    part = Verifier(Beginning(LOG, LINKS[-1].seq, 0, LINKS[-1].hash))
    part.expect(iter(SIGNED))
    assert part.report().sound
