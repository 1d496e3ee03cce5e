"""Takes the lines of one client and gives each message to its era; answers come in whatever order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from coatcheck.bridge import answers
from coatcheck.bridge.legacy import Legacy
from coatcheck.bridge.limits import Limits
from coatcheck.bridge.modern import LISTEN, Modern
from coatcheck.bridge.pipes import Write
from coatcheck.bridge.trouble import Trouble, fault_of
from coatcheck.core.wire import messages
from coatcheck.core.wire.eras import META_VERSION
from coatcheck.model.call import Call, Fault
from coatcheck.model.era import MODERN_VERSIONS

_CANCELLED = "notifications/cancelled"


@dataclass(frozen=True, slots=True)
class _Pending:
    """A request under way."""

    call: Call
    era: Modern | Legacy
    task: asyncio.Task[None]


class Talk:
    """The conversation with one client."""

    def __init__(
        self, modern: Modern, legacy: Legacy, write: Write, limits: Limits, say: Callable[[str], None]
    ) -> None:
        self._modern = modern
        self._legacy = legacy
        self._write = write
        self._limits = limits
        self._say = say
        self._is_legacy = False
        self._version = MODERN_VERSIONS[0]
        self._tasks: set[asyncio.Task[None]] = set()
        self._pending: dict[bytes, _Pending] = {}

    async def receive(self, line: bytes) -> None:
        """Take one line of the client, with or without its line end."""
        line = line.rstrip(b"\r\n")
        if not line.strip():
            return
        try:
            message = self._read(line)
        except messages.Unreadable as error:
            await self._refuse(error.id, error.number, error.message)
            return
        if isinstance(message, Call):
            await self._start(message, line)
        elif isinstance(message, messages.CallerReply):
            self._legacy.reply(message.id, line)
        elif message.method == _CANCELLED:
            self._cancel(message.params.get("requestId", b""), line)
        elif self._is_legacy:
            self._legacy.tell(message.method, line)
        else:
            self._tell(message.method, line)

    async def drain(self) -> None:
        """Wait for the answers under way, listening aside; return after `drain` seconds at the latest."""
        for pending in self._pending.values():
            if pending.call.method == LISTEN:
                pending.task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._limits.drain)

    async def close(self) -> None:
        """Give up what is under way, and end the session if there is one."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._legacy.close()

    # --- messages ---

    def _read(self, line: bytes) -> messages.Message:
        if len(line) > self._limits.body:
            raise messages.Unreadable(
                messages.INVALID_REQUEST,
                f"The message is longer than {self._limits.body} bytes; --body-limit allows more.",
            )
        return messages.read_message(line)

    async def _start(self, call: Call, line: bytes) -> None:
        key = answers.id_key(call.id)
        if key in self._pending:
            await self._refuse(call.id, messages.INVALID_REQUEST, "A request of this id is under way.")
            return
        if len(self._pending) >= self._limits.requests or self._is_full():
            await self._refuse(call.id, messages.INTERNAL_ERROR, "Too many requests at once.")
            return
        era = self._era_of(call)
        task = self._run(self._answer(era, call, line))
        self._pending[key] = _Pending(call, era, task)
        task.add_done_callback(lambda task: self._forget(call, task))

    def _is_full(self) -> bool:
        """Tell whether too much is under way, counting answers that the client has yet to read."""
        return len(self._tasks) >= 2 * self._limits.requests

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _era_of(self, call: Call) -> Modern | Legacy:
        if call.method == "initialize":
            self._is_legacy = True
            self._legacy.expect_handshake()
            return self._legacy
        if META_VERSION not in call.meta:
            return self._legacy
        self._version = messages.text_of(call.meta[META_VERSION]) or self._version
        return self._modern

    def _forget(self, call: Call, task: asyncio.Task[None] | None) -> None:
        key = answers.id_key(call.id)
        if key in self._pending and self._pending[key].task is task:
            del self._pending[key]

    async def _answer(self, era: Modern | Legacy, call: Call, line: bytes) -> None:
        answer = await self._ask(era, call, line)
        self._forget(call, asyncio.current_task())  # once it is written, the client may use the id again
        await self._write(answer)

    async def _ask(self, era: Modern | Legacy, call: Call, line: bytes) -> bytes:
        try:
            return await era.ask(call, line)
        except Trouble as trouble:
            return messages.response(call.id, fault_of(trouble))
        except Exception as error:  # noqa: BLE001  # one request's defect must not end the others
            self._say(f"coatcheck: unforeseen {type(error).__name__} while bridging {call.method[:100]!r}")
            fault = Fault(messages.INTERNAL_ERROR, "coatcheck bridge: unforeseen; please report it.")
            return messages.response(call.id, fault)

    def _cancel(self, id: bytes, line: bytes) -> None:
        """Cancel a request: a modern one by closing its connection, a legacy one by saying so."""
        pending = self._pending.get(answers.id_key(id))
        if pending is None or pending.call.method == "initialize":
            return  # too late, or not to be cancelled: to be ignored either way
        if pending.era is self._legacy:
            self._legacy.tell(_CANCELLED, line)
        pending.task.cancel()
        self._forget(pending.call, pending.task)

    def _tell(self, method: str, line: bytes) -> None:
        """Post a notification of a modern client."""
        if self._is_full():
            self._say(f"coatcheck: {method[:100]} is dropped: too many messages wait for the gateway")
        else:
            self._run(self._post(method, line))

    async def _post(self, method: str, line: bytes) -> None:
        try:
            await self._modern.tell(method, self._version, line)
        except Trouble as trouble:
            self._say(f"coatcheck: {method[:100]} did not reach the gateway: {trouble.message}")

    async def _refuse(self, id: bytes | None, number: int, sentence: str) -> None:
        await self._write(messages.response(id or b"null", Fault(number, sentence)))
