"""Which era a request belongs to, and the checks that a modern one climbs before it is answered.

Sources: MCP 2026-07-28 (versioning; SEP-2575 per-request fields; SEP-2243 headers).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from coatcheck.core.wire import eras, levels, messages
from coatcheck.core.wire.framing import Headers
from coatcheck.model.call import Call, Caller, Fault
from coatcheck.model.era import LEGACY_VERSIONS, MODERN_VERSIONS, Era

VERSION_HEADER: Final = "mcp-protocol-version"
_MOST_KEPT: Final = 1024
"""Bytes that a client says of itself with every request, up to which it is remembered."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A request that is answered with an error: the HTTP status and the JSON-RPC error."""

    status: int
    fault: Fault


def is_modern(headers: Headers, message: messages.Message) -> bool:
    """Tell the era of a message: by its version header, else by the version in `_meta`.

    A version that no legacy revision has is modern, so that it gets a modern "unsupported" answer.
    """
    version = headers.get(VERSION_HEADER)
    if version is not None and version[0].strip() not in LEGACY_VERSIONS:
        return True
    if not isinstance(message, Call):
        return False
    return message.method != "initialize" and eras.META_VERSION in message.meta


def climb(headers: Headers | None, call: Call) -> Caller | Rejection:
    """Check a modern request: `_meta`, headers against the body, version. The first failure wins.

    `headers` None: a transport without headers, where the body alone counts.
    """
    version = messages.text_of(call.meta.get(eras.META_VERSION))
    capabilities = call.meta.get(eras.META_CAPABILITIES, b"")
    if version is None:
        return _invalid(f"params._meta needs {eras.META_VERSION!r}, a string")
    if not capabilities.startswith(b"{"):
        return _invalid(f"params._meta needs {eras.META_CAPABILITIES!r}, an object")
    # Where no header can say it, none disagrees with it.
    carried = version in MODERN_VERSIONS or eras.encode_header(version) == version
    if headers is not None and carried and (wrong := _mismatch(headers, call, version)):
        return Rejection(400, Fault(eras.HEADER_MISMATCH, wrong))
    if version not in MODERN_VERSIONS:
        return Rejection(400, eras.unsupported(version))
    level = call.meta.get(eras.META_LOG_LEVEL)
    if level is not None and not levels.is_level(messages.text_of(level)):
        return _invalid(f"params._meta has a {eras.META_LOG_LEVEL!r} that is no log level")
    caller = caller_of(Era.MODERN, version, call.meta.get(eras.META_CLIENT_INFO), capabilities)
    return caller if level is None else caller.with_level(messages.text_of(level) or "")


def _invalid(message: str) -> Rejection:
    return Rejection(400, Fault(messages.INVALID_PARAMS, message))


def _mismatch(headers: Headers, call: Call, version: str) -> str:
    """Return what is wrong with the headers that mirror the body, or nothing."""
    if _value(headers, VERSION_HEADER) != version:
        return "The header MCP-Protocol-Version is missing or differs from params._meta."
    if not _names_method(_value(headers, "mcp-method"), call.method):
        return "The header Mcp-Method is missing or differs from the method."
    member = eras.NAME_PARAM.get(call.method)
    name = messages.text_of(call.params.get(member)) if member else None
    if name is None:
        return ""  # a malformed name is the next check's business
    header = _value(headers, "mcp-name")
    if header is None or eras.decode_header(header) != name:
        return f"The header Mcp-Name is missing or differs from params.{member}."
    return ""


def _names_method(header: str | None, method: str) -> bool:
    """Compare less strictly than names: whatever the header says, only the body's method is looked up."""
    return header is not None and (eras.decode_header(header) == method or header == method.strip(" \t"))


def _value(headers: Headers, name: str) -> str | None:
    values = headers.get(name)
    return values[0].strip(" \t") if values else None


def caller_of(era: Era, version: str, client_info: bytes | None, capabilities: bytes = b"{}") -> Caller:
    """Return what a client said of itself, printable and of bounded length."""
    if len(client_info or b"") + len(capabilities) > _MOST_KEPT:
        return _caller_of.__wrapped__(era, version, client_info, capabilities)
    return _caller_of(era, version, client_info, capabilities)


@lru_cache(maxsize=256)
def _caller_of(era: Era, version: str, client_info: bytes | None, capabilities: bytes) -> Caller:
    members = messages.members_of(client_info) if client_info else None
    if not members:
        return Caller(era, version, capabilities=capabilities)
    name, release = (messages.text_of(members.get(key)) or "" for key in ("name", "version"))
    return Caller(era, version, _plain(name), _plain(release), capabilities)


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:200])


_REQUIRED: Final[dict[str, tuple[tuple[str, bytes, bool], ...]]] = {
    "tools/call": (("name", b'"', True), ("arguments", b"{", False)),
    "prompts/get": (("name", b'"', True), ("arguments", b"{", False)),
    "resources/read": (("uri", b'"', True),),
    "completion/complete": (("ref", b"{", True), ("argument", b"{", True)),
    "subscriptions/listen": (("notifications", b"{", True),),
    "resources/subscribe": (("uri", b'"', True),),
    "resources/unsubscribe": (("uri", b'"', True),),
    "logging/setLevel": (("level", b'"', True),),
    "tools/list": (("cursor", b'"', False),),
    "prompts/list": (("cursor", b'"', False),),
    "resources/list": (("cursor", b'"', False),),
    "resources/templates/list": (("cursor", b'"', False),),
}
"""Method -> the members of params that we read: name, first byte of its JSON, whether it must be there."""

_TYPE: Final = {b'"': "a string", b"{": "an object"}


def check_params(call: Call) -> Fault | None:
    """Return the error for params of the wrong shape; only what policy and routing read is checked."""
    for name, first, required in _REQUIRED.get(call.method, ()):
        raw = call.params.get(name)
        if raw is None and not required:
            continue
        if raw is None or not raw.startswith(first):
            return Fault(messages.INVALID_PARAMS, f"params.{name} must be {_TYPE[first]}")
    return None
