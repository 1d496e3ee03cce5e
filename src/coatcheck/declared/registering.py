"""Judges servers that operators register, by the rules of `servers.json`; nothing is expanded in them.

Secret headers and variables are set apart, to become credentials; other values may name credentials.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from coatcheck import errors
from coatcheck.core import filling
from coatcheck.core.filling import Parted
from coatcheck.core.wire import strict
from coatcheck.declared.reach import VARIABLE_NAME, argument_of, shown_url
from coatcheck.declared.reading.addresses import url_of
from coatcheck.declared.reading.headers import OURS, header_name_of, header_value_of
from coatcheck.declared.reading.problems import Unfit
from coatcheck.declared.servers import MAX_PROBE_BYTES, name_of, tool_of
from coatcheck.model.credential import Blank, Upkeep
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

    @property
    def plain(self) -> frozenset[str]:
        """The headers or variables whose values are no secrets."""
        ...

    @property
    def upkeep(self) -> Upkeep:
        """How its credentials are looked after."""
        ...


def parted_of(wanted: Wanted) -> Parted:
    """Return how a server is to be reached, apart from its secrets and what is to be filled in.

    Raises:
        coatcheck.errors.Unfit: a name, URL, header, command or variable that cannot be; no value is quoted.
    """
    try:
        name_of(wanted.name)
        if (wanted.url is None) == (wanted.command is None):
            raise Unfit("a server has a URL or a command, and not both")
        if max(len(wanted.headers), len(wanted.env), len(wanted.args)) > MAX_ENTRIES:
            raise Unfit(f"a server has at most {MAX_ENTRIES} headers, variables and arguments each")
        _check_probe(wanted.upkeep)
        parting = _Parting(wanted.plain)
        if wanted.url is not None:
            reach: HttpReach | StdioReach = _remote(wanted, wanted.url, parting)
        else:
            reach = _stdio(wanted, wanted.command or "", parting)
    except Unfit as error:
        raise errors.Unfit(error.message, fix=error.fix) from None
    return Parted(reach, MappingProxyType(parting.blanks), MappingProxyType(parting.secrets))


class _Parting:
    """Takes the values of one server apart."""

    def __init__(self, plain: frozenset[str]) -> None:
        self.blanks: dict[str, Blank] = {}
        self.secrets: dict[str, Secret] = {}
        self._plain = plain

    def named(self, part: str, name: str, value: Secret, check: Callable[[str], object]) -> Secret:
        """Return the value of a header or variable, or a stand-in; it is a secret unless it is plain."""
        place = f"{part}/{name}"
        if name in self._plain:
            return self.open(place, value, check)
        if filling.OPENING in value.reveal():
            # What is pasted as a secret may be of another's making, and would name what it likes.
            raise Unfit(f"the value of {name} names a credential", "give it as one that may be shown (plain)")
        check(value.reveal())
        self.secrets[place] = value
        return Secret(filling.STAND_IN)

    def open(self, place: str, value: Secret, check: Callable[[str], object]) -> Secret:
        """Return a value that may name credentials, or a stand-in if it does."""
        try:
            blank = filling.read_blank(value.reveal())
        except errors.Unfit as error:
            raise Unfit(error.message, error.fix) from None
        if blank is None:
            check(value.reveal())
            return value
        check(filling.stand_in(blank))
        if not blank.names:
            return blank.texts[0]
        self.blanks[place] = blank
        return Secret(filling.STAND_IN)


def _remote(wanted: Wanted, url: Secret, parting: _Parting) -> HttpReach:
    if wanted.args or wanted.env or wanted.cwd is not None:
        raise Unfit("arguments, variables and a directory have no meaning for a server with a URL")
    if wanted.transport is Transport.STDIO:
        raise Unfit("a server with a URL is reached over http or sse")
    written, shown = _url(url, parting)
    headers: dict[str, Secret] = {}
    seen: set[str] = set()
    for name, value in wanted.headers.items():
        header_name_of(name)
        if name.lower() in OURS:
            raise Unfit(f"the header {name} is written by the gateway", "leave it out")
        if name.lower() in seen:
            raise Unfit(f"the header {name} is set twice; case does not tell headers apart", "keep one")
        seen.add(name.lower())
        headers[name] = _of_header(name, value, parting)
    transport = wanted.transport or Transport.AUTO
    return HttpReach(Secret(written), shown, MappingProxyType(headers), transport)


def _url(url: Secret, parting: _Parting) -> tuple[str, str]:
    """Return a URL as it is dialled, with stand-ins, and as it is shown."""
    given = parting.open(filling.URL, url, url_of)
    blank = parting.blanks.get(filling.URL)
    if blank is None:
        written = url_of(given.reveal())
        return written, shown_url(written)
    try:
        filling.check_url(blank)
    except errors.Unfit as error:
        raise Unfit(error.message, error.fix) from None
    written = url_of(filling.stand_in(blank))
    parting.blanks[filling.URL] = blank = filling.with_url(blank, written)
    return written, shown_url(filling.written(blank))


def _stdio(wanted: Wanted, command: str, parting: _Parting) -> StdioReach:
    if wanted.headers or wanted.transport not in {None, Transport.STDIO}:
        raise Unfit("headers and a transport have no meaning for a server with a command")
    if not argument_of(command).strip():
        raise Unfit("the command is empty")
    args = tuple(
        parting.open(f"args/{number}", argument, argument_of) for number, argument in enumerate(wanted.args)
    )
    env = {}
    for name, value in wanted.env.items():
        if not VARIABLE_NAME.fullmatch(name):
            raise Unfit("there is a variable name that is empty or has '=', a space or a control character")
        env[name] = parting.named("env", name, value, argument_of)
    cwd = wanted.cwd
    if cwd is not None and (not argument_of(cwd) or cwd.startswith("~")):
        raise Unfit("the directory is empty or starts with ~", "write the whole path")
    return StdioReach(command, args, MappingProxyType(env), cwd)


def _of_header(name: str, value: Secret, parting: _Parting) -> Secret:
    try:
        return parting.named("headers", name, value, header_value_of)
    except Unfit as error:
        raise Unfit(f"the header {name}: {error.message}", error.fix) from None


def _check_probe(upkeep: Upkeep) -> None:
    probe = upkeep.probe
    if probe is None:
        return
    tool_of(probe.tool)
    said = probe.arguments.encode("utf-8", "surrogatepass")
    try:
        arguments = strict.read(said)
    except errors.CallerError as error:
        raise Unfit(f"the arguments of the probe: {error.message}") from None
    if not isinstance(arguments, dict) or len(said) > MAX_PROBE_BYTES:
        raise Unfit(f"the arguments of the probe are no JSON object of at most {MAX_PROBE_BYTES // 1024} KiB")
