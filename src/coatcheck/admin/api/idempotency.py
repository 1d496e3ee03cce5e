"""Answers kept for a while by the `Idempotency-Key` of a write, so that a repeated request changes nothing.

They are in memory only, since they may hold a token that is shown once; after a restart a key is new.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from coatcheck.admin.api.problems import Problem, problem
from coatcheck.ports import Clock

KEPT_SECONDS: Final = 600.0
MOST_KEYS: Final = 1_000
MOST_BYTES: Final = 32 * 1024 * 1024
KEY_PATTERN: Final = "^[!-~]{1,200}$"
_KEY: Final = re.compile(r"[!-~]{1,200}\Z")

Name = tuple[str, str, str]
"""Who asks (name, and what tells its token) and with which key."""


@dataclass(slots=True)
class _Kept:
    print: bytes
    since: float
    answer: asyncio.Future[Response]
    size: int = 0


class Answers:
    """The answers of the last minutes; the oldest go first where there are too many."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[Name, _Kept] = OrderedDict()
        self._bytes = 0

    async def once(
        self, name: Name, asked: tuple[str, str, bytes], make: Callable[[], Awaitable[Response]]
    ) -> Response:
        """Return the answer that this key got before, or make and keep it. A failure is not kept.

        `asked` is method, path with query, and body; the same key with anything else is refused.

        Raises:
            Problem: the key was used for another request. Whatever `make` raises, for all that wait.
        """
        self._forget()
        mark = _print(asked)
        known = self._kept.get(name)
        if known is not None:
            if known.print != mark:
                raise _reused()
            return await asyncio.shield(known.answer)
        kept = _Kept(mark, self._clock.monotonic(), asyncio.get_running_loop().create_future())
        self._kept[name] = kept
        try:
            answer = await make()
        except BaseException as error:
            self._drop(name)
            _fail(kept.answer, error)
            raise
        if answer.status_code >= 300:
            self._drop(name)
        else:
            kept.size = len(answer.body)
            self._bytes += kept.size
        kept.answer.set_result(answer)
        return answer

    def _forget(self) -> None:
        """Let go of what is too old or too much; what is still being made stays."""
        now = self._clock.monotonic()
        for name, kept in list(self._kept.items()):
            crowded = len(self._kept) >= MOST_KEYS or self._bytes > MOST_BYTES
            if kept.since + KEPT_SECONDS > now and not crowded:
                return
            if kept.answer.done():
                self._drop(name)

    def _drop(self, name: Name) -> None:
        self._bytes -= self._kept.pop(name).size


def read_key(values: tuple[str, ...]) -> str | None:
    """Return the key of a request, None if it has none.

    Raises:
        Problem: it has two, or one that cannot be.
    """
    if not values:
        return None
    if len(values) > 1 or not _KEY.match(values[0]):
        raise problem("bad_key", "Idempotency-Key must be one value of 1 to 200 visible ASCII characters.")
    return values[0]


def _print(asked: tuple[str, str, bytes]) -> bytes:
    method, path, body = asked
    return hashlib.sha256(b"\0".join((method.encode(), path.encode("utf-8", "replace"), body))).digest()


def _fail(answer: asyncio.Future[Response], error: BaseException) -> None:
    if isinstance(error, asyncio.CancelledError):
        answer.cancel()
        return
    answer.set_exception(error)
    answer.exception()  # seen, even if nobody waits


def _reused() -> Problem:
    fix = "Use a new key for every request that is not the same one again."
    return problem("key_reused", "This Idempotency-Key was used for another request.", fix)
