"""Texts for operators name commands; on a page, each stands as the page that does the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from coatcheck.operations.permissions import Permission

LINE: Final = "the command line"
"""What is said of a command that no page does."""


@dataclass(frozen=True, slots=True)
class Way:
    """What does on a page what a command does: in words, where, and who may go there.

    `{}` in the words and the path is the name that the command was given. Where there is no page, `path` is
    empty.
    """

    words: str
    path: str = ""
    who: Permission = Permission.SELF

    def to(self, name: str) -> Way:
        """Return the way to the one of this name; without a name, there is only the kind of thing."""
        if "{}" not in self.words:
            return self
        if not name or name.isupper():
            bare = re.sub(r" ?\(?\{\}\)?", "", self.words).removesuffix(" of")
            return Way(bare, "", self.who)
        return Way(self.words.format(name), self.path.format(quote(name, safe="")), self.who)


_CREDENTIAL: Final = Way("the page of the credential {}", "/credentials/{}", Permission.CREDENTIALS_READ)
_ROTATION: Final = Way(
    "the rotation of the credential {}", "/credentials/{}/rotate", Permission.CREDENTIALS_WRITE
)
_CREDENTIALS: Final = Way("the page Credentials", "/credentials", Permission.CREDENTIALS_READ)
_POLICY: Final = Way("the page of the policy {}", "/policies/{}/show", Permission.POLICIES_READ)
_PERSON: Final = Way("the page of {}", "/people/one?name={}", Permission.SUBJECTS_READ)
_GRANT: Final = Way("the page of the grant {}", "/grants/{}", Permission.GRANTS_READ)
_OPERATOR: Final = Way("the page of the operator {}", "/settings/operators/{}", Permission.OPERATORS_READ)
_SETTINGS: Final = Way("the settings of the server {}", "/servers/{}/settings", Permission.SERVERS_WRITE)
_OVERVIEW: Final = Way("the page Overview", "/", Permission.STATUS)
_VERIFY: Final = Way("the page Verify", "/log/verify", Permission.RECORDS)
_SINKS: Final = Way("the page Sinks", "/settings/sinks", Permission.STATUS)
_NO_PAGE: Final = Way(LINE)

WAYS: Final[Mapping[str, Way]] = {
    "access": Way("the page Access", "/access", Permission.ACCESS),
    "add": _NO_PAGE,
    "audit": _VERIFY,
    "backup": Way("the page About", "/settings/about", Permission.STATUS),
    "blast-radius": _NO_PAGE,
    "bridge": _NO_PAGE,
    "call": _NO_PAGE,
    "completion": _NO_PAGE,
    "config": Way("the page Configuration", "/settings/configuration", Permission.OPERATORS_READ),
    "credential": _CREDENTIALS,
    "credential activate": _CREDENTIAL,
    "credential add": Way("the page New credential ({})", "/credentials/new", Permission.CREDENTIALS_WRITE),
    "credential connect": _CREDENTIAL,
    "credential rotate": _ROTATION,
    "credential show": _CREDENTIAL,
    "credential stage": _ROTATION,
    "credential verify": _CREDENTIAL,
    "doctor": _OVERVIEW,
    "evidence": Way("the page Evidence", "/log/evidence", Permission.RECORDS),
    "evidence check": _NO_PAGE,
    "grant": Way("the page Grants", "/grants", Permission.GRANTS_READ),
    "grant revoke": _GRANT,
    "grant rotate": _GRANT,
    "grant show": _GRANT,
    "key": Way("the page Key", "/settings/keys", Permission.KEY_READ),
    "list": Way("the page Servers", "/servers", Permission.SERVERS_READ),
    "login": _NO_PAGE,
    "logout": _NO_PAGE,
    "logs": Way("the page Log", "/log", Permission.RECORDS),
    "migrate": _NO_PAGE,
    "operator": Way("the page Operators", "/settings/operators", Permission.OPERATORS_READ),
    "operator remove": _OPERATOR,
    "policy": Way("the page Policies", "/policies", Permission.POLICIES_READ),
    "policy history": _POLICY,
    "policy show": _POLICY,
    "policy test": _NO_PAGE,
    "policy unuse": _POLICY,
    "prove": _NO_PAGE,
    "remove": _NO_PAGE,
    "restore": _NO_PAGE,
    "serve": _NO_PAGE,
    "server": Way("the page Servers", "/servers", Permission.SERVERS_READ),
    "server change": _SETTINGS,
    "server disable": _SETTINGS,
    "server enable": _SETTINGS,
    "server remove": _SETTINGS,
    "server review": Way("the review of {}", "/servers/{}/review", Permission.TOOLS),
    "sink": _SINKS,
    "status": _OVERVIEW,
    "subject": Way("the page People", "/people", Permission.SUBJECTS_READ),
    "subject disable": _PERSON,
    "subject enable": _PERSON,
    "subject show": _PERSON,
    "token": _NO_PAGE,
    "tools": Way("the tools of the server {}", "/servers/{}/tools", Permission.TOOLS),
    "up": _NO_PAGE,
}
"""Each command by its first words; a longer one goes before a shorter."""

OTHERWISE: Final[Mapping[str, str]] = {
    "`coatcheck credential verify` asks the servers": "Verify, on its page, asks the servers",
    "read its last words in `coatcheck doctor`": "read its last words on its page, under Output",
    "say --no-verify if the server is at fault": "activate it anyway if the server is at fault",
    "say --accept-unproven": "activate it anyway",
}
"""What is said otherwise as a whole."""

_GROUPS: Final = frozenset({words.split()[0] for words in WAYS if " " in words} - {"evidence"}) | {
    "audit", "config", "key", "sink", "token"
}  # fmt: skip
_WORDS: Final = "|".join(
    [
        *sorted((re.escape(words) for words in WAYS if words not in _GROUPS), key=len, reverse=True),
        *(f"{group}(?: [a-z-]+)?" for group in sorted(_GROUPS)),
    ]
)
_NAME: Final = r"(?!-)[^\s,;:()`]*[^\s,;:()`.]"
_OPTIONS: Final = r"(?: --[a-z-]+(?: '[^']*'| [A-Z]+)?)*"
_COMMAND: Final = re.compile(
    rf"(?P<run>\b[Rr]un:? |\b[Uu]se (?:the command )?)?"
    rf"(?:`coatcheck (?P<quoted>{_WORDS})(?![\w-])(?: (?P<of>{_NAME}))?[^`]*`"
    rf"|\bcoatcheck (?P<plain>{_WORDS})(?![\w-])(?P<rest>(?: {_NAME})?){_OPTIONS})"
)


class Told(str):
    """A text without commands; `pieces` are its parts, and those that name a page are ways to it."""

    __slots__ = ("pieces",)
    pieces: tuple[str | Way, ...]

    @classmethod
    def of(cls, text: str) -> Told:
        """Return a text with pages in place of commands."""
        if isinstance(text, Told):
            return text
        for phrase, instead in OTHERWISE.items():
            text = text.replace(phrase, instead)
        return cls._made(list(_pieces(text)))

    @classmethod
    def as_it_is(cls, text: str) -> Told:
        """Return a text in which a command is meant for the reader; one that was told already stays."""
        return text if isinstance(text, Told) else cls._made([text])

    @classmethod
    def _made(cls, pieces: Sequence[str | Way]) -> Told:
        made = cls("".join(one.words if isinstance(one, Way) else one for one in pieces))
        made.pieces = tuple(one for one in pieces if one)
        return made

    def sentence(self) -> Told:
        """Return it as a sentence: a capital at its beginning, a mark at its end."""
        if not self.pieces:
            return self
        first, *others = self.pieces
        mark = "" if self.endswith((".", "!", "?", ":", "\u2026")) else "."
        return self._made([_capital(first), *others, mark])


def _pieces(text: str) -> Iterator[str | Way]:
    """Yield a text in parts: what is said as it is, and ways in place of commands.

    A command in backticks is a noun in its sentence, any other an order.
    """
    at = 0
    for found in _COMMAND.finditer(text):
        before = text[at : found.start()]
        yield before
        words = found["quoted"] or found["plain"]
        way = WAYS.get(words) or WAYS[words.split()[0]]
        if found["run"] or (found["plain"] and not before.endswith(("see ", "as "))):
            yield "open " if way.path else "use "
        yield way.to((found["of"] or found["rest"] or "").strip())
        is_without_name = found["plain"] and "{}" not in way.words
        at = found.start("rest") if is_without_name and found["rest"] else found.end()
    yield text[at:]


def _capital(piece: str | Way) -> str | Way:
    if isinstance(piece, Way):
        return replace(piece, words=piece.words[0].upper() + piece.words[1:])
    return piece[0].upper() + piece[1:]
