"""Servers, reachable: what the use cases ask of them, and the clients they speak for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from coatcheck.core.wire.standing import Standing
from coatcheck.model.call import Caller, Notice, Question, Reply
from coatcheck.model.catalogue import Greeting
from coatcheck.model.credential import Use
from coatcheck.model.decision import Permit
from coatcheck.model.era import Era
from coatcheck.model.server import Server


class Ask(StrEnum):
    """The requests that the gateway makes for itself. A caller's request is never one of these."""

    TOOLS = "tools/list"
    PROMPTS = "prompts/list"
    RESOURCES = "resources/list"
    TEMPLATES = "resources/templates/list"


@dataclass(frozen=True, slots=True)
class ProbeCall:
    """A call of a tool by which an operator wants a server to show whether it takes a credential.

    `arguments` is a raw JSON object, `mirrored` as in `Call`. Made in `operations/rotation/trying.py`, of
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


@dataclass(slots=True)
class Hop:
    """What one call took at the server; filled in on the way, so that a call that fails has it as well.

    `uses` are the credentials that it was given, `bearer` the number of the version that an access token was
    of. `status` is that of the HTTP answer, None where there was
    none. Sizes are the bytes of the message that was sent, and of the result that came, or of the words
    and data of an error.
    """

    uses: tuple[Use, ...] = ()
    status: int | None = None
    request_bytes: int = 0
    answer_bytes: int = 0
    seconds: float = 0.0
    bearer: int = 0


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

    async def forward(self, permit: Permit, caller: Caller, notify: Notify, hop: Hop | None = None) -> Reply:
        """Send the permitted call under an id of our own and return the server's reply.

        Status and size of the message go into `hop`. The call's params go on as they are, `_meta` stamped
        anew for the server's era; a progress token is replaced on the way there and restored on the way back.
        Nothing is sent twice. For `subscriptions/listen` (modern servers) `notify` gets every notification of
        that stream, with `io.modelcontextprotocol/subscriptionId` taken out of its `_meta`.
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
