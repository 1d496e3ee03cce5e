"""Reads how a server is reached: the command of a child process, or a URL with headers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from coatcheck.declared.reading.addresses import url_of
from coatcheck.declared.reading.expand import shown
from coatcheck.declared.reading.headers import OURS, header_name_of, header_value_of
from coatcheck.declared.reading.place import Place
from coatcheck.declared.reading.problems import Unfit
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, StdioReach, Transport

STDIO_KEYS: Final = frozenset({"command", "args", "env", "cwd"})
REMOTE_KEYS: Final = frozenset({"url", "headers"})
REMOTE_TYPES: Final = {
    "http": Transport.HTTP,
    "streamable-http": Transport.HTTP,
    "sse": Transport.SSE,
}
VARIABLE_NAME = re.compile(r"[^=\x00-\x20\x7f]{1,256}")
_LOCAL_HOSTS = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|::1")


def read_stdio(keys: Mapping[str, Place]) -> StdioReach | None:
    """Return the reach of a child process; None if something is wrong with it, which is noted."""
    _refuse_foreign(keys, REMOTE_KEYS, "a server with a command")
    if "type" in keys:
        keys["type"].choice({"stdio"})
    command = keys["command"].checked(argument_of)
    args = _read_args(keys["args"]) if "args" in keys else ()
    env = _read_env(keys["env"]) if "env" in keys else {}
    cwd = _read_cwd(keys["cwd"]) if "cwd" in keys else None
    if command is None:
        return None
    if not command.strip():
        keys["command"].problem("the command is empty")
        return None
    return StdioReach(command, args, MappingProxyType(env), cwd)


def read_remote(keys: Mapping[str, Place]) -> HttpReach | None:
    """Return the reach of a remote server; None if something is wrong with it, which is noted."""
    _refuse_foreign(keys, STDIO_KEYS, "a server with a url")
    kind = keys["type"].choice(REMOTE_TYPES) if "type" in keys else None
    headers = _read_headers(keys["headers"]) if "headers" in keys else {}
    place = keys["url"]
    url = place.checked(url_of)
    if url is None:
        return None
    if url.startswith("http://") and headers and not _LOCAL_HOSTS.fullmatch(urlsplit(url).hostname or ""):
        place.notice("headers go to this server unencrypted", "use https:// if the server has it")
    transport = REMOTE_TYPES[kind] if kind else Transport.AUTO
    return HttpReach(Secret(url), shown_url(str(place.value)), MappingProxyType(headers), transport)


def shown_url(raw: str) -> str:
    """Return a URL as it may be shown: without user information, query, fragment and what was expanded."""
    return re.split(r"[?#]", shown(raw), maxsplit=1)[0]


def _refuse_foreign(keys: Mapping[str, Place], foreign: frozenset[str], what: str) -> None:
    for key in sorted(foreign & keys.keys()):
        keys[key].problem(f"'{key}' has no meaning for {what}", "remove it")


def _read_headers(place: Place) -> dict[str, Secret]:
    headers: dict[str, Secret] = {}
    seen: set[str] = set()
    for name, member in (place.members() or {}).items():
        try:
            header_name_of(name)
        except Unfit as error:
            # Told at the parent: what is no header name may be a whole header, value and all.
            place.findings.unfit(place.where, error, at=member.where)
            continue
        if name.lower() in OURS:
            member.notice(f"'{name}' is set aside: the gateway writes it")
            continue
        if name.lower() in seen:
            member.problem(f"the header {name} is set twice; case does not tell headers apart", "keep one")
        seen.add(name.lower())
        value = member.checked(header_value_of)
        if value is not None:
            headers[name] = Secret(value)
    return headers


def _read_env(place: Place) -> dict[str, Secret]:
    env = {}
    for name, member in (place.members() or {}).items():
        if not VARIABLE_NAME.fullmatch(name):
            message = "there is a variable name that is empty or has '=', a space or a control character"
            place.findings.problem(place.where, message, at=member.where)
            continue
        value = member.checked(argument_of)
        if value is not None:
            env[name] = Secret(value)
    return env


def _read_args(place: Place) -> tuple[Secret, ...]:
    values = [item.checked(argument_of) for item in place.items() or []]
    return tuple(Secret(value) for value in values if value is not None)


def _read_cwd(place: Place) -> str | None:
    cwd = place.checked(argument_of)
    if cwd is not None and (not cwd or cwd.startswith("~")):
        place.problem("the directory is empty or starts with ~", "write the whole path")
    return cwd


def argument_of(text: str) -> str:
    """Return a text that a process can be given; raises `Unfit` for any other."""
    if "\x00" in text:
        raise Unfit("the value has a NUL character, which no process can be given")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise Unfit("the value is not UTF-8")  # a variable with bytes that Python could not decode
    return text
