"""The shapes of servers: what is told of one, and what a body says of one; secrets go in only."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from coatcheck.admin.resources.credentials.oauth_shapes import OauthBody, wanted_of
from coatcheck.admin.resources.tools import JsonObject, ToolShape, tool_shape
from coatcheck.admin.resources.values import MAX_NAMES, Moment, Name, Note, said
from coatcheck.model.credential import Probe, Replace, Upkeep
from coatcheck.model.operator import Actor, OperatorRole
from coatcheck.model.policy import Default
from coatcheck.model.secret import Secret
from coatcheck.model.server import Source, Transport
from coatcheck.operations.registry.fitness import MAX_TOOLS
from coatcheck.operations.registry.patches import UNSAID, NewServer, ServerPatch, Unsaid
from coatcheck.operations.registry.serving.servers import ServerAdded
from coatcheck.operations.registry.views import RegisteredView
from coatcheck.operations.views import ServerView

DISABLED: Final = "disabled"
UNKNOWN: Final = "unknown"

Text = Annotated[str, Meta(min_length=1, max_length=4_096)]
Values = Annotated[dict[Name, Secret], Meta(max_length=100)]
ValuesOrNull = Annotated[dict[Name, Secret | None], Meta(max_length=100)]
Words = Annotated[list[Secret], Meta(max_length=MAX_NAMES)]
Names = Annotated[list[Name], Meta(max_length=100)]
Approved = Annotated[list[Name], Meta(max_length=MAX_TOOLS)]


class ProbeShape(Struct):
    """A tool call by which the server shows whether it takes a credential."""

    tool: str
    arguments: JsonObject


class UpkeepShape(Struct):
    """How the server's credentials are looked after; `replace` restart: two never run at once."""

    replace: Replace
    probe: ProbeShape | None


class PlacedShape(Struct):
    """A credential and the place it goes to; `number` is that of its version there, null if none is."""

    place: str
    name: str
    number: int | None


class ServerShape(Struct, kw_only=True):
    """One server: how it is registered, and how it does. `version` is the protocol's, `revision` its own.

    `plain` are values of headers or variables that may be shown, `sealed` names those that may not;
    `args` counts the arguments of a command, which are not shown either. `lacking` says why the server cannot
    be used: a credential that it needs is not there. `default` holds where no policy is used on it or on a
    grant, for tools only as far as one of the globs in `approved` matches; null: for all of them.
    """

    name: str
    id: UUID
    source: Source
    transport: Transport
    reach: str
    plain: dict[str, str]
    sealed: list[str]
    args: int
    cwd: str | None
    credentials: list[PlacedShape]
    lacking: str
    upkeep: UpkeepShape
    default: Default
    approved: list[str] | None
    trusted: bool
    disabled: bool
    because: str
    created_at: Moment | None
    created_by: str
    note: str
    revision: int
    state: str
    degraded: bool
    tools: int | None
    prompts: int | None
    resources: int | None
    last_error: str
    in_flight: int
    restarts: int
    pid: int | None
    era: str | None
    version: str | None
    quarantined: list[str]
    stderr: list[str]


class ServerPage(Struct):
    """A page of servers."""

    items: list[ServerShape]
    next: str | None


class ServerAddedShape(Struct, kw_only=True):
    """A server that was registered or changed. `tools` null: it could not be asked, `error` says why.

    `credentials` names those that were made for it, renewed or ended with it.
    """

    server: ServerShape
    tools: list[ToolShape] | None
    error: str
    credentials: list[str]


class ProbeBody(Struct, forbid_unknown_fields=True):
    """A tool call that tells a good credential from a wrong one."""

    tool: Name
    arguments: JsonObject | UnsetType = UNSET


class UpkeepBody(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """How credentials are looked after; what is left out stays."""

    replace: Replace | UnsetType = UNSET
    probe: ProbeBody | UnsetType | None = UNSET


class NewServerBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """A server to register: `url` with `headers`, or `command` with `args`, `env` and `cwd`.

    Values of headers and variables become credentials and are never told again, but for those that `plain`
    names. With `oauth` the server gets tokens, and its credential is to be connected. `approved` are globs
    over its own tools; of a `trusted` server `readOnlyHint` is believed.
    """

    name: Name
    url: Secret | None = None
    transport: Transport | None = None
    headers: Values = {}
    command: Text | None = None
    args: Words = []
    env: Values = {}
    cwd: Text | None = None
    plain: Names = []
    note: Note = ""
    upkeep: UpkeepBody = UpkeepBody()
    oauth: OauthBody | None = None
    default: Default = Default.READ_ONLY
    approved: Approved | None = None
    trusted: bool = False


class ServerPatchBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Changes of a server; what is left out stays. In `headers` and `env` a null takes one away.

    `approved` null: the default holds for all tools again.
    """

    url: Secret | UnsetType = UNSET
    transport: Transport | UnsetType | None = UNSET
    headers: ValuesOrNull | UnsetType = UNSET
    command: Text | UnsetType = UNSET
    args: Words | UnsetType = UNSET
    env: ValuesOrNull | UnsetType = UNSET
    cwd: Text | UnsetType | None = UNSET
    plain: Names | UnsetType = UNSET
    note: Note | UnsetType = UNSET
    upkeep: UpkeepBody | UnsetType = UNSET
    default: Default | UnsetType = UNSET
    approved: Approved | UnsetType | None = UNSET
    trusted: bool | UnsetType = UNSET


def server_shape(view: RegisteredView, standing: ServerView | None, actor: Actor) -> ServerShape:
    """Return a server as it is told to this operator; `standing` None: it is not in use.

    What a child said on standard error may hold anything, so it is for admins only.
    """
    standing_shape = _standing(view, standing)
    if actor.role is not OperatorRole.ADMIN:
        standing_shape["stderr"] = []
    return ServerShape(
        name=view.name,
        id=view.id,
        source=view.source,
        transport=view.transport,
        reach=view.reach,
        plain=dict(view.plain),
        sealed=list(view.sealed),
        args=view.args,
        cwd=view.cwd,
        credentials=_placed(view, standing),
        lacking=standing.server.lacking if standing else "",
        upkeep=_upkeep_shape(view.upkeep),
        default=view.default,
        approved=None if view.approved is None else list(view.approved),
        trusted=view.trusted,
        disabled=view.disabled,
        because=view.because,
        created_at=view.created_at,
        created_by=view.created_by,
        note=view.note,
        revision=view.version,
        **standing_shape,
    )


def _placed(view: RegisteredView, standing: ServerView | None) -> list[PlacedShape]:
    """Return the credentials of a server, with the versions that are in place."""
    uses = standing.server.uses if standing else ()
    numbers = {(use.place, use.name): use.number or None for use in uses}
    return [PlacedShape(place, name, numbers.get((place, name))) for place, name in view.credentials]


def _upkeep_shape(upkeep: Upkeep) -> UpkeepShape:
    probe = upkeep.probe
    if probe is None:
        return UpkeepShape(upkeep.replace, None)
    return UpkeepShape(upkeep.replace, ProbeShape(probe.tool, Raw(probe.arguments.encode("utf-8"))))


def _standing(view: RegisteredView, standing: ServerView | None) -> dict[str, Any]:
    """Return how a server does."""
    status = standing.status if standing else None
    greeting = standing.greeting if standing else None
    idle = DISABLED if view.disabled else UNKNOWN
    return {
        "state": status.state.value if status else idle,
        "degraded": standing.degraded if standing else False,
        "tools": standing.tools if standing else None,
        "prompts": standing.prompts if standing else None,
        "resources": standing.resources if standing else None,
        "last_error": standing.last_error if standing else "",
        "in_flight": status.in_flight if status else 0,
        "restarts": status.restarts if status else 0,
        "pid": status.pid if status else None,
        "era": greeting.era.value if greeting else None,
        "version": greeting.version if greeting else None,
        "quarantined": list(standing.quarantined) if standing else [],
        "stderr": list(status.stderr) if status else [],
    }


def added_shape(added: ServerAdded, standing: ServerView | None, actor: Actor) -> ServerAddedShape:
    """Return a server that was just registered or changed."""
    tools = None if added.tools is None else [tool_shape(one) for one in added.tools]
    return ServerAddedShape(
        server=server_shape(added.server, standing, actor),
        tools=tools,
        error=added.error,
        credentials=list(added.credentials),
    )


def new_of(body: NewServerBody) -> NewServer:
    """Return the server that a body describes, not yet judged."""
    return NewServer(
        name=body.name,
        url=body.url,
        transport=body.transport,
        headers=body.headers,
        command=body.command,
        args=tuple(body.args),
        env=body.env,
        cwd=body.cwd,
        plain=frozenset(body.plain),
        note=body.note,
        upkeep=_upkeep(body.upkeep, Upkeep()),
        oauth=wanted_of(body.oauth) if body.oauth is not None else None,
        default=body.default,
        approved=None if body.approved is None else tuple(body.approved),
        trusted=body.trusted,
    )


def patch_of(body: ServerPatchBody, before: Upkeep) -> ServerPatch:
    """Return the changes that a body describes; `before` is how credentials are looked after now."""
    return ServerPatch(
        url=said(body.url),
        transport=said(body.transport),
        headers=said(body.headers),
        command=said(body.command),
        args=_made(body.args, tuple),
        env=said(body.env),
        cwd=said(body.cwd),
        plain=_made(body.plain, frozenset),
        note=said(body.note),
        upkeep=UNSAID if isinstance(body.upkeep, UnsetType) else _upkeep(body.upkeep, before),
        default=said(body.default),
        approved=None if body.approved is None else _made(body.approved, tuple),
        trusted=said(body.trusted),
    )


def _upkeep(body: UpkeepBody, before: Upkeep) -> Upkeep:
    probe = before.probe
    if not isinstance(body.probe, UnsetType):
        probe = None if body.probe is None else _probe(body.probe)
    return Upkeep(before.replace if isinstance(body.replace, UnsetType) else body.replace, probe)


def _probe(body: ProbeBody) -> Probe:
    if isinstance(body.arguments, UnsetType):
        return Probe(body.tool)
    return Probe(body.tool, bytes(body.arguments).decode("utf-8"))


def _made(value: Any, make: Any) -> Any | Unsaid:
    return UNSAID if value is UNSET else make(value)
