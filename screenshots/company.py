"""The company whose gateway is in the pictures: its people, what they may reach, and what they do all day.

Nobody in it exists. Days are counted back from now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Person:
    """A subject: a person, or an automation."""

    name: str
    roles: tuple[str, ...]
    note: str
    kind: str = "person"


@dataclass(frozen=True)
class Ticket:
    """A grant: issued so many days ago, to end in so many days (None: never), used for so much of the calls.

    `servers` None: all. `fate`: "" or `revoked`, `expired`, `unclaimed`, `unused`.
    """

    label: str
    subject: str
    servers: tuple[str, ...] | None
    issued: float
    ends: float | None
    weight: int
    client: str = "claude-code"
    address: str = "10.20.4.17"
    tools: tuple[str, ...] | None = None
    fate: str = ""

    @property
    def is_of_a_machine(self) -> bool:
        """Whether its calls come at all hours."""
        return self.address.startswith("10.20.30.")


PEOPLE: Final = (
    Person("ada.keller", ("platform",), "Platform engineering"),
    Person("ben.osei", ("platform",), "Platform engineering"),
    Person("carla.mendes", ("platform", "repository-admin"), "Leads platform engineering"),
    Person("dmitri.volkov", ("backend",), "Orders team"),
    Person("elif.aydin", ("backend",), "Orders team"),
    Person("farid.haddad", ("backend",), "Search team"),
    Person("grace.lindqvist", ("backend",), "Search team"),
    Person("hugo.moreau", ("frontend",), "Storefront team"),
    Person("ines.costa", ("frontend",), "Storefront team"),
    Person("jonas.weber", ("data",), "Analytics"),
    Person("keiko.tanaka", ("data",), "Analytics"),
    Person("liam.byrne", ("support",), "Customer support"),
    Person("mei.zhang", ("support",), "Customer support"),
    Person("noah.petrov", ("backend",), "Contractor of the orders team, until the end of last month"),
    Person("release-bot", ("automation",), "Opens release pull requests; owner: carla.mendes", "automation"),
    Person("triage-agent", ("automation",), "Sorts new errors; owner: elif.aydin", "automation"),
    Person("nightly-report", ("automation",), "Writes the morning report; owner: jonas.weber", "automation"),
)

DEV: Final = ("github", "git", "sentry", "linear", "slack")
TICKETS: Final = (
    Ticket("ada-laptop", "ada.keller", None, 84, None, 60),
    Ticket("ada-workstation", "ada.keller", ("github", "git", "grafana"), 30, 60, 18, "codex", "10.20.4.18"),
    Ticket("ben-laptop", "ben.osei", ("github", "git", "grafana", "linear"), 71, 19, 42, "cursor-vscode", "10.20.4.31"),
    Ticket("carla-laptop", "carla.mendes", None, 88, 2, 31, "Visual Studio Code", "10.20.4.9"),
    Ticket("carla-ipad", "carla.mendes", ("linear", "notion"), 40, 50, 0, fate="unused"),
    Ticket("dmitri-laptop", "dmitri.volkov", DEV, 62, 28, 48, "claude-code", "10.20.5.12"),
    Ticket("elif-laptop", "elif.aydin", DEV, 45, 45, 54, "claude-code", "10.20.5.14"),
    Ticket("elif-codespace", "elif.aydin", ("github", "git"), 6, 24, 9, "codex", "10.20.9.77"),
    Ticket("farid-laptop", "farid.haddad", DEV, 58, 32, 37, "windsurf-client", "10.20.5.40"),
    Ticket("grace-laptop", "grace.lindqvist", DEV, 53, 37, 29, "Zed", "10.20.5.41"),
    Ticket("hugo-laptop", "hugo.moreau", ("github", "linear", "notion"), 33, 57, 24, "cursor-vscode", "10.20.6.3"),
    Ticket("ines-laptop", "ines.costa", ("github", "linear", "notion"), 20, 70, 26, "claude-code", "10.20.6.5"),
    Ticket("ines-new-laptop", "ines.costa", ("github", "linear", "notion"), 0.8, 89, 0, fate="unclaimed"),
    Ticket("jonas-laptop", "jonas.weber", ("warehouse", "notion", "grafana"), 77, 13, 33, "claude-ai", "10.20.7.2"),
    Ticket("keiko-laptop", "keiko.tanaka", ("warehouse", "notion"), 15, 75, 22, "claude-ai", "10.20.7.8"),
    Ticket("keiko-notebooks", "keiko.tanaka", ("warehouse", "github"), 14, 76, 0, fate="unused"),
    Ticket("liam-desktop", "liam.byrne", ("slack", "notion", "linear"), 50, 40, 17, "claude-ai", "10.20.8.21"),
    Ticket("mei-desktop", "mei.zhang", ("slack", "notion", "linear"), 49, 41, 12, "claude-ai", "10.20.8.22"),
    Ticket("mei-trial", "mei.zhang", ("notion",), 36, -6, 3, "gemini-cli-mcp-client", "10.20.8.22", fate="expired"),
    Ticket("noah-laptop", "noah.petrov", DEV, 80, 10, 14, "claude-code", "198.51.100.23", fate="revoked"),
    Ticket("release-bot-ci", "release-bot", ("github",), 70, 20, 30, "python-sdk", "10.20.30.4"),
    Ticket("release-bot-staging", "release-bot", ("github",), 66, 24, 0, fate="unused"),
    Ticket("triage-agent", "triage-agent", ("sentry", "linear", "slack"), 25, 65, 66, "triage-agent", "10.20.30.9"),
    Ticket("nightly-report", "nightly-report", ("warehouse", "grafana", "slack"), 41, 49, 16, "python-sdk", "10.20.30.12", ("warehouse__*", "grafana__query_*", "slack__post_message")),
    Ticket("nightly-report-old", "nightly-report", ("warehouse",), 83, 7, 0, fate="unused"),
)  # fmt: skip

CREDENTIALS: Final[dict[str, tuple[str, float, int | None, str]]] = {
    # server: owner, days since the value was made, interval in days, note
    "github": ("carla.mendes", 12, 90, "GitHub App of the engineering organisation"),
    "slack": ("ben.osei", 118, 90, "Bot token; to be rotated with the workspace admins"),
    "sentry": ("elif.aydin", 61, 60, "Internal integration"),
    "linear": ("ada.keller", 33, 90, "Service account linear@example.com"),
    "notion": ("jonas.weber", 47, 180, "Internal integration of the handbook"),
    "grafana": ("ada.keller", 20, 30, "Service account with role Viewer"),
    "warehouse": ("keiko.tanaka", 9, 30, "Role analyst of the replica"),
}

FAILING: Final = "grafana"
"""The server that stopped taking its credential an hour ago."""

POLICIES: Final = {"repository-deletion": "github", "slack-posts": "slack", "read-only-sql": "warehouse"}
"""Of docs/how-to/policies, with the server that each is used on; `rate-limits` is used on the role `automation`."""

WORK: Final[dict[str, tuple[tuple[int, str, dict[str, Any]], ...]]] = {
    "github": (
        (8, "search_code", {"query": "retry budget"}),
        (9, "get_file_contents", {"repository": "orders-api", "path": "README.md"}),
        (6, "list_pull_requests", {"repository": "orders-api"}),
        (5, "get_pull_request", {"repository": "orders-api", "number": 412}),
        (3, "create_pull_request", {"repository": "orders-api", "title": "Bound retries", "head": "retries", "base": "main"}),
        (2, "push_files", {"repository": "orders-api", "branch": "retries", "message": "Bound retries"}),
        (1, "push_files", {"repository": "orders-api", "branch": "main", "message": "Quick fix"}),
        (1, "delete_branch", {"repository": "orders-api", "branch": "retries"}),
        (1, "search_code", {"query": "missing"}),
    ),
    "slack": (
        (3, "list_channels", {}),
        (5, "read_channel_history", {"channel": "C0DEPLOYS01"}),
        (4, "search_messages", {"query": "rollback"}),
        (3, "post_message", {"channel": "C0DEPLOYS01", "text": "orders-api 4.12 is out"}),
        (1, "post_message", {"channel": "C0GENERAL01", "text": "orders-api 4.12 is out"}),
    ),
    "sentry": (
        (8, "search_issues", {"query": "is:unresolved"}),
        (7, "get_issue_details", {"issue": "ORDERS-3K"}),
        (2, "get_issue_details", {"issue": "missing"}),
        (3, "update_issue", {"issue": "ORDERS-3K", "status": "resolved"}),
    ),
    "linear": (
        (7, "list_issues", {"team": "ORD"}),
        (6, "get_issue", {"id": "ORD-211"}),
        (3, "create_issue", {"team": "ORD", "title": "Bound retries"}),
        (2, "update_issue", {"id": "ORD-211", "state": "done"}),
    ),
    "notion": (
        (6, "search_pages", {"query": "on call"}),
        (6, "get_page", {"page": "on-call-handbook"}),
        (1, "append_to_page", {"page": "on-call-handbook", "markdown": "Escalate after 15 minutes."}),
        (1, "get_page", {"page": "missing-host"}),
    ),
    "grafana": (
        (3, "list_dashboards", {}),
        (7, "query_prometheus", {"expression": "sum(rate(http_requests_total[5m]))"}),
        (4, "list_alerts", {}),
    ),
    "warehouse": (
        (3, "list_tables", {}),
        (3, "describe_table", {"table": "orders"}),
        (8, "query", {"sql": "select country, count(*) from orders group by country"}),
        (1, "query", {"sql": "select * from orders_2024"}),
        (1, "query", {"sql": "delete from orders where id = 7"}),
    ),
    "git": (
        (5, "git_log", {"limit": 20}),
        (5, "git_diff", {"before": "HEAD~1", "after": "HEAD"}),
        (2, "git_commit", {"message": "Bound retries"}),
    ),
}  # fmt: skip
"""What is called of each server: how often, which tool, with what."""
