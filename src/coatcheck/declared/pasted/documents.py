"""Finds the servers in a pasted document, JSON or TOML, wherever its client keeps them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from coatcheck.core.credentials.looks import has_known_form, is_dense, named_as_credential
from coatcheck.core.pasted import Gap
from coatcheck.declared.pasted import forms
from coatcheck.declared.pasted.entries import Entry
from coatcheck.declared.reading import jsonc
from coatcheck.declared.reading.jsonc import pointer_to
from coatcheck.declared.reading.place import PLAIN_KEY
from coatcheck.model.declaration import Problem
from coatcheck.model.secret import Secret

LISTS: Final[Mapping[str, str]] = {
    "mcpServers": "JSON with mcpServers",
    "servers": "JSON of VS Code",
    "context_servers": "settings of Zed",
    "mcp_servers": "TOML of Codex",
    "amp.mcpServers": "settings of Amp",
}
_TOLD: Final = 8
_PLACE: Final = re.compile(r"\(at line (\d+), column (\d+)\)")
_CHAIN: Final = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){40}""")
"""Reading a key of very many parts takes time that grows with their square."""
_TABLE: Final = re.compile(r"^[ \t]*\[[ \t]*mcp_servers[ \t]*\.[ \t]*([^\]\n]{1,200})\]", re.MULTILINE)


class Undocumented(Exception):
    """The text is not the document that it looks like: `problem` says where and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Found:
    """What a document holds: its entries, not yet read, what people are asked for them, what is left out."""

    form: str
    entries: tuple[Entry, ...]
    inputs: Mapping[str, Gap]
    notices: tuple[Problem, ...] = ()


def json_of(text: str) -> Found:
    """Return what a text of JSON holds; comments and last commas may stand in it.

    Raises:
        Undocumented: it is not JSON, or there are no servers in it.
    """
    try:
        document = jsonc.read(text, last_commas=True)
    except jsonc.JsoncError as error:
        raise Undocumented(Problem(error.line, "", error.message, error.fix)) from None
    return _found(document.value, document.lines, document.doubles)


def toml_of(text: str) -> Found:
    """Return what a text of TOML holds under `mcp_servers`.

    Raises:
        Undocumented: it is not TOML, or there are no servers in it.
    """
    if match := _CHAIN.search(text):
        line = text.count("\n", 0, match.start()) + 1
        raise Undocumented(Problem(line, "", "a key has more parts than any client's", "correct the key"))
    try:
        value = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        at = _PLACE.search(str(error))  # the rest of its message can quote the text
        line, column = (int(at[1]), int(at[2])) if at else (1, 1)
        message = f"this is not TOML, line {line} column {column}"
        raise Undocumented(
            Problem(line, "", message, "strings stand in double quotes, tables in [ ]")
        ) from None
    lines = {"": 1}
    for match in _TABLE.finditer(text):
        name = match[1].strip(" \t\"'")
        lines[pointer_to("/mcp_servers", name)] = text.count("\n", 0, match.start()) + 1
    return _found(value, lines, ())


def _found(value: Any, lines: Mapping[str, int], doubles: tuple[Problem, ...]) -> Found:
    if isinstance(value, list):
        entries = tuple(_entry("", one, pointer_to("", n), lines) for n, one in enumerate(value))
        return Found("a list of servers", entries, {}, doubles)
    if not isinstance(value, dict):
        raise Undocumented(Problem(1, "", "this is no configuration", "paste an object in { }"))
    inputs = dict(_inputs(value))
    if forms.is_entry(value):
        return Found("one server", (_entry("", value, "", lines),), inputs, doubles)
    if lists := list(_lists(value)):
        entries = tuple(entry for pointer, listed in lists for entry in _members(listed, pointer, lines))
        known = {pointer.split("/")[1] for pointer, _ in lists}
        notices = (*doubles, *_left_out(value, known, lines))
        form = next(
            (words for key, words in LISTS.items() if key in known), "settings of VS Code or OpenCode"
        )
        return Found(form, entries, inputs, notices)
    if any(forms.is_entry(one) for one in value.values()):
        named = {key: one for key, one in value.items() if key not in {"inputs", "$schema"}}
        return Found("servers by name", tuple(_members(named, "", lines)), inputs, doubles)
    fix = f"servers stand under {', '.join(LISTS)}, or are objects with a url or a command"
    raise Undocumented(Problem(1, "", "there are no servers in this", fix))


def _lists(value: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of servers by name, with their pointers."""
    for key in LISTS:
        if isinstance(value.get(key), dict) and not forms.is_entry(value[key]):
            yield pointer_to("", key), value[key]
    inner = value.get("mcp")
    if not isinstance(inner, dict):
        return
    for key in ("servers", "mcpServers"):
        if isinstance(inner.get(key), dict):
            yield pointer_to("/mcp", key), inner[key]
            return
    if any(forms.is_entry(one) for one in inner.values()):  # OpenCode
        yield "/mcp", {name: one for name, one in inner.items() if isinstance(one, dict)}


def _members(listed: Mapping[str, Any], pointer: str, lines: Mapping[str, int]) -> Iterator[Entry]:
    for name, value in listed.items():
        yield _entry(name, value, pointer_to(pointer, name), lines)


def _entry(name: str, value: Any, pointer: str, lines: Mapping[str, int]) -> Entry:
    return Entry(name, value, lines.get(pointer, lines.get("", 1)), pointer, lines)


def _left_out(value: Mapping[str, Any], known: set[str], lines: Mapping[str, int]) -> Iterator[Problem]:
    odd = [key for key in value if key not in {*known, "inputs", "$schema"}]
    told = [key for key in odd if PLAIN_KEY.fullmatch(key) and not has_known_form(key) and not is_dense(key)][
        :_TOLD
    ]
    for key in told:
        yield Problem(lines.get(pointer_to("", key), 1), key, "it is left out", "it is no list of servers")
    if len(odd) > len(told):
        yield Problem(1, "", f"{len(odd) - len(told)} more keys are left out", "they are no lists of servers")


def _inputs(value: Mapping[str, Any]) -> Iterator[tuple[str, Gap]]:
    """Yield what VS Code asks people for, by the name that values refer to it."""
    inner = value.get("mcp")
    for found in (value.get("inputs"), inner.get("inputs") if isinstance(inner, dict) else None):
        for one in found if isinstance(found, list) else ():
            if isinstance(one, dict) and isinstance(one.get("id"), str):
                yield f"input:{one['id']}", _input(one)


def _input(one: Mapping[str, Any]) -> Gap:
    name = f"input:{one['id']}"
    about = one.get("description")
    default = one.get("default")
    is_secret = one.get("password") is True or named_as_credential(one["id"])
    kept = Secret(default) if isinstance(default, str) and default else None
    return Gap(name, f"${{{name}}}", about[:200] if isinstance(about, str) else "", is_secret, kept)


def fragment_of(text: str) -> str:
    """Return JSON of which the braces around it were not pasted, with them; other text as it is."""
    return f"{{{text.rstrip().rstrip(',')}\n}}" if text.lstrip().startswith('"') else text
