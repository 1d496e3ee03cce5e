"""What a client is told at the start: the answers to `initialize` and to `server/discover`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from coatcheck.core.wire import eras, messages
from coatcheck.model.call import Call, Result
from coatcheck.model.catalogue import Greeting
from coatcheck.model.era import LEGACY_VERSIONS, SERVED_VERSIONS, Era

_NEVER_RELAYED: Final = frozenset({"tasks"})
"""Capabilities that do not pass through us and so must not be announced."""
_ONLY_IN_SESSIONS: Final = frozenset({"logging"})
_LISTED: Final = frozenset({"tools", "prompts", "resources"})
"""Capabilities with lists. They change with what the caller may see, whatever the server says of them."""
_AGGREGATE: Final = (
    b'{"tools":{"listChanged":true},"prompts":{"listChanged":true},'
    b'"resources":{"listChanged":true,"subscribe":true},"completions":{},"logging":{}}'
)
MAX_INSTRUCTIONS: Final = 16 * 1024


def negotiate(call: Call) -> str:
    """Return the legacy version to speak: the client's if we serve it, else our newest."""
    asked = messages.text_of(call.params.get("protocolVersion"))
    return asked if asked in LEGACY_VERSIONS else LEGACY_VERSIONS[0]


def initialize_result(version: str, greeting: Greeting | None, instructions: str | None) -> Result:
    """Return the result of `initialize`; `greeting` None means the aggregated route."""
    introduction = _introduction(greeting, instructions, Era.LEGACY)
    members = {"protocolVersion": messages.raw_of(version), **introduction}
    members["serverInfo"] = _server_info(greeting)
    return Result(messages.object_of(members))


def discover_result(greeting: Greeting | None, instructions: str | None) -> Result:
    """Return the result of `server/discover`; `greeting` None means the aggregated route."""
    meta = messages.object_of({eras.META_SERVER_INFO: _server_info(greeting)})
    members = {
        "supportedVersions": messages.raw_of(list(SERVED_VERSIONS)),
        **_introduction(greeting, instructions, Era.MODERN),
        "_meta": meta,
    }
    return Result(messages.object_of(members))


def _introduction(greeting: Greeting | None, instructions: str | None, era: Era) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    if greeting is None:
        members["capabilities"] = _AGGREGATE
    else:
        members |= {name: raw for name, raw in greeting.extra.items() if name != "_meta"}
        members["capabilities"] = messages.object_of(_truthful(greeting, era))
    if instructions is not None:
        members["instructions"] = messages.raw_of(instructions)
    return members


def _truthful(greeting: Greeting, era: Era) -> Mapping[str, bytes]:
    """Return a server's capabilities less what does not pass through us to a client of this era.

    Lists can change here that never change at the server, so that they do is said of all of them.
    A server that only has sessions keeps log level and subscriptions in them, and a modern client has none.
    """
    crossing = era is Era.MODERN and greeting.era is Era.LEGACY
    kept: dict[str, bytes] = {}
    for name, raw in greeting.capabilities.items():
        if name in _NEVER_RELAYED or (crossing and name in _ONLY_IN_SESSIONS):
            continue
        members = messages.members_of(raw) if name in _LISTED or name == "extensions" else None
        if members is None:
            kept[name] = raw
            continue
        members.pop(eras.TASKS_EXTENSION, None)
        if crossing:
            members.pop("subscribe", None)
        if name in _LISTED:
            members["listChanged"] = b"true"
        kept[name] = messages.object_of(members)
    return kept


def _server_info(greeting: Greeting | None) -> bytes:
    return greeting.server_info if greeting is not None else eras.OUR_INFO


def merged_instructions(parts: Sequence[tuple[str, str]]) -> str | None:
    """Join the instructions of several servers under a heading each, cut where clients would cut anyway."""
    text = "\n\n".join(f"## {server}\n\n{instructions}" for server, instructions in parts)
    return text[:MAX_INSTRUCTIONS] or None
