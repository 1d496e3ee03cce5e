"""What differs between the eras on the wire: `_meta`, the handshake, the headers, the shape of results.

Sources: MCP 2025-11-25 (lifecycle, streamable HTTP) and MCP 2026-07-28 (versioning, SEP-2575, SEP-2243,
SEP-2549).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from coatcheck import __version__
from coatcheck.core.wire import messages
from coatcheck.model.call import Call, Caller, Fault, Reply, Result
from coatcheck.model.catalogue import Greeting
from coatcheck.model.era import LEGACY_VERSIONS, MODERN_VERSIONS, SERVED_VERSIONS, Era

HEADER_MISMATCH: Final = -32020
MISSING_CAPABILITY: Final = -32021
UNSUPPORTED_VERSION: Final = -32022
LEGACY_RESOURCE_NOT_FOUND: Final = -32002

PREFIX: Final = "io.modelcontextprotocol/"
META_VERSION: Final = PREFIX + "protocolVersion"
META_CAPABILITIES: Final = PREFIX + "clientCapabilities"
META_CLIENT_INFO: Final = PREFIX + "clientInfo"
META_SERVER_INFO: Final = PREFIX + "serverInfo"
META_LOG_LEVEL: Final = PREFIX + "logLevel"
META_SUBSCRIPTION: Final = PREFIX + "subscriptionId"
_META_OF_THE_HOP: Final = frozenset(
    {META_VERSION, META_CAPABILITIES, META_CLIENT_INFO, META_LOG_LEVEL, META_SUBSCRIPTION}
)
TASKS_EXTENSION: Final = PREFIX + "tasks"
PROGRESS: Final = "progressToken"

_MOST_KEPT: Final = 1024
"""Bytes of a client's capabilities up to which it is remembered what becomes of them."""
OUR_INFO: Final = messages.raw_of({"name": "coatcheck", "title": "Coatcheck", "version": __version__})
LISTS: Final = frozenset({"tools/list", "prompts/list", "resources/list", "resources/templates/list"})
_CACHEABLE: Final = LISTS | {"server/discover", "resources/read"}
_MODERN_ONLY_MEMBERS: Final = ("resultType", "ttlMs", "cacheScope")
_OURS_TO_SAY: Final = frozenset({"protocolVersion", "supportedVersions", "serverInfo", *_MODERN_ONLY_MEMBERS})
"""Members of an opening's answer that a server's greeting must not put into ours."""

NAME_PARAM: Final[Mapping[str, str]] = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
}
"""Method -> the member of params that `Mcp-Name` mirrors (SEP-2243)."""


# --- towards a server ----------------------------------------------------------------------------------


OURSELVES: Final = Caller(Era.MODERN, MODERN_VERSIONS[0])
"""The gateway as the caller of its own requests: it can be asked nothing and wants no log messages."""


def stamp(
    meta: Mapping[str, bytes], era: Era, version: str, progress: bytes | None, caller: Caller = OURSELVES
) -> dict[str, bytes]:
    """Return the `_meta` that goes to a server: the caller's own keys, ours in place of the hop's.

    `progress` is the progress token to use upstream, or None where the caller asked for no progress. What a
    modern caller can be asked is said for it; a legacy one is asked in its session or not at all.
    """
    stamped = {name: raw for name, raw in meta.items() if name not in _META_OF_THE_HOP}
    stamped.pop(PROGRESS, None)
    if progress is not None:
        stamped[PROGRESS] = progress
    if era is Era.MODERN:
        stamped[META_VERSION] = messages.raw_of(version)
        stamped[META_CAPABILITIES] = relayed_capabilities(_askable(caller))
        stamped[META_CLIENT_INFO] = OUR_INFO
        if caller.log_level:
            stamped[META_LOG_LEVEL] = messages.raw_of(caller.log_level)
    return stamped


def _askable(caller: Caller) -> bytes:
    """Return what a server may ask of a caller, as the caller says: a legacy one says it in its session."""
    return caller.capabilities if caller.era is Era.MODERN else b"{}"


def relayed_capabilities(raw: bytes) -> bytes:
    """Return a client's capabilities less what does not pass through us: tasks, in both of their forms."""
    return _relayed(raw) if len(raw) <= _MOST_KEPT else _relayed.__wrapped__(raw)


@lru_cache(maxsize=256)
def _relayed(raw: bytes) -> bytes:
    members = messages.members_of(raw)
    if members is None:
        return b"{}"
    members.pop("tasks", None)
    extensions = messages.members_of(members.get("extensions", b""))
    if extensions is not None:
        extensions.pop(TASKS_EXTENSION, None)
        members["extensions"] = messages.object_of(extensions)
    return messages.object_of(members)


def request_params(
    call: Call, era: Era, version: str, progress: bytes | None, caller: Caller = OURSELVES
) -> dict[str, bytes]:
    """Return the params of a call as they go to a server: judged members untouched, `_meta` stamped."""
    params = dict(call.params)
    if era is Era.MODERN and progress is None and _META_OF_THE_HOP.issuperset(call.meta):
        asked = _askable(caller)
        if len(asked) <= _MOST_KEPT:
            params["_meta"] = _usual_meta(version, asked, caller.log_level)
            return params
    meta = stamp(call.meta, era, version, progress, caller)
    if meta:
        params["_meta"] = messages.object_of(meta)
    return params


@lru_cache(maxsize=256)
def _usual_meta(version: str, capabilities: bytes, log_level: str) -> bytes:
    """Return the `_meta` for callers that bring nothing of their own; they are few kinds of client."""
    caller = Caller(Era.MODERN, version, capabilities=capabilities, log_level=log_level)
    return messages.object_of(stamp({}, Era.MODERN, version, None, caller))


def initialize_params(version: str = LEGACY_VERSIONS[0], capabilities: bytes = b"{}") -> dict[str, bytes]:
    """Return the params of our `initialize`: the version to propose, and what can be asked of the client."""
    return {
        "protocolVersion": messages.raw_of(version),
        "capabilities": relayed_capabilities(capabilities),
        "clientInfo": OUR_INFO,
    }


def discover_params(version: str = MODERN_VERSIONS[0]) -> dict[str, bytes]:
    """Return the params of our `server/discover`."""
    return {"_meta": _usual_meta(version, b"{}", "")}


def read_initialize(raw: bytes) -> Greeting | None:
    """Read the result of `initialize`; None if it is not one or names a version we do not speak."""
    result = messages.members_of(raw)
    if result is None:
        return None
    version = messages.text_of(result.pop("protocolVersion", None))
    if version not in LEGACY_VERSIONS:
        return None
    return _greeting(Era.LEGACY, version, result, result.pop("serverInfo", b"{}"))


def read_discover(raw: bytes) -> Greeting | None:
    """Read the result of `server/discover`; None if it names no modern version that we speak."""
    result = messages.members_of(raw)
    if result is None:
        return None
    offered = [
        messages.text_of(item) for item in messages.items_of(result.pop("supportedVersions", b"[]")) or []
    ]
    mutual = [version for version in MODERN_VERSIONS if version in offered]
    if not mutual:
        return None
    meta = messages.members_of(result.pop("_meta", b"{}")) or {}
    named = tuple(version for version in offered if version is not None)
    return _greeting(Era.MODERN, mutual[0], result, meta.get(META_SERVER_INFO, b"{}"), named)


def _greeting(
    era: Era, version: str, result: dict[str, bytes], info: bytes, versions: tuple[str, ...] = ()
) -> Greeting:
    capabilities = messages.members_of(result.pop("capabilities", b"{}")) or {}
    instructions = messages.text_of(result.pop("instructions", None))
    extra = {name: raw for name, raw in result.items() if name not in _OURS_TO_SAY}
    shown = info if info.startswith(b"{") else b"{}"
    return Greeting(era, version, capabilities, shown, instructions, extra, versions)


def versions_supported(fault: Fault) -> tuple[str, ...]:
    """Return the versions that a `-32022` error names (SEP-2575), or none."""
    if fault.code != UNSUPPORTED_VERSION or fault.data is None:
        return ()
    data = messages.members_of(fault.data) or {}
    named = [messages.text_of(item) for item in messages.items_of(data.get("supported", b"[]")) or []]
    return tuple(name for name in named if name is not None)


# --- headers ---------------------------------------------------------------------------------------------

_SENTINEL = re.compile(r"=\?base64\?(.*)\?=\Z", re.DOTALL)


def encode_header(value: str) -> str:
    """Return a header value that survives HTTP: plain ASCII as it is, the rest as `=?base64?...?=`."""
    plain = value.isascii() and value.isprintable() and value == value.strip(" ")
    if plain and not (value.startswith("=?") and _SENTINEL.match(value)):
        return value
    return f"=?base64?{base64.b64encode(value.encode('utf-8')).decode('ascii')}?="


def decode_header(value: str) -> str | None:
    """Return what a header value stands for, or None for a malformed `=?base64?...?=`."""
    match = _SENTINEL.match(value) if value.startswith("=?") else None
    if match is None:
        return value
    try:
        decoded = base64.b64decode(match[1], validate=True)
        if base64.b64encode(decoded).decode("ascii") != match[1]:
            return None  # not canonical: two spellings of one name
        return decoded.decode("utf-8")
    except ValueError:  # no ASCII, no base64 or no UTF-8
        return None


def modern_headers(
    method: str,
    params: Mapping[str, bytes],
    version: str,
    mirrored: Iterable[tuple[str, str]] = (),
) -> list[tuple[str, str]]:
    """Return the headers that a modern request to a server owes, made from its body (SEP-2243).

    `mirrored` are those that the schema of a tool asks for, ready to be sent.
    """
    headers = [("MCP-Protocol-Version", version), ("Mcp-Method", method), *mirrored]
    member = NAME_PARAM.get(method)
    name = messages.text_of(params.get(member)) if member else None
    if name is not None:
        headers.append(("Mcp-Name", encode_header(name)))
    return headers


# --- results towards a client ----------------------------------------------------------------------------


def reply_for(reply: Reply, method: str, era: Era) -> Reply:
    """Return a server's reply in the shape that a client of `era` expects.

    A modern client needs `resultType` and, on what may be cached, `ttlMs` and `cacheScope`, the scope
    always private since what one caller sees depends on who is calling. A legacy client gets none of
    them. "Not found" is -32602 for modern clients (-32002 is retired).
    """
    if isinstance(reply, Fault):
        if era is Era.MODERN and reply.code == LEGACY_RESOURCE_NOT_FOUND:
            return Fault(messages.INVALID_PARAMS, reply.message, reply.data)
        return reply
    return _modern(reply, method) if era is Era.MODERN else _legacy(reply)


def _modern(reply: Result, method: str) -> Result:
    cacheable = method in _CACHEABLE
    if not cacheable and _has_no_type(reply.raw):
        return Result(b'%b,"resultType":"complete"}' % reply.raw[:-1])
    members = messages.members_of(reply.raw)
    if members is None or (not cacheable and "resultType" in members):
        return reply
    members.setdefault("resultType", b'"complete"')
    if cacheable and members["resultType"] == b'"complete"':
        members.setdefault("ttlMs", b"0")
        members["cacheScope"] = b'"private"'
    return Result(messages.object_of(members))


def _legacy(reply: Result) -> Result:
    members = messages.members_of(reply.raw)
    if members is None or not any(name in members for name in _MODERN_ONLY_MEMBERS):
        return reply
    return Result(messages.object_of({k: v for k, v in members.items() if k not in _MODERN_ONLY_MEMBERS}))


def _has_no_type(raw: bytes) -> bool:
    """Tell whether an object has members, and surely no `resultType`, however that may be spelt."""
    return raw.startswith(b'{"') and raw.endswith(b"}") and b"resultType" not in raw and b"\\u" not in raw


def unsupported(requested: str) -> Fault:
    """Return the error for a version that we do not serve, naming those that we do (SEP-2575)."""
    data = messages.raw_of({"supported": list(SERVED_VERSIONS), "requested": requested})
    return Fault(UNSUPPORTED_VERSION, f"Unsupported protocol version {requested!r}", data)
