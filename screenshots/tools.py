"""The tools of the company's servers: names, what they say of themselves, and what they answer."""

from __future__ import annotations

from typing import Any, Final

READS: Final = {"readOnlyHint": True}
WRITES: Final = {"readOnlyHint": False, "destructiveHint": False}
DESTROYS: Final = {"readOnlyHint": False, "destructiveHint": True}

Tool = dict[str, Any]


def tool(name: str, description: str, annotations: dict[str, bool], /, **arguments: str) -> Tool:
    """Return a tool; an argument is `text`, `number`, or either with `?` where it can be left out."""
    kinds = {"text": "string", "number": "integer", "flag": "boolean"}
    return {
        "name": name,
        "description": description,
        "annotations": annotations,
        "inputSchema": {
            "type": "object",
            "properties": {key: {"type": kinds[kind.rstrip("?")]} for key, kind in arguments.items()},
            "required": [key for key, kind in arguments.items() if not kind.endswith("?")],
        },
    }


TOOLS: Final[dict[str, list[Tool]]] = {
    "github": [
        tool("search_code", "Search code in all repositories that the app is installed in.", READS, query="text", page="number?"),
        tool("get_file_contents", "Read one file of a repository.", READS, repository="text", path="text", ref="text?"),
        tool("list_pull_requests", "List pull requests of a repository.", READS, repository="text", state="text?"),
        tool("get_pull_request", "Show one pull request with its checks.", READS, repository="text", number="number"),
        tool("create_pull_request", "Open a pull request.", WRITES, repository="text", title="text", head="text", base="text"),
        tool("create_issue", "Open an issue.", WRITES, repository="text", title="text", body="text?"),
        tool("push_files", "Commit files to a branch.", WRITES, repository="text", branch="text", message="text", force="flag?"),
        tool("delete_branch", "Delete a branch of a repository.", DESTROYS, repository="text", branch="text"),
    ],
    "slack": [
        tool("list_channels", "List the channels that the app was invited to.", READS, limit="number?"),
        tool("read_channel_history", "Read the last messages of a channel.", READS, channel="text", limit="number?"),
        tool("search_messages", "Search messages.", READS, query="text"),
        tool("post_message", "Post a message in a channel.", WRITES, channel="text", text="text"),
    ],
    "sentry": [
        tool("search_issues", "Find issues by a query.", READS, query="text", project="text?"),
        tool("get_issue_details", "Show an issue with its last event and stack trace.", READS, issue="text"),
        tool("update_issue", "Resolve, ignore or assign an issue.", WRITES, issue="text", status="text"),
    ],
    "linear": [
        tool("list_issues", "List issues of a team.", READS, team="text", state="text?"),
        tool("get_issue", "Show one issue with its comments.", READS, id="text"),
        tool("create_issue", "Create an issue.", WRITES, team="text", title="text", description="text?"),
        tool("update_issue", "Change state, assignee or priority of an issue.", WRITES, id="text", state="text?"),
    ],
    "notion": [
        tool("search_pages", "Search pages and databases by their title and text.", READS, query="text"),
        tool("get_page", "Read one page as Markdown.", READS, page="text"),
        tool("append_to_page", "Add blocks to the end of a page.", WRITES, page="text", markdown="text"),
    ],
    "grafana": [
        tool("list_dashboards", "List dashboards by folder and tag.", READS, folder="text?"),
        tool("query_prometheus", "Run a PromQL query.", READS, expression="text", minutes="number?"),
        tool("list_alerts", "List firing alerts.", READS),
        tool("silence_alert", "Silence an alert for a while.", WRITES, alert="text", minutes="number"),
    ],
    "warehouse": [
        tool("list_tables", "List the tables of the analytics replica.", READS),
        tool("describe_table", "Show the columns of a table.", READS, table="text"),
        tool("query", "Run one SQL statement on the analytics replica.", {}, sql="text"),
    ],
    "git": [
        tool("git_log", "Show the commits of a branch.", READS, branch="text?", limit="number?"),
        tool("git_diff", "Show what differs between two commits.", READS, before="text", after="text"),
        tool("git_commit", "Record staged changes.", WRITES, message="text"),
        tool("git_reset", "Unstage everything.", DESTROYS),
    ],
}  # fmt: skip

CHANGED: Final = tool(
    "create_issue",
    "Create an issue, and subscribe people to it by mail.",
    WRITES,
    team="text",
    title="text",
    description="text?",
    subscribers="text?",
)
"""What `linear` offers later than it was accepted: it takes more, so it is hidden until an operator looked."""

CHILDREN: Final = ("warehouse", "git")
"""Servers that are commands, run by the gateway; the others are remote."""

FAILS: Final = {
    "get_issue_details": "The event has expired",
    "query": 'relation "orders_2024" does not exist',
}
"""What tools say where it did not work: when an argument is one of `BAD`."""
BAD: Final = frozenset({"missing", "select * from orders_2024"})


def answer(server: str, offered: list[Tool], method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """Return the result of a request, or None for a method or a tool that there is not."""
    if method == "tools/list":
        return {"tools": offered}
    if method == "ping":
        return {}
    if method == "initialize":
        greeting = {"name": server, "version": "2.4.1"}
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": greeting}
    if method != "tools/call" or params.get("name") not in {one["name"] for one in offered}:
        return None
    arguments = params.get("arguments", {})
    failed = not BAD.isdisjoint(map(str, arguments.values()))
    said = FAILS.get(params["name"], "Not found") if failed else f"{params['name']} of {server}: done"
    return {"content": [{"type": "text", "text": said}], "isError": failed}
