"""Small things that the shapes of several resources share: names, reasons, times, and the form of lists."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, TypeVar

from msgspec import Meta, Struct, UnsetType

from coatcheck.operations.registry.patches import UNSAID, Unsaid

MAX_NOTE: Final = 1_000
MAX_NAMES: Final = 1_000

Name = Annotated[str, Meta(min_length=1, max_length=256)]
Label = Annotated[str, Meta(min_length=1, max_length=100)]
Note = Annotated[str, Meta(max_length=MAX_NOTE)]
Because = Annotated[str, Meta(max_length=MAX_NOTE, description="Why, for the admin log.")]
Moment = Annotated[datetime, Meta(tz=True)]
Glob = Annotated[str, Meta(min_length=1, max_length=256)]

Value = TypeVar("Value")


class Reason(Struct, forbid_unknown_fields=True):
    """Why something is ended or taken away."""

    because: Because = ""


class EndQuery(Struct, forbid_unknown_fields=True):
    """Why something is ended."""

    because: Annotated[Because, Meta(examples=["moved"])] = ""


class Empty(Struct, forbid_unknown_fields=True):
    """A body that says nothing."""


def said(value: Value | UnsetType) -> Value | Unsaid:
    """Return what a body says, or that it does not say it."""
    return UNSAID if isinstance(value, UnsetType) else value


def names_of(names: list[str] | None) -> frozenset[str] | None:
    """Return names as a set; None stays."""
    return None if names is None else frozenset(names)
