"""Composition of the console: who is signed in, how they come in, and the pages over the use cases."""

from __future__ import annotations

from dataclasses import dataclass

from coatcheck.app.recording import Recording
from coatcheck.config import Config
from coatcheck.console.signing_in.openid import OpenIdEntrance
from coatcheck.console.surface import Console, Entrances, console_of, developers_of
from coatcheck.console.web.reached import Reached
from coatcheck.core.tokens import Pepper
from coatcheck.operations.directory import Directory
from coatcheck.operations.registry.changes import Scribe
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.signing_in.brake import FIRST_SECONDS, Brake
from coatcheck.operations.signing_in.entering import Entering
from coatcheck.operations.signing_in.hashing import Hashing
from coatcheck.operations.signing_in.sessions import BrowserSessions
from coatcheck.operations.signing_in.signing import SigningIn
from coatcheck.operations.signing_in.standing import Standing
from coatcheck.operations.signing_in.telling import SignInRecord
from coatcheck.operations.use_cases import UseCases
from coatcheck.ports import Clock, Entropy
from coatcheck.store.browsers import StoredBrowsers
from coatcheck.store.engines.database import Database
from coatcheck.store.registry.changes import StoredChanges


@dataclass(frozen=True, slots=True)
class Consoling:
    """Who is signed in at browsers, and what lets them in."""

    config: Config
    sessions: BrowserSessions
    signing: SigningIn
    openid: OpenIdEntrance | None
    entropy: Entropy

    def console(self, cases: UseCases) -> Console:
        """Return the pages over the use cases."""
        config = self.config
        apart = config.admin is not None
        reached = (
            Reached("admin_url", config.admin_url) if apart else Reached("public_url", config.public_url)
        )
        return console_of(cases, self._entrances(reached))

    def developers(self, cases: UseCases) -> Console:
        """Return those of developers alone, for where clients are if the rest has an address of its own."""
        return developers_of(cases, self._entrances(Reached("public_url", self.config.public_url)))

    def _entrances(self, reached: Reached) -> Entrances:
        return Entrances(
            sessions=self.sessions,
            signing=self.signing,
            openid=self.openid,
            reached=reached,
            entropy=self.entropy,
        )


def consoling_of(
    config: Config,
    database: Database,
    directory: Directory,
    desk: Desk,
    recording: Recording,
    openid: OpenIdEntrance | None,
    pepper: Pepper,
    clock: Clock,
    entropy: Entropy,
) -> Consoling:
    """Return what lets people in. The sessions are to be loaded once, and follow the directory."""
    standing = Standing(lambda: directory.snapshot, clock)
    idle, longest = config.console_idle, config.console_longest
    sessions = BrowserSessions(StoredBrowsers(database), pepper, clock, entropy, standing, idle, longest)
    told = SignInRecord(StoredChanges(database), Scribe(clock, entropy), recording.refusals, pepper)
    signing = SigningIn(
        sessions,
        Entering(desk),
        Hashing(pepper, entropy),
        Brake(clock),
        told,
        lambda: directory.snapshot,
        at_provider=Brake(clock, longest=FIRST_SECONDS),
        at_links=Brake(clock, longest=FIRST_SECONDS),
    )
    return Consoling(config, sessions, signing, openid, entropy)
