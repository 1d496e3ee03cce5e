"""Texts for operators name commands; on a page, each stands as the page that does the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from coatcheck.console.web.paths import filled
from coatcheck.operations.permissions import Permission

LINE: Final = "the command line"
"""What is said of a command that no page does."""
PLACEHOLDERS: Final = frozenset({"SERVER"})
"""What texts write where the reader puts a name. Any other word in capitals is a name."""


@dataclass(frozen=True, slots=True)
class PageFor:
    """What does on a page what a command does: in words, where, and who may go there.

    `{}` in the words and the path is the name that the command was given. Where there is no page, `path` is
    empty.
    """

    words: str
    path: str = ""
    who: Permission = Permission.SELF

    def of(self, name: str) -> PageFor:
        """Return the page of the one of this name; without a name, there is only the kind of thing."""
        if "{}" not in self.words:
            return self
        if not name or name in PLACEHOLDERS:
            bare = re.sub(r" ?\(?\{\}\)?", "", self.words).removesuffix(" of")
            return PageFor(bare, "", self.who)
        return PageFor(self.words.format(name), filled(self.path, name), self.who)


_CREDENTIAL: Final = PageFor("the page of the credential {}", "/credentials/{}", Permission.CREDENTIALS_READ)
_ROTATION: Final = PageFor(
    "the rotation of the credential {}", "/credentials/{}/rotate", Permission.CREDENTIALS_WRITE
)
_CREDENTIALS: Final = PageFor("the page Credentials", "/credentials", Permission.CREDENTIALS_READ)
_POLICY: Final = PageFor("the page of the policy {}", "/policies/{}", Permission.POLICIES_READ)
_PERSON: Final = PageFor("the page of {}", "/people/one?name={}", Permission.SUBJECTS_READ)
_GRANT: Final = PageFor("the page of the grant {}", "/grants/{}", Permission.GRANTS_READ)
_OPERATOR: Final = PageFor("the page of the operator {}", "/settings/operators/{}", Permission.OPERATORS_READ)
_SETTINGS: Final = PageFor("the settings of the server {}", "/servers/{}/settings", Permission.SERVERS_WRITE)
_OVERVIEW: Final = PageFor("the page Overview", "/", Permission.STATUS)
_VERIFY: Final = PageFor("the page Verify", "/log/verify", Permission.RECORDS)
_SINKS: Final = PageFor("the page Sinks", "/settings/sinks", Permission.STATUS)
_NO_PAGE: Final = PageFor(LINE)

PAGES: Final[Mapping[str, PageFor]] = {
    "access": PageFor("the page Access", "/access", Permission.ACCESS),
    "add": _NO_PAGE,
    "audit": _VERIFY,
    "backup": PageFor("the page About", "/settings/about", Permission.STATUS),
    "blast-radius": _NO_PAGE,
    "bridge": _NO_PAGE,
    "call": _NO_PAGE,
    "completion": _NO_PAGE,
    "config": PageFor("the page Configuration", "/settings/configuration", Permission.OPERATORS_READ),
    "credential": _CREDENTIALS,
    "credential activate": _CREDENTIAL,
    "credential add": PageFor(
        "the page New credential ({})", "/credentials/new", Permission.CREDENTIALS_WRITE
    ),
    "credential connect": _CREDENTIAL,
    "credential rotate": _ROTATION,
    "credential show": _CREDENTIAL,
    "credential stage": _ROTATION,
    "credential verify": _CREDENTIAL,
    "doctor": _OVERVIEW,
    "evidence": PageFor("the page Evidence", "/log/evidence", Permission.RECORDS),
    "evidence check": _NO_PAGE,
    "grant": PageFor("the page Grants", "/grants", Permission.GRANTS_READ),
    "grant revoke": _GRANT,
    "grant rotate": _GRANT,
    "grant show": _GRANT,
    "key": PageFor("the page Key", "/settings/keys", Permission.KEY_READ),
    "list": PageFor("the page Servers", "/servers", Permission.SERVERS_READ),
    "login": _NO_PAGE,
    "logout": _NO_PAGE,
    "logs": PageFor("the page Log", "/log", Permission.RECORDS),
    "migrate": _NO_PAGE,
    "operator": PageFor("the page Operators", "/settings/operators", Permission.OPERATORS_READ),
    "operator remove": _OPERATOR,
    "policy": PageFor("the page Policies", "/policies", Permission.POLICIES_READ),
    "policy history": _POLICY,
    "policy show": _POLICY,
    "policy test": _NO_PAGE,
    "policy unuse": _POLICY,
    "prove": _NO_PAGE,
    "remove": _NO_PAGE,
    "restore": _NO_PAGE,
    "serve": _NO_PAGE,
    "server": PageFor("the page Servers", "/servers", Permission.SERVERS_READ),
    "server change": _SETTINGS,
    "server disable": _SETTINGS,
    "server enable": _SETTINGS,
    "server remove": _SETTINGS,
    "server review": PageFor("the review of {}", "/servers/{}/review", Permission.TOOLS),
    "sink": _SINKS,
    "status": _OVERVIEW,
    "subject": PageFor("the page People", "/people", Permission.SUBJECTS_READ),
    "subject disable": _PERSON,
    "subject enable": _PERSON,
    "subject show": _PERSON,
    "token": _NO_PAGE,
    "tools": PageFor("the tools of the server {}", "/servers/{}/tools", Permission.TOOLS),
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

_GROUPS: Final = frozenset({words.split()[0] for words in PAGES if " " in words} - {"evidence"}) | {
    "audit", "config", "key", "sink", "token"
}  # fmt: skip
_WORDS: Final = "|".join(
    [
        *sorted((re.escape(words) for words in PAGES if words not in _GROUPS), key=len, reverse=True),
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


class Retold(str):
    """A text without commands; `pieces` are its parts, and those that stand for one are pages."""

    __slots__ = ("pieces",)
    pieces: tuple[str | PageFor, ...]

    @classmethod
    def of(cls, text: str) -> Retold:
        """Return a text with pages in place of commands."""
        if isinstance(text, Retold):
            return text
        for phrase, instead in OTHERWISE.items():
            text = text.replace(phrase, instead)
        return cls._made(list(_pieces(text)))

    @classmethod
    def as_it_is(cls, text: str) -> Retold:
        """Return a text in which a command is meant for the reader; one that was told already stays."""
        return text if isinstance(text, Retold) else cls._made([text])

    @classmethod
    def _made(cls, pieces: Sequence[str | PageFor]) -> Retold:
        made = cls("".join(one.words if isinstance(one, PageFor) else one for one in pieces))
        made.pieces = tuple(one for one in pieces if one)
        return made

    def sentence(self) -> Retold:
        """Return it as a sentence: a capital at its beginning, a mark at its end."""
        if not self.pieces:
            return self
        first, *others = self.pieces
        mark = "" if self.endswith((".", "!", "?", ":", "\u2026")) else "."
        return self._made([_capital(first), *others, mark])


def _pieces(text: str) -> Iterator[str | PageFor]:
    """Yield a text in parts: what is said as it is, and pages in place of commands.

    A command in backticks is a noun in its sentence, any other an order.
    """
    at = 0
    for found in _COMMAND.finditer(text):
        before = text[at : found.start()]
        yield before
        words = found["quoted"] or found["plain"]
        page = PAGES.get(words) or PAGES[words.split()[0]]
        if found["run"] or (found["plain"] and not before.endswith(("see ", "as "))):
            yield "open " if page.path else "use "
        yield page.of((found["of"] or found["rest"] or "").strip())
        is_without_name = found["plain"] and "{}" not in page.words
        at = found.start("rest") if is_without_name and found["rest"] else found.end()
    yield text[at:]


def _capital(piece: str | PageFor) -> str | PageFor:
    if isinstance(piece, PageFor):
        return replace(piece, words=piece.words[0].upper() + piece.words[1:])
    return piece[0].upper() + piece[1:]
