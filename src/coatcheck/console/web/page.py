"""One page of the console: its server, the table of roles and its tests come from this."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec

from coatcheck.model.browser import BrowserSession
from coatcheck.model.operator import Actor
from coatcheck.model.secret import Secret
from coatcheck.operations.permissions import Permission

Query = TypeVar("Query", bound=msgspec.Struct)
Form = TypeVar("Form", bound=msgspec.Struct)
Tone = Literal["good", "warn", "bad", "info"]

MAX_FORM: Final = 1024 * 1024
"""How many bytes a form may have, unless its page says otherwise."""

MAX_OPEN_FORM: Final = 16 * 1024
"""How many from those who are not signed in: nothing else is done while a form is taken apart."""


class Nothing(msgspec.Struct):
    """No parameter and no field at all."""


class Door(Enum):
    """Who may see a page, other than operators with a permission."""

    OPEN = "open"
    """Everybody: signing in, and claiming a grant."""
    SIGNED_IN = "signed in"
    """Operators of every role, and developers."""
    DEVELOPER = "developer"
    """Developers who signed in by a grant or a claim link, on their own page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Generic[Query, Form]):
    """One request that was let in and read.

    `session` is that of whoever is signed in; on open pages, which need none, it may be None. `by` is the
    operator who is signed in, or None. `names` are the parts of the path in braces. `typed` holds the fields
    of a form as they came, but for secrets, so that a form that is shown again has what was typed. `origin`
    is how this browser reaches us, `search` the query as it came; they and `cookies` are for signing in.
    """

    by: Actor | None
    session: BrowserSession | None
    names: Mapping[str, str]
    query: Query
    form: Form
    address: str
    agent: str
    path: str
    typed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    may_enter: bool
    """Whether a session may begin here: not over plain http from another machine."""
    origin: str = ""
    search: str = ""
    part: str = ""
    """The id of the one part of the page that is asked for, by script; a page may answer with that alone."""

    @property
    def actor(self) -> Actor:
        """The operator who asks; pages with a permission have one."""
        assert self.by is not None, "only pages with a permission have an actor"  # noqa: S101
        return self.by

    @property
    def signed_in(self) -> BrowserSession:
        """The session of whoever asks; only open pages may have none."""
        assert self.session is not None, "open pages may have no session"  # noqa: S101
        return self.session

    def said(self, name: str, default: str = "") -> str:
        """Return what was typed into a field, or how it begins; templates have `ui.said`."""
        return (self.typed.get(name) or (default,))[-1]


@dataclass(frozen=True, slots=True)
class Shown:
    """A page to show. `values` are what its template needs besides what all templates have.

    `enters` is the token of a session that began.
    """

    template: str
    values: Mapping[str, Any]
    status: int = 200
    enters: Secret | None = None


@dataclass(frozen=True, slots=True)
class Moved:
    """Go on at another page (303), and say something there. `to` is a path of ours, or a provider's URL.

    `enters` is the token of a session that began; `leaves`: the session is over. `keeps` sets other cookies
    for ten minutes, by name; an empty text removes one.
    """

    to: str
    said: str = ""
    tone: Tone = "good"
    enters: Secret | None = None
    leaves: bool = False
    keeps: Mapping[str, Secret] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sent:
    """A file to save. `parts` is closed in the end if it can be, whether or not somebody read it."""

    parts: AsyncIterator[bytes]
    media: str
    name: str


Answer = Shown | Moved
"""What a page answers; only one made by `saved` answers `Sent`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Query, Form]):
    """One method on one path.

    `who` is the permission that it needs, or the door that it stands behind. `again` shows the page of the
    form once more, with what was typed and what is wrong with it; without one, that is told on a page of its
    own. Of what was typed it gets no secrets but those named in `partly`, of which it shows a part.
    `proven`: whoever asks must have proven again lately who they are. `anywhere`: it is served wherever
    clients are, over plain http and before an operator ever signed in, too. `saves`: it sends a file, and is
    gone to from our own pages or by hand alone, since no other site shall set one off. `once`: its
    answer shows something once, so the same form, sent again, does nothing but say so; it is the path of the
    list of what was made. `before` may refuse a form whose mark is wrong for a better reason; it changes
    nothing.
    """

    method: Literal["GET", "POST"]
    path: str
    who: Permission | Door
    answer: Callable[[Asked[Query, Form]], Awaitable[Answer | Sent]]
    query: type[Query]
    form: type[Form]
    again: Callable[[Asked[Query, Any]], Awaitable[Shown]] | None = None
    proven: bool = False
    limit: int = MAX_FORM
    partly: frozenset[str] = frozenset()
    anywhere: bool = False
    saves: bool = False
    once: str = ""
    before: Callable[[Asked[Query, Nothing]], Awaitable[object]] | None = None


AnyPage = Page[Any, Any]


def seen(
    path: str,
    who: Permission | Door,
    answer: Callable[[Asked[Query, Nothing]], Awaitable[Answer]],
    query: type[Query] = Nothing,  # type: ignore[assignment]
    *,
    proven: bool = False,
    anywhere: bool = False,
) -> Page[Query, Nothing]:
    """Return a page that is looked at."""
    return Page(
        method="GET",
        path=path,
        who=who,
        answer=answer,
        query=query,
        form=Nothing,
        proven=proven,
        anywhere=anywhere,
    )


def saved(
    path: str,
    who: Permission,
    answer: Callable[[Asked[Query, Nothing]], Awaitable[Sent]],
    query: type[Query] = Nothing,  # type: ignore[assignment]
) -> Page[Query, Nothing]:
    """Return a file that is saved."""
    return Page(method="GET", path=path, who=who, answer=answer, query=query, form=Nothing, saves=True)


def done(
    path: str,
    who: Permission | Door,
    answer: Callable[[Asked[Query, Form]], Awaitable[Answer]],
    form: type[Form] = Nothing,  # type: ignore[assignment]
    query: type[Query] = Nothing,  # type: ignore[assignment]
    *,
    again: Callable[[Asked[Query, Any]], Awaitable[Shown]] | None = None,
    proven: bool = False,
    limit: int = MAX_FORM,
    partly: frozenset[str] = frozenset(),
    anywhere: bool = False,
    once: str = "",
    before: Callable[[Asked[Query, Nothing]], Awaitable[object]] | None = None,
) -> Page[Query, Form]:
    """Return a form that is sent."""
    return Page(
        method="POST",
        path=path,
        who=who,
        answer=answer,
        query=query,
        form=form,
        again=again,
        proven=proven,
        limit=limit,
        partly=partly,
        anywhere=anywhere,
        once=once,
        before=before,
    )
