"""A server: an MCP server registered with us, how to reach it and what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from coatcheck.model.credential import NO_BLANKS, Blank, Upkeep, Use
from coatcheck.model.policy import Default
from coatcheck.model.secret import Secret

NO_SECRETS: Mapping[str, Secret] = MappingProxyType({})


class Source(StrEnum):
    """Where an object was declared."""

    FILE = "file"
    STORE = "store"


class Transport(StrEnum):
    """The wire between us and a server. `AUTO` tries streamable HTTP (modern, then legacy), then SSE."""

    AUTO = "auto"
    HTTP = "http"
    SSE = "sse"
    STDIO = "stdio"


@dataclass(frozen=True, slots=True)
class HttpReach:
    """A server behind a URL.

    `url` is what is dialled; `shown_url` is what may be displayed: as written, without expanded
    variables, user information, query or fragment. Header values are secret whatever they hold.
    `bearer` is the OAuth credential whose access token goes into the Authorization header of each request.
    `hush` is material that must not come back in an answer, besides what is in the other fields.
    """

    url: Secret
    shown_url: str
    headers: Mapping[str, Secret] = field(default_factory=lambda: NO_SECRETS)
    transport: Transport = Transport.AUTO
    bearer: UUID | None = None
    hush: tuple[Secret, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class StdioReach:
    """A server that is a child of ours: a command with arguments, environment and working directory.

    Arguments are secret as well, since a variable may have been expanded into them. `hush` as in `HttpReach`.
    """

    command: str
    args: tuple[Secret, ...] = ()
    env: Mapping[str, Secret] = field(default_factory=lambda: NO_SECRETS)
    cwd: str | None = None
    hush: tuple[Secret, ...] = field(default=(), compare=False)

    @property
    def transport(self) -> Transport:
        """Always `Transport.STDIO`; here so that both kinds of reach can be asked alike."""
        return Transport.STDIO


@dataclass(frozen=True, slots=True)
class IdlePolicy:
    """When a stdio server with no call in flight is stopped; every time in seconds.

    `after` None means never; `adaptive` picks 60, 180 or 300 seconds for under 5, 5 to 20 and over 20
    calls an hour, kept between `least` and `most`.
    """

    adaptive: bool = True
    after: float | None = None
    least: float = 60.0
    most: float = 300.0


@dataclass(frozen=True, slots=True)
class AccessMarks:
    """An operator's word on which tools read and which write, as globs over the server's own names."""

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Server:
    """One registered server. Two equal servers need no new connection or child; unequal ones do.

    `default` is what its tools, prompts and resources are allowed by where no policy is used on it or on a
    caller's grant; `approved` are globs over its own names that narrow this default to the tools that one of
    them matches, None for no narrowing. `trusted` says that its word on what its tools do is believed.
    `uses` are the credentials in its reach. `lacking` says in one sentence why it cannot be used, such as a
    credential that is not there; empty if it can.
    """

    id: UUID
    name: str
    reach: HttpReach | StdioReach
    idle: IdlePolicy = IdlePolicy()
    marks: AccessMarks = AccessMarks()
    source: Source = Source.FILE
    upkeep: Upkeep = field(default=Upkeep(), compare=False)
    uses: tuple[Use, ...] = ()
    lacking: str = ""
    default: Default = field(default=Default.ALLOW_ALL, compare=False)
    approved: tuple[str, ...] | None = field(default=None, compare=False)
    trusted: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class StoredServer:
    """A server that an operator registered, as the store keeps it; its secrets are sealed there.

    Wherever `blanks` has a value to be filled in, `reach` has a stand-in: `-`, or in a URL one that leaves it
    a URL. `plain` names the headers or variables whose values may be shown. `default`, `approved` and
    `trusted` are as in `Server`. `version` counts the changes, from 1.
    """

    id: UUID
    name: str
    reach: HttpReach | StdioReach
    created_at: datetime
    created_by: str
    idle: IdlePolicy = IdlePolicy()
    marks: AccessMarks = AccessMarks()
    plain: frozenset[str] = frozenset()
    disabled: bool = False
    because: str = ""
    ended_at: datetime | None = None
    note: str = ""
    upkeep: Upkeep = Upkeep()
    blanks: Mapping[str, Blank] = field(default_factory=lambda: NO_BLANKS)
    default: Default = Default.ALLOW_ALL
    approved: tuple[str, ...] | None = None
    trusted: bool = False
    version: int = 1
