"""The JSON shapes of the REST API: from what operations return to what programs read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from coatcheck.core.wire import messages
from coatcheck.model.call import Fault, Reply
from coatcheck.model.declaration import Problem
from coatcheck.operations.views import ServerView, ToolView


def listing(items: Sequence[Any]) -> dict[str, Any]:
    """Return a list in the one shape that every list has."""
    return {"items": list(items), "next": None}


def problem(one: Problem) -> dict[str, Any]:
    """Return one problem of a file."""
    return {"line": one.line, "where": one.where, "message": one.message, "fix": one.fix}


def server(view: ServerView) -> dict[str, Any]:
    """Return one server as it stands."""
    status, greeting = view.status, view.greeting
    return {
        "name": view.server.name,
        "id": str(view.server.id),
        "source": view.server.source,
        "transport": view.server.reach.transport,
        "reach": view.reach,
        "state": status.state,
        "degraded": view.degraded,
        "tools": view.tools,
        "prompts": view.prompts,
        "resources": view.resources,
        "last_error": view.last_error,
        "in_flight": status.in_flight,
        "restarts": status.restarts,
        "pid": status.pid,
        "era": greeting.era if greeting else None,
        "version": greeting.version if greeting else None,
        "quarantined": list(view.quarantined),
        "stderr": list(status.stderr),
    }


def tool(view: ToolView) -> dict[str, Any]:
    """Return one tool."""
    members = view.entry.members
    return {
        "server": view.server,
        "name": view.entry.name,
        "exposed_name": view.exposed,
        "title": messages.text_of(members.get("title")) or "",
        "description": messages.text_of(members.get("description")) or "",
        "access": view.nature,
        "access_reason": view.why,
        "input_schema": json.loads(members.get("inputSchema", b"{}")),
    }


def reply(server_name: str, tool_name: str, answer: Reply) -> bytes:
    """Return the answer to a call: the server's result as it came, or its error."""
    head = {"server": messages.raw_of(server_name), "tool": messages.raw_of(tool_name)}
    if isinstance(answer, Fault):
        return messages.object_of(
            {**head, "error": messages.raw_of({"code": answer.code, "message": answer.message})}
        )
    return messages.object_of({**head, "result": answer.raw})
