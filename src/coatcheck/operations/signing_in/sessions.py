"""Browser sessions: kept in memory and in the store, proven by a token, over by themselves or at once."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from coatcheck.core import tokens
from coatcheck.core.tokens import Pepper
from coatcheck.errors import SignedOut, Unavailable
from coatcheck.model.browser import MAX_AGENT_CHARS, BrowserSession, Way, Whose
from coatcheck.model.secret import Secret
from coatcheck.operations.cutting import Gone
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.signing_in.standing import Standing
from coatcheck.ports import BrowserStore, Clock, Entropy

log = logging.getLogger(__name__)

PREFIX: Final = "ccks_"
MAX_OF_PERSON: Final = 20
MAX_OF_ALL: Final = 10_000
RECENT: Final = timedelta(minutes=5)
"""How long after somebody proved who they are they may do what asks for that."""
NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""When somebody proved who they are who did not do so here."""
NOTE_EVERY: Final = timedelta(minutes=1)
"""How late the store may know when a session was last used."""
_NO_TOKEN: Final = ""
_OVER: Final = "You are signed out here."
_AGAIN: Final = "sign in again"


@dataclass(frozen=True, slots=True)
class BrowserView:
    """A browser session as it is shown: nothing of its proof. Times are UTC."""

    id: str
    whose: Whose
    who: str
    how: Way
    created_at: datetime
    until: datetime
    seen_at: datetime
    verified_at: datetime
    address: str
    agent: str


class BrowserSessions:
    """All of them. `idle` and `longest` are seconds; `follow` is to hear of every snapshot."""

    def __init__(
        self,
        store: BrowserStore,
        pepper: Pepper,
        clock: Clock,
        entropy: Entropy,
        standing: Standing,
        idle: float,
        longest: float,
    ) -> None:
        self._store = store
        self._pepper = pepper
        self._clock = clock
        self._entropy = entropy
        self._standing = standing
        self._idle = timedelta(seconds=idle)
        self._longest = timedelta(seconds=longest)
        self._kept: dict[str, BrowserSession] = {}
        """By id, the oldest first."""
        self._noted: dict[str, datetime] = {}
        """When each was last used as the store knows it."""
        self._bases: dict[str, str] = {}
        """What each rested on when it began, or was loaded."""
        self._owed: set[str] = set()
        """Those that are over, and in the store as yet."""
        self._turn = asyncio.Lock()
        self._settling: set[asyncio.Task[None]] = set()
        self._judged: tuple[object, ...] = ()

    async def load(self) -> None:
        """Take up what is stored; what is over by now, or fits no token any more, is removed.

        Raises:
            Unavailable: the store cannot be read or written.
        """
        stored = await self._store.list()
        good = [session for session in stored if self._stands(session) and self._is_whole(session)]
        good = good[-MAX_OF_ALL:]
        self._kept = {session.id: session for session in good}
        self._noted = {session.id: session.seen_at for session in good}
        self._bases = {session.id: self._basis(session) or "" for session in good}
        self._owed |= {session.id for session in stored} - self._kept.keys()
        await self.settle()

    async def open(
        self, whose: Whose, who: str, how: Way, address: str, agent: str, by: str = "", *, proven: bool = True
    ) -> tuple[BrowserSession, Secret]:
        """Sign somebody in who has just proven who they are; the oldest of too many sessions of theirs ends.

        `proven` False: to somebody else, and that may be long ago.

        Raises:
            SignedOut: they may not be signed in.
            Unavailable: it cannot be stored; nobody is signed in.
        """
        async with self._turn:
            verified = self._clock.now() if proven else NEVER
            return await self._add((whose, who, how, by), address, agent, (), verified)

    async def renew(self, session: BrowserSession, how: Way, by: str = "") -> tuple[BrowserSession, Secret]:
        """Give who has just proven anew who they are another token; the one of before is void at once.

        Raises:
            SignedOut: the session is over.
            Unavailable: it cannot be stored; the session of before goes on.
        """
        async with self._turn:
            if not self.stands(session):
                raise SignedOut(_OVER, fix=_AGAIN)
            person = (session.whose, session.who, how, by)
            over = (session.id,)
            return await self._add(person, session.address, session.agent, over, self._clock.now())

    def find(self, token: str) -> BrowserSession | None:
        """Return the session that a token proves, if it is not over; at one cost whatever the token is."""
        well = token.startswith(PREFIX) and tokens.is_well_formed(token)
        found = self._kept.get(tokens.public_id(token)) if well else None
        basis = self._basis(found) if found is not None else None
        text = _text(token, found, basis)
        if not self._pepper.fits(text, _parts(found)[0] if found is not None else "") or found is None:
            return None
        return found if basis is not None and not self._is_late(found) else None

    def stands(self, session: BrowserSession) -> bool:
        """Tell whether a session that was found before is not over."""
        kept = self._kept.get(session.id)
        return kept is not None and self._stands(kept)

    def note_seen(self, session: BrowserSession) -> None:
        """Note that a session is used now; the store hears of it within a minute or two."""
        kept = self._kept.get(session.id)
        if kept is not None:
            self._kept[session.id] = replace(kept, seen_at=self._clock.now())

    def verified_recently(self, session: BrowserSession) -> bool:
        """Tell whether the person proved who they are within the last five minutes."""
        return timedelta(0) <= self._clock.now() - session.verified_at <= RECENT

    def void(self, id: str) -> BrowserView | None:
        """Make a session void; the store hears of it by `settle`, or by `flush`. None: there was none."""
        ended = self._drop([id])
        return ended[0] if ended else None

    def void_of(self, whose: Whose, who: str, but: str = "") -> Sequence[BrowserView]:
        """Make all sessions of somebody void, but for one if that is named. The store hears as by `void`."""
        return self._drop([one.id for one in self._of(whose, who) if one.id != but])

    async def end(self, id: str) -> BrowserView | None:
        """Make a session void, and have the store know. None: there was none. Raises as `settle`."""
        ended = self.void(id)
        await self.settle()
        return ended

    async def settle(self) -> None:
        """Have the store know what is void: else it would be good again after a sudden end.

        Raises:
            Unavailable: the store does not know yet; it is told again and again.
        """
        if owed := set(self._owed):
            await self._store.end(owed)
            self._owed -= owed

    def list(self, whose: Whose | None = None, who: str | None = None) -> Sequence[BrowserView]:
        """Return the sessions that are not over, those used last first."""
        found = [
            one
            for one in self._kept.values()
            if whose in {None, one.whose} and who in {None, one.who} and self._stands(one)
        ]
        return [_view(one) for one in sorted(found, key=lambda one: one.seen_at, reverse=True)]

    def follow(self, snapshot: Snapshot, gone: Gone) -> None:  # noqa: ARG002 - the shape of a listener
        """End, at once and for good, the sessions of those who may not be signed in by them any more."""
        registry = snapshot.registry
        now = (registry.operators, registry.subjects, registry.uncertain, snapshot.issued, snapshot.live)
        if len(now) == len(self._judged) and all(map(_is_same, now, self._judged)):
            return
        self._judged = now
        if self._drop([one.id for one in self._kept.values() if self._basis(one) != self._bases[one.id]]):
            task = asyncio.get_running_loop().create_task(self._settle_if_possible())
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    async def flush(self, *, everything: bool = False) -> None:
        """Have the store know what is over and when the others were used. Call it every few seconds.

        Raises:
            Unavailable: nothing is lost; it is tried the next time.
        """
        self._drop([one.id for one in self._kept.values() if not self._stands(one)])
        await self.settle()
        late = {
            one.id: one.seen_at
            for one in self._kept.values()
            if one.seen_at - self._noted[one.id] >= (timedelta(microseconds=1) if everything else NOTE_EVERY)
        }
        await self._store.note(late)
        self._noted.update((id, at) for id, at in late.items() if id in self._kept)

    async def close(self) -> None:
        """Tell the store the rest, for a stop. Raises as `flush`."""
        await asyncio.gather(*self._settling)
        await self.flush(everything=True)

    # --- within ------------------------------------------------------------------------------------------

    async def _add(
        self,
        person: tuple[Whose, str, Way, str],
        address: str,
        agent: str,
        instead_of: Collection[str],
        verified: datetime,
    ) -> tuple[BrowserSession, Secret]:
        basis, now = self._standing.basis(*person), self._clock.now()
        if basis is None:
            raise SignedOut(_OVER, fix=_AGAIN)
        whose, who, how, by = person
        token, until = tokens.mint(self._entropy.token, PREFIX), now + self._longest
        shown = "".join(char for char in agent[:MAX_AGENT_CHARS] if char.isprintable())
        bare = BrowserSession(
            tokens.public_id(token), whose, who, how, "", now, until, now, verified, address, shown, by
        )
        proofs = (self._pepper.prove(_text(presented, bare, basis)) for presented in (token, _NO_TOKEN))
        session = replace(bare, proof=" ".join(proofs))
        over = {*instead_of, *self._excess(whose, who, instead_of)}
        await self._store.add(session, over)
        self._drop(over)
        self._owed -= over
        self._kept[session.id], self._noted[session.id], self._bases[session.id] = session, now, basis
        return session, Secret(token)

    def _excess(self, whose: Whose, who: str, but: Collection[str]) -> Sequence[str]:
        """Return the oldest that go so that one more has room."""
        own = [one.id for one in self._of(whose, who) if one.id not in but]
        excess = own[: max(0, len(own) - MAX_OF_PERSON + 1)]
        going = {*excess, *but}
        rest = [id for id in self._kept if id not in going]
        return [*excess, *rest[: max(0, len(rest) - MAX_OF_ALL + 1)]]

    def _of(self, whose: Whose, who: str) -> Sequence[BrowserSession]:
        return [one for one in self._kept.values() if one.whose is whose and one.who == who]

    def _basis(self, session: BrowserSession) -> str | None:
        return self._standing.basis(session.whose, session.who, session.how, session.by)

    def _stands(self, session: BrowserSession) -> bool:
        return not self._is_late(session) and self._basis(session) is not None

    def _is_whole(self, session: BrowserSession) -> bool:
        """Tell whether a stored session is as it began, and rests on what it rested on then.

        Its token would not fit otherwise; but nobody may be shown as signed in until somebody presents it.
        """
        return self._pepper.fits(_text(_NO_TOKEN, session, self._basis(session)), _parts(session)[1])

    def _is_late(self, session: BrowserSession) -> bool:
        now = self._clock.now()
        end = min(session.until, session.created_at + self._longest)  # a setting may have been lowered
        return now >= end or now - session.seen_at >= self._idle

    def _drop(self, ids: Iterable[str]) -> Sequence[BrowserView]:
        """Make sessions void here; the store is owed their ending."""
        ended = [session for id in ids if (session := self._kept.pop(id, None)) is not None]
        for session in ended:
            del self._noted[session.id], self._bases[session.id]
            self._owed.add(session.id)
        return [_view(session) for session in ended]

    async def _settle_if_possible(self) -> None:
        try:
            await self.settle()
        except Unavailable as error:
            log.warning("browser sessions that are over stay in the store for now: %s", error.message)


def _parts(session: BrowserSession) -> tuple[str, str]:
    """Return what proves its token, and what proves without it that nothing else changed."""
    proof = session.proof if session.proof.isascii() else ""
    of_token, _, of_rest = proof.partition(" ")
    return of_token, of_rest


def _text(token: str, session: BrowserSession | None, basis: str | None) -> str:
    """Return what the proof is over: the token, all that never changes, and what the session rests on.

    It begins as no token does and as no other text that is proven or printed does; JSON keeps fields apart.
    """
    fields: list[str] = []
    if session is not None:
        times = (session.created_at, session.until, session.verified_at)
        fields = [session.id, session.whose.value, session.who, session.how.value, session.by]
        fields += [moment.isoformat(timespec="microseconds") for moment in times]
    return "coatcheck browser session\n" + json.dumps([1, token, *fields, basis])


def _view(session: BrowserSession) -> BrowserView:
    return BrowserView(**{name: getattr(session, name) for name in BrowserView.__slots__})


def _is_same(one: object, other: object) -> bool:
    return one is other
