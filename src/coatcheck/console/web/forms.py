"""What browsers send: fields of forms and of queries, read into the types that pages ask for.

Forms come as `application/x-www-form-urlencoded` (WHATWG URL section 5), which is all that our pages send.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec

from coatcheck.errors import Unfit
from coatcheck.model.secret import Secret

Struct = TypeVar("Struct", bound=msgspec.Struct)
Fields = Mapping[str, tuple[str, ...]]

MAX_FIELDS: Final = 5_000
BODY_SECONDS: Final = 30.0
"""How long a form may take to come."""
CSRF: Final = "csrf"
ONCE: Final = "once"
"""What a form is known by that must not be sent twice, made with its page."""
FORM: Final = "application/x-www-form-urlencoded"
_WORDS: Final = tuple(
    (re.compile(said), ours)
    for said, ours in (
        (r"Invalid enum value", "This is none of the choices."),
        (r"Expected `(?:int|float)[^`]*` >= (\S+)", "This must be {} or more."),
        (r"Expected `(?:int|float)[^`]*` <= (\S+)", "This must be {} or less."),
        (r"Expected `str` of length >= 1$", "This is needed."),
        (r"Expected `str` of length >= (\d+)", "This must have {} characters or more."),
        (r"Expected `str` of length <= (\d+)", "This must have {} characters or less."),
        (r"Expected `array` of length >= 1$", "Choose at least one."),
        (r"Expected `array` of length <= (\d+)", "Choose {} or less."),
        (r"(?:Number|Integer value) out of range", "This number is too large."),
        (r"Expected `int", "This must be a whole number."),
        (r"Expected `float", "This must be a number."),
        (r"(?:Invalid RFC3339 encoded date$|Expected `date\b)", "This must be a day, such as 2026-03-31."),
        (
            r"(?:Invalid RFC3339|Invalid epoch|Timestamp|Expected `datetime)",
            "This must be a time, such as 2026-03-31T09:30:00Z.",
        ),
    )
)
_NO_FIELDS: Final[Fields] = MappingProxyType({})
NOTHING: Final = Secret("")
"""A secret that nobody typed."""


class BecauseForm(msgspec.Struct):
    """Why."""

    because: str = ""


class RunQuery(msgspec.Struct):
    """`run` is something that takes a while, and is looked at."""

    run: str = ""


class Unreadable(Exception):
    """A body that is no form of ours: `status` and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class BadField(Unfit):
    """A field that is missing, or not what it must be; `field` is its name."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message, field=field)


def split(text: str) -> Fields:
    """Return the fields of a query or a form by name, each with its values in order.

    Raises:
        Unreadable: more than `MAX_FIELDS`, or what is no UTF-8.
    """
    if not text:
        return _NO_FIELDS
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except UnicodeDecodeError:
        raise Unreadable(400, "A field is no UTF-8.") from None
    except ValueError:
        raise Unreadable(413, f"There are more than {MAX_FIELDS} fields.") from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        # Browsers send what was typed on several lines so.
        fields.setdefault(name, []).append(value.replace("\r\n", "\n"))
    return {name: tuple(values) for name, values in fields.items()}


async def read_body(receive: Callable[[], Awaitable[Any]], content_type: str, limit: int) -> Fields:
    """Return the fields of a body.

    Raises:
        Unreadable: another media type, too long, cut short, or too slow.
    """
    if content_type.partition(";")[0].strip().lower() != FORM:
        raise Unreadable(415, "Forms come as application/x-www-form-urlencoded.")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _whole(receive, limit)
    except TimeoutError:
        raise Unreadable(408, f"The form did not come within {BODY_SECONDS:g} s.") from None
    return split(body.decode("latin-1"))


async def _whole(receive: Callable[[], Awaitable[Any]], limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Unreadable(400, "The form was cut short.")
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise Unreadable(413, f"The form has more than {limit} bytes.")
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def read_query(shape: type[Struct], fields: Fields) -> Struct:
    """Return what a query asks for; an empty field is one that was left out, an unknown one says nothing.

    Raises:
        BadField: a value that cannot be.
    """
    kept = {name: values for name, values in fields.items() if any(values)}
    return _convert(shape, kept, known_only=True)


def read_form(shape: type[Struct], fields: Fields) -> Struct:
    """Return what a form says.

    Raises:
        BadField: a field that is missing, unknown, given twice, or not what it must be.
    """
    return _convert(shape, fields, known_only=False)


def without_secrets(shape: type[msgspec.Struct], fields: Fields, but: frozenset[str]) -> Fields:
    """Return the fields of a form that may be shown again: those that hold no secret, and those named."""
    secret = {one.name for one in msgspec.structs.fields(shape) if _holds_secret(one.type)} - but
    return {name: values for name, values in fields.items() if name not in secret}


def _holds_secret(hint: Any) -> bool:
    return hint is Secret or any(_holds_secret(part) for part in get_args(hint))


def _convert(shape: type[Struct], fields: Fields, *, known_only: bool) -> Struct:
    found: dict[str, Any] = {}
    kinds = _kinds_of(shape)
    for name, values in fields.items():
        kind = kinds.get(name)
        if kind is None:
            if known_only:
                continue
            raise BadField(name, f"This form has no field {name!r}.")
        if kind is list:
            found[name] = list(values)
        elif len(values) > 1 and not known_only:
            raise BadField(name, f"The field {name!r} is given twice.")
        else:
            _put(found, name, kind, values[-1])
    try:
        return msgspec.convert(found, shape, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise _bad(error) from None


def _put(found: dict[str, Any], name: str, kind: type, value: str) -> None:
    """Add one field; nothing typed is nothing said, but where it is a text."""
    if kind is bool:
        found[name] = value not in {"", "0", "false", "off"}
    elif kind is str or value:
        found[name] = value


def _bad(error: msgspec.ValidationError) -> BadField:
    message, _, place = str(error).partition(" - at `$.")
    name = place.rstrip("`").partition("[")[0]
    if not name and "missing required field" in message:
        name = message.rpartition("field ")[2].strip("`")
        return BadField(name, "This is needed.")
    return BadField(name, _in_our_words(message))


def _in_our_words(message: str) -> str:
    """Return what people can do something with, for what msgspec says of a value."""
    for said, ours in _WORDS:
        if found := said.match(message):
            return ours.format(*found.groups())
    return "This cannot be read."


@lru_cache(maxsize=512)
def _kinds_of(shape: type[msgspec.Struct]) -> Mapping[str, type]:
    """Return of each field whether it is a text, a list, a yes or no, or something else."""
    hints = {one.name: one.type for one in msgspec.structs.fields(shape)}
    return {name: _kind_of(hint) for name, hint in hints.items()}


def _kind_of(hint: Any) -> type:
    origin = get_origin(hint)
    if origin is not None and hasattr(hint, "__metadata__"):
        return _kind_of(get_args(hint)[0])
    if hint is bool or hint is str:
        return hint
    return list if origin in {list, tuple} else object


def _decode(kind: type, value: Any) -> Any:
    """Return a value of one of our own types."""
    if kind is Secret:
        return Secret(str(value))
    raise NotImplementedError(kind.__name__)
