"""Checkpoints are C2SP signed notes: their form is fixed, and nobody but the key makes one."""

from __future__ import annotations

import base64
import pickle
import string
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.recording.notes import Broken, PublicKey, SigningKey, claimed, notes_in, read_receipt
from coatcheck.core.recording.receipts import receipt_of
from coatcheck.model.chain import Head, Presented
from coatcheck.model.record import Receipt

LOG = "0123456789abcdef"
KEY = SigningKey(LOG, bytes(range(32)))
AT = datetime(2026, 11, 3, 9, 8, 7, 60504, tzinfo=UTC)
MADE = KEY.sign(Head(42, bytes(range(32))), AT)


def test_the_form_is_fixed() -> None:
    assert MADE.note.splitlines()[:5] == [
        f"coatcheck/{LOG}",
        "42",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "time 2026-11-03T09:08:07.060504Z",
        "",
    ]
    name, signature = MADE.note.splitlines()[5].removeprefix("\u2014 ").split(" ")
    assert name == f"coatcheck/{LOG}"
    assert base64.b64decode(signature)[:4] == KEY.public.id
    assert KEY.public.open(MADE.note) == MADE
    assert claimed(MADE.note) == MADE


def test_the_public_key_is_read_as_it_is_written() -> None:
    read = PublicKey.read(f" {KEY.public.text}\n")
    assert (read.log, read.key, read.id) == (LOG, KEY.public.key, KEY.public.id)
    assert read.open(MADE.note) == MADE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        KEY.public.text[:-1],
        KEY.public.text.replace(LOG, LOG[::-1]),
        KEY.public.text.replace("coat", "cout"),
    ],
)
def test_what_is_no_public_key(text: str) -> None:
    with pytest.raises(Broken):
        PublicKey.read(text)


def test_another_key_proves_nothing() -> None:
    with pytest.raises(Broken, match="another key"):
        SigningKey(LOG, bytes(range(1, 33))).public.open(MADE.note)
    with pytest.raises(Broken, match="another key"):
        SigningKey(LOG[::-1], bytes(range(32))).public.open(MADE.note)


@given(at=st.integers(0, len(MADE.note) - 1), new=st.characters(exclude_categories=["Cs"]))
def test_no_character_can_be_changed(at: int, new: str) -> None:
    changed = MADE.note[:at] + new + MADE.note[at + 1 :]
    if changed == MADE.note:
        assert KEY.public.open(changed) == MADE
        return
    with pytest.raises(Broken):
        KEY.public.open(changed)


def test_not_even_the_unused_bits_of_the_signature() -> None:
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/"
    assert MADE.note[-3:] == f"{MADE.note[-3]}=\n"
    for bits in range(1, 4):
        last = letters[letters.index(MADE.note[-3]) + bits]
        changed = f"{MADE.note[:-3]}{last}=\n"
        assert base64.b64decode(changed[-93:-1]) == base64.b64decode(MADE.note[-93:-1])
        with pytest.raises(Broken, match="base64"):
            KEY.public.open(changed)


def test_a_time_of_other_letters_is_none() -> None:
    assert "T" in MADE.note
    with pytest.raises(Broken, match="no checkpoint"):
        KEY.public.open(MADE.note.replace("T", "\N{LATIN SMALL LETTER E WITH ACUTE}"))


def test_notes_are_found_in_a_file_whatever_was_broken_off() -> None:
    other = KEY.sign(Head(43, bytes(32)), AT).note
    for cut in range(len(MADE.note)):
        text = MADE.note + MADE.note[:cut] + "\n" + other
        assert next(notes_in(text.splitlines(keepends=True))) == MADE.note
        assert list(notes_in(text.splitlines(keepends=True)))[-1] == other
    assert list(notes_in(["x\n"] * 1000)) == []


def test_a_receipt_is_read_as_it_is_given_out() -> None:
    text = receipt_of(LOG, Receipt(7, bytes(range(32))))
    assert read_receipt(text) == Presented(LOG, 7, bytes(range(16)))
    for bad in ("", "x/7/y", text[:-1], text + "0", text.replace("/7/", "/-7/")):
        with pytest.raises(Broken):
            read_receipt(bad)


def test_the_key_is_not_shown_or_copied() -> None:
    assert repr(KEY) == f"SigningKey({KEY.public.text})"
    with pytest.raises(TypeError):
        pickle.dumps(KEY)
