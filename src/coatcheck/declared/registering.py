"""Judges servers that operators register, by the rules of `servers.json`; nothing is expanded in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from coatcheck import errors
from coatcheck.declared.reach import VARIABLE_NAME, argument_of, shown_url
from coatcheck.declared.reading.addresses import url_of
from coatcheck.declared.reading.headers import OURS, header_name_of, header_value_of
from coatcheck.declared.reading.problems import Unfit
from coatcheck.declared.servers import name_of
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, StdioReach, Transport

MAX_ENTRIES: Final = 200


class Wanted(Protocol):
    """A server as an operator asks for it."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def url(self) -> Secret | None:
        """Its URL, for one that is remote."""
        ...

    @property
    def transport(self) -> Transport | None:
        """The transport to use; None: found out."""
        ...

    @property
    def headers(self) -> Mapping[str, Secret]:
        """What it is sent with each request."""
        ...

    @property
    def command(self) -> str | None:
        """The command, for one that is a child."""
        ...

    @property
    def args(self) -> tuple[Secret, ...]:
        """The arguments of the command."""
        ...

    @property
    def env(self) -> Mapping[str, Secret]:
        """Variables of the child."""
        ...

    @property
    def cwd(self) -> str | None:
        """The directory of the child."""
        ...


def reach_of(wanted: Wanted) -> HttpReach | StdioReach:
    """Return how a server is to be reached.

    Raises:
        coatcheck.errors.Unfit: a name, URL, header, command or variable that cannot be; no value is quoted.
    """
    try:
        name_of(wanted.name)
        if (wanted.url is None) == (wanted.command is None):
            raise Unfit("a server has a URL or a command, and not both")
        if max(len(wanted.headers), len(wanted.env), len(wanted.args)) > MAX_ENTRIES:
            raise Unfit(f"a server has at most {MAX_ENTRIES} headers, variables and arguments each")
        return _remote(wanted, wanted.url) if wanted.url is not None else _stdio(wanted, wanted.command or "")
    except Unfit as error:
        raise errors.Unfit(error.message, fix=error.fix) from None


def _remote(wanted: Wanted, url: Secret) -> HttpReach:
    if wanted.args or wanted.env or wanted.cwd is not None:
        raise Unfit("arguments, variables and a directory have no meaning for a server with a URL")
    if wanted.transport is Transport.STDIO:
        raise Unfit("a server with a URL is reached over http or sse")
    written = url_of(url.reveal())
    seen: set[str] = set()
    for name, value in wanted.headers.items():
        header_name_of(name)
        if name.lower() in OURS:
            raise Unfit(f"the header {name} is written by the gateway", "leave it out")
        if name.lower() in seen:
            raise Unfit(f"the header {name} is set twice; case does not tell headers apart", "keep one")
        seen.add(name.lower())
        _of_header(name, header_value_of, value)
    headers = MappingProxyType(dict(wanted.headers))
    return HttpReach(Secret(written), shown_url(written), headers, wanted.transport or Transport.AUTO)


def _stdio(wanted: Wanted, command: str) -> StdioReach:
    if wanted.headers or wanted.transport not in {None, Transport.STDIO}:
        raise Unfit("headers and a transport have no meaning for a server with a command")
    if not argument_of(command).strip():
        raise Unfit("the command is empty")
    for argument in wanted.args:
        argument_of(argument.reveal())
    for name, value in wanted.env.items():
        if not VARIABLE_NAME.fullmatch(name):
            raise Unfit("there is a variable name that is empty or has '=', a space or a control character")
        argument_of(value.reveal())
    cwd = wanted.cwd
    if cwd is not None and (not argument_of(cwd) or cwd.startswith("~")):
        raise Unfit("the directory is empty or starts with ~", "write the whole path")
    return StdioReach(command, wanted.args, MappingProxyType(dict(wanted.env)), cwd)


def _of_header(name: str, check: Callable[[str], object], value: Secret) -> None:
    try:
        check(value.reveal())
    except Unfit as error:
        raise Unfit(f"the header {name}: {error.message}", error.fix) from None
