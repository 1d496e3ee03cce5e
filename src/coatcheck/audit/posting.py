"""Sinks over HTTP: signed batches for a webhook, and OpenTelemetry logs."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from coatcheck.core.copies.lines import json_copy
from coatcheck.core.copies.otlp import logs_request
from coatcheck.core.copies.signing import (
    IDEMPOTENCY_HEADER,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    signature_of,
)
from coatcheck.errors import CoatcheckError, SinkFailed
from coatcheck.model.secret import Secret
from coatcheck.model.sink import Copy
from coatcheck.ports import Clock

SHORT: Final = 16 * 1024
"""Bytes of a single entry that a receiver found too large, when it is sent once more, shortened."""
_TOO_LARGE: Final = 413

Post = Callable[[bytes, Mapping[str, Secret]], Awaitable[tuple[int, bytes]]]
"""Sends a JSON document with further headers and returns status and body of the answer.

Raises `CoatcheckError` for no answer. The URL is a secret: errors do not name it."""


class WebhookSink:
    """Implements `ports.Sink`: `{"entries": [...], "first": seq, "last": seq}`, signed.

    The same batch has the same `Idempotency-Key`, and each entry its `seq`, by which a receiver tells what it
    has. A batch that is too large is sent in halves.
    """

    def __init__(self, name: str, post: Post, secret: Secret, clock: Clock) -> None:
        self._name = name
        self._post = post
        self._secret = secret
        self._clock = clock

    async def deliver(self, copies: Sequence[Copy]) -> None:
        """Post the copies; returns when the receiver answered with a status from 200 to 299."""
        status = await self._send(copies, None)
        if status == _TOO_LARGE and len(copies) > 1:
            half = len(copies) // 2
            await self.deliver(copies[:half])
            await self.deliver(copies[half:])
            return
        if status == _TOO_LARGE:
            status = await self._send(copies, SHORT)
        _judge(status)

    async def close(self) -> None:
        """Have nothing to let go of: each post has a connection of its own."""

    async def _send(self, copies: Sequence[Copy], most: int | None) -> int:
        first, last = copies[0].seq, copies[-1].seq
        entries = b",".join(json_copy(copy, most) for copy in copies)
        body = b'{"first":%d,"last":%d,"entries":[%b]}' % (first, last, entries)
        timestamp = int(self._clock.now().timestamp())
        headers = {
            TIMESTAMP_HEADER: Secret(str(timestamp)),
            SIGNATURE_HEADER: Secret(signature_of(self._secret, timestamp, body)),
            IDEMPOTENCY_HEADER: Secret(f"{self._name}-{first}-{last}"),
        }
        return (await _posted(self._post, body, headers))[0]


class OtlpSink:
    """Implements `ports.Sink` with OTLP/HTTP in JSON. `headers` are the receiver's own, such as a key."""

    def __init__(self, post: Post, headers: Mapping[str, Secret], clock: Clock, host: str) -> None:
        self._post = post
        self._headers = headers
        self._clock = clock
        self._resource = {"host.name": host} if host else {}

    async def deliver(self, copies: Sequence[Copy]) -> None:
        """Post the copies; returns when the receiver took all of them.

        Those it rejects while it takes others are not sent again (OTLP 1.9, "Partial Success").
        """
        request = logs_request(copies, self._clock.now(), self._resource)
        status, body = await _posted(self._post, request, self._headers)
        if status == _TOO_LARGE and len(copies) > 1:
            half = len(copies) // 2
            await self.deliver(copies[:half])
            await self.deliver(copies[half:])
            return
        _judge(status)
        if (rejected := _rejected(body)) >= len(copies):
            raise SinkFailed(f"the receiver rejected all of {rejected} entries")

    async def close(self) -> None:
        """Have nothing to let go of."""


async def _posted(post: Post, body: bytes, headers: Mapping[str, Secret]) -> tuple[int, bytes]:
    try:
        return await post(body, headers)
    except SinkFailed:
        raise
    except CoatcheckError as error:
        raise SinkFailed(error.message, fix=error.fix) from None


def _judge(status: int) -> None:
    if not 200 <= status < 300:
        raise SinkFailed(f"the receiver answered {status}")


def _rejected(body: bytes) -> int:
    """Return how many records the receiver says that it rejected; 0 for an answer that says nothing."""
    try:
        said = json.loads(body)
        return int(said["partialSuccess"]["rejectedLogRecords"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0
