"""A call and its answer in protocol terms, with every value the caller wrote kept as raw JSON bytes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from coatcheck.model.era import Era

NO_PARAMS: Mapping[str, bytes] = MappingProxyType({})


class Kind(StrEnum):
    """What a call is about; the column of the method table that policy reads."""

    TOOL = "tool"
    PROMPT = "prompt"
    RESOURCE = "resource"
    SERVER = "server"


class Target(msgspec.Struct, frozen=True):
    """The thing on a server that a call is about, by the server's own name or URI for it.

    A call about the server itself, such as the level of its log messages, has an empty name.
    """

    kind: Kind
    name: str


class Caller(msgspec.Struct, frozen=True):
    """What a client said of itself. Display and relaying only, never used to decide.

    `capabilities` is the raw JSON object of what the client can be asked, `log_level` the least severe log
    message that it wants, empty for none asked for.
    """

    era: Era
    version: str
    client_name: str = ""
    client_version: str = ""
    capabilities: bytes = b"{}"
    log_level: str = ""

    def with_level(self, level: str) -> Caller:
        """Return the same client that wants log messages from this level on."""
        return msgspec.structs.replace(self, log_level=level)


class Call(msgspec.Struct, frozen=True):
    """One request as read from the wire.

    `id` is the JSON lexeme of the request id, echoed as it came. `params` maps each member of `params`
    except `_meta` to its raw JSON; `meta` does the same for `_meta`. `mirrored` are the headers that a modern
    server wants beside the body, made from `params` by what its schema says (SEP-2243).
    """

    id: bytes
    method: str
    params: Mapping[str, bytes] = NO_PARAMS
    meta: Mapping[str, bytes] = NO_PARAMS
    mirrored: tuple[tuple[str, str], ...] = ()


class Result(msgspec.Struct, frozen=True):
    """A server's result: the raw JSON of the object, never parsed further than needed."""

    raw: bytes


class Fault(msgspec.Struct, frozen=True):
    """A JSON-RPC error: `data` is raw JSON or None."""

    code: int
    message: str
    data: bytes | None = None


Reply = Result | Fault
"""What a server answers to one request."""


class Notice(msgspec.Struct, frozen=True):
    """A notification: method and raw JSON of `params`."""

    method: str
    params: bytes


class Question(msgspec.Struct, frozen=True):
    """A request that a legacy server makes of its client: method and raw JSON of `params`."""

    method: str
    params: bytes
