"""Reads how a server is reached: the command of a child process, or a URL with headers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from coatcheck import errors
from coatcheck.core import filling
from coatcheck.core.redact import header_secrets
from coatcheck.core.surroundings import looks_secret
from coatcheck.declared.reading.addresses import url_of
from coatcheck.declared.reading.expand import shown
from coatcheck.declared.reading.headers import OURS, header_name_of, header_value_of
from coatcheck.declared.reading.place import Place
from coatcheck.declared.reading.problems import Unfit
from coatcheck.model.credential import Blank, Custody
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


class Given:
    """What the values of one server are filled with, and whence those come that are secret.

    All by place, such as `headers/Authorization`; `lines` are those of the blanks.
    """

    def __init__(self) -> None:
        self.blanks: dict[str, Blank] = {}
        self.custody: dict[str, Custody] = {}
        self.lines: dict[str, int] = {}

    def take(
        self, at: str, place: Place, check: Callable[[str], str], is_secret: Callable[[str], bool]
    ) -> Secret | None:
        """Return the value for a place, or a stand-in for it; None if something is wrong, which is noted.

        `is_secret` tells of a value that is written out whether it is to be kept as a secret.
        """
        found = place.given(check)
        if found is None:
            return None
        expanded, value = found
        if expanded.blank is not None:
            self.blanks[at] = expanded.blank
            self.lines[at] = place.line
            return Secret(value if at == filling.URL else filling.STAND_IN)
        if expanded.custody is not None:
            self.custody[at] = expanded.custody
        elif is_secret(value):
            self.custody[at] = Custody.LITERAL
        return Secret(value)


def read_stdio(keys: Mapping[str, Place], given: Given) -> StdioReach | None:
    """Return the reach of a child process; None if something is wrong with it, which is noted.

    `given` takes what is to be filled in.
    """
    _refuse_foreign(keys, REMOTE_KEYS, "a server with a command")
    if "type" in keys:
        keys["type"].choice({"stdio"})
    command = keys["command"].checked(argument_of)
    args = _read_args(keys["args"], given) if "args" in keys else ()
    env = _read_env(keys["env"], given) if "env" in keys else {}
    cwd = _read_cwd(keys["cwd"]) if "cwd" in keys else None
    if command is None:
        return None
    if not command.strip():
        keys["command"].problem("the command is empty")
        return None
    return StdioReach(command, args, MappingProxyType(env), cwd)


def read_remote(keys: Mapping[str, Place], given: Given) -> HttpReach | None:
    """Return the reach of a remote server; None if something is wrong with it, which is noted.

    `given` takes what is to be filled in.
    """
    _refuse_foreign(keys, STDIO_KEYS, "a server with a url")
    kind = keys["type"].choice(REMOTE_TYPES) if "type" in keys else None
    headers = _read_headers(keys["headers"], given) if "headers" in keys else {}
    place = keys["url"]
    written = given.take(filling.URL, place, url_of, _never)
    if written is None or not _finish_url(place, given):
        return None
    url = written.reveal()
    if url.startswith("http://") and headers and not _LOCAL_HOSTS.fullmatch(urlsplit(url).hostname or ""):
        place.notice("headers go to this server unencrypted", "use https:// if the server has it")
    transport = REMOTE_TYPES[kind] if kind else Transport.AUTO
    return HttpReach(Secret(url), shown_url(str(place.value)), MappingProxyType(headers), transport)


def _finish_url(place: Place, given: Given) -> bool:
    """Tell whether a URL with credentials in it leads where it says by itself, and note what is odd."""
    blank = given.blanks.get(filling.URL)
    if blank is None:
        return True
    try:
        filling.check_url(blank)
    except errors.Unfit as error:
        place.problem(error.message, error.fix)
        return False
    place.notice("proxies and logs on the way see what is in a URL", "use a header if the server takes one")
    given.blanks[filling.URL] = filling.with_url(blank, url_of(filling.stand_in(blank)))
    return True


def shown_url(raw: str) -> str:
    """Return a URL as it may be shown: without user information, query, fragment and what was expanded."""
    return re.split(r"[?#]", shown(raw), maxsplit=1)[0]


def _refuse_foreign(keys: Mapping[str, Place], foreign: frozenset[str], what: str) -> None:
    for key in sorted(foreign & keys.keys()):
        keys[key].problem(f"'{key}' has no meaning for {what}", "remove it")


def _read_headers(place: Place, given: Given) -> dict[str, Secret]:
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
        value = given.take(f"headers/{name}", member, header_value_of, partial(_is_credential, name))
        if value is not None:
            headers[name] = value
    return headers


def _read_env(place: Place, given: Given) -> dict[str, Secret]:
    env = {}
    for name, member in (place.members() or {}).items():
        if not VARIABLE_NAME.fullmatch(name):
            message = "there is a variable name that is empty or has '=', a space or a control character"
            place.findings.problem(place.where, message, at=member.where)
            continue
        is_secret = _always if looks_secret(name) else _never
        value = given.take(f"env/{name}", member, argument_of, is_secret)
        if value is not None:
            env[name] = value
    return env


def _read_args(place: Place, given: Given) -> tuple[Secret, ...]:
    values = []
    for number, item in enumerate(place.items() or []):
        at = f"args/{number}"
        values.append(given.take(at, item, argument_of, _never))
        if at in given.blanks:
            item.notice("everyone on this machine sees the arguments of a process", "use env if it can")
    return tuple(value for value in values if value is not None)


def _read_cwd(place: Place) -> str | None:
    cwd = place.checked(argument_of)
    if cwd is not None and (not cwd or cwd.startswith("~")):
        place.problem("the directory is empty or starts with ~", "write the whole path")
    return cwd


def _is_credential(name: str, value: str) -> bool:
    return any(header_secrets(name, value))


def _always(_: str) -> bool:
    return True


def _never(_: str) -> bool:
    return False


def argument_of(text: str) -> str:
    """Return a text that a process can be given; raises `Unfit` for any other."""
    if "\x00" in text:
        raise Unfit("the value has a NUL character, which no process can be given")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise Unfit("the value is not UTF-8")  # a variable with bytes that Python could not decode
    return text
