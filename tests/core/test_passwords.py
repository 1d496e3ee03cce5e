"""What a password must be, and that its hash is good for it alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.core import passwords
from coatcheck.core.tokens import Pepper
from coatcheck.errors import Unfit

PEPPER = Pepper(bytes(range(32)))
GOOD = "nine purple kettles"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "MEMORY_KIB", 64)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "at least 12"), ("short", "at least 12"), ("elevenchars", "at least 12"), ("x" * 257, "at most 256"),
        ("aaaaaaaaaaaaaa", "again and again"), ("ababababababab", "again and again"), ("123123123123", "again and again"),
        ("839201748362", "digits alone"), ("Password1234", "tried first"), ("!!p@ssw0rd!!2026", "tried first"), ("1Q2w3e4r5t6y", "tried first"),
        ("Correct Horse Battery Staple", "tried first"), ("password password", "tried first"), ("coatcheck-2026", "tried first"), ("Summer2026!!", "tried first"),
        ("annabelle.long", "name"), ("ANNABELLE.long1", "name"), ("gnol.ellebanna", "name"), ("nine\npurple kettles", "visible"),
        ("nine\x00purple kettles", "visible"), ("nine\u200bpurple kettles", "visible"), ("nine\ud800purple kettles", "visible"), ("nine\ue000purple kettles", "visible"),
        ("nine\u0378purple kettles", "visible"),
    ],
)  # fmt: skip
def test_what_is_no_password_is_told_why_and_never_quoted(text: str, word: str) -> None:
    assert passwords.fit(GOOD, "annabelle.long") == GOOD
    with pytest.raises(Unfit, match=word) as caught:
        passwords.fit(text, "annabelle.long")
    assert not text or text not in caught.value.message + caught.value.fix


@pytest.mark.parametrize("text", [GOOD, "Tr0ub4dor&3xyz", "\u00fcber die Br\u00fccke", "\u65e5\u672c\u8a9e\u306e\u9577\u3044\u5408\u8a00\u8449\u3067\u3059\u3088", "8#3!9&2$@1^5x", "x" * 3 + "abcdefg" * 36])  # fmt: skip
def test_what_is_one(text: str) -> None:
    assert passwords.fit(text, "ann") == text


def test_what_looks_the_same_is_the_same() -> None:
    assert passwords.prepared("jose\u0301\u00a0und\u3000ich") == "jos\u00e9 und ich"
    assert passwords.prepared("Case") != passwords.prepared("case")
    assert passwords.prepared("\ufb01ne") != passwords.prepared("fine"), "NFC, not NFKC (RFC 8265)"


@given(st.text(max_size=300))
def test_preparing_is_done_once(text: str) -> None:
    once = passwords.prepared(text)
    if once is not None and len(once) <= passwords.MOST_CHARS:
        assert passwords.prepared(once) == once


def test_a_hash_is_good_for_its_password_its_name_and_its_pepper_alone() -> None:
    kept = passwords.hash_of(GOOD, "ann", PEPPER, b"s" * 16)
    assert kept.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert passwords.fits(GOOD, "ann", PEPPER, kept)
    assert not passwords.fits("nine purple kettle", "ann", PEPPER, kept)
    assert not passwords.fits(GOOD, "ben", PEPPER, kept)
    assert not passwords.fits(GOOD, "ann", Pepper(bytes(32)), kept)
    assert passwords.hash_of(GOOD, "ann", PEPPER, b"t" * 16) != kept
    for broken in ("", "x", kept[:-1], kept.replace("argon2id", "argon2zz"), "\u00e9", passwords.nobodys()):
        assert not passwords.fits(GOOD, "ann", PEPPER, broken)


@settings(max_examples=50)
@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_no_two_passwords_share_a_hash(one: str, other: str) -> None:
    first, second = passwords.prepared(one), passwords.prepared(other)
    if first is not None and second is not None:
        kept = passwords.hash_of(first, "ann", PEPPER, b"s" * 16)
        assert passwords.fits(second, "ann", PEPPER, kept) == (first == second)


def test_a_hash_of_other_parameters_is_to_be_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = passwords.hash_of(GOOD, "ann", PEPPER, b"s" * 16)
    assert not passwords.needs_rehash(kept)
    monkeypatch.setattr(passwords, "MEMORY_KIB", 72)
    assert passwords.needs_rehash(kept)
    assert passwords.fits(GOOD, "ann", PEPPER, kept), "and is good until then"


def test_the_parameters_are_those_that_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert (passwords.MEMORY_KIB, passwords.PASSES, passwords.LANES) == (46 * 1024, 1, 1)
    kept = passwords.hash_of(GOOD, "ann", PEPPER, b"s" * 16)
    assert len(kept) == len(passwords.nobodys())
    assert kept.rpartition("$")[0][:28] == passwords.nobodys()[:28]
