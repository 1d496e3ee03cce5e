"""Reads pasted lines of a shell: `claude mcp add ...` and its like, a URL, or the command of a server."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from coatcheck.declared.pasted import forms
from coatcheck.declared.pasted.entries import Entry
from coatcheck.declared.pasted.naming import LAUNCHERS, last_part
from coatcheck.declared.reading import jsonc
from coatcheck.declared.reading.place import PLAIN_KEY
from coatcheck.declared.reading.problems import Unfit
from coatcheck.model.declaration import Problem

MAX_LINE: Final = 64 * 1024
_LINE: Final = re.compile(r"""(?:[^\\'"\n]|\\.|'[^']*+'|"(?:[^"\\]|\\.)*+")*+""", re.DOTALL)
_JOINED: Final = re.compile(r"""('[^']*+'|"(?:[^"\\]|\\.)*+"|\\[^\r\n])|\\\r?\n[ \t]*""", re.DOTALL)
_PROMPT: Final = re.compile(r"\A\s*(?:[$>%]|PS [^>\n]{0,200}>)\s+")
_ASSIGNED: Final = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)", re.DOTALL)
_PAIR: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*=.*", re.DOTALL)
_OPERATORS: Final = frozenset({"|", "||", "&&", "&", ";", ">", ">>", "<", "<<"})
_KNOWN_FIX: Final = (
    "paste JSON, TOML, the `mcp add` line of a client, a URL, or a command that begins with npx, uvx, docker "
    "or another launcher, or with the path of a program"
)
_HEADER: Final = {"-H": "header", "--header": "header"}
_VARIABLE: Final = {"-e": "env", "--env": "env"}
_VALUED: Final[Mapping[str, str]] = {
    **_HEADER,
    **_VARIABLE,
    "-t": "type",
    "--transport": "type",
    "--type": "type",
    "--url": "url",
    "--bearer-token-env-var": "bearer_token_env_var",
    "--cwd": "cwd",
    "-s": "",
    "--scope": "",
    "--timeout": "",
    "--description": "",
    "--include-tools": "",
    "--exclude-tools": "",
    "--client-id": "oauth",
    "--callback-port": "oauth",
    "--oauth-client-id": "oauth",
    "--oauth-resource": "oauth",
    "--oauth-client-registration": "oauth",
}
"""Options with a value, and the key of an entry that it goes to; none: it means nothing here."""


@dataclass(slots=True)
class _Added:
    """What an `mcp add` line says, so far."""

    positional: list[str] = field(default_factory=list)
    value: dict[str, Any] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)

    def take(self, option: str, text: str) -> None:
        key = _VALUED[option]
        if key == "header":
            name, colon, value = text.partition(":")
            if not colon:
                name, colon, value = text.partition("=")
            if not colon:
                raise Unfit("a header has no colon after its name", "write it as 'NAME: VALUE'")
            self.value.setdefault("headers", {})[name.strip()] = value.strip()
        elif key == "env":
            name, equals, value = text.partition("=")
            if not equals:
                raise Unfit("a variable has no = after its name", "write it as NAME=VALUE")
            self.value.setdefault("env", {})[name] = value
        elif key:
            self.value[key] = text


def entries_of(text: str, refuse: Callable[[int, Unfit], None]) -> Iterator[Entry]:
    """Yield the entries of the lines of a text; a line that cannot be one is told to `refuse`."""
    for line, words in _commands(text, refuse):
        try:
            yield _entry(line, words)
        except Unfit as error:
            refuse(line, error)


def _commands(text: str, refuse: Callable[[int, Unfit], None]) -> Iterator[tuple[int, list[str]]]:
    """Yield each command with the line on which it begins; quotes and backslashes join lines."""
    at, line = 0, 1
    while at < len(text):
        start = line
        match = _LINE.match(text, at)
        end = match.end() if match is not None else at
        written = text[at:end]
        if end < len(text) and text[end] != "\n":
            refuse(start, _unclosed())
            return
        line += written.count("\n") + 1
        at = end + 1
        joined = _PROMPT.sub("", _JOINED.sub(lambda found: found[1] or " ", written)).strip()
        if not joined or joined.startswith("#"):
            continue
        if len(joined) > MAX_LINE:
            refuse(start, Unfit(f"the line is longer than {MAX_LINE // 1024} KiB"))
            continue
        try:
            words = shlex.split(joined)
        except ValueError:
            refuse(start, _unclosed())
        else:
            yield start, words


def _unclosed() -> Unfit:
    return Unfit("a quote is never closed, or a backslash stands at the end", "close the quote")


def _entry(line: int, words: list[str]) -> Entry:
    env: dict[str, str] = {}
    while words and (words[0] == "env" or _ASSIGNED.fullmatch(words[0])):
        if match := _ASSIGNED.fullmatch(words.pop(0)):
            env[match["name"]] = match["value"]
    if not words or words[0] == "export":
        raise Unfit("this line only sets variables", "give their values where the server is added")
    _refuse_script(words)
    if (at := _adding(words)) and env == {}:
        return _added(line, words[at:]) if words[at - 1] == "add" else _added_as_json(line, words[at:])
    if "--add-mcp" in words:
        return _entry_of_json(line, "", words[words.index("--add-mcp") + 1 :])
    if len(words) == 1 and words[0].lower().startswith(("http://", "https://")):
        return Entry("", {"url": words[0]}, line)
    program = last_part(words[0]).lower().removesuffix(".exe")
    if program not in LAUNCHERS and not set(words[0]) & {"/", "\\"} and "mcp" not in program:
        raise Unfit("this line is nothing that is known here", _KNOWN_FIX)
    return Entry("", {"command": words[0], "args": words[1:], "env": env}, line)


def _refuse_script(words: list[str]) -> None:
    if any(word in _OPERATORS or word.startswith("$(") for word in words) or words[0] == "cd":
        raise Unfit(
            "this line is for a shell, and servers are started without one", "paste the one command alone"
        )


def _adding(words: list[str]) -> int:
    """Return where the words after `mcp add` or `mcp add-json` begin; 0 if the line is none of these."""
    if words[1:2] == ["mcp"] and words[2:3] in (["add"], ["add-json"]):
        return 3
    return 0


def _added(line: int, words: list[str]) -> Entry:
    """Read `[OPTIONS] NAME URL|COMMAND [ARGS]`, as the agents of the command line all have it."""
    added = _Added()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            added.positional += rest
            break
        if word.startswith("-") and len(word) > 1:
            _take_option(added, word, rest)
            continue
        added.positional.append(word)
        if len(added.positional) == 2 and "://" not in word:
            added.positional += rest
            break
    return _finished(line, added)


def _take_option(added: _Added, word: str, rest: list[str]) -> None:
    option, equals, value = word.partition("=")
    if option not in _VALUED:
        added.odd.append(option)
        return
    if not equals:
        if not rest:
            raise Unfit("the last option has no value")
        value = rest.pop(0)
    added.take(option, value)
    # Claude Code takes all that follows: -e KEY1=a KEY2=b
    while option in _VARIABLE and len(rest) > 1 and _PAIR.fullmatch(rest[0]):
        added.take(option, rest.pop(0))


def _finished(line: int, added: _Added) -> Entry:
    name, *words = added.positional or [""]
    value = dict(added.value)
    if words and "://" in words[0]:
        value["url"], *words = words
        if words:
            raise Unfit("there are more words after the URL", "write options before the name")
    elif words:
        value["command"], *value["args"] = words
    if not name or not ("url" in value or "command" in value):
        raise Unfit("the line has no name, or no URL or command after it")
    notices = [
        Problem(
            line, "", f"the option {option} is left out" if _is_plain(option) else "an option is left out"
        )
        for option in added.odd
    ]
    return Entry(name, value, line, notices=tuple(notices))


def _is_plain(option: str) -> bool:
    return PLAIN_KEY.fullmatch(option.lstrip("-")) is not None and len(option) < 20


def _added_as_json(line: int, words: list[str]) -> Entry:
    rest, positional = list(words), []
    while rest:
        word = rest.pop(0)
        if word in _VALUED:
            del rest[:1]
        elif not word.startswith("-"):
            positional.append(word)
    if not positional:
        raise Unfit("the line has no name", "write a name and the JSON of the server")
    return _entry_of_json(line, positional[0], positional[1:])


def _entry_of_json(line: int, name: str, words: list[str]) -> Entry:
    try:
        value = jsonc.read(words[0] if words else "", last_commas=True).value
    except jsonc.JsoncError as error:
        raise Unfit("what stands in quotes is not JSON", error.fix) from None
    if not forms.is_entry(value):
        raise Unfit("the JSON is not one server", "it has a url or a command")
    return Entry(name, value, line)
