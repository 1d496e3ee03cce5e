"""Composition of credentials: what operators do with them, and what servers do to them."""

from __future__ import annotations

from dataclasses import dataclass

from coatcheck.operations.credentials.adopting import Adopting
from coatcheck.operations.credentials.counter import Counter
from coatcheck.operations.credentials.credentials import Credentials
from coatcheck.operations.credentials.listing import CredentialLists
from coatcheck.operations.credentials.refusing import Refusing
from coatcheck.operations.credentials.views import CredentialState
from coatcheck.operations.reaching.servers import Servers
from coatcheck.operations.records import Records
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.rotation.rotating import Rotations
from coatcheck.operations.rotation.running import Runs
from coatcheck.operations.rotation.verifying import Verifier


@dataclass(frozen=True, slots=True)
class Cloakroom:
    """The use cases of credentials. `hasty` are the rotations too, but wait for no call to end.

    `runs` is to be closed before the servers.
    """

    counter: Counter
    credentials: Credentials
    lists: CredentialLists
    rotations: Rotations
    hasty: Rotations
    runs: Runs
    refusing: Refusing
    adopting: Adopting

    def count(self, *states: CredentialState) -> int:
        """Return how many credentials are in one of some states."""
        return sum(view.state in states for _, view in self.counter.every())


def cloakroom_of(desk: Desk, servers: Servers, records: Records) -> Cloakroom:
    """Return the use cases over a desk and the servers in use, whose refusals they heed from now on."""
    counter, verifier = Counter(desk, servers), Verifier(servers, records)
    refusing = Refusing(counter)
    servers.heed = refusing
    hasty = Rotations(counter, verifier, 0.0)
    return Cloakroom(
        counter,
        Credentials(counter),
        CredentialLists(counter),
        Rotations(counter, verifier),
        hasty,
        Runs(counter, hasty),
        refusing,
        Adopting(desk),
    )
