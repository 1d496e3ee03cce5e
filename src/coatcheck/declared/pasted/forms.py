"""What clients call things in their configurations, told in the one way that `entries` reads.

Each client has keys of its own for the same things; here they become `url`, `headers`, `command`, `args`
and `env`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any, Final

from coatcheck.declared.reading.problems import Unfit
from coatcheck.model.server import Transport

Note = Callable[[str, str, str], None]
"""Notes at a key what was left out or changed, and what to do."""

TYPES: Final[Mapping[str, Transport | None]] = {
    "http": Transport.HTTP,
    "streamable-http": Transport.HTTP,
    "streamable_http": Transport.HTTP,
    "streamablehttp": Transport.HTTP,
    "sse": Transport.SSE,
    "remote": None,
    "stdio": Transport.STDIO,
    "local": Transport.STDIO,
}
_APPROVAL: Final = "approval is the client's own"
_CHOICE: Final = "choose tools by the default of the server or by a policy"
_WAITING: Final = "see call_timeout in the settings"
_PEOPLE: Final = "it describes the server to people"
_SIGN_IN: Final = "choose OAuth where the server is added, if it asks for it"
_HELPER: Final = "a program of the client's machine gave the headers; give them by hand"
ASIDE: Final[Mapping[str, str]] = {
    "autoApprove": _APPROVAL,
    "alwaysAllow": _APPROVAL,
    "autoAllow": _APPROVAL,
    "trust": _APPROVAL,
    "default_tools_approval_mode": _APPROVAL,
    "tools": _CHOICE,
    "disabledTools": _CHOICE,
    "includeTools": _CHOICE,
    "excludeTools": _CHOICE,
    "enabled_tools": _CHOICE,
    "disabled_tools": _CHOICE,
    "timeout": _WAITING,
    "startup_timeout_sec": _WAITING,
    "startup_timeout_ms": _WAITING,
    "tool_timeout_sec": _WAITING,
    "description": _PEOPLE,
    "displayName": _PEOPLE,
    "gallery": _PEOPLE,
    "version": _PEOPLE,
    "source": "it is the client's own",
    "settings": "they are of the client's extension",
    "dev": "it is for those who develop the server",
    "required": "it is the client's own",
    "auth": _SIGN_IN,
    "oauth": _SIGN_IN,
    "oauth_resource": _SIGN_IN,
    "scopes": _SIGN_IN,
    "authProviderType": _SIGN_IN,
    "headersHelper": _HELPER,
    "http_headers_helper": _HELPER,
    "envFile": "a file of the client's machine held variables; add them to the server by hand",
    "sandbox": "the client shut its server in; here it runs as the gateway does",
    "sandboxEnabled": "the client shut its server in; here it runs as the gateway does",
}
SILENT: Final = frozenset({"name", "$schema", "inputs", "id"})
URLS: Final = ("httpUrl", "serverUrl", "url", "uri")
STARTS: Final = frozenset({*URLS, "command", "cmd"})
"""Keys by which an object is known as one server."""


def is_entry(value: Any) -> bool:
    """Tell whether a value has the form of one server."""
    return isinstance(value, dict) and not STARTS.isdisjoint(value)


def told(value: Any, note: Note) -> dict[str, Any]:
    """Return the members of one server under the names of `entries`; what else it has is noted and left out.

    Raises:
        Unfit: it is no object, or says one thing in two ways.
    """
    if not isinstance(value, dict):
        raise Unfit("this is no object in { }", "write what the server is reached by: a url or a command")
    members = dict(value)
    made: dict[str, Any] = {}
    _take_command(members, made)
    _take_url(members, made, note)
    _take_headers(members, made)
    _take_variables(members, made)
    for key in ("args", "cwd"):
        if key in members:
            made.setdefault(key, members.pop(key))
    _take_type(members, made)
    if members.pop("disabled", False) is True or members.pop("enabled", True) is False:
        note("", "it was switched off in the client", "")
    members.pop("enabled", None)
    for key in members:
        if key not in SILENT:
            note(key, "it is left out", ASIDE.get(key, "it is not known here"))
    return made


def _take_command(members: dict[str, Any], made: dict[str, Any]) -> None:
    command = members.pop("command", members.pop("cmd", None))
    if isinstance(command, dict):  # Zed, before 2025
        members.update({key: command[key] for key in ("args", "env") if key in command})
        command = command.get("path")
    if isinstance(command, list) and command:  # OpenCode
        command, made["args"] = command[0], [*command[1:], *_list_of(members.pop("args", []))]
    if command is None:
        return
    if not isinstance(command, str):
        raise Unfit("the command is no string in double quotes")
    if (
        " " in command.strip()
        and not members.get("args")
        and "args" not in made
        and "/" not in command.split()[0]
    ):
        command, made["args"] = _split(command)
    made["command"] = command


def _list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _split(command: str) -> tuple[str, list[str]]:
    """Return a command and its arguments, where a client had them in one string."""
    try:
        first, *rest = shlex.split(command)
    except ValueError:
        raise Unfit(
            "the command has a quote that is never closed", "write the arguments under args"
        ) from None
    return first, rest


def _take_url(members: dict[str, Any], made: dict[str, Any], note: Note) -> None:
    found = [(key, members.pop(key)) for key in URLS if members.get(key) is not None]
    if not found:
        return
    key, made["url"] = found[0]
    if key == "httpUrl":
        made["transport"] = Transport.HTTP
    for other, _ in found[1:]:
        note(other, f"it is left out, since there is {key}", "")


def _take_headers(members: dict[str, Any], made: dict[str, Any]) -> None:
    headers: dict[str, Any] = {}
    request = members.pop("requestInit", {})
    inner = request.get("headers", {}) if isinstance(request, dict) else {}
    for found in (inner, members.pop("headers", {}), members.pop("http_headers", {})):
        headers.update(_object_of(found, "headers"))
    for name, variable in _object_of(members.pop("env_http_headers", {}), "env_http_headers").items():
        headers[name] = f"${{{variable}}}"
    token = members.pop("bearer_token", None)
    if (variable := members.pop("bearer_token_env_var", None)) is not None:
        token = f"${{{variable}}}"
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if headers:
        made["headers"] = headers


def _take_variables(members: dict[str, Any], made: dict[str, Any]) -> None:
    env: dict[str, Any] = {}
    for found in members.pop("env_vars", []) or []:
        name = found.get("name") if isinstance(found, dict) else found
        if isinstance(name, str):
            env[name] = f"${{{name}}}"
    for key in ("environment", "env"):
        env.update(_object_of(members.pop(key, {}), key))
    if env:
        made["env"] = env


def _object_of(value: Any, key: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unfit(f"'{key}' is no object in {{ }}")
    return value


def _take_type(members: dict[str, Any], made: dict[str, Any]) -> None:
    word = members.pop("type", members.pop("transport", None))
    members.pop("transport", None)
    if word is None:
        return
    folded = word.lower() if isinstance(word, str) else ""
    if folded not in TYPES:
        raise Unfit("its type is not known here", "servers are of the type http, sse or stdio")
    transport = TYPES[folded]
    if (transport is Transport.STDIO) is (made.get("url") is not None) and folded != "remote":
        raise Unfit(
            f"its type {folded} does not fit what it is reached by", "correct the type, or leave it out"
        )
    if transport is not None and transport is not Transport.STDIO:
        made["transport"] = transport
