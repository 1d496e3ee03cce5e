"""A secret shows itself nowhere but in `reveal`."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, StdioReach

CANARY = "canary-0b5e"
SECRET = Secret(CANARY)
HOLDER = HttpReach(SECRET, "https://host/", {"authorization": SECRET})


def test_reveal_returns_the_material() -> None:
    assert SECRET.reveal() == CANARY


@pytest.mark.parametrize(
    "shown",
    [
        repr(SECRET), str(SECRET), f"{SECRET}", f"{SECRET!s:>40}", f"{SECRET:>40}", "%s %r" % (SECRET, SECRET), "{0}".format(SECRET), repr([SECRET]), repr({"a": SECRET}), repr(HOLDER),  # noqa: UP030, UP031, UP032
        repr(StdioReach("x", (SECRET,), {"A": SECRET})), ascii(SECRET), str(dataclasses.fields(HOLDER)),
    ],
)  # fmt: skip
def test_no_form_of_text_shows_it(shown: str) -> None:
    assert CANARY not in shown


@pytest.mark.parametrize(
    "copied",
    [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        dataclasses.asdict,
        json.dumps,
        vars,
        hash,
        bytes,
        iter,
        len,
        int,
    ],
)
def test_it_cannot_be_copied_out_hashed_or_taken_apart(copied: Any) -> None:
    value = HOLDER if copied is dataclasses.asdict else SECRET
    with pytest.raises(TypeError) as refusal:
        copied(value)
    assert CANARY not in str(refusal.value)


def test_no_log_line_and_no_traceback_shows_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").error("%s %r %s", SECRET, HOLDER, {"a": SECRET})
        try:
            raise ValueError(SECRET)
        except ValueError as error:
            logging.getLogger("test").exception("failed")
            shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "Secret(***)" in caplog.text
    assert CANARY not in caplog.text + shown.replace(f'CANARY = "{CANARY}"', "").replace(
        f"CANARY = '{CANARY}'", ""
    )


@given(st.text(), st.text())
def test_two_are_equal_exactly_if_their_material_is(one: str, other: str) -> None:
    assert (Secret(one) == Secret(other)) is (one == other)
    assert Secret(one) == Secret(one)
    assert Secret(one) != one


def test_it_has_no_room_for_more_and_no_children() -> None:
    with pytest.raises(AttributeError):
        SECRET.more = 1  # type: ignore[attr-defined]  # that is the point
    assert not hasattr(SECRET, "__dict__")
