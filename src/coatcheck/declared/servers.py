"""Reads `mcpServers`: what each server is called, how it is reached and when it is stopped."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

from coatcheck.core import names
from coatcheck.core.wire import messages
from coatcheck.declared.reach import REMOTE_KEYS, STDIO_KEYS, Given, read_remote, read_stdio
from coatcheck.declared.reading.place import Place
from coatcheck.declared.reading.problems import Unfit
from coatcheck.declared.reading.units import seconds_of
from coatcheck.model.credential import Probe, Replace, Upkeep
from coatcheck.model.declaration import DeclaredServer
from coatcheck.model.server import AccessMarks, HttpReach, IdlePolicy, StdioReach

KEYS: Final = (
    frozenset({"type", "tool_acl", "idle_timeout", "min_idle_timeout", "max_idle_timeout", "disabled"})
    | frozenset({"replace", "probe"})
    | STDIO_KEYS
    | REMOTE_KEYS
)
MARK_KEYS: Final = frozenset({"read", "write"})
PROBE_KEYS: Final = frozenset({"tool", "arguments"})
MAX_PROBE_BYTES: Final = 16_384
"""Most bytes that the arguments of a probe call may have as JSON."""
ASIDE: Final = {
    "autoApprove": "approval is the client's own",
    "alwaysAllow": "approval is the client's own",
    "disabledTools": "write access rules under serverAuth.acl to hide tools from callers",
    "timeout": "see call_timeout in the settings",
    "description": "it describes the server to people",
    "name": "a server is called by its key",
}
_CLI = "only MCP servers are served; put an MCP server in front of the command-line program"
REFUSED: Final = {
    "cli": _CLI,
    "cli_help": _CLI,
    "cli_depth": _CLI,
    "cli_only": _CLI,
    "tools": "remove it; write access rules under serverAuth.acl to choose tools",
    "forward_identity": "remove it; the caller's name is not sent to servers by this version",
    "envFile": "write the variables under env, as ${NAME} or ${file:/path}",
    "transport": "write it as type",
    "serverUrl": "write it as url",
    "httpUrl": "write it as url, with type http",
}

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32}", re.IGNORECASE)
_RESERVED: Final = frozenset({"sse", "message"})
_SHORTEST_IDLE, _LONGEST_IDLE = 1.0, 7 * 86400.0


def read_servers(place: Place) -> tuple[DeclaredServer, ...]:
    """Return the servers that are not disabled, noting everything wrong with any."""
    members = place.members() or {}
    _check_names(members)
    servers = [read_server(name, member) for name, member in members.items()]
    return tuple(server for server in servers if server is not None)


def read_server(name: str, place: Place) -> DeclaredServer | None:
    """Return one server; None if it is disabled or something is wrong with it."""
    keys = place.keys(KEYS, refused=_refused_in(place), aside=ASIDE)
    if keys is None:
        return None
    if "disabled" in keys and keys["disabled"].flag():
        return None  # its variables need not be set
    given = Given()
    reach = _read_reach(place, keys, given)
    idle = _read_idle(keys)
    marks = _read_marks(keys["tool_acl"]) if "tool_acl" in keys else AccessMarks()
    upkeep = _read_upkeep(keys)
    if reach is None:
        return None
    return DeclaredServer(
        name,
        reach,
        idle,
        marks,
        upkeep,
        MappingProxyType(given.blanks),
        MappingProxyType(given.custody),
        MappingProxyType(given.lines),
    )


def name_of(text: str) -> str:
    """Return a server name: it is a part of paths (`/mcp/NAME/`) and of tool names (`NAME__tool`).

    Raises:
        Unfit: not a name, or one that could be taken for something else.
    """
    if not _NAME.fullmatch(text):
        raise Unfit("a server name has 1 to 40 letters, digits, hyphens and underscores", "rename it")
    if "__" in text or text.endswith("_"):
        raise Unfit("a server name has no double underscore and does not end in one", "rename it")
    if _UUID.fullmatch(text):
        raise Unfit("a server name is not a UUID, which servers have besides their name", "rename it")
    if text.lower() in _RESERVED:
        raise Unfit(f"the name {text} is taken by the protocol's own paths", "rename it")
    return text


def _check_names(members: dict[str, Place]) -> None:
    seen: dict[str, str] = {}
    for name, place in members.items():
        try:
            name_of(name)
        except Unfit as error:
            place.findings.unfit(place.where, error)
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            place.problem(
                f"there is a server '{other}' already; case does not tell names apart", "rename one"
            )


def _refused_in(place: Place) -> dict[str, str]:
    found = place.value if isinstance(place.value, dict) else {}
    return {key: _CLI for key in found if key.startswith("cli")} | REFUSED


def _read_reach(place: Place, keys: dict[str, Place], given: Given) -> HttpReach | StdioReach | None:
    if "command" in keys and "url" in keys:
        place.problem("the server has both command and url", "keep one: command for stdio, url for remote")
        return None
    if "command" in keys:
        return read_stdio(keys, given)
    if "url" in keys:
        return read_remote(keys, given)
    place.problem("the server has neither command nor url", "write command for stdio, url for remote")
    return None


def _read_idle(keys: dict[str, Place]) -> IdlePolicy:
    default = IdlePolicy()
    least = _read_duration(keys.get("min_idle_timeout"), default.least)
    most = _read_duration(keys.get("max_idle_timeout"), default.most)
    if least > most:
        odd = keys.get("min_idle_timeout") or keys["max_idle_timeout"]
        odd.problem("min_idle_timeout is longer than max_idle_timeout", "the defaults are 1m and 5m")
        return default
    place = keys.get("idle_timeout")
    word = place.text() if place is not None and isinstance(place.value, str) else ""
    if place is None or word == "adaptive":
        return IdlePolicy(True, None, least, most)
    if word == "never":
        return IdlePolicy(False, None, least, most)
    return IdlePolicy(False, _read_duration(place, default.most), least, most)


def _read_duration(place: Place | None, default: float) -> float:
    if place is None:
        return default
    value = place.text() if isinstance(place.value, str) else place.value
    if value is None and place.value is not None:
        return default  # a variable is missing, which is noted already
    try:
        return seconds_of(value, _SHORTEST_IDLE, _LONGEST_IDLE)
    except Unfit as error:
        words = " or 'adaptive', 'never'" if place.where.endswith("/idle_timeout") else ""
        place.problem(error.message, f"{error.fix}{words}" if error.fix else "")
        return default


def _read_upkeep(keys: dict[str, Place]) -> Upkeep:
    word = keys["replace"].choice(tuple(Replace)) if "replace" in keys else None
    probe = _read_probe(keys["probe"]) if "probe" in keys else None
    return Upkeep(Replace(word) if word is not None else Replace.OVERLAP, probe)


def _read_probe(place: Place) -> Probe | None:
    """Return a tool call; its arguments are taken as they are written, nothing in them is replaced."""
    keys = place.keys(PROBE_KEYS)
    if keys is None:
        return None
    if "tool" not in keys:
        place.problem("the probe names no tool", 'add "tool": "NAME", as the server calls it')
        return None
    tool = keys["tool"].checked(tool_of)
    arguments = keys["arguments"].members() if "arguments" in keys else {}
    if tool is None or arguments is None:
        return None
    said = messages.raw_of({name: member.value for name, member in arguments.items()})
    if len(said) > MAX_PROBE_BYTES:
        keys["arguments"].problem(f"the arguments are larger than {MAX_PROBE_BYTES // 1024} KiB as JSON")
        return None
    return Probe(tool, said.decode("utf-8"))


def tool_of(text: str) -> str:
    """Return a name that a tool may have.

    Raises:
        Unfit: it is empty, too long, or has characters that cannot be seen.
    """
    if not text or len(text) > names.MAX_OWN or not text.isprintable():
        raise Unfit(f"the name of a tool has 1 to {names.MAX_OWN} visible characters")
    return text


def _read_marks(place: Place) -> AccessMarks:
    keys = place.keys(MARK_KEYS) or {}
    read = read_patterns(keys["read"]) if "read" in keys else ()
    write = read_patterns(keys["write"]) if "write" in keys else ()
    for pattern in sorted(set(read) & set(write)):
        place.problem(f"the pattern '{pattern}' stands under both read and write", "keep it under one")
    return AccessMarks(read, write)


def read_patterns(place: Place) -> tuple[str, ...]:
    """Return a list of globs in which only `*` is special, noting what cannot be one."""
    patterns = [read_pattern(item) for item in place.items() or []]
    return tuple(pattern for pattern in patterns if pattern is not None)


def read_pattern(place: Place) -> str | None:
    """Return one glob, or note why it cannot be one."""
    pattern = place.text()
    if pattern is None:
        return None
    if not pattern or len(pattern) > 256 or not pattern.isprintable() or " " in pattern:
        place.problem("a pattern has 1 to 256 visible characters and no space")
        return None
    if set(pattern) & set("?[]{}"):
        place.notice(f"only * is special in patterns; '{pattern}' is taken letter by letter")
    return pattern
