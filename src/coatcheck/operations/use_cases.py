"""All that operators and auditors can do, in one place: what the REST API and the console are made over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coatcheck.core.pasted import Pasted
from coatcheck.core.policy.reading.written import Written
from coatcheck.core.recording.argument_values import ArgumentValues
from coatcheck.model.chain import Checkpoint
from coatcheck.model.change import ChangeEntry, ChangeFilter
from coatcheck.model.record import RecordFilter
from coatcheck.operations.accepting import Accepting
from coatcheck.operations.access.matrix import AccessMatrix
from coatcheck.operations.access.narrowing import Narrowing
from coatcheck.operations.access.telling import AccessTelling
from coatcheck.operations.activity import Activity
from coatcheck.operations.calling.operators import OperatorCalls
from coatcheck.operations.credentials.credentials import Credentials
from coatcheck.operations.credentials.listing import CredentialLists
from coatcheck.operations.directory import Directory
from coatcheck.operations.entries import Entries
from coatcheck.operations.exporting import Exports
from coatcheck.operations.oauth.connecting import Connecting
from coatcheck.operations.own import OwnViews
from coatcheck.operations.people.listing import PeopleLists
from coatcheck.operations.people.offboarding import Offboarding
from coatcheck.operations.pinning.reviewing import Reviewing
from coatcheck.operations.policies.explaining import Explaining
from coatcheck.operations.policies.policies import Policies
from coatcheck.operations.policies.replay_runs import ReplayRuns
from coatcheck.operations.policies.replaying import Replays
from coatcheck.operations.policies.suggesting import Suggestions
from coatcheck.operations.policies.using import PolicyUses
from coatcheck.operations.radii import Radii
from coatcheck.operations.readers import Readers
from coatcheck.operations.registry.access import AccessViews
from coatcheck.operations.registry.granting.attention import GrantsAttention
from coatcheck.operations.registry.granting.grants import Grants
from coatcheck.operations.registry.operators import Operators
from coatcheck.operations.registry.rekeying import Rekeying
from coatcheck.operations.registry.serving.listing import ServerLists
from coatcheck.operations.registry.serving.servers import RegisteredServers
from coatcheck.operations.registry.serving.trials import Trials
from coatcheck.operations.registry.subjects import Subjects
from coatcheck.operations.retention import Retention
from coatcheck.operations.rotation.rotating import Rotations
from coatcheck.operations.rotation.running import Runs
from coatcheck.operations.settings import SettingView
from coatcheck.operations.tally import Tally
from coatcheck.operations.views import Views
from coatcheck.ports import Clock, Ledger, Sinks

ListChanges = Callable[[ChangeFilter], Awaitable[Sequence[ChangeEntry]]]
"""Returns entries newest first, as `RegistryStore.list_changes`."""
Bundle = Callable[[RecordFilter, str], Awaitable[AsyncIterator[bytes]]]
"""Makes a bundle of what a filter means, by the operator of this name, and returns its bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    """All use cases, and what goes with them, handed to the surfaces by the composition root.

    `origin` returns the URL that clients reach the gateway by, without a path. `spend` counts a wrong token
    or code against an address and tells whether more are looked at. `backup` makes a copy and yields it.
    `read_policy` reads a document that somebody typed. `hasty` are the rotations too, but wait for no call
    with the former version; `runs` are long steps of rotations that go on by themselves. `read_pasted` finds
    servers in what somebody pasted.
    """

    directory: Directory
    views: Views
    calls: OperatorCalls
    ledger: Ledger
    values: ArgumentValues
    grants: Grants
    attention: GrantsAttention
    own: OwnViews
    subjects: Subjects
    people: PeopleLists
    offboarding: Offboarding
    servers: RegisteredServers
    server_lists: ServerLists
    trials: Trials
    read_pasted: Callable[[str], Pasted]
    credentials: Credentials
    credential_lists: CredentialLists
    rotations: Rotations
    hasty: Rotations
    runs: Runs
    connecting: Connecting
    key: Rekeying
    operators: Operators
    policies: Policies
    read_policy: Callable[[str], Written]
    policy_uses: PolicyUses
    access: AccessViews
    matrix: AccessMatrix
    telling: AccessTelling
    narrowing: Narrowing
    explaining: Explaining
    replays: Replays
    replay_runs: ReplayRuns
    suggestions: Suggestions
    reviewing: Reviewing
    changes: ListChanges
    exports: Exports
    evidence: Bundle
    entries: Entries
    readers: Readers
    activity: Activity
    radii: Radii
    retention: Retention
    checkpoint: Callable[[], Awaitable[Checkpoint]]
    accepting: Accepting
    sinks: Sinks
    backup: Callable[[], Awaitable[AsyncIterator[bytes]]]
    overview: Callable[[], Mapping[str, Any]]
    settings: Callable[[], Sequence[SettingView]]
    origin: Callable[[], str]
    spend: Callable[[str], bool]
    clock: Clock
    tally: Tally
