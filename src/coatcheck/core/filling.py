"""Blanks: values of a server that name credentials, `${credential:NAME}`, and how they are filled in.

What a credential holds is put in as it is and never looked at for further names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final
from uuid import UUID

from coatcheck.errors import Unfit
from coatcheck.model.credential import NO_BLANKS, Blank, Credential, CredentialKind
from coatcheck.model.secret import Secret
from coatcheck.model.server import NO_SECRETS, HttpReach, StdioReach

REFERENCE: Final = re.compile(r"\$\{credential:([a-z0-9][a-z0-9._-]{0,99})\}")
OPENING: Final = "${credential:"
STAND_IN: Final = "-"
"""What stands in a reach for what is to be filled in: a value by itself in a header, argument or URL."""
URL: Final = "url"
_ESCAPED: Final = "$" + OPENING
_PART: Final = re.compile(rf"(?P<escaped>\$\$\{{credential:)|{REFERENCE.pattern}|(?P<odd>\$\{{credential:)")
_AUTHORITY: Final = re.compile(r"[^/?#]*://[^/?#]*")
_MAX_HEADER: Final = 8192
_MAX_URL: Final = 8192
_OF_HEADER: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_OF_URL: Final = re.compile(r"[\x21\x24-\x3e\x40-\x5b\x5d-\x7e]*")
_OF_PROCESS: Final = re.compile("[^\x00\ud800-\udfff]*")
Find = Callable[[str], Secret | UUID]
"""Returns the material of the credential of a name, or the id of one whose tokens an OAuth server gives;
raises `Lacking`."""


class Lacking(Exception):
    """There is no credential of this name, or none of its versions is active."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class Parted:
    """How a server is reached, apart from what it is given.

    `reach` has stand-ins wherever `blanks` or `secrets` have a value; `secrets` are to become credentials.
    """

    reach: HttpReach | StdioReach
    blanks: Mapping[str, Blank] = field(default_factory=lambda: NO_BLANKS)
    secrets: Mapping[str, Secret] = field(default_factory=lambda: NO_SECRETS)


# --- as it is written --------------------------------------------------------------------------------------


def read_blank(text: str) -> Blank | None:
    """Return what a value says that names credentials, None for one that names none.

    `$${credential:` stands for `${credential:` itself; a value with nothing else has no names.

    Raises:
        Unfit: there is a `${credential:` without a name that a credential can have.
    """
    if OPENING not in text:
        return None
    texts, names, done = [""], [], 0
    for match in _PART.finditer(text):
        texts[-1] += text[done : match.start()]
        done = match.end()
        if match["odd"]:
            fix = "write ${credential:NAME}; a name has lower case letters, digits and . _ -"
            raise Unfit("there is a ${credential:...} without the name of a credential", fix=fix)
        if match["escaped"]:
            texts[-1] += OPENING
        else:
            names.append(match[2])
            texts.append("")
    texts[-1] += text[done:]
    return Blank(tuple(map(Secret, texts)), tuple(names))


def written(blank: Blank) -> str:
    """Return a value as it is written so that `read_blank` gives this blank; the texts in it are shown."""
    texts = [escaped(text.reveal()) for text in blank.texts]
    named = (f"{OPENING}{name}}}{text}" for name, text in zip(blank.names, texts[1:], strict=True))
    return texts[0] + "".join(named)


def escaped(text: str) -> str:
    """Return how a text is written so that nothing in it is taken for a credential's name."""
    return text.replace(OPENING, _ESCAPED)


def whole(name: str) -> Blank:
    """Return the blank that is one credential and nothing else."""
    return Blank((Secret(""), Secret("")), (name,))


def is_whole(blank: Blank) -> bool:
    """Tell whether a blank is one credential and nothing else."""
    return len(blank.names) == 1 and not any(text.reveal() for text in blank.texts)


def stand_in(blank: Blank) -> str:
    """Return a value with stand-ins for its credentials, to be judged by the rules of its place."""
    return STAND_IN.join(text.reveal() for text in blank.texts)


def check_url(blank: Blank) -> None:
    """Refuse a URL that names credentials in its scheme, user information, host or port.

    Raises:
        Unfit: it does; only the path and the query may.
    """
    head = blank.texts[0].reveal()
    if blank.names and not re.match(rf"{_AUTHORITY.pattern}[/?]", head):
        fix = "write the host as it is; only the path and the query can hold a credential"
        raise Unfit("a credential decides where this URL leads", fix=fix)


def with_url(blank: Blank, judged: str) -> Blank:
    """Return the blank of a URL with scheme and host as they were judged good: `judged` has stand-ins."""
    match = _AUTHORITY.match(blank.texts[0].reveal())
    if match is None:
        return blank
    rest = blank.texts[0].reveal()[match.end() :]
    head = judged[: len(judged) - len(stand_in(blank)[match.end() :])]
    return Blank((Secret(head + rest), *blank.texts[1:]), blank.names)


# --- the values of a reach ---------------------------------------------------------------------------------


def value_at(reach: HttpReach | StdioReach, place: str) -> Secret | None:
    """Return the value at a place of a server, such as `headers/Authorization`; None if it has no such."""
    return dict(values_of(reach)).get(place)


def values_of(reach: HttpReach | StdioReach) -> Iterator[tuple[str, Secret]]:
    """Yield all places of a server that have a value, and the values."""
    if isinstance(reach, HttpReach):
        yield URL, reach.url
        yield from ((f"headers/{name}", value) for name, value in reach.headers.items())
    else:
        yield from ((f"args/{number}", value) for number, value in enumerate(reach.args))
        yield from ((f"env/{name}", value) for name, value in reach.env.items())


def with_values(reach: HttpReach | StdioReach, values: Mapping[str, Secret]) -> HttpReach | StdioReach:
    """Return a reach with other values at these of its places."""
    if not values:
        return reach
    if isinstance(reach, HttpReach):
        headers = {name: values.get(f"headers/{name}", value) for name, value in reach.headers.items()}
        return replace(reach, url=values.get(URL, reach.url), headers=MappingProxyType(headers))
    args = tuple(values.get(f"args/{number}", value) for number, value in enumerate(reach.args))
    env = {name: values.get(f"env/{name}", value) for name, value in reach.env.items()}
    return replace(reach, args=args, env=MappingProxyType(env))


# --- filling -----------------------------------------------------------------------------------------------


def finder(known: Mapping[str, Credential]) -> Find:
    """Return what finds the active material among credentials by name."""

    def find(name: str) -> Secret | UUID:
        credential = known.get(name)
        if credential is not None and credential.kind is CredentialKind.OAUTH:
            return credential.id
        active = credential.active if credential is not None else None
        if active is None or active.material is None:
            raise Lacking(name)
        return active.material

    return find


def fill(reach: HttpReach | StdioReach, blanks: Mapping[str, Blank], find: Find) -> HttpReach | StdioReach:
    """Return a reach with its blanks filled in. `find` is asked once for each name in each blank.

    Raises:
        Lacking: as `find` does.
        Unfit: a value cannot stand at its place, or an OAuth credential stands at another than the whole
            Authorization header. The message names the place, and quotes no value.
    """
    values: dict[str, Secret] = {}
    bearer: tuple[str, UUID] | None = None
    for place, blank in blanks.items():
        found = [find(name) for name in blank.names]
        ids = [one for one in found if isinstance(one, UUID)]
        if ids:
            _check_bearer(place, blank)
            bearer = (place, ids[0])
        else:
            values[place] = Secret(_joined(place, blank, [one for one in found if isinstance(one, Secret)]))
    filled = with_values(reach, values)
    if bearer is None or not isinstance(filled, HttpReach):
        return filled
    headers = {name: value for name, value in filled.headers.items() if f"headers/{name}" != bearer[0]}
    return replace(filled, headers=MappingProxyType(headers), bearer=bearer[1])


def try_fill(
    reach: HttpReach | StdioReach, place: str, blank: Blank, known: Mapping[str, Credential]
) -> None:
    """Refuse a blank that cannot be filled in; one whose credentials lack material can, later.

    Raises:
        Unfit: as `fill`.
    """
    try:
        fill(reach, {place: blank}, finder(known))
    except Lacking:
        return


def check_filled(place: str, value: str) -> None:
    """Refuse a value that cannot stand at its place once it is filled in.

    Raises:
        Unfit: a header has a line break or a space at its end, a URL is too long, a process gets a NUL.
    """
    kind = place.partition("/")[0]
    if kind == "headers" and (len(value) > _MAX_HEADER or not _OF_HEADER.fullmatch(value)):
        fix = f"a header has 1 to {_MAX_HEADER} visible ASCII characters, and spaces only between them"
        raise Unfit(f"what is filled in at {place} cannot be sent in a header", fix=fix)
    if kind == URL and len(value) > _MAX_URL:
        raise Unfit(f"with what is filled in, the URL is longer than {_MAX_URL} characters")
    if kind in {"args", "env"} and not _OF_PROCESS.fullmatch(value):
        raise Unfit(f"what is filled in at {place} has a character that no process can be given")


def _joined(place: str, blank: Blank, materials: list[Secret]) -> str:
    texts = [text.reveal() for text in blank.texts]
    said = [material.reveal() for material in materials]
    if place == URL and not all(_OF_URL.fullmatch(one) for one in said):
        fix = "percent-encode it (RFC 3986, 2.1)"
        raise Unfit("what is filled in at url has a character that would end or change it", fix=fix)
    value = texts[0] + "".join(one + text for one, text in zip(said, texts[1:], strict=True))
    check_filled(place, value)
    return value


def _check_bearer(place: str, blank: Blank) -> None:
    texts = [text.reveal() for text in blank.texts]
    if place.lower() == "headers/authorization" and texts in (["", ""], ["Bearer ", ""]):
        return
    fix = "write Authorization: ${credential:NAME}"
    raise Unfit(f"an OAuth credential is the whole Authorization header, and not at {place}", fix=fix)
