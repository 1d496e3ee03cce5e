"""Access tokens for servers that want OAuth: found without waiting, renewed early, once for all who wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from coatcheck.errors import UpstreamCredentialRefused, UpstreamError, UpstreamUnreachable
from coatcheck.model.credential import Credential
from coatcheck.model.secret import Secret
from coatcheck.operations.oauth.desk import OauthDesk, must_connect, number_of, server_name, terms_of
from coatcheck.operations.oauth.held import HeldTokens, held_by
from coatcheck.operations.oauth.renewing import Renewing

_NEW_SECONDS: Final = 5.0
_NEW_SHARE: Final = 0.5
"""A token that is refused in this part of its life, or in these seconds, is refused for another reason."""
_LOOK_SECONDS: Final = 30.0
"""Between two questions to a server that refuses new tokens, whether it trusts another issuer now."""
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_GOODBYE: Final = 5.0
"""Seconds for renewals under way when the gateway stops: an answer that is lost may cost the connection."""


@dataclass(frozen=True, slots=True)
class _Current:
    """The tokens of a credential, as of one state of its record."""

    record: Credential
    held: HeldTokens


@dataclass(frozen=True, slots=True)
class _Trouble:
    """A renewal that failed: what callers are told until the next try, `at` a monotonic time."""

    number: int
    """Of the version that it was about."""
    count: int
    at: float
    error: UpstreamUnreachable


class OauthBearers:
    """Implements `ports.Bearers`."""

    def __init__(self, desk: OauthDesk) -> None:
        self._desk = desk
        self._renewing = Renewing(desk)
        self._current: dict[UUID, _Current] = {}
        self._tasks: dict[UUID, asyncio.Task[HeldTokens]] = {}
        self._trouble: dict[UUID, _Trouble] = {}
        self._looked: dict[UUID, float] = {}
        """When a server was last asked which issuer it trusts, monotonic."""

    def find(self, credential: UUID) -> Secret | None:
        """Return a token that is good now; one that ends soon is renewed meanwhile."""
        current = self._read(credential)
        if current is None:
            return None
        now = self._desk.now()
        if now < current.held.renew_at:
            return current.held.access
        if now < current.held.until:
            self._begin(credential, current)
            return current.held.access
        return None

    async def get(self, credential: UUID) -> Secret:
        """Return a token that is good now. See `ports.Bearers`."""
        return self.find(credential) or (await self._renewed(credential)).access

    async def refused(self, credential: UUID, token: Secret) -> Secret:
        """Return another token than one that a server answered 401 to. See `ports.Bearers`."""
        current = self._read(credential)
        if current is None or current.held.access != token:
            return await self.get(credential)
        held = current.held
        young = min(_NEW_SECONDS, _NEW_SECONDS if held.life is None else held.life * _NEW_SHARE)
        if self._desk.now() - held.at < young:
            raise await self._refused_at_once(current.record)
        return (await self._renewed(credential)).access

    def version_of(self, credential: UUID, token: Secret) -> int:
        """Return the number of the version that a token came with. See `ports.Bearers`."""
        current = self._read(credential)
        return number_of(current.record) if current is not None and current.held.access == token else 0

    def hush(self, credential: UUID) -> Sequence[Secret]:
        """Return all that is secret of it now. See `ports.Bearers`."""
        current = self._read(credential)
        if current is None:
            return ()
        found = (current.held.access, current.held.refresh, terms_of(current.record).client_secret)
        return tuple(one for one in found if one is not None)

    async def outgrown(self, credential: UUID, scopes: tuple[str, ...]) -> UpstreamCredentialRefused:
        """Take note that the server wants more scopes. See `ports.Bearers`."""
        current = self._read(credential)
        if current is None:
            return UpstreamCredentialRefused("the credential for this server was ended")
        record, held = current.record, current.held
        name = server_name(self._desk.snapshot(), record)
        words = f"the scope{'s' if len(scopes) > 1 else ''} {' '.join(scopes)}" if scopes else "another scope"
        lacking = set(scopes) - set(terms_of(record).scopes)
        why = f"{name} wants {words}" if lacking else f"{name} wants {words}, which was asked for before"
        await self._renewing.flag(record, why, tuple(dict.fromkeys((*held.scopes, *scopes))))
        return must_connect(record, why)

    async def close(self) -> None:
        """Let renewals that are under way end; nobody asks any more."""
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()), timeout=_GOODBYE)
        for task in list(self._tasks.values()):
            task.cancel()

    async def _refused_at_once(self, record: Credential) -> UpstreamCredentialRefused:
        """Return what callers hear of a refused new token; the server may trust another issuer now."""
        name, now = server_name(self._desk.snapshot(), record), self._desk.clock.monotonic()
        if self._looked.get(record.id, float("-inf")) + _LOOK_SECONDS <= now:
            self._looked[record.id] = now
            if await self._renewing.has_moved(record):
                return await self._renewing.fail(record, f"{name} names another authorization server now")
        return UpstreamCredentialRefused(
            f"{name} refuses a token that was just given for it",
            fix=f"check the account and scopes behind {record.name}, or connect it anew",
        )

    # --- the record ----------------------------------------------------------------------------------------

    def _read(self, id: UUID) -> _Current | None:
        """Return the tokens in the record; read anew only when the record is another one."""
        record = self._desk.find(id)
        current = self._current.get(id)
        if current is not None and current.record is record:
            return current
        held = None if record is None else held_by(record)
        if record is None or held is None:
            self._current.pop(id, None)
            return None
        self._current[id] = current = _Current(record, held)
        return current

    # --- renewing ------------------------------------------------------------------------------------------

    async def _renewed(self, id: UUID) -> HeldTokens:
        task = self._tasks.get(id)
        if task is None:
            self._refuse_while_in_trouble(id)
            task = self._start(id)
        return await asyncio.shield(task)

    def _begin(self, id: UUID, current: _Current) -> None:
        """Renew without anybody waiting for it."""
        if id in self._tasks or self._renewing.is_dead(current.record):
            return
        trouble = self._trouble.get(id)
        if trouble is None or self._desk.clock.monotonic() >= trouble.at:
            self._start(id)

    def _refuse_while_in_trouble(self, id: UUID) -> None:
        trouble, current = self._trouble.get(id), self._read(id)
        if trouble is None or current is None or trouble.number != number_of(current.record):
            return
        if self._desk.clock.monotonic() < trouble.at:
            raise UpstreamUnreachable(
                trouble.error.message, fix=trouble.error.fix, detail=trouble.error.detail
            )

    def _start(self, id: UUID) -> asyncio.Task[HeldTokens]:
        task = asyncio.get_running_loop().create_task(self._renew(id))
        self._tasks[id] = task
        task.add_done_callback(_retrieve)
        return task

    async def _renew(self, id: UUID) -> HeldTokens:
        record = self._desk.find(id)
        try:
            held = await self._renewing.renew(id)
        except UpstreamCredentialRefused:
            self._trouble.pop(id, None)
            raise
        except UpstreamError as error:
            raise self._note(id, record, error) from None
        else:
            self._trouble.pop(id, None)
            return held
        finally:
            del self._tasks[id]

    def _note(self, id: UUID, record: Credential | None, error: UpstreamError) -> UpstreamUnreachable:
        """Remember a failure that may pass, and when to try again."""
        before = self._trouble.get(id)
        count = 1 if before is None else before.count + 1
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(count - 1, 16))
        name = "it" if record is None else server_name(self._desk.snapshot(), record)
        told = UpstreamUnreachable(
            f"a new token for {name} cannot be had for now: {error.message}",
            fix=error.fix,
            detail=error.detail,
        )
        number = 0 if record is None else number_of(record)
        self._trouble[id] = _Trouble(number, count, self._desk.clock.monotonic() + pause, told)
        return told


def _retrieve(task: asyncio.Task[HeldTokens]) -> None:
    if not task.cancelled():
        task.exception()  # those who waited have it; without this, asyncio logs it if nobody did
