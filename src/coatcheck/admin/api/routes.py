"""One route of the REST API: its server, its document, the table of roles and its tests come from this."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Generic, TypeVar

import msgspec

from coatcheck.model.operator import Actor
from coatcheck.operations.permissions import Permission

PREFIX: Final = "/api/v1"
MAX_BODY: Final = 1024 * 1024

Query = TypeVar("Query", bound=msgspec.Struct)
Body = TypeVar("Body", bound=msgspec.Struct)


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """No parameter and no member at all."""


class Match(Enum):
    """What a route makes of `If-Match`."""

    UNUSED = 0
    OPTIONAL = 1
    REQUIRED = 2


@dataclass(frozen=True, slots=True)
class Asking(Generic[Query, Body]):
    """One request that was let in and read.

    `version` is the one of If-Match; `address` where it came from; `stands` tells whether whoever asked would
    still be let in, for answers that go on; `spend` counts a wrong code, and raises after too many.
    """

    by: Actor | None
    names: Mapping[str, str]
    query: Query
    body: Body
    version: int | None
    address: str
    stands: Callable[[], bool]
    spend: Callable[[], None]

    @property
    def actor(self) -> Actor:
        """Who asks; on every route but the open ones there is someone."""
        assert self.by is not None, "an open route has no actor"  # noqa: S101
        return self.by


@dataclass(frozen=True, slots=True)
class Reply:
    """What a route answers: one JSON object; `version` becomes its ETag, `location` that of what was made."""

    body: msgspec.Struct | msgspec.Raw | Mapping[str, Any]
    status: int = 200
    version: int | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer that is sent as it comes; `name` is that of the file it is to be saved as."""

    parts: AsyncIterator[bytes]
    media: str
    name: str = ""


Answer = Callable[[Asking[Query, Body]], Awaitable[Reply | Streamed]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Generic[Query, Body]):
    """One method on one path below `/api/v1`.

    `permission` None: open, no token is asked for. `gives` is the shape of a good answer, `status` its
    status, `streams` the media type of one that is sent as it comes, or several, with comma and space between
    them. `errors` are codes beyond those that every such route can give. A body may be left out if no member
    of `body` is required.
    """

    method: str
    path: str
    permission: Permission | None
    summary: str
    answer: Answer[Query, Body]
    gives: type[msgspec.Struct] | None
    query: type[Query]
    body: type[Body]
    status: int = 200
    match: Match = Match.UNUSED
    streams: str = ""
    errors: tuple[str, ...] = ()
    limit: int = MAX_BODY
    etag: bool = False

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return self.method not in {"GET", "HEAD"}

    @property
    def has_body(self) -> bool:
        """Whether a request may have a body."""
        return self.method in {"POST", "PATCH", "PUT"}

    @property
    def needs_body(self) -> bool:
        """Whether a request must have one."""
        return self.has_body and any(one.required for one in msgspec.structs.fields(self.body))

    @property
    def takes_key(self) -> bool:
        """Whether `Idempotency-Key` is heard: on what makes or does something each time anew."""
        return self.method == "POST" and self.permission is not None


AnyRoute = Route[Any, Any]
