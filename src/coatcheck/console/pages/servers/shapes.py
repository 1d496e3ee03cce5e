"""What the forms of servers say, and the servers that they mean."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.web.forms import NOTHING, BadField
from coatcheck.core.pasted import Filled
from coatcheck.errors import Unfit
from coatcheck.model.policy import Default
from coatcheck.model.secret import Secret
from coatcheck.model.server import Transport
from coatcheck.operations.registry.patches import NewServer, OauthWanted

_BEARER: Final = "Authorization"


class Allowing(Struct, kw_only=True):
    """What a server is to allow of itself. `approved` are globs, one a line; nothing: all tools."""

    default: Default = Default.READ_ONLY
    approved: str = ""
    trusted: bool = False
    note: str = ""


class UrlForm(Struct, kw_only=True):
    """A remote server. `auth` is none, bearer, header or oauth; headers are one a line.

    `anyway`: it is to be added although it does not answer.
    """

    name: str
    url: Secret
    transport: Transport | None = None
    auth: str = "none"
    token: Secret = NOTHING
    header: str = ""
    value: Secret = NOTHING
    secret_headers: Secret = NOTHING
    plain_headers: str = ""
    grant_type: str = "authorization_code"
    scopes: str = ""
    client_id: str = ""
    client_secret: Secret = NOTHING
    note: str = ""
    anyway: bool = False


class CommandForm(Struct, kw_only=True):
    """A child process. Variables are one a line, NAME=VALUE."""

    name: str
    command: Secret
    cwd: str = ""
    secret_env: Secret = NOTHING
    plain_env: str = ""
    note: str = ""
    anyway: bool = False


class PasteForm(Struct):
    """A configuration of any client, or lines of it."""

    text: Secret


class ChooseForm(Struct, kw_only=True):
    """Which of the servers of a paste are wanted, and how.

    `include` are numbers of servers, `names` one for each server. `keep` are those of the proposed
    credentials that are some, as NUMBER:PLACE. `gap_of` and `gaps` go together: NUMBER:GAP, and its value.
    """

    include: list[str] = []
    names: list[str] = []
    keep: list[str] = []
    gap_of: list[str] = []
    gaps: list[Secret] = []


class AddForm(Struct, kw_only=True):
    """Which of the servers that were tried are to be added. Lists but `include` and `trusted` have one each.

    `act` is `add` or `again`: try them with what was chosen.
    """

    include: list[str] = []
    default: list[Default] = []
    approved: list[str] = []
    trusted: list[str] = []
    act: str = "add"


# --- what they mean ----------------------------------------------------------------------------------------


def configuration_of_url(form: UrlForm) -> str:
    """Return a URL as a client's configuration, for what it holds to be looked at."""
    return _configuration(form.name, {"url": form.url.reveal().strip()})


def configuration_of_command(form: CommandForm) -> str:
    """Return a command as a client's configuration.

    Raises:
        BadField: a quote in it is not closed, or it is empty.
    """
    try:
        words = shlex.split(form.command.reveal())
    except ValueError:
        raise BadField("command", "A quote in this is not closed.") from None
    if not words:
        raise BadField("command", "This is needed.")
    if words[0].startswith(("http://", "https://")):
        raise BadField("command", "This is a URL: add it under \u201cA URL\u201d.")
    return _configuration(form.name, {"command": words[0], "args": words[1:]})


def _configuration(name: str, members: Mapping[str, Any]) -> str:
    return json.dumps({"mcpServers": {name.strip() or "server": members}})


def remote_of(form: UrlForm, filled: Filled) -> NewServer:
    """Return the remote server that a form means; `filled` is what its URL says.

    Raises:
        BadField, Unfit: a line that is no header, or a header that is given twice.
    """
    secret = lines_of(form.secret_headers.reveal(), ":", "secret_headers", "Name: value")
    plain = lines_of(form.plain_headers, ":", "plain_headers", "Name: value")
    headers = {name: Secret(value) for name, value in (*plain.items(), *secret.items())}
    if form.auth in {"bearer", "header"}:
        name, value = _given(form)
        if name.lower() in {one.lower() for one in headers}:
            raise Unfit(f"the header {name} is given twice", fix="leave one of them out")
        headers[name] = Secret(value)
    return NewServer(
        name=form.name.strip(),
        url=filled.url,
        transport=form.transport,
        headers={**filled.headers, **headers},
        plain=filled.plain | plain.keys(),
        note=form.note,
        oauth=_oauth(form) if form.auth == "oauth" else None,
        credentials=filled.credentials,
    )


def _given(form: UrlForm) -> tuple[str, str]:
    """Return the header that a form gives, and its value."""
    field = "token" if form.auth == "bearer" else "value"
    value = (form.token if form.auth == "bearer" else form.value).reveal().strip()
    if not value:
        raise BadField(field, "This is needed, or choose that it needs no credential.")
    if form.auth == "header":
        if not form.header.strip():
            raise BadField("header", "This is needed: the name of the header.")
        return form.header.strip(), value
    return _BEARER, value if value.lower().startswith("bearer ") else f"Bearer {value}"


def _oauth(form: UrlForm) -> OauthWanted:
    scopes = tuple(form.scopes.split())
    return OauthWanted(form.grant_type, scopes, "", form.client_id.strip(), typed_of(form.client_secret))


def child_of(form: CommandForm, filled: Filled) -> NewServer:
    """Return the server with a command that a form means; `filled` is what its command line says.

    Raises:
        BadField: a line that is no variable.
    """
    secret = lines_of(form.secret_env.reveal(), "=", "secret_env", "NAME=value")
    plain = lines_of(form.plain_env, "=", "plain_env", "NAME=value")
    env = {name: Secret(value) for name, value in (*plain.items(), *secret.items())}
    return NewServer(
        name=form.name.strip(),
        command=filled.command,
        args=filled.args,
        env={**filled.env, **env},
        cwd=form.cwd.strip() or None,
        plain=filled.plain | plain.keys(),
        note=form.note,
        credentials=filled.credentials,
    )


def pasted_of(filled: Filled) -> NewServer:
    """Return the server that was found in a paste."""
    return NewServer(
        name=filled.name,
        url=filled.url,
        transport=filled.transport,
        headers=filled.headers,
        command=filled.command,
        args=filled.args,
        env=filled.env,
        cwd=filled.cwd,
        plain=filled.plain,
        upkeep=filled.upkeep,
        credentials=filled.credentials,
    )


def typed_of(secret: Secret) -> Secret | None:
    """Return what was typed into a field that is never filled in for anybody; None: nothing."""
    return secret if secret.reveal().strip() else None


def globs_of(text: str) -> tuple[str, ...] | None:
    """Return the globs of a text, one a line or a word; None where there is none."""
    return tuple(text.split()) or None


def lines_of(text: str, sign: str, field: str, form: str) -> dict[str, str]:
    """Return names and values of lines such as `Name: value`; no value is quoted where one is odd.

    Raises:
        BadField: a line without the sign, or a name that stands twice.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        name, between, value = line.partition(sign)
        name = name.strip()
        if not between or not name:
            raise BadField(field, f"Line {number} is not of the form {form}.")
        if name.lower() in {one.lower() for one in found}:
            raise BadField(field, f"Line {number} gives a name that another line has.")
        found[name] = value.strip() if sign == ":" else value
    return found
