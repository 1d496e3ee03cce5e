"""Reading the body of a request: of the one media type, within its size and time."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from enum import Enum
from functools import lru_cache
from typing import Final

from coatcheck.core.wire import messages
from coatcheck.core.wire.framing import Headers
from coatcheck.mcp.outlets import Receive, Whole
from coatcheck.mcp.refusing import Reject, client_gone, counted, misframed, problem, rpc
from coatcheck.model.call import Fault

_STREAM: Final = "text/event-stream"
BODY_SECONDS: Final = 30.0
DRAIN_SECONDS: Final = 5.0
DRAIN_FACTOR: Final = 4
"""A body of up to so many times the limit is read and thrown away before it is refused: a client that is
still sending when the connection closes sees a reset instead of the answer (RFC 9112 section 9.6)."""
_CHARSET: Final = re.compile(r'\s*charset\s*=\s*"?utf-8"?\s*\Z', re.IGNORECASE)


class Streams(Enum):
    """What a client makes of event streams: none taken, taken, or taken rather than plain JSON."""

    REFUSED = 0
    TAKEN = 1
    PREFERRED = 2


def check_media(headers: Headers) -> Streams:
    """Refuse bodies that are not plain JSON and clients that take none; return what streams are to them.

    Accept lists both (MCP, streamable HTTP), and what stands first in it is what is rather wanted.

    Raises:
        Reject: 415 or 406.
    """
    check_body_media(headers)
    accepted = accepted_types(headers.get("accept"))
    if not accepted & {"application/json", "application/*", "*/*"}:
        raise problem(406, "not_acceptable", "Answers are `application/json`: say so in Accept.")
    if _STREAM not in accepted:
        return Streams.REFUSED
    return Streams.PREFERRED if _names_stream_first(headers["accept"]) else Streams.TAKEN


def check_accepts_streams(headers: Headers) -> None:
    """Refuse clients that ask for a stream and take none.

    Raises:
        Reject: 406.
    """
    if not accepted_types(headers.get("accept")) & {"text/event-stream", "text/*", "*/*"}:
        raise counted(problem(406, "not_acceptable", "This is a `text/event-stream`: say so in Accept."))


def check_body_media(headers: Headers) -> None:
    """Refuse bodies that are not plain JSON.

    Raises:
        Reject: 415.
    """
    if not _is_json(headers.get("content-type", ("",))[0]):
        raise problem(415, "unsupported_media_type", "The body must be `application/json` in UTF-8.")
    if "content-encoding" in headers:
        raise problem(415, "unsupported_media_type", "Compressed bodies are not accepted.")


@lru_cache(maxsize=64)
def _is_json(content_type: str) -> bool:
    media, *parameters = content_type.split(";")
    return media.strip().lower() == "application/json" and all(_CHARSET.match(one) for one in parameters)


@lru_cache(maxsize=64)
def accepted_types(values: tuple[str, ...] | None) -> frozenset[str]:
    """Return the media ranges of Accept, without parameters; everything where the header is absent."""
    if values is None:
        return frozenset({"*/*"})
    return frozenset(part.partition(";")[0].strip().lower() for value in values for part in value.split(","))


@lru_cache(maxsize=64)
def _names_stream_first(values: tuple[str, ...]) -> bool:
    return values[0].lstrip().lower().startswith(_STREAM)


async def read_one(receive: Receive, headers: Headers, limit: int) -> messages.Message:
    """Return the message that is the body.

    Raises:
        Reject: as for `read_body`; 400 for a body that is no acceptable message.
    """
    body = await read_body(receive, headers, limit)
    try:
        return messages.read_message(body)
    except messages.Unreadable as error:
        raise rpc(400, Fault(error.number, error.message), error.id) from None


async def read_body(receive: Receive, headers: Headers, limit: int) -> bytes:
    """Return the whole body.

    Raises:
        Reject: 413 over `limit` bytes, 408 if it does not come in time, 400 if the client went away.
    """
    whole = receive.whole() if isinstance(receive, Whole) else None
    if whole is not None:  # nothing to wait for, so nothing to time
        if len(whole) > limit:
            raise _too_large(limit)
        return whole
    if _is_announced(headers, beyond=limit):
        if "expect" not in headers and not _is_announced(headers, beyond=DRAIN_FACTOR * limit):
            await _drain(receive, DRAIN_FACTOR * limit)
        raise _too_large(limit)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read_all(receive, limit)
    except TimeoutError:
        raise misframed(408, f"The body did not come within {BODY_SECONDS:g} s.") from None


def _is_announced(headers: Headers, *, beyond: int) -> bool:
    """Tell whether Content-Length, which is digits, says more than so many bytes."""
    length = headers.get("content-length", ("0",))[0]
    return len(length) > 18 or int(length) > beyond


def _too_large(limit: int) -> Reject:
    return misframed(413, f"The body is larger than {limit} bytes.")


async def _drain(receive: Receive, most: int) -> None:
    """Throw away what a client still sends: so many bytes, for a short while."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while most > 0:
                message = await receive()
                most -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return


async def _read_all(receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise client_gone()
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            if message.get("more_body"):
                await _drain(receive, DRAIN_FACTOR * limit - size)
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)
