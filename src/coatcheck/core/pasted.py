"""What was found in a pasted configuration: servers, what looks like a credential in them, what is missing.

Every text of a value is a `Secret`, for a paste can hold a credential anywhere. `filled` makes of a found
server what the registration of servers takes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from coatcheck.core import filling
from coatcheck.core.credentials.naming import free_name
from coatcheck.errors import Unfit
from coatcheck.model.credential import Upkeep
from coatcheck.model.declaration import Problem
from coatcheck.model.secret import Secret
from coatcheck.model.server import NO_SECRETS, Transport

NO_TEXT: Final = Secret("")


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that a paste refers to and does not hold: a variable, an input, or words such as YOUR_KEY.

    `name` is its key in `filled`, `written` how it stands in the paste, `about` words of the paste on it.
    """

    name: str
    written: str
    about: str = ""
    is_secret: bool = True
    default: Secret | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a value: a text, or the name of a gap. `credential` names the one that it is proposed for."""

    text: Secret = field(default_factory=lambda: NO_TEXT)
    gap: str = ""
    credential: str = ""


@dataclass(frozen=True, slots=True)
class Value:
    """A value, as pieces that follow each other."""

    pieces: tuple[Piece, ...]

    @property
    def credentials(self) -> tuple[str, ...]:
        """The names of the credentials that are proposed for parts of it."""
        return tuple(dict.fromkeys(piece.credential for piece in self.pieces if piece.credential))

    def shown(self) -> str:
        """Return the value as it may be shown: what looks like a credential by its proposed name alone."""
        words = []
        for name, pieces in groupby(self.pieces, lambda piece: piece.credential):
            if name:
                words.append(f"{filling.OPENING}{name}}}")
            else:
                words += [f"${{{each.gap}}}" if each.gap else each.text.reveal() for each in pieces]
        return "".join(words)


NO_VALUES: Final[Mapping[str, Value]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Proposed:
    """What looks like a credential: its proposed name, and its place, as in `Use`.

    `value` None: it has gaps, named by `gaps`.
    """

    name: str
    place: str
    value: Secret | None
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundServer:
    """A server of a paste: `url` with `headers`, or `command` with `args`, `env` and `cwd`.

    `name` is fit for a server; `original` is what the paste calls it. `notices` say what was left out or
    changed. `transport` None: it is to be found out.
    """

    name: str
    original: str = field(repr=False)
    line: int
    url: Value | None = None
    transport: Transport | None = None
    headers: Mapping[str, Value] = field(default_factory=lambda: NO_VALUES)
    command: Value | None = None
    args: tuple[Value, ...] = ()
    env: Mapping[str, Value] = field(default_factory=lambda: NO_VALUES)
    cwd: Value | None = None
    gaps: tuple[Gap, ...] = ()
    notices: tuple[Problem, ...] = ()

    def places(self) -> Iterator[tuple[str, Value]]:
        """Yield all places that have a value, and the values; but for the command and its directory."""
        if self.url is not None:
            yield filling.URL, self.url
        yield from ((f"headers/{name}", value) for name, value in self.headers.items())
        yield from ((f"args/{number}", value) for number, value in enumerate(self.args))
        yield from ((f"env/{name}", value) for name, value in self.env.items())

    @property
    def proposed(self) -> tuple[Proposed, ...]:
        """What looks like a credential in it, in the order of places."""
        return tuple(
            _proposed(place, name, value) for place, value in self.places() for name in value.credentials
        )


@dataclass(frozen=True, slots=True)
class Pasted:
    """What was found in one paste. `form` says what it was taken for.

    `problems` tell of servers that cannot be, or of the whole; the servers found are usable all the same.
    """

    form: str
    servers: tuple[FoundServer, ...] = ()
    problems: tuple[Problem, ...] = ()
    notices: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Filled:
    """A server in the terms of its registration. `credentials` are to be added before, under these names.

    Those of headers and variables are made by the registration itself.
    """

    name: str
    url: Secret | None
    transport: Transport | None
    headers: Mapping[str, Secret]
    command: str | None = field(repr=False)
    args: tuple[Secret, ...]
    env: Mapping[str, Secret]
    cwd: str | None = field(repr=False)
    plain: frozenset[str]
    upkeep: Upkeep = Upkeep()
    credentials: Mapping[str, Secret] = field(default_factory=lambda: NO_SECRETS)


def filled(
    found: FoundServer,
    given: Mapping[str, Secret],
    *,
    name: str | None = None,
    shown: Collection[str] = (),
    taken: Collection[str] = (),
) -> Filled:
    """Return a server with its gaps filled in by `given`, or by their defaults.

    `name` is another one to give it; `shown` are the places whose values an operator says are no
    credentials; `taken` the names of credentials that there are.

    Raises:
        Unfit: a gap has no value.
    """
    filler = _Filler(found, given, frozenset(shown), taken)
    headers = {key: filler.named(f"headers/{key}", value) for key, value in found.headers.items()}
    env = {key: filler.named(f"env/{key}", value) for key, value in found.env.items()}
    url = None if found.url is None else filler.open(filling.URL, found.url)
    args = tuple(filler.open(f"args/{number}", value) for number, value in enumerate(found.args))
    return Filled(
        name=name or found.name,
        url=url,
        transport=found.transport,
        headers=MappingProxyType(headers),
        command=None if found.command is None else filler.joined(found.command.pieces),
        args=args,
        env=MappingProxyType(env),
        cwd=None if found.cwd is None else filler.joined(found.cwd.pieces),
        plain=frozenset(filler.plain),
        credentials=MappingProxyType(filler.credentials),
    )


class _Filler:
    """Fills the values of one server in."""

    def __init__(
        self, found: FoundServer, given: Mapping[str, Secret], shown: frozenset[str], taken: Collection[str]
    ) -> None:
        self.plain: set[str] = set()
        self.credentials: dict[str, Secret] = {}
        self._gaps = {gap.name: gap for gap in found.gaps}
        self._given = given
        self._shown = shown
        self._taken = taken

    def named(self, place: str, value: Value) -> Secret:
        """Return the value of a header or variable, which is a credential as a whole or not at all."""
        text = self.joined(value.pieces)
        if value.credentials and place not in self._shown:
            return Secret(text)
        self.plain.add(place.partition("/")[2])
        return Secret(filling.escaped(text))

    def open(self, place: str, value: Value) -> Secret:
        """Return an argument or URL, in which the parts that look like credentials are named."""
        if place in self._shown:
            return Secret(filling.escaped(self.joined(value.pieces)))
        written = ""
        for name, group in groupby(value.pieces, lambda piece: piece.credential):
            text = self.joined(group, encoded=bool(name) and place == filling.URL)
            if not name:
                written += filling.escaped(text)
                continue
            bare = written.rstrip("$")  # a $ before the name would be read as an escape
            made = free_name(name, {*self._taken, *self.credentials})
            self.credentials[made] = Secret(written[len(bare) :] + text)
            written = f"{bare}{filling.OPENING}{made}}}"
        return Secret(written)

    def joined(self, pieces: Collection[Piece] | Iterator[Piece], *, encoded: bool = False) -> str:
        """Return the text of pieces; `encoded` percent-encodes what fills gaps (RFC 3986, 2.1)."""
        words = []
        for piece in pieces:
            word = self._of_gap(piece.gap) if piece.gap else piece.text.reveal()
            words.append(quote(word, safe="") if encoded and piece.gap else word)
        return "".join(words)

    def _of_gap(self, name: str) -> str:
        found = self._given.get(name) or self._gaps[name].default
        if found is None:
            raise Unfit(f"there is no value for {name}", fix="give one, or take the server out")
        return found.reveal()


def _proposed(place: str, name: str, value: Value) -> Proposed:
    pieces = [piece for piece in value.pieces if piece.credential == name]
    gaps = tuple(dict.fromkeys(piece.gap for piece in pieces if piece.gap))
    whole = None if gaps else Secret("".join(piece.text.reveal() for piece in pieces))
    return Proposed(name, place, whole, gaps)
