"""What pages about grants are asked: filters of the list, and the forms for making and changing one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.web.forms import BadField
from coatcheck.operations.registry.granting.attention import LONG, SOON
from coatcheck.operations.registry.patches import UNSAID, GrantFilter, GrantPatch, NewGrant, Unsaid
from coatcheck.operations.registry.views import GrantState, GrantView

A_PAGE: Final = 50
_EVER: Final = datetime.min.replace(tzinfo=UTC)
"""What was used since then was used at all."""
_STRICTER: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "ends_before": min,
    "unused_since": min,
    "used_since": max,
    "never_used": max,
}
"""Which of what two filters say of the same holds for both."""


class Standing(StrEnum):
    """How a grant stands, and what may be said of a live one."""

    LIVE = "live"
    UNCLAIMED = "unclaimed"
    EXPIRING = "expiring"
    NEVER_USED = "never-used"
    IDLE = "idle"
    DISABLED = "disabled"
    REVOKED = "revoked"
    EXPIRED = "expired"


class Scope(StrEnum):
    """Which servers a grant is for."""

    ALL = "all"
    CHOSEN = "chosen"


class Used(StrEnum):
    """When a grant was last used."""

    DAY = "day"
    WEEK = "week"
    NOT_30 = "not-30"
    NOT_90 = "not-90"
    NEVER = "never"


class Ends(StrEnum):
    """When a grant ends by itself."""

    WEEK = "week"
    MONTH = "month"
    NEVER = "never"


class Life(StrEnum):
    """How long a new grant is good."""

    MONTH = "30"
    QUARTER = "90"
    YEAR = "365"
    DATE = "date"
    NEVER = "never"
    KEPT = "kept"
    """As long as before; only where one is changed."""


class How(StrEnum):
    """What comes of issuing: a link that its owner fetches the token by, or the token itself."""

    CLAIM = "claim"
    TOKEN = "token"  # noqa: S105 - the name of a choice


class GrantQuery(Struct):
    """Which grants to list."""

    q: str = ""
    owner: str = ""
    server: str = ""
    state: Standing | None = None
    scope: Scope | None = None
    policy: str = ""
    used: Used | None = None
    expires: Ends | None = None
    after: str | None = None
    before: str | None = None


class OwnerQuery(Struct):
    """What somebody types who looks for an owner."""

    owner: str = ""


class RevokeQuery(Struct):
    """Grants that are to be revoked, by id. `back` is the list that they were chosen in, with its filters."""

    grant: list[str] = []
    back: str = ""


class RevokeForm(Struct):
    """The same, and why."""

    grant: list[str] = []
    because: str = ""
    back: str = ""


class NewQuery(Struct):
    """What a new grant begins with, as a link from elsewhere says it."""

    owner: str = ""
    server: str = ""
    policy: str = ""


class Reaching(Struct, kw_only=True):
    """What a grant reaches and how long it lasts, as it is typed."""

    reach: Scope = Scope.ALL
    servers: list[str] = []
    tools: str = ""
    life: Life = Life.QUARTER
    until: str = ""
    note: str = ""


class NewForm(Reaching, kw_only=True):
    """A grant to issue."""

    owner: str
    label: str = ""
    policy: str = ""
    how: How = How.CLAIM


class ManyForm(Reaching, kw_only=True):
    """Grants to issue: one on each line, its owner and, after a comma, its label."""

    owners: str
    policy: str = ""
    how: How = How.CLAIM


class ChangeForm(Reaching, kw_only=True):
    """A grant as it is to be from now on."""

    label: str
    version: int


class RotateForm(Struct):
    """For how many seconds the former token stays good."""

    version: int
    overlap: int = 3_600


def filter_of(query: GrantQuery, now: datetime) -> GrantFilter:
    """Return the filter that a query means."""
    asked: dict[str, Any] = {
        "text": query.q.strip(),
        "subject": query.owner.strip() or None,
        "server": query.server or None,
        "policy": query.policy or None,
        "everywhere": None if query.scope is None else query.scope is Scope.ALL,
        "limit": A_PAGE,
        "after": query.after,
        "before": query.before,
    }
    for one in (_used_as(query.used, now), _ends_as(query.expires, now), _stands_as(query.state, now)):
        for name, said in one.items():
            asked[name] = _STRICTER[name](asked[name], said) if name in asked else said
    return GrantFilter(**asked)


def _used_as(used: Used | None, now: datetime) -> dict[str, Any]:
    match used:
        case Used.DAY:
            return {"used_since": now - timedelta(days=1)}
        case Used.WEEK:
            return {"used_since": now - timedelta(days=7)}
        case Used.NOT_30:
            return {"unused_since": now - timedelta(days=30)}
        case Used.NOT_90:
            return {"unused_since": now - timedelta(days=90)}
        case Used.NEVER:
            return {"never_used": True}
        case None:
            return {}


def _ends_as(ends: Ends | None, now: datetime) -> dict[str, Any]:
    match ends:
        case Ends.WEEK:
            return {"ends_before": now + timedelta(days=7)}
        case Ends.MONTH:
            return {"ends_before": now + timedelta(days=30)}
        case Ends.NEVER:
            return {"endless": True}
        case None:
            return {}


def _stands_as(standing: Standing | None, now: datetime) -> dict[str, Any]:
    match standing:
        case Standing.EXPIRING:
            return {"state": GrantState.LIVE, "ends_before": now + SOON}
        case Standing.NEVER_USED:
            return {"state": GrantState.LIVE, "never_used": True}
        case Standing.IDLE:
            return {"state": GrantState.LIVE, "unused_since": now - LONG, "used_since": _EVER}
        case None:
            return {}
        case _:
            return {"state": GrantState(standing.value)}


def new_of(form: NewForm | ManyForm, owner: str, label: str, now: datetime) -> NewGrant:
    """Return the grant that a form describes, not yet judged.

    Raises:
        BadField: a date that is none, or servers that were not chosen.
    """
    return NewGrant(
        label=label,
        subject=owner,
        servers=servers_of(form),
        tools=tools_of(form),
        expires_at=end_of(form, now),
        note=form.note.strip(),
        by_claim=form.how is How.CLAIM,
        policy=form.policy,
    )


def patch_of(form: ChangeForm, now: datetime) -> GrantPatch:
    """Return the changes that a form describes. Raises as `new_of`."""
    return GrantPatch(
        label=form.label.strip(),
        servers=servers_of(form),
        tools=tools_of(form),
        expires_at=end_of(form, now),
        note=form.note.strip(),
    )


def servers_of(form: Reaching) -> frozenset[str] | None:
    """Return the servers that were chosen; None for all."""
    if form.reach is Scope.ALL:
        return None
    if not form.servers:
        raise BadField("servers", "Choose at least one server, or let it reach all of them.")
    return frozenset(form.servers)


def tools_of(form: Reaching) -> tuple[str, ...] | None:
    """Return the globs that were typed, one on each line or after a comma; None for all."""
    return tuple(form.tools.replace(",", " ").split()) or None


def end_of(form: Reaching, now: datetime) -> datetime | Unsaid | None:
    """Return when the grant ends; a date means the end of that day, in UTC."""
    match form.life:
        case Life.KEPT:
            return UNSAID
        case Life.NEVER:
            return None
        case Life.DATE:
            try:
                day = datetime.strptime(form.until, "%Y-%m-%d").replace(tzinfo=UTC)
            except ValueError:
                raise BadField("until", "Say the day, as 2027-01-31.") from None
            return datetime.combine(day.date(), time(23, 59, 59), UTC)
        case _:
            return now + timedelta(days=int(form.life.value))


def lines_of(form: ManyForm) -> Sequence[tuple[str, str]]:
    """Return owner and label of each line; an empty label is one that is to be proposed.

    Raises:
        BadField: there is none, or one that cannot be read.
    """
    found: list[tuple[str, str]] = []
    for number, line in enumerate(form.owners.splitlines(), 1):
        owner, *rest = (part.strip() for part in line.replace("\t", ",").replace(";", ",").split(","))
        if not line.strip() or (number == 1 and owner.lower() in {"owner", "subject"}):
            continue
        if not owner or len(rest) > 1:
            raise BadField("owners", f"Line {number}: write an owner and, after a comma, a label.")
        found.append((owner, rest[0] if rest else ""))
    if not found:
        raise BadField("owners", "Write at least one owner.")
    return found


def filled_of(typed: Mapping[str, Sequence[str]], begins: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a form as they were typed, or as they begin."""
    if not typed:
        return dict(begins)
    shown = {name: typed[name][-1] if typed.get(name) else "" for name in begins}
    return {**shown, "servers": list(typed.get("servers", ()))}


def begins_new(query: NewQuery) -> dict[str, Any]:
    """Return how the form for a new grant begins."""
    return {
        "owner": query.owner,
        "owners": query.owner,
        "label": "",
        "reach": (Scope.CHOSEN if query.server else Scope.ALL).value,
        "servers": [query.server] if query.server else [],
        "tools": "",
        "policy": query.policy,
        "life": Life.QUARTER.value,
        "until": "",
        "note": "",
        "how": How.CLAIM.value,
    }


def begins_change(view: GrantView) -> dict[str, Any]:
    """Return how the form for changing a grant begins."""
    return {
        "label": view.label,
        "reach": (Scope.ALL if view.servers is None else Scope.CHOSEN).value,
        "servers": list(view.servers or ()),
        "tools": "\n".join(view.tools or ()),
        "life": Life.KEPT.value,
        "until": view.expires_at.strftime("%Y-%m-%d") if view.expires_at else "",
        "note": view.note,
        "version": str(view.version),
    }
