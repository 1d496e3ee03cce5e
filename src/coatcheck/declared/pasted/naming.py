"""Names for servers of a paste: those that it gives, made fit, or made of a URL or a command."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import count
from typing import Final
from urllib.parse import urlsplit

from coatcheck.core.credentials.looks import has_known_form, is_dense
from coatcheck.declared.reading.problems import Unfit
from coatcheck.declared.servers import name_of

MAX_CHARS: Final = 40
USUAL: Final = "server"
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_-]+")
_DOUBLE: Final = re.compile(r"__+")
_AROUND: Final = re.compile(r"^(?:mcp[-_.]?)?(?:server[-_.])?|(?:[-_.](?:mcp|server))+$", re.IGNORECASE)
_VERSION: Final = re.compile(r"(?<=.)[@:][^/]*$")
_ENDING: Final = re.compile(r"\.(?:c?js|mjs|ts|py|sh|exe|jar|git)$", re.IGNORECASE)
_PLAIN_LABELS: Final = frozenset({"mcp", "api", "www", "app", "server", "remote"})
_SECOND_LEVEL: Final = frozenset({"ac", "co", "com", "edu", "gov", "net", "org"})
_PLAIN_FILES: Final = frozenset({"index", "main", "server", "cli", "run", "start", "app", "mcp"})
_PLAIN_DIRS: Final = frozenset({"build", "dist", "src", "bin", "lib", "out", ".", "..", ""})
_PORTS: Final = re.compile(r"[0-9.:]+(?:/(?:tcp|udp))?")
_RUN: Final = frozenset({"x", "exec", "run", "dlx", "tool", "-m", "--from", "-p", "--package", "-jar"})
_WITH_VALUE: Final = frozenset(
    {"-e", "--env", "-v", "--volume", "--name", "--network", "--net", "--mount", "--publish", "--env-file"}
    | {"--directory", "--project", "--with", "--python", "--user", "-u", "--platform", "--add-host", "--pull"}
    | {"--entrypoint", "--workdir", "-w"}
)
LAUNCHERS: Final = frozenset(
    {"npx", "bunx", "pnpx", "pnpm", "yarn", "bun", "uvx", "uv", "pipx", "docker", "podman", "node", "deno"}
    | {"python", "python3", "py", "java", "dotnet", "go", "ruby", "php", "cargo", "cmd", "sh", "bash"}
)
"""Programs that start another; what they start is a better name."""


def fit_name(wanted: str) -> str:
    """Return a name that a server can have, as near to the wanted one as can be."""
    plain = unicodedata.normalize("NFKD", wanted).encode("ascii", "ignore").decode("ascii")
    if any(has_known_form(word) or is_dense(word) for word in (wanted, plain)):
        return USUAL  # a credential that stands where a name should
    made = _DOUBLE.sub("_", _FOREIGN.sub("-", plain)).strip("-_")[:MAX_CHARS].rstrip("-_") or USUAL
    try:
        return name_of(made)
    except Unfit:
        return f"{USUAL}-{made[: MAX_CHARS - len(USUAL) - 1]}".rstrip("-_")


def take_free_name(wanted: str, taken: set[str]) -> str:
    """Return a fit name that is not taken, and take it; case does not tell names apart."""
    made = fit_name(wanted)
    for number in count(2):
        if made.casefold() not in taken:
            break
        end = f"-{number}"
        made = fit_name(wanted)[: MAX_CHARS - len(end)].rstrip("-_") + end
    taken.add(made.casefold())
    return made


def name_of_url(url: str) -> str:
    """Return what to call the server at a URL: `sentry` for https://mcp.sentry.dev/mcp."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return USUAL
    labels = host.split(".")
    if "localhost" in labels or labels[-1].isdecimal() or ":" in host:
        return "local" if "localhost" in labels else USUAL
    labels = labels[:-1] or labels
    if len(labels) > 1 and labels[-1] in _SECOND_LEVEL:
        labels = labels[:-1]
    telling = [label for label in labels if label not in _PLAIN_LABELS]
    return telling[-1] if telling else labels[-1] or USUAL


def name_of_command(command: str, args: Sequence[str]) -> str:
    """Return what to call the server that a command starts: `github` for `npx -y @x/server-github`."""
    program = last_part(command).lower().removesuffix(".exe")
    for word in (*(_said(args) if program in LAUNCHERS else ()), command):
        base = _base(word)
        if base:
            return base
    return USUAL


def _said(args: Sequence[str]) -> list[str]:
    """Return the words that may be a package, an image or a file: no option, and no value of one."""
    words, skip = [], False
    for arg in args:
        if skip:
            skip = False
        elif arg in _WITH_VALUE:
            skip = True
        elif not arg.startswith("-") and arg not in _RUN and not _PORTS.fullmatch(arg):
            words.append(arg)
    return words[:1]


def _base(word: str) -> str:
    parts = [part for part in re.split(r"[/\\]", _VERSION.sub("", word)) if part]
    while parts:
        last = _ENDING.sub("", parts.pop())
        if last.lower() in _PLAIN_DIRS or (last.lower() in _PLAIN_FILES and parts):
            continue
        return _AROUND.sub("", last) or last.lstrip("@")
    return ""


def last_part(command: str) -> str:
    """Return the name of a program without its directory."""
    return re.split(r"[/\\]", command)[-1]
