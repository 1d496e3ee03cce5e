"""Reading what a request brings: query, body and conditions, strictly, with the field named that is wrong."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec

from coatcheck.admin.api.problems import Problem, Wrong, problem
from coatcheck.admin.api.routes import AnyRoute
from coatcheck.core.wire import strict
from coatcheck.core.wire.framing import Headers
from coatcheck.errors import AmbiguousJson, BadJson
from coatcheck.model.secret import Secret

BODY_SECONDS: Final = 30.0
DRAIN_FACTOR: Final = 4
"""A body of up to so many times the limit is read and thrown away before it is refused: a client that is
still sending when the connection closes sees a reset instead of the answer (RFC 9112 section 9.6)."""
MAX_PARAMETERS: Final = 50
SHAPES: Final = "The OpenAPI document at /api/v1/openapi.json has every shape."

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Shape = TypeVar("Shape", bound=msgspec.Struct)

_JSON: Final = re.compile(r'\s*application/json\s*(?:;\s*charset\s*=\s*"?utf-8"?\s*)?\Z', re.IGNORECASE)
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,999})\Z")
_LARGEST: Final = 10**18
"""Numbers of a query beyond it are taken as it: no parameter goes that far."""
_TRUTH: Final = {"true": True, "false": False}
_PLACE: Final = re.compile(r" - at `(?:key in )?\$\.?(.*)`\Z")
_NUMBER: Final = re.compile(r"Expected `int(?: \| null)?`(?: (>=|<=) (-?\d+))?(?:, got `str`)?")
_BOUNDS: Final = {">=": " of at least ", "<=": " of at most "}
_NO_TIME: Final = "It is no time within the years 1 to 9999, in UTC."
_NAMED: Final = re.compile(r"Object (?:contains unknown|missing required) field `(.*)`\Z")
_TAG: Final = re.compile(r'"(0|[1-9][0-9]{0,17})"\Z')


# --- query -----------------------------------------------------------------------------------------------


def read_query(shape: type[Shape], raw: bytes) -> Shape:
    """Return the parameters.

    Raises:
        Problem: 400 for one that is unknown, repeated or unfit.
    """
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
        )
    except (ValueError, UnicodeError):
        raise problem("bad_filter", "The query is not well-formed.") from None
    given = dict(pairs)
    if len(given) != len(pairs):
        raise problem("bad_filter", "A parameter appears more than once.")
    kinds = _kinds(shape)
    try:
        found: Shape = msgspec.convert(
            {name: _plain(kinds.get(name, str), text) for name, text in given.items()}, shape
        )
    except msgspec.ValidationError as error:
        raise Problem("bad_filter", _wrong(error)) from None
    if field := _beyond_time(found):
        raise problem("bad_filter", f"{field}: {_NO_TIME}", SHAPES, field)
    return found


def _plain(kind: type, text: str) -> str | int | bool:
    """Return the value that a parameter stands for; what does not fit stays text, and is refused as such."""
    if kind is bool:
        return _TRUTH.get(text, text)
    return _clipped(int(text)) if kind is int and _INTEGER.match(text) else text


def _clipped(number: int) -> int:
    return max(-_LARGEST, min(number, _LARGEST))


@lru_cache(maxsize=64)
def _kinds(shape: type[msgspec.Struct]) -> dict[str, type]:
    known: dict[Any, type] = {msgspec.inspect.BoolType: bool, msgspec.inspect.IntType: int}
    found: dict[str, type] = {}
    for field in msgspec.structs.fields(shape):
        parts: Any = msgspec.inspect.type_info(field.type)
        for part in getattr(parts, "types", (parts,)):
            bare: Any = part.type if isinstance(part, msgspec.inspect.Metadata) else part
            kind = known.get(type(bare))
            if kind is not None:
                found[field.encode_name] = kind
    return found


# --- path ------------------------------------------------------------------------------------------------


def read_name(word: str) -> str:
    """Return the name that a word of the path stands for.

    `~` and base64url without padding (RFC 4648 section 5) stand for the name in UTF-8: a path cannot hold a
    slash, a percent sign or a lone dot in a name without being read in two ways.

    Raises:
        Problem: 404 for what begins with `~` and is not that.
    """
    if not word.startswith("~"):
        return word
    coded = word[1:]
    try:
        raw = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
        name = raw.decode("utf-8")
    except ValueError:
        name = ""
    if not name or "=" in coded:
        raise problem("not_found", "A name that begins with ~ must be base64url of the name in UTF-8.")
    return name


# --- body ------------------------------------------------------------------------------------------------


async def read_body(receive: Receive, headers: Headers, route: AnyRoute) -> bytes:
    """Return the whole body.

    Raises:
        Problem: 413 over the route's limit, 415 for what is no plain JSON, 408 if it does not come in time.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                part = await receive()
                body += part.get("body", b"")
                if len(body) > DRAIN_FACTOR * route.limit:
                    break
                if part["type"] == "http.disconnect" or not part.get("more_body"):
                    break
    except TimeoutError:
        raise _closing("slow_body", f"The body did not come within {BODY_SECONDS:g} s.") from None
    if len(body) > route.limit:
        raise _closing("too_large", f"The body is larger than {route.limit} bytes.")
    if body or route.needs_body:
        _check_media(headers)
    return bytes(body)


def _check_media(headers: Headers) -> None:
    if not _JSON.match(headers.get("content-type", ("",))[0]):
        raise problem("unsupported_media_type", "The body must be `application/json` in UTF-8.")
    if "content-encoding" in headers:
        raise problem("unsupported_media_type", "Compressed bodies are not accepted.")


def _closing(code: str, detail: str) -> Problem:
    return Problem(code, Wrong(detail), headers={"Connection": "close"})


def read_shape(shape: type[Shape], body: bytes) -> Shape:
    """Return what a body says; an empty one is an empty object.

    Raises:
        Problem: 400 for what is no unambiguous JSON, 422 for what has the wrong shape.
    """
    body = body or b"{}"
    try:
        strict.read(body)
        found = msgspec.json.decode(body, type=shape, dec_hook=_decode)
    except (BadJson, AmbiguousJson) as error:
        raise problem(error.code, _sentence(error.message), "Send one JSON object.") from None
    except msgspec.ValidationError as error:
        raise Problem("unfit", _wrong(error)) from None
    except (msgspec.DecodeError, RecursionError):
        raise problem("bad_json", "The body is not JSON.", "Send one JSON object.") from None
    if field := _beyond_time(found):
        raise problem("unfit", f"{field}: {_NO_TIME}", SHAPES, field)
    return found


def _beyond_time(found: msgspec.Struct, place: str = "") -> str:
    """Return the field of a time that is not within the years 1 to 9999 in UTC; empty if each is."""
    for name in found.__struct_fields__:
        value = getattr(found, name)
        for number, one in enumerate(value if isinstance(value, list) else [value]):
            at = f"{place}{name}[{number}]" if isinstance(value, list) else f"{place}{name}"
            if isinstance(one, msgspec.Struct) and (field := _beyond_time(one, f"{at}.")):
                return field
            if isinstance(one, datetime) and not _is_in_time(one):
                return at
    return ""


def _is_in_time(moment: datetime) -> bool:
    try:
        moment.astimezone(UTC)
    except OverflowError:
        return False
    return True


def _decode(kind: type, value: Any) -> Any:
    """Make the types of ours that bodies have: `Secret`."""
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise ValueError("Expected `str`")


def _wrong(error: msgspec.ValidationError) -> Wrong:
    """Tell what is wrong without what was sent: it may be a secret in the wrong place."""
    words = str(error)
    place = _PLACE.search(words)
    said = words[: place.start()] if place else words
    named = _NAMED.match(said)
    parts = [part[:100] for part in (place[1] if place else "", named[1] if named else "") if part]
    field = ".".join(parts) or None
    if said.startswith("Invalid enum value"):
        said = "It is none of the values that are known"
    if found := _NUMBER.fullmatch(said):
        said = f"It is to be a whole number{_BOUNDS.get(found[1] or '', '')}{found[2] or ''}"
    where = f"{field}: " if field and not named else ""
    return Wrong(f"{where}{said[:200]}.", SHAPES, field)


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


# --- conditions --------------------------------------------------------------------------------------------


def read_match(headers: Headers, *, required: bool) -> int | None:
    """Return the version that If-Match names (RFC 9110 section 13.1.1), None without the header.

    Raises:
        Problem: 428 where it must be there and is not, 400 for a list or `*`, 412 for a tag never given.
    """
    values = headers.get("if-match", ())
    fix = 'Send the ETag of what you read, as in `If-Match: "3"`.'
    if not values:
        if required:
            raise problem("unconditional", "An edit must say which version it is an edit of.", fix)
        return None
    text = values[0].strip(" \t")
    if len(values) > 1 or "," in text or text == "*":
        raise problem("bad_precondition", "If-Match must name one version.", fix, "If-Match")
    tag = _TAG.match(text)
    if tag is None:
        raise problem("stale", "There never was a version of this ETag.", fix, "If-Match")
    return int(tag[1])
