"""Verifying a version beside the one in use: each server is tried with it, and with a wrong one."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from coatcheck.core.credentials import stages
from coatcheck.core.credentials.making import expiry_told, wrong_of
from coatcheck.core.filling import value_at, with_values
from coatcheck.errors import (
    UpstreamError,
    UpstreamLost,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from coatcheck.model.credential import (
    Assurance,
    Credential,
    CredentialKind,
    Custody,
    Replace,
    Stage,
)
from coatcheck.model.operator import Actor
from coatcheck.model.secret import Secret
from coatcheck.model.server import Server, StdioReach
from coatcheck.operations.credentials.views import Control, Verdict
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.merging import servers_of, with_puts
from coatcheck.operations.reaching.servers import Servers
from coatcheck.operations.records import Records
from coatcheck.operations.rotation.probing import Probing
from coatcheck.operations.rotation.trying import Cleaner, Rejected, tried

log = logging.getLogger(__name__)

AT_ONCE: Final = 4
TRY_SECONDS: Final = 30.0
_TROUBLE: Final = frozenset({408, 429, 502, 503, 504})
"""HTTP statuses that say nothing of a credential."""
Heard = Callable[[Verdict], None]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server as it would be with the version in question, and with a wrong one; None: none can be made.

    `held` is all that is kept of the credential: the server may know it from before.
    """

    server: Server
    wrong: Server | None
    held: tuple[Secret, ...] = ()


def candidates_of(snapshot: Snapshot, credential: Credential, number: int) -> list[Candidate]:
    """Return the enabled servers that would use a version if it were active."""
    version = stages.version_of(credential, number)
    trial = credential
    if version is not None and version.stage is Stage.STAGED:
        trial = stages.activated(credential, version.made_at)
    wanted = _servers(snapshot, trial)
    wrongs = _wrong_servers(snapshot, trial, wanted)
    held = tuple(one.material for one in credential.versions if one.material is not None)
    return [
        Candidate(server, wrongs.get(server.id), held)
        for server in wanted
        if any(use.credential == credential.id for use in server.uses)
    ]


def assurance_of(verdicts: Sequence[Verdict]) -> Assurance:
    """Return what verdicts amount to; `never` if a server refused, or none was asked."""
    if not verdicts or not all(one.ok for one in verdicts):
        return Assurance.NEVER
    proven = all(one.control is Control.REFUSED for one in verdicts)
    return Assurance.PROVEN if proven else Assurance.UNPROVEN


def _servers(snapshot: Snapshot, credential: Credential) -> list[Server]:
    return list(servers_of(snapshot.declared, with_puts(snapshot.registry, [credential])).values())


def _wrong_servers(snapshot: Snapshot, trial: Credential, wanted: Iterable[Server]) -> dict[UUID, Server]:
    active = trial.active
    if trial.kind is CredentialKind.OAUTH or active is None:
        return {}
    if trial.custody is Custody.STORE and active.material is not None:
        material = wrong_of(active.material)
        wrong = stages.changed(trial, active.number, lambda one: replace(one, material=material))
        return {server.id: server for server in _servers(snapshot, wrong) if not server.lacking}
    return {server.id: _misfilled(server, trial) for server in wanted}


def _misfilled(server: Server, credential: Credential) -> Server:
    """Return a server with wrong values where the file gives those of a credential."""
    values = {}
    for use in server.uses:
        value = value_at(server.reach, use.place) if use.credential == credential.id else None
        if value is not None:
            values[use.place] = wrong_of(value)
    return replace(server, reach=with_values(server.reach, values))


class Verifier:
    """Tries servers, some at a time. What proved good stays prepared in `Servers`, to be used at once.

    Whoever calls must see to it that each server is wanted afterwards just so, kept, or discarded.
    """

    def __init__(self, servers: Servers, records: Records, seconds: float = TRY_SECONDS) -> None:
        self._servers = servers
        self._records = records
        self._seconds = seconds
        self._places = asyncio.Semaphore(AT_ONCE)
        self._locks: defaultdict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def verify(self, candidates: Sequence[Candidate], heard: Heard, actor: Actor) -> list[Verdict]:
        """Return the verdict of each server, in the order given; `heard` gets them as they come.

        Raises:
            LedgerUnavailable: a probe could not be put on record.
        """
        probing = Probing(self._records, actor)
        return list(await asyncio.gather(*(self._verify(one, heard, probing) for one in candidates)))

    async def let_go(self, candidates: Iterable[Candidate], *, keep: bool = False) -> None:
        """Let go of what was prepared; with `keep` only after a while in which it may be wanted yet."""
        for one in candidates:
            if keep and one.server.upkeep.replace is not Replace.RESTART:
                self._servers.keep(one.server.id)
            else:
                await self._servers.discard(one.server.id)

    async def _verify(self, candidate: Candidate, heard: Heard, probing: Probing) -> Verdict:
        server = candidate.server
        if server.lacking:
            verdict = Verdict(server.name, False, server.lacking)
        else:
            async with self._locks[server.id], self._places:
                verdict = await self._judged(candidate, probing)
            if not verdict.ok:
                await self._servers.discard(server.id)
        heard(verdict)
        return verdict

    async def _judged(self, candidate: Candidate, probing: Probing) -> Verdict:
        """Try the candidate and the control; of a server that cannot run twice the control comes first."""
        server = candidate.server
        known = (one for one in (server, candidate.wrong) if one is not None)
        cleaner = Cleaner(known, candidate.held)
        control, why = Control.NOT_ASKED, ""
        if server.upkeep.replace is Replace.RESTART:
            await self._servers.hold(server.id)
            control, why = await self._controlled(candidate.wrong, cleaner, probing)
        served = self._servers.prepare(server)
        try:
            tools = len((await tried(served, self._seconds, probing)).tools)
        except (UpstreamError, Rejected) as failure:
            return Verdict(server.name, False, cleaner.reason(failure, served))
        if server.upkeep.replace is not Replace.RESTART:
            control, why = await self._controlled(candidate.wrong, cleaner, probing)
        probe = server.upkeep.probe is not None
        expires_at = expiry_told(served.upstream.status().expiry)
        sentence = _sentence(tools, control, why, probe)
        return Verdict(server.name, True, sentence, tools, control, probe, expires_at)

    async def _controlled(
        self, wrong: Server | None, cleaner: Cleaner, probing: Probing
    ) -> tuple[Control, str]:
        """Present an obviously wrong secret for the same requests."""
        if wrong is None:
            return Control.NOT_ASKED, "a wrong one cannot be made"
        log.info("%s is tried with an obviously wrong secret; what it says to that is no trouble", wrong.name)
        served = self._servers.open_beside(wrong)
        try:
            await tried(served, self._seconds, probing, wrong=True)
        except Rejected:
            return Control.REFUSED, ""
        except UpstreamError as error:
            if _says_nothing(error, wrong):
                return Control.NOT_ASKED, cleaner.reason(error, served)
            return Control.REFUSED, ""
        finally:
            await served.close(0.0)
        return Control.ACCEPTED, ""


def _says_nothing(error: UpstreamError, server: Server) -> bool:
    """Tell whether a failure may have another reason than the secret that was presented."""
    if isinstance(error, UpstreamTimeout) or error.status in _TROUBLE:
        return True
    if isinstance(server.reach, StdioReach):
        return False  # a child that ends when it is given a wrong secret has refused it
    return isinstance(error, UpstreamUnreachable | UpstreamLost)


def _sentence(tools: int, control: Control, why: str, probe: bool) -> str:
    took = f"took it and lists {tools} tools{', and the probe succeeded' if probe else ''}"
    if control is Control.REFUSED:
        return f"{took}; an obviously wrong one was refused"
    if control is Control.ACCEPTED:
        return f"{took}; but it takes an obviously wrong one for the same requests, too"
    return f"{took}; whether it would refuse a wrong one is not known: {why}"
