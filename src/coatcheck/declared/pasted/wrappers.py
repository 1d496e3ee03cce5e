"""Takes off what clients put around a server and a gateway does not need: mcp-remote, `cmd /c`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

from coatcheck.declared.pasted.naming import last_part
from coatcheck.declared.reading.problems import Unfit
from coatcheck.model.server import Transport

_RUNNERS: Final = frozenset({"npx", "bunx", "pnpx", "pnpm", "yarn", "bun"})
_CONTAINERS: Final = frozenset({"docker", "podman"})
_REMOTE: Final = "mcp-remote"
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_TRANSPORTS: Final = {"http-only": Transport.HTTP, "sse-only": Transport.SSE}
_WITH_VALUE: Final = frozenset(
    {
        "--header",
        "--transport",
        "--host",
        "--resource",
        "--ignore-tool",
        "--auth-timeout",
        "--protocol-version",
    }
    | {"--static-oauth-client-metadata", "--static-oauth-client-info"}
)


def unwrapped(members: dict[str, Any]) -> Iterator[str]:
    """Change the members of one server, and yield what was changed.

    Raises:
        Unfit: a wrapper is there that says too little.
    """
    command, args = members.get("command"), members.get("args", [])
    if not isinstance(command, str) or not isinstance(args, list):
        return
    if not all(isinstance(word, str) for word in args):
        return
    if last_part(command).lower() in {"cmd", "cmd.exe"} and len(args) > 1 and args[0].lower() == "/c":
        members["command"], members["args"] = command, args = args[1], args[2:]
        yield "cmd /c is left out: it is for Windows"
    if at := _remote_at(command, args):
        _unwrap_remote(members, args[at:])
        yield "mcp-remote is left out: the gateway reaches the URL itself"
    elif last_part(command) in _CONTAINERS:
        yield from _with_variables(members, args)


def _remote_at(command: str, args: list[str]) -> int:
    """Return where the arguments of mcp-remote begin; 0 if it is not started here."""
    if last_part(command) not in _RUNNERS:
        return 0
    found = (n for n, word in enumerate(args) if word.partition("@")[0] == _REMOTE)
    return next(found, -1) + 1


def _unwrap_remote(members: dict[str, Any], args: list[str]) -> None:
    env = members.get("env", {}) if isinstance(members.get("env", {}), dict) else {}
    options, words = _parted(args)
    url = next((word for word in words if "://" in word), None)
    if url is None:
        raise Unfit("mcp-remote is there without a URL", "write the url of the server")
    for key in ("command", "args", "env", "cwd"):
        members.pop(key, None)
    members["url"] = _expanded(url, env)
    given = [value.partition(":") for option, value in options if option == "--header"]
    if given:
        members["headers"] = {name.strip(): _expanded(text.strip(), env) for name, _, text in given}
    for option, value in options:
        if option == "--transport" and value in _TRANSPORTS:
            members["transport"] = _TRANSPORTS[value]


def _parted(args: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the options that have a value, and the words that are no options."""
    options, words = [], []
    rest = iter(args)
    for word in rest:
        option, equals, value = word.partition("=")
        if option in _WITH_VALUE:
            options.append((option, value if equals else next(rest, "")))
        elif not word.startswith("-"):
            words.append(word)
    return options, words


def _expanded(text: str, env: dict[str, Any]) -> str:
    """Return a text with the variables that stand beside it; others stay as they are."""

    def found(match: re.Match[str]) -> str:
        value = env.get(match[1])
        return value if isinstance(value, str) else match[0]

    return _VARIABLE.sub(found, text)  # once: a value that names another must not grow


def _with_variables(members: dict[str, Any], args: list[str]) -> Iterator[str]:
    """Note the variables that a container is to get from around it, and that are given nowhere."""
    env = members.get("env", {})
    if not isinstance(env, dict):
        return
    for option, name in pairwise(args):
        if option in {"-e", "--env"} and name.isidentifier() and name not in env:
            members["env"] = env = {**env, name: f"${{{name}}}"}
            yield "a variable of the container is to be given"
