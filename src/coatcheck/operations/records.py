"""Making records: one for each request before a server is asked, and its settlement after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final
from uuid import UUID

import msgspec

from coatcheck.core.tokens import left_out
from coatcheck.core.wire import messages
from coatcheck.core.wire.framing import Headers
from coatcheck.errors import LedgerUnavailable
from coatcheck.model.call import Caller
from coatcheck.model.credential import Use
from coatcheck.model.decision import THE_FILE, Basis
from coatcheck.model.grant import Principal, Voucher
from coatcheck.model.record import Outcome, Receipt, Record, Settlement, Verdict
from coatcheck.model.verdict import Scene
from coatcheck.ports import Clock, Entropy, Hop, Ledger

_NO_HOP: Final = Hop()
MAX_NAME_CHARS: Final = 200
MAX_REASON_CHARS: Final = 500
MAX_ARGUMENT_CHARS: Final = 64 * 1024
MAX_ID_CHARS: Final = 64
MAX_ROLES: Final = 32
MAX_CREDENTIALS: Final = 32
POLICY: Final = "acl"
"""The name of what decides: the access rules of the file."""

SealValues = Callable[[bytes, UUID], str]
"""Seals the arguments of a call for the record of this id."""
Prints = Callable[[bytes], str]
"""Makes the prints of the arguments of a call."""


class Slip:
    """Where the receipt of a request is left, for the answer: that of its last outcome on record."""

    __slots__ = ("receipt",)

    def __init__(self) -> None:
        self.receipt: Receipt | None = None


class Asked(msgspec.Struct, frozen=True):
    """Who asks, from where and by which route: the same for every step of one request.

    `headers` are those of a modern request over HTTP, which must agree with what it asks (SEP-2243). `id` is
    the request's id as the client wrote it, `policy` the version of the rules that it is judged by.
    """

    principal: Principal
    caller: Caller
    route: str
    address: str
    headers: Headers | None = None
    id: bytes = b""
    policy: str = ""
    slip: Slip | None = None


class Matter(msgspec.Struct, frozen=True):
    """What is asked: method, and server and target where there are any. `arguments` is raw JSON or None."""

    method: str
    server: str = ""
    name: str = ""
    arguments: bytes | None = None


class Records:
    """Writes to the ledger. Every method raises `LedgerUnavailable` if the entry cannot be made durable.

    `note_seen` hears grant id, address and client of each request that is put on record. `replica` names this
    gateway among others on the same store. `prints` and `seal_values` are about the values of arguments; the
    latter is used only while `log_arguments` is set.
    """

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        entropy: Entropy,
        on_settled: Callable[[str, Outcome], None],
        note_seen: Callable[[str, str, str], None] | None = None,
        *,
        replica: str = "",
        prints: Prints | None = None,
        seal_values: SealValues | None = None,
    ) -> None:
        self._note_seen = note_seen
        self._replica = replica[:MAX_NAME_CHARS]
        self._prints = prints
        self._seal_values = seal_values
        self._ledger = ledger
        self._clock = clock
        self._entropy = entropy
        self._on_settled = on_settled
        self.log_arguments = False

    async def open(
        self,
        asked: Asked,
        matter: Matter,
        rule: str,
        because: str,
        uses: tuple[Use, ...] = (),
        basis: Basis = THE_FILE,
        charges: str = "",
    ) -> Opened:
        """Make the record of an allowed request durable, before anything is sent.

        `uses` are the credentials in the server's reach by now, `basis` is what decided, and `charges` what
        it took of limits.
        """
        record = self._record(asked, matter, Verdict.ALLOWED, rule, because, named(uses), basis, charges)
        started = self._clock.monotonic()
        await self._ledger.record(record)
        return Opened(record.id, matter.method, started, asked.slip)

    async def settle(
        self, opened: Opened, outcome: Outcome, detail: str = "", hop: Hop | None = None
    ) -> None:
        """Make the outcome durable, before the caller hears of it. `hop` is what the server took and gave."""
        seconds = self._clock.monotonic() - opened.started
        now, hop = self._clock.now(), hop or _NO_HOP
        receipt = await self._ledger.settle(
            Settlement(
                opened.id,
                now,
                outcome,
                seconds,
                detail,
                named(hop.uses),
                hop.status,
                hop.request_bytes,
                hop.answer_bytes,
                hop.seconds,
            )
        )
        if opened.slip is not None:
            opened.slip.receipt = receipt
        self._on_settled(opened.method, outcome)

    async def abandon(self, opened: Opened, end: BaseException, hop: Hop | None = None) -> None:
        """Settle what was cancelled, or broken off by a defect of ours.

        Nobody is left to be told; a ledger that fails has said so itself.
        """
        outcome = Outcome.CANCELLED if isinstance(end, asyncio.CancelledError) else Outcome.UNKNOWN
        with suppress(LedgerUnavailable):
            await asyncio.shield(self.settle(opened, outcome, hop=hop))

    async def close(
        self,
        asked: Asked,
        matter: Matter,
        verdict: Verdict,
        rule: str,
        because: str,
        outcome: Outcome,
        basis: Basis = THE_FILE,
        told: str = "",
    ) -> None:
        """Make record and outcome durable at once, for what is answered without asking a server.

        `told` is the sentence that the caller gets, if it is another than `because`.
        """
        record = self._record(asked, matter, verdict, rule, because, (), basis)
        detail = left_out(told[:MAX_REASON_CHARS])
        settlement = Settlement(record.id, record.at, outcome, 0.0, detail)
        receipt = await self._ledger.record_settled(record, settlement)
        if asked.slip is not None:
            asked.slip.receipt = receipt
        self._on_settled(matter.method, outcome)

    async def refuse(self, record: Record) -> None:
        """Make the record of what was not let in durable, as it is."""
        await self._ledger.record_settled(record, Settlement(record.id, record.at, Outcome.DENIED, 0.0))

    def make(self, asked: Asked, matter: Matter, verdict: Verdict, rule: str, because: str) -> Record:
        """Return the record of what is answered without asking a server; nothing is written."""
        return self._record(asked, matter, verdict, rule, because, ())

    def make_refused(self, trace: str, rule: str, reason: str, route: str, address: str) -> Record:
        """Return the record of a caller that was not identified; nothing is written."""
        return Record(
            id=self.new_id(),
            at=self._clock.now(),
            subject="",
            grant_id=trace,
            grant_label="",
            route=left_out(route),
            server="",
            method="",
            tool="",
            decision=Verdict.REFUSED,
            rule=rule,
            reason=reason,
            client_ip=address,
            client_name="",
            replica=self._replica,
        )

    def scene(self, asked: Asked) -> Scene:
        """Return from where, with what client and when a request is made: now."""
        return Scene(asked.address, asked.caller.client_name, self._clock.now())

    def new_id(self) -> UUID:
        """Return a random record id (RFC 9562, version 4)."""
        return UUID(bytes=self._entropy.token(16), version=4)

    def _record(
        self,
        asked: Asked,
        matter: Matter,
        verdict: Verdict,
        rule: str,
        because: str,
        credentials: tuple[str, ...],
        basis: Basis = THE_FILE,
        charges: str = "",
    ) -> Record:
        principal, caller, id = asked.principal, asked.caller, self.new_id()
        if self._note_seen is not None and principal.voucher is Voucher.GRANT:
            client = f"{caller.client_name} {caller.client_version}".strip()
            self._note_seen(principal.grant_id, asked.address, client)
        outline, prints, values = self._arguments(matter.arguments, id)
        return Record(
            id=id,
            at=self._clock.now(),
            subject=principal.subject,
            grant_id=principal.grant_id,
            grant_label=principal.grant_label,
            route=left_out(asked.route),
            server=matter.server,
            method=left_out(matter.method[:MAX_NAME_CHARS]),
            tool=left_out(matter.name[:MAX_NAME_CHARS]),
            decision=verdict,
            rule=rule,
            reason=left_out(because[:MAX_REASON_CHARS]),
            client_ip=asked.address,
            client_name=left_out(caller.client_name[:MAX_NAME_CHARS]),
            client_version=left_out(caller.client_version[:MAX_NAME_CHARS]),
            arguments=left_out(outline),
            request_id=left_out(asked.id[:MAX_ID_CHARS].decode("utf-8", "replace")),
            replica=self._replica,
            roles=tuple(sorted(principal.roles)[:MAX_ROLES]) if principal.roles else (),
            policy=basis.policy or (POLICY if asked.policy else ""),
            policy_version=basis.version if basis.policy else asked.policy,
            credentials=credentials,
            argument_prints=left_out(prints),
            argument_values=values,
            charges=charges,
        )

    def _arguments(self, raw: bytes | None, id: UUID) -> tuple[str, str, str]:
        """Return outline, prints and sealed values of arguments; empty for what is none."""
        members = messages.members_of(raw) if raw is not None else None
        if raw is None or members is None:
            return "", "", ""
        prints = self._prints(raw) if self._prints is not None and members else ""
        wanted = self.log_arguments and len(raw) <= MAX_ARGUMENT_CHARS
        values = self._seal_values(raw, id) if wanted and self._seal_values is not None else ""
        return _outline(members), prints, values


def named(uses: tuple[Use, ...]) -> tuple[str, ...]:
    """Return each credential once, as `name@version`."""
    if not uses:
        return ()
    if len(uses) == 1:
        return (f"{uses[0].name}@{uses[0].number}",)
    return tuple(dict.fromkeys(f"{use.name}@{use.number}" for use in uses))[:MAX_CREDENTIALS]


class Opened(msgspec.Struct, frozen=True):
    """A request on record whose outcome is still owed."""

    id: UUID
    method: str
    started: float
    slip: Slip | None = None


def _outline(members: Mapping[str, bytes]) -> str:
    """Return the keys of arguments and the sizes of their values in bytes, as JSON; never a value."""
    room = min(MAX_NAME_CHARS, MAX_ARGUMENT_CHARS // max(1, len(members)))
    return messages.raw_of({name[:room]: len(raw) for name, raw in members.items()}).decode("utf-8")
