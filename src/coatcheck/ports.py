"""The protocols between the use cases and the adapters; the composition root binds them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from coatcheck.core.keys import Keys
from coatcheck.core.wire.standing import Standing
from coatcheck.errors import UpstreamCredentialRefused
from coatcheck.model.call import Caller, Notice, Question, Reply
from coatcheck.model.catalogue import Greeting
from coatcheck.model.change import Change, ChangeEntry, ChangeFilter
from coatcheck.model.decision import Permit
from coatcheck.model.declaration import Declaration
from coatcheck.model.era import Era
from coatcheck.model.grant import Principal, Seen
from coatcheck.model.oauth import AuthorizationServer, Discovery, OauthClient, Tokens
from coatcheck.model.record import Record, RecordEntry, RecordFilter, Settlement
from coatcheck.model.registry import Edit, Registry
from coatcheck.model.secret import Secret
from coatcheck.model.server import Server


class Clock(Protocol):
    """Time. Only the composition root makes the real one."""

    def now(self) -> datetime:
        """Return the wall clock in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        ...


class Entropy(Protocol):
    """Randomness. Only the composition root makes the real one."""

    def token(self, size: int) -> bytes:
        """Return `size` bytes fit for keys and identifiers."""
        ...


# --- upstream --------------------------------------------------------------------------------------


class Ask(StrEnum):
    """The requests that the gateway makes for itself. A caller's request is never one of these."""

    TOOLS = "tools/list"
    PROMPTS = "prompts/list"
    RESOURCES = "resources/list"
    TEMPLATES = "resources/templates/list"


@dataclass(frozen=True, slots=True)
class ProbeCall:
    """A call of a tool by which an operator wants a server to show whether it takes a credential.

    `arguments` is a raw JSON object, `mirrored` as in `Call`. Made in `operations/credentials/trying.py`, of
    what an operator wrote, and nowhere else: `tests/test_house.py` holds that.
    """

    tool: str
    arguments: bytes
    mirrored: tuple[tuple[str, str], ...] = ()


class State(StrEnum):
    """Where a server stands. `idle`: not started or stopped for want of calls; the next call starts it."""

    IDLE = "idle"
    STARTING = "starting"
    READY = "ready"
    FAILING = "failing"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """What an operator is told of a server. `stderr` holds the last lines of a child, newest last.

    `sessions` are those that are open with a server that has sessions. `expiry` is what the server said of
    when the credential ends that it was sent, as it said it.
    """

    state: State
    last_error: str = ""
    in_flight: int = 0
    restarts: int = 0
    pid: int | None = None
    stderr: tuple[str, ...] = ()
    sessions: int = 0
    expiry: str = ""


Notify = Callable[[Notice], None]
"""Takes a notification that belongs to the request under way. Never blocks and never raises."""


class Voice(Protocol):
    """The way to a legacy client outside of the answers to its requests.

    `within` is the id, as the client sent it, of the request of the client that all this belongs to; None
    where it belongs to none, or nobody can tell.
    """

    async def ask(self, question: Question, within: bytes | None) -> Reply:
        """Ask the client and return what it answers; a fault where it cannot be asked.

        Cancelling tells the client so (`notifications/cancelled`).
        """
        ...

    def tell(self, notice: Notice) -> None:
        """Send the client a notification that belongs to no request. Never blocks and never raises."""
        ...

    def pause(self, within: bytes, retry: int | None) -> None:
        """Take note that the server closed the stream of a request that goes on (SEP-1699).

        `retry`: milliseconds after which the server wants to be asked for the rest.
        """
        ...


class Client(Voice, Protocol):
    """The client that an upstream speaks for: one session's, or the gateway itself for all who share it.

    `era` is the era to greet the server in first, `version` the legacy version to propose, `capabilities`
    the raw JSON object of what to declare in a legacy handshake. The gateway itself answers every question
    with "method not found".
    """

    @property
    def era(self) -> Era:
        """The era to try first."""
        ...

    @property
    def version(self) -> str:
        """The legacy version to propose in `initialize`."""
        ...

    @property
    def capabilities(self) -> bytes:
        """What to declare in `initialize`."""
        ...

    @property
    def standing(self) -> Standing:
        """What the client's session told the server to keep. Upstreams note it here and replay it."""
        ...


class Upstream(Protocol):
    """One server, reachable. Connects or starts on first use; safe for many requests at once.

    Every method raises an `UpstreamError` for a server that fails, with a message fit for callers.
    A cancelled `forward` tells the server so (`notifications/cancelled`, or a closed stream).

    What a server sends that belongs to no request (list changes, updated resources, log messages) goes to
    `client.tell`, its questions to `client.ask`; `ping` is answered at once. When a server forgot us or was
    started anew, the log level and the subscriptions that were forwarded before are set again first.
    """

    @property
    def server(self) -> Server:
        """The record this was opened for."""
        ...

    @property
    def state(self) -> State:
        """Where the server stands; cheaper than the whole status."""
        ...

    def status(self) -> UpstreamStatus:
        """Say how the server does, without asking it."""
        ...

    async def greet(self) -> Greeting:
        """Return what the server said of itself, connecting first if need be."""
        ...

    async def ask(self, what: Ask | ProbeCall, cursor: str | None = None) -> Reply:
        """Send one of the gateway's own requests and return the reply. A probe is never sent twice."""
        ...

    async def forward(self, permit: Permit, caller: Caller, notify: Notify) -> Reply:
        """Send the permitted call under an id of our own and return the server's reply.

        The call's params go on as they are, `_meta` stamped anew for the server's era; a progress token
        is replaced on the way there and restored on the way back. Nothing is sent twice. For
        `subscriptions/listen` (modern servers) `notify` gets every notification of that stream, with
        `io.modelcontextprotocol/subscriptionId` taken out of its `_meta`.
        """
        ...

    async def relay(self, notice: Notice) -> None:
        """Send the server a notification of the client's (roots changed, progress of an answer)."""
        ...

    def attend(self, wanted: bool) -> None:
        """Say whether anyone waits to hear of changes that belong to no request.

        While so, a server over HTTP is listened to and its session is kept; a child may still be stopped
        when idle, since nothing changes in what does not run.
        """
        ...

    def kill(self) -> None:
        """End a child of ours at once; `close` follows. To a server that is not our child this is nothing."""
        ...

    async def close(self, drain: float) -> None:
        """Take no new calls, let those in flight end within `drain` seconds, then let go of everything."""
        ...


class Upstreams(Protocol):
    """Makes an upstream for a server; does not connect."""

    def open(self, server: Server, client: Client) -> Upstream:
        """Return an upstream that connects on first use and speaks for this client."""
        ...


# --- OAuth towards servers ---------------------------------------------------------------------------


class Bearers(Protocol):
    """Access tokens for servers that want OAuth, kept good: renewed early, and once for all who wait."""

    def find(self, credential: UUID) -> Secret | None:
        """Return a token that is good now without waiting, or None: then `get` is to be asked."""
        ...

    async def get(self, credential: UUID) -> Secret:
        """Return a token that is good now, renewed first if need be.

        Raises:
            UpstreamCredentialRefused: there is none to be had until an operator connects the credential
                anew. The message is fit for callers.
            UpstreamUnreachable: the authorization server, or our store, fails for now.
        """
        ...

    async def refused(self, credential: UUID, token: Secret) -> Secret:
        """Take note that the server answered 401 to this token, and return another one to send once more.

        Raises:
            UpstreamCredentialRefused, UpstreamUnreachable: as for `get`; also where the token is a new one.
        """
        ...

    async def outgrown(self, credential: UUID, scopes: tuple[str, ...]) -> UpstreamCredentialRefused:
        """Take note that the server wants these scopes as well, and return what the caller is told."""
        ...


class Authorizer(Protocol):
    """Authorization servers. `name` is what errors call the server that tokens are for, `resource` its URL.

    Every method raises an `UpstreamError` with a message fit for operators, which quotes nothing.
    """

    async def discover(self, name: str, resource: str, issuer: str) -> Discovery:
        """Find where tokens for a server are had: at `issuer`, if it names that one among others."""
        ...

    async def describe(self, name: str, resource: str, issuer: str) -> AuthorizationServer:
        """Return an authorization server by its issuer."""
        ...

    async def register(
        self, name: str, resource: str, server: AuthorizationServer, redirect: str, scopes: tuple[str, ...]
    ) -> OauthClient:
        """Register us, to be called back at `redirect` (RFC 7591).

        Raises:
            AuthorizationRefused: it registers nobody, or not us.
        """
        ...

    async def ask(
        self,
        name: str,
        resource: str,
        server: AuthorizationServer,
        client: OauthClient,
        form: Mapping[str, str],
    ) -> Tokens:
        """Send a token request: `form` without what proves the client.

        Raises:
            AuthorizationRefused: the server said no, and would again.
            Unfit: the client's private key cannot be used.
        """
        ...


# --- identity --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request brings to be identified by: header values by lower-case name, and the peer's address.

    `peer` is the address of the TCP peer, `address` the client's after trusted proxies were taken off.
    """

    headers: Mapping[str, tuple[str, ...]]
    peer: str
    address: str


@dataclass(frozen=True, slots=True)
class NotMine:
    """This identifier has nothing to say on the request; the next one is asked."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The request presents something of this identifier's kind, and it is bad.

    `sentence` is told to the caller, `reason` is a stable word for the record, `trace` a public id or
    the beginning of the SHA-256 of what was presented, never the thing itself. `guess` marks the refusals
    that are throttled: an unknown token or a wrong secret.
    """

    reason: str
    sentence: str
    trace: str = ""
    guess: bool = False


Identified = Principal | Refused | NotMine


class Identifier(Protocol):
    """One way of telling who is calling."""

    def identify(self, presented: Presented) -> Identified:
        """Judge the request; never raises for anything a caller can send."""
        ...


# --- the record --------------------------------------------------------------------------------------


class Ledger(Protocol):
    """The durable record. A method that returns has made its entry survive a crash.

    Raises `LedgerUnavailable` if it cannot; nothing is half-written then.
    """

    async def record(self, record: Record) -> None:
        """Make a record durable before the request is acted on."""
        ...

    async def settle(self, settlement: Settlement) -> None:
        """Make the outcome of a recorded request durable before the caller hears of it."""
        ...

    async def record_settled(self, record: Record, settlement: Settlement) -> None:
        """Make a record and its outcome durable at once, for what was answered without a server."""
        ...

    async def list(self, wanted: RecordFilter) -> Sequence[RecordEntry]:
        """Return matching entries, oldest first."""
        ...

    def follow(self, wanted: RecordFilter) -> AsyncIterator[RecordEntry]:
        """Yield matching entries as they are settled, until the caller stops asking."""
        ...


class Sink(Protocol):
    """Takes copies of settled entries. Never blocks a call and never raises."""

    def write(self, entry: RecordEntry) -> None:
        """Take one entry."""
        ...


class Notifier(Protocol):
    """Tells people of what they should look at. Never blocks and never raises; what it loses, it logs."""

    def notify(self, text: str) -> None:
        """Take a few lines of plain text, free of secrets."""
        ...


class ServerIds(Protocol):
    """Remembers the UUID that a declared server got at first sight."""

    async def assign(self, names: Sequence[str]) -> Mapping[str, UUID]:
        """Return the UUID of each name, making and storing those never seen before."""
        ...


# --- the registry ------------------------------------------------------------------------------------


class RegistryStore(Protocol):
    """What operators made: grants, subjects, servers, credentials, operators, and their word on the file.

    `key_id` names the key that all of it is sealed with.
    """

    @property
    def key_id(self) -> str:
        """The id of the key that the store belongs to."""
        ...

    async def load(self) -> Registry:
        """Return everything, each row checked against its MAC; rows that fail are named, and not used.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        ...

    async def commit(self, edit: Edit) -> None:
        """Make an edit durable together with its admin records, or nothing of it.

        Raises:
            Stale: an object is not at the version before the one given (another operator was faster).
            Taken: a live grant has the label, a server or subject the name.
            StoreUnavailable: nothing was written; or the connection broke in the very commit, and only `load`
                tells whether it happened.
        """
        ...

    async def rekey(self, keys: Keys, change: Change) -> None:
        """Seal everything with another key, all of it or nothing. Calls go on, edits wait.

        Raises:
            Damaged: a row was changed outside of the gateway; nothing happened.
            StoreUnavailable: nothing happened; or the connection broke in the very commit, and after the
                next `load` that succeeds `key_id` tells.
        """
        ...

    async def list_changes(self, wanted: ChangeFilter) -> Sequence[ChangeEntry]:
        """Return entries of the admin log, newest first."""
        ...

    async def note_seen(self, seen: Sequence[Seen]) -> None:
        """Keep when and by what grants were last used, and which clients each has had; not urgent."""
        ...

    async def list_seen(self, grant_ids: Sequence[str]) -> Sequence[Seen]:
        """Return the last use of each (grant, client), newest first."""
        ...


# --- secrets -----------------------------------------------------------------------------------------


class SecretSource(Protocol):
    """Where secret material comes from: the environment, a file, later the store."""

    def find(self, reference: str) -> Secret | None:
        """Return the material that `reference` names here, or None."""
        ...


# --- what people declare ---------------------------------------------------------------------------------


class Declarations(Protocol):
    """The file that people write, as it stands now."""

    def changed(self) -> bool:
        """Tell whether an edit waits to be read. Cheap: asked on every call."""
        ...

    def read(self) -> Declaration:
        """Read the file anew.

        Raises:
            ConfigError: the file does not load; the message names every problem.
        """
        ...
