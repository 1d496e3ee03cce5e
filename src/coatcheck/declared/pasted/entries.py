"""Reads one entry of a paste: the server that it means, as `registering` would take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from coatcheck import errors
from coatcheck.core.credentials.looks import has_known_form, is_dense
from coatcheck.core.pasted import FoundServer, Gap, Value, filled
from coatcheck.declared.pasted import forms, wrappers
from coatcheck.declared.pasted.naming import name_of_command, name_of_url, take_free_name
from coatcheck.declared.pasted.values import Values
from coatcheck.declared.reading.headers import OURS
from coatcheck.declared.reading.jsonc import pointer_to
from coatcheck.declared.reading.place import PLAIN_KEY
from coatcheck.declared.reading.problems import Unfit
from coatcheck.declared.registering import MAX_ENTRIES, parted_of
from coatcheck.model.declaration import Problem
from coatcheck.model.secret import Secret

NO_LINES: Final[Mapping[str, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: `name` as the paste calls it, or nothing; `lines` are those of pointers below `pointer`."""

    name: str = field(repr=False)
    value: Any = field(repr=False)
    line: int
    pointer: str = field(default="", repr=False)
    lines: Mapping[str, int] = field(default_factory=lambda: NO_LINES, repr=False)
    notices: tuple[Problem, ...] = ()

    def line_of(self, key: str) -> int:
        """Return the line of a member, or of the entry."""
        return self.lines.get(pointer_to(self.pointer, key), self.line) if key else self.line


def read_entry(entry: Entry, inputs: Mapping[str, Gap], taken: set[str]) -> FoundServer:
    """Return the server of an entry, under a name that is not taken; the name is taken by it.

    Raises:
        Unfit: why it cannot be one; nothing of its values is quoted.
    """
    noted: list[tuple[str, str, str]] = []
    members = forms.told(entry.value, lambda *words: noted.append(words))
    noted.extend(("", text, "") for text in wrappers.unwrapped(members))
    _check(members)
    original = entry.name or _said(entry.value) or _derived(members)
    name = take_free_name(original, taken)
    if entry.name and name != entry.name:
        noted.append(("", f"its name was not fit for a server, or taken, and became {name}", ""))
    try:
        found = _server(name, members, inputs, noted)
        judge(found)
    except Unfit:
        taken.discard(name.casefold())
        raise
    notices = [Problem(entry.line_of(key), _where(name, key), message, fix) for key, message, fix in noted]
    return FoundServer(
        name=name,
        original=original,
        line=entry.line,
        url=found.url,
        transport=found.transport,
        headers=found.headers,
        command=found.command,
        args=found.args,
        env=found.env,
        cwd=found.cwd,
        gaps=found.gaps,
        notices=(*entry.notices, *notices),
    )


def judge(found: FoundServer) -> None:
    """Refuse what the registration of servers would refuse, whatever its gaps are filled with.

    Raises:
        Unfit: as `registering.parted_of`.
    """
    given = {gap.name: Secret("x") for gap in found.gaps}
    before = ""
    for piece in found.url.pieces if found.url is not None else ():
        if piece.gap:
            word = "x" if before else "https://x.example"
            given[piece.gap] = Secret("1" if before.endswith(":") else word)
        before = "x" if piece.gap else piece.text.reveal()
    try:
        parted_of(filled(found, given, shown=[] if found.url is None else ["url"]))
    except errors.Unfit as error:
        raise Unfit(error.message, error.fix) from None


def _check(members: Mapping[str, Any]) -> None:
    if ("url" in members) == ("command" in members):
        fix = "write url for a remote server, command for one that is a child"
        raise Unfit(
            "it has a url or a command, and not both" if "url" in members else "it has no url or command", fix
        )
    if not isinstance(members.get("url", ""), str):
        raise Unfit("'url' is no string in double quotes")
    foreign = ("args", "env", "cwd") if "url" in members else ("headers",)
    for key in foreign:
        if members.get(key):
            raise Unfit(
                f"'{key}' has no meaning beside {'a url' if 'url' in members else 'a command'}", "remove it"
            )
    for key in ("args", "env", "headers"):
        if not isinstance(members.get(key, []), (list if key == "args" else dict)) and key in members:
            raise Unfit(f"'{key}' is no {'list in [ ]' if key == 'args' else 'object in { }'}")
        if len(members.get(key, ())) > MAX_ENTRIES:
            raise Unfit(f"there are more than {MAX_ENTRIES} {key}")


def _said(value: Any) -> str:
    name = value.get("name") if isinstance(value, dict) else None
    return name if isinstance(name, str) else ""


def _derived(members: Mapping[str, Any]) -> str:
    if isinstance(members.get("url"), str):
        return name_of_url(members["url"])
    words = [word for word in members.get("args", ()) if isinstance(word, str)]
    return name_of_command(members["command"], words)


def _server(
    name: str, members: Mapping[str, Any], inputs: Mapping[str, Gap], noted: list[tuple[str, str, str]]
) -> FoundServer:
    values = Values(name, inputs)
    headers = _headers(values, members.get("headers", {}), noted)
    url = None
    if "url" in members:
        url, basic, has_fragment = values.url(_text(members["url"], "url"))
        if basic is not None:
            if any(key.lower() == "authorization" for key in headers):
                raise Unfit("the URL has user information, and there is an Authorization header", "keep one")
            headers["Authorization"] = basic
            noted.append(("url", "the user and password of the URL became an Authorization header", ""))
        if has_fragment:
            noted.append(("url", "the end of the URL from # on is left out", "it is never sent"))
    words = [_text(word, "args") for word in members.get("args", ())]
    args = tuple(
        values.argument(n, word, before)
        for n, (word, before) in enumerate(zip(words, ["", *words], strict=False))
    )
    env = {key: values.variable(key, _text(one, "env")) for key, one in members.get("env", {}).items()}
    cwd = _text(members["cwd"], "cwd") if members.get("cwd") else ""
    if cwd.startswith("~"):
        noted.append(("cwd", "it is left out", "give the whole path of a directory on the gateway's machine"))
        cwd = ""
    return FoundServer(
        name=name,
        original="",
        line=0,
        url=url,
        transport=members.get("transport"),
        headers=MappingProxyType(headers),
        command=values.plain(members["command"]) if "command" in members else None,
        args=args,
        env=MappingProxyType(env),
        cwd=values.plain(cwd) if cwd else None,
        gaps=tuple(values.gaps.values()),
    )


def _headers(
    values: Values, members: Mapping[str, Any], noted: list[tuple[str, str, str]]
) -> dict[str, Value]:
    headers = {}
    for key, value in members.items():
        if key.lower() in OURS:
            noted.append(("headers", f"the header {key} is left out", "the gateway writes it"))
        else:
            headers[key] = values.header(key, _text(value, "headers").strip())
    return headers


def _text(value: Any, key: str) -> str:
    """Return a value as a string: clients take numbers and true or false for one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if not isinstance(value, str):
        raise Unfit(f"there is a value in '{key}' that is no string", "write it in double quotes")
    return value


def _where(name: str, key: str) -> str:
    """Return a place as it may be told: a key may be a credential out of place."""
    if not key:
        return name
    is_plain = PLAIN_KEY.fullmatch(key) is not None and not has_known_form(key) and not is_dense(key)
    return f"{name}/{key}" if is_plain else f"{name}/..."
