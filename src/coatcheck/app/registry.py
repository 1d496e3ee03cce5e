"""Composition of what operators make and end: the book, and the use cases that write in it."""

from __future__ import annotations

from dataclasses import dataclass

from coatcheck.config import Config
from coatcheck.core.tokens import Pepper
from coatcheck.declared.registering import parted_of
from coatcheck.identity.chain import chain_for
from coatcheck.model.known import Known
from coatcheck.operations.calling.limiting import Limiting
from coatcheck.operations.cutting import Cutting
from coatcheck.operations.directory import Directory, Identify
from coatcheck.operations.policies.explaining import Explaining
from coatcheck.operations.policies.policies import Policies
from coatcheck.operations.policies.using import PolicyUses
from coatcheck.operations.registry.access import AccessViews
from coatcheck.operations.registry.book import Book
from coatcheck.operations.registry.changes import Scribe
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.granting.expiring import Expiring
from coatcheck.operations.registry.granting.grants import Grants
from coatcheck.operations.registry.granting.seen import SeenBook
from coatcheck.operations.registry.operators import Operators
from coatcheck.operations.registry.rekeying import KeyFiles, Rekeying
from coatcheck.operations.registry.serving.servers import RegisteredServers
from coatcheck.operations.registry.subjects import Subjects
from coatcheck.operations.views import Views
from coatcheck.ports import Clock, Entropy, RegistryStore


class Identifying:
    """Makes the identifier of each snapshot."""

    def __init__(self, pepper: Pepper, clock: Clock) -> None:
        self._pepper = pepper
        self._clock = clock

    def __call__(self, known: Known) -> Identify:
        """Return what tells callers by all that is known."""
        return chain_for(known, self._pepper, self._clock).identify


@dataclass(frozen=True, slots=True)
class Registered:
    """The use cases of the registry, and the desk that they work at."""

    desk: Desk
    book: Book
    grants: Grants
    subjects: Subjects
    servers: RegisteredServers
    operators: Operators
    policies: Policies
    policy_uses: PolicyUses
    access: AccessViews
    explaining: Explaining
    expiring: Expiring
    key: Rekeying


def registered(
    config: Config,
    store: RegistryStore,
    directory: Directory,
    cutting: Cutting,
    views: Views,
    seen: SeenBook,
    pepper: Pepper,
    print_key: bytes,
    clock: Clock,
    entropy: Entropy,
    key_files: KeyFiles,
    limiting: Limiting,
) -> Registered:
    """Return the use cases over a store, a directory and what cuts off what ends."""
    book = Book(store, directory, cutting)
    desk = Desk(book, Scribe(clock, entropy), clock, entropy, pepper, seen, print_key)
    return Registered(
        desk,
        book,
        Grants(desk),
        Subjects(desk),
        RegisteredServers(desk, parted_of, views, allow_commands=config.allow_commands),
        Operators(desk),
        Policies(desk),
        PolicyUses(desk),
        AccessViews(desk, views),
        Explaining(desk, views, limiting),
        Expiring(directory, cutting, clock),
        Rekeying(desk, key_files),
    )
