"""Tools over the API: what servers offer, and calls of the operator's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from coatcheck.admin.api.problems import Problem, Wrong, problem
from coatcheck.admin.api.routes import AnyRoute, Asking, Nothing, Reply, Route
from coatcheck.admin.resources.values import Name
from coatcheck.core.wire import messages
from coatcheck.model.access import Nature
from coatcheck.model.call import Fault
from coatcheck.model.record import Outcome
from coatcheck.model.verdict import Judgement
from coatcheck.operations.calling.call import Performed
from coatcheck.operations.calling.operators import NoServer, OperatorCalls
from coatcheck.operations.directory import Directory
from coatcheck.operations.permissions import Permission
from coatcheck.operations.registry.serving.judged import JudgedTool, judged
from coatcheck.operations.views import Views

MAX_CALL: Final = 4 * 1024 * 1024

JsonObject = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]


class ToolShape(Struct, kw_only=True):
    """One tool; `access` is what it does to the world as far as can be told, `access_reason` why.

    `by_default` is what the policy used on the server, or else its own default, makes of calls for grants
    without a policy of their own, and `default_rule` the rule; scopes and access rules may take away more.
    """

    server: str
    name: str
    exposed_name: str
    title: str
    description: str
    access: Nature
    access_reason: str
    by_default: Judgement
    default_rule: str
    input_schema: Raw


class FailingShape(Struct):
    """A server whose tools nobody knows, and why."""

    server: str
    error: str


class ToolList(Struct):
    """Tools, and the servers that have not told theirs."""

    items: list[ToolShape]
    failing: list[FailingShape]
    next: None = None


class ToolQuery(Struct, forbid_unknown_fields=True):
    """Whose tools to list."""

    server: Name | None = None


class CallBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """A call: of which tool of which server, and with what."""

    server: Name
    tool: Name
    arguments: JsonObject | UnsetType = UNSET


class CallError(Struct):
    """The server's own error (JSON-RPC)."""

    code: int
    message: str


class CallAnswer(Struct, kw_only=True):
    """The server's result as it came, or its error."""

    server: str
    tool: str
    result: JsonObject | UnsetType = UNSET
    error: CallError | UnsetType = UNSET


def tool_shape(judged: JudgedTool) -> ToolShape:
    """Return a tool as it is told."""
    view = judged.tool
    members = view.entry.members
    return ToolShape(
        server=view.server,
        name=view.entry.name,
        exposed_name=view.exposed,
        title=messages.text_of(members.get("title")) or "",
        description=messages.text_of(members.get("description")) or "",
        access=view.nature,
        access_reason=view.why,
        by_default=judged.default.judgement,
        default_rule=judged.default.rule,
        input_schema=Raw(members.get("inputSchema", b"{}")),
    )


class ToolRoutes:
    """Serves tools and calls."""

    def __init__(self, directory: Directory, views: Views, calls: OperatorCalls) -> None:
        self._directory = directory
        self._views = views
        self._calls = calls

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes."""
        return [
            Route(
                method="GET",
                path="/tools",
                permission=Permission.TOOLS,
                summary="List tools, of one server or of all, whoever may see them.",
                answer=self.list,
                gives=ToolList,
                query=ToolQuery,
                body=Nothing,
                errors=("unknown_server",),
            ),
            Route(
                method="POST",
                path="/calls",
                permission=Permission.CALL,
                summary="Call a tool as the operator; it is recorded like any call.",
                answer=self.call,
                gives=CallAnswer,
                query=Nothing,
                body=CallBody,
                limit=MAX_CALL,
                errors=("unknown_server", "unknown_tool", "call_failed", "call_late"),
            ),
        ]

    async def list(self, asking: Asking[ToolQuery, Nothing]) -> Reply:
        """Answer GET /tools."""
        name = asking.query.server
        try:
            tools, failing = await self._views.tools(name)
        except KeyError:
            raise no_server() from None
        items = [tool_shape(one) for one in judged(self._directory.snapshot, tools)]
        return Reply(ToolList(items, [FailingShape(*one) for one in failing]))

    async def call(self, asking: Asking[Nothing, CallBody]) -> Reply:
        """Answer POST /calls."""
        body = asking.body
        arguments = b"{}" if isinstance(body.arguments, UnsetType) else bytes(body.arguments)
        if not arguments.startswith(b"{"):
            raise Problem("unfit", Wrong("arguments: Expected `object`.", field="arguments"))
        try:
            performed = await self._calls.call(asking.actor, body.server, body.tool, arguments)
        except NoServer:
            raise no_server() from None
        return Reply(_answer(body, performed))


_CODES: Final = {
    Outcome.UPSTREAM_ERROR: "call_failed",
    Outcome.TIMEOUT: "call_late",
    Outcome.DENIED: "unknown_tool",
    Outcome.UNKNOWN: "unavailable",
}
"""The outcomes that are no answer of the server's own; those are 200."""


def _answer(body: CallBody, performed: Performed) -> CallAnswer:
    reply = performed.reply
    if not isinstance(reply, Fault):
        # A denial that the caller may see is a tool result, and so an answer like any other.
        return CallAnswer(server=body.server, tool=body.tool, result=Raw(reply.raw))
    code = _CODES.get(performed.outcome)
    if code is not None:
        raise problem(code, reply.message)
    return CallAnswer(server=body.server, tool=body.tool, error=CallError(reply.code, reply.message))


def no_server() -> Problem:
    """Return the answer for a name that no server has."""
    return problem(
        "unknown_server", "There is no server of this name.", "`coatcheck list` names the servers."
    )
