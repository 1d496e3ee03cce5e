"""Making records: one for each request before a server is asked, and its settlement after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from coatcheck.core.wire import messages
from coatcheck.core.wire.framing import Headers
from coatcheck.errors import LedgerUnavailable
from coatcheck.model.call import Caller
from coatcheck.model.grant import Principal, Voucher
from coatcheck.model.record import Outcome, Record, Settlement, Verdict
from coatcheck.ports import Clock, Entropy, Ledger

MAX_NAME_CHARS: Final = 200
MAX_REASON_CHARS: Final = 500
MAX_ARGUMENT_CHARS: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, from where and by which route: the same for every step of one request.

    `headers` are those of a modern request over HTTP, which must agree with what it asks (SEP-2243).
    """

    principal: Principal
    caller: Caller
    route: str
    address: str
    headers: Headers | None = None


@dataclass(frozen=True, slots=True)
class Matter:
    """What is asked: method, and server and target where there are any. `arguments` is raw JSON or None."""

    method: str
    server: str = ""
    name: str = ""
    arguments: bytes | None = None


class Records:
    """Writes to the ledger. Every method raises `LedgerUnavailable` if the entry cannot be made durable.

    `note_seen` hears grant id, address and client of each request that is put on record.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        entropy: Entropy,
        on_settled: Callable[[str, Outcome], None],
        note_seen: Callable[[str, str, str], None] | None = None,
    ) -> None:
        self._note_seen = note_seen
        self._ledger = ledger
        self._clock = clock
        self._entropy = entropy
        self._on_settled = on_settled
        self.log_arguments = False

    async def open(self, asked: Asked, matter: Matter, rule: str, because: str) -> Opened:
        """Make the record of an allowed request durable, before anything is sent."""
        record = self._record(asked, matter, Verdict.ALLOWED, rule, because)
        started = self._clock.monotonic()
        await self._ledger.record(record)
        return Opened(record.id, matter.method, started)

    async def settle(self, opened: Opened, outcome: Outcome, detail: str = "") -> None:
        """Make the outcome durable, before the caller hears of it."""
        seconds = self._clock.monotonic() - opened.started
        await self._ledger.settle(Settlement(opened.id, self._clock.now(), outcome, seconds, detail))
        self._on_settled(opened.method, outcome)

    async def abandon(self, opened: Opened, end: BaseException) -> None:
        """Settle what was cancelled, or broken off by a defect of ours.

        Nobody is left to be told; a ledger that fails has said so itself.
        """
        outcome = Outcome.CANCELLED if isinstance(end, asyncio.CancelledError) else Outcome.UNKNOWN
        with suppress(LedgerUnavailable):
            await asyncio.shield(self.settle(opened, outcome))

    async def close(
        self, asked: Asked, matter: Matter, verdict: Verdict, rule: str, because: str, outcome: Outcome
    ) -> None:
        """Make record and outcome durable at once, for what is answered without asking a server."""
        record = self._record(asked, matter, verdict, rule, because)
        await self._ledger.record_settled(record, Settlement(record.id, record.at, outcome, 0.0))
        self._on_settled(matter.method, outcome)

    async def refuse(self, record: Record) -> None:
        """Make the record of a caller who was not let in durable."""
        await self._ledger.record_settled(record, Settlement(record.id, record.at, Outcome.DENIED, 0.0))

    def new_id(self) -> UUID:
        """Return a random record id (RFC 9562, version 4)."""
        return UUID(bytes=self._entropy.token(16), version=4)

    def _record(self, asked: Asked, matter: Matter, verdict: Verdict, rule: str, because: str) -> Record:
        principal, caller = asked.principal, asked.caller
        if self._note_seen is not None and principal.voucher is Voucher.GRANT:
            client = f"{caller.client_name} {caller.client_version}".strip()
            self._note_seen(principal.grant_id, asked.address, client)
        return Record(
            id=self.new_id(),
            at=self._clock.now(),
            subject=principal.subject,
            grant_id=principal.grant_id,
            grant_label=principal.grant_label,
            route=asked.route,
            server=matter.server,
            method=matter.method[:MAX_NAME_CHARS],
            tool=matter.name[:MAX_NAME_CHARS],
            decision=verdict,
            rule=rule,
            reason=because[:MAX_REASON_CHARS],
            client_ip=asked.address,
            client_name=caller.client_name[:MAX_NAME_CHARS],
            client_version=caller.client_version[:MAX_NAME_CHARS],
            arguments=self._arguments(matter.arguments),
        )

    def _arguments(self, raw: bytes | None) -> str:
        members = messages.members_of(raw) if raw is not None else None
        if raw is None or members is None:
            return ""
        if self.log_arguments and len(raw) <= MAX_ARGUMENT_CHARS:
            return raw.decode("utf-8")
        return _outline(members)


@dataclass(frozen=True, slots=True)
class Opened:
    """A request on record whose outcome is still owed."""

    id: UUID
    method: str
    started: float


def _outline(members: Mapping[str, bytes]) -> str:
    """Return the keys of arguments and the sizes of their values in bytes, as JSON; never a value."""
    room = min(MAX_NAME_CHARS, MAX_ARGUMENT_CHARS // max(1, len(members)))
    return messages.raw_of({name[:room]: len(raw) for name, raw in members.items()}).decode("utf-8")
