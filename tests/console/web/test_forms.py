"""Forms and queries as browsers send them, and as programs that mean harm do."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec import Meta, Struct

from coatcheck.console.web import forms
from coatcheck.console.web.forms import (
    MAX_FIELDS,
    BadField,
    Unreadable,
    read_body,
    read_form,
    read_query,
    split,
    without_secrets,
)
from coatcheck.model.secret import Secret


class Colour(StrEnum):
    RED = "red"


class Everything(Struct):
    label: str
    token: Secret = Secret("")
    days: Annotated[int, Meta(ge=1)] | None = None
    ends: datetime | None = None
    colour: Colour | None = None
    sure: bool = False
    tools: list[str] = []


def test_a_form_becomes_what_its_page_asks_for() -> None:
    sent = "label=a+b&token=x&days=3&ends=2026-01-02T03%3A04%3A05Z&colour=red&sure=yes&tools=a&tools=b"
    form = read_form(Everything, split(sent))
    assert (form.label, form.token.reveal(), form.days, form.colour, form.sure) == (
        "a b",
        "x",
        3,
        Colour.RED,
        True,
    )
    assert form.ends == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert form.tools == ["a", "b"]


async def test_a_form_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "BODY_SECONDS", 0.05)

    async def trickle() -> Any:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"a", "more_body": True}

    with pytest.raises(Unreadable) as caught:
        await read_body(trickle, forms.FORM, 1_000)
    assert caught.value.status == 408


def test_what_is_left_empty_is_not_said_but_where_it_is_a_text() -> None:
    form = read_form(Everything, split("label=&days=&ends=&colour=&sure="))
    assert form == Everything("")


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ("days=3", "label"),
        ("label=a&days=x", "days"),
        ("label=a&days=0", "days"),
        ("label=a&ends=yesterday", "ends"),
        ("label=a&colour=blue", "colour"),
        ("label=a&label=b", "label"),
        ("label=a&other=b", "other"),
    ],
)
def test_a_bad_field_is_named(sent: str, field: str) -> None:
    assert read_form(Everything, split("label=a&days=3")).days == 3
    with pytest.raises(BadField) as caught:
        read_form(Everything, split(sent))
    assert caught.value.field == field
    assert caught.value.message.endswith(".")


class Bounded(Struct):
    """Has each kind of bound and of value that a page asks for."""

    count: Annotated[int, Meta(ge=1, le=5)] = 1
    share: float = 0.5
    why: Annotated[str, Meta(min_length=1, max_length=3)] = "a"
    code: Annotated[str, Meta(min_length=4)] = "abcd"
    names: Annotated[list[str], Meta(max_length=2)] = []
    day: date | None = None
    ends: datetime | None = None
    colour: Colour = Colour.RED
    odd: Annotated[str, Meta(pattern="^a")] = "a"


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ("count=x", "This must be a whole number."),
        ("count=0", "This must be 1 or more."),
        ("count=6", "This must be 5 or less."),
        ("count=" + "9" * 5_000, "This number is too large."),
        ("share=x", "This must be a number."),
        ("why=", "This is needed."),
        ("why=abcd", "This must have 3 characters or less."),
        ("code=a", "This must have 4 characters or more."),
        ("names=a&names=b&names=c", "Choose 2 or less."),
        ("day=soon", "This must be a day, such as 2026-03-31."),
        ("ends=soon", "This must be a time, such as 2026-03-31T09:30:00Z."),
        ("ends=1e300", "This must be a time, such as 2026-03-31T09:30:00Z."),
        ("colour=blue", "This is none of the choices."),
        ("odd=b", "This cannot be read."),
    ],
)
def test_people_are_told_in_words_of_theirs(sent: str, words: str) -> None:
    assert read_form(Bounded, split("count=5&day=2026-03-31&ends=2026-03-31T09:30:00Z")).count == 5
    with pytest.raises(BadField) as caught:
        read_form(Bounded, split(sent))
    assert (caught.value.message, caught.value.field) == (words, sent.partition("=")[0])


def test_a_query_says_nothing_by_what_nobody_knows() -> None:
    assert read_query(Everything, split("label=a&utm_source=b&days=")) == Everything("a")
    assert read_query(Everything, split("label=a&label=b")).label == "b"


def test_what_may_be_shown_again_holds_no_secret_but_those_of_which_a_part_is_shown() -> None:
    fields = split("label=a&token=x&days=3")
    assert set(without_secrets(Everything, fields, frozenset())) == {"label", "days"}
    assert set(without_secrets(Everything, fields, frozenset({"token"}))) == {"label", "token", "days"}


def test_lines_are_ended_as_everywhere() -> None:
    assert split("a=1%0D%0A2") == {"a": ("1\n2",)}


@pytest.mark.parametrize("sent", ["a=%FF", "%C3=1"])
def test_what_is_no_utf_8_is_refused(sent: str) -> None:
    assert split("a=%C3%BC") == {"a": ("ü",)}
    with pytest.raises(Unreadable) as caught:
        split(sent)
    assert caught.value.status == 400


def test_fields_are_bounded() -> None:
    assert len(split("&".join(f"a{n}=1" for n in range(MAX_FIELDS)))) == MAX_FIELDS
    with pytest.raises(Unreadable) as caught:
        split("&".join(f"a{n}=1" for n in range(MAX_FIELDS + 1)))
    assert caught.value.status == 413


@given(some.text(max_size=200))
def test_no_text_does_anything_but_be_read_or_refused(text: str) -> None:
    with contextlib.suppress(Unreadable, BadField):
        read_form(Everything, split(text))


def _receiving(*messages: dict[str, Any]) -> Any:
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    return receive


async def test_a_body_comes_in_parts() -> None:
    parts = _receiving(
        {"type": "http.request", "body": b"label=a", "more_body": True},
        {"type": "http.request", "body": b"b"},
    )
    assert await read_body(parts, "application/x-www-form-urlencoded; charset=utf-8", 8) == {"label": ("ab",)}


@pytest.mark.parametrize(
    ("media", "messages", "status"),
    [
        ("application/json", [{"type": "http.request", "body": b"{}"}], 415),
        ("multipart/form-data; boundary=x", [{"type": "http.request", "body": b"--x--"}], 415),
        ("", [{"type": "http.request", "body": b"a=b"}], 415),
        ("application/x-www-form-urlencoded", [{"type": "http.request", "body": b"label=abc"}], 413),
        (
            "application/x-www-form-urlencoded",
            [{"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.disconnect"}],
            400,
        ),
    ],
)
async def test_a_body_that_is_no_form_of_ours_is_refused(
    media: str, messages: list[dict[str, Any]], status: int
) -> None:
    with pytest.raises(Unreadable) as caught:
        await read_body(_receiving(*messages), media, 8)
    assert caught.value.status == status
