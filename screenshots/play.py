"""Plays what happened at the company: months of changes by its operators, then a day of calls."""

from __future__ import annotations

import random
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import yaml  # type: ignore[import-untyped]

from demo.environments import ROOT
from screenshots.clock import Hands
from screenshots.company import CREDENTIALS, FAILING, PEOPLE, POLICIES, TICKETS, WORK, Ticket
from screenshots.signing_in import NAMES
from screenshots.tools import CHILDREN, TOOLS

if TYPE_CHECKING:
    from screenshots.world import World

DOCUMENTS: Final = ROOT / "docs" / "how-to" / "policies"
BUSY: Final = (1, 1, 1, 1, 1, 2, 4, 9, 16, 20, 19, 14, 10, 15, 20, 18, 15, 9, 5, 3, 2, 2, 1, 1)
"""How busy the hours of the day are, in UTC."""
COMMANDS: Final = {"warehouse": "mcp-server-postgres", "git": "mcp-server-git"}
MAREN: Final = NAMES["admin"]
PRIYA: Final = NAMES["policy_manager"]

LEFT: Final = next(ticket for ticket in TICKETS if ticket.fate == "revoked")

Event = tuple[float, Any]
"""How many days ago, and what is done then."""


class Play:
    """One playing of it, on a gateway whose clock is set."""

    def __init__(self, world: World, hands: Hands, now: datetime, calls: int) -> None:
        self._world = world
        self._hands = hands
        self._now = now
        self._calls = calls
        self._credentials: dict[str, str] = {}
        self._chance = random.Random(7)

    def run(self) -> None:
        """Play all of it, in its order."""
        events = [*self._beginnings(), *self._changes(), *self._tickets(), *self._day(), *self._endings()]
        for ago, act in sorted(events, key=lambda event: -event[0]):
            self._hands.set(self._now - timedelta(days=ago))
            act()

    def just_now(self) -> None:
        """Make the calls of this minute, with the clock that everybody has."""
        for label in ("ada-laptop", "elif-laptop", "dmitri-laptop", "farid-laptop", "ben-laptop") * 2:
            self._call(next(ticket for ticket in TICKETS if ticket.label == label))()

    def _ask(self, by: str, method: str, path: str, body: Any = None) -> Any:
        return self._world.ask(method, path, body, by)

    # --- months of changes ---

    def _beginnings(self) -> list[Event]:
        operators = [
            (119.9 - number, self._hire(role, name)) for number, (role, name) in enumerate(NAMES.items())
        ]
        people = [(100 - number, self._welcome(one)) for number, one in enumerate(PEOPLE)]
        servers = [(119 - number, self._register(server)) for number, server in enumerate(TOOLS)]
        unused = (115.0, lambda: self._ask(MAREN, "DELETE", "/operators/admin"))
        return [*operators, unused, *servers, *people]

    def _hire(self, role: str, name: str) -> Any:
        def act() -> None:
            by = MAREN if MAREN in self._world.operators else ""
            code = self._ask(by, "POST", "/operators", {"name": name, "role": role})["code"]
            self._world.operators[name] = self._ask("", "POST", "/login", {"code": code})["token"]

        return act

    def _welcome(self, one: Any) -> Any:
        body = {"name": one.name, "kind": one.kind, "roles": list(one.roles), "note": one.note}
        return lambda: self._ask(MAREN, "POST", "/subjects", body)

    def _register(self, server: str) -> Any:
        def act() -> None:
            value = self._value(server)
            body: dict[str, Any] = {"name": server, "default": "allow-all", "trusted": True}
            if server in CHILDREN:
                body["command"] = COMMANDS[server]
                if server in CREDENTIALS:
                    body["env"] = {"DATABASE_URL": value}
            else:
                body |= {
                    "url": self._world.remote.url(server),
                    "headers": {"Authorization": f"Bearer {value}"},
                }
            added = self._ask("" if server in CHILDREN else MAREN, "POST", "/servers", body)
            if added["error"]:
                raise RuntimeError(f"{server}: {added['error']}")
            self._credentials[server] = next(iter(added["credentials"]), "")

        return act

    def _value(self, server: str) -> str:
        """Make a value that only this server takes from now on; nothing outside of this machine knows it."""
        value = f"example-{server}-{secrets.token_hex(12)}"
        self._world.remote.good.setdefault(server, set()).add(value)
        return value

    def _changes(self) -> list[Event]:
        events: list[Event] = []
        for server, (owner, made, days, note) in CREDENTIALS.items():
            about = {"owner": owner, "interval_days": days, "note": note}
            events.append((110.0, self._describe(server, about)))
            if made < 110:
                events.append((float(made), self._rotate(server)))
        for name, server in POLICIES.items():
            events += [(52.0, self._put(name)), (51.0, self._use(name, kind="server", of=server))]
        events += [
            (27.0, self._put("rate-limits")),
            (26.9, self._use("rate-limits", kind="role", of="automation")),
        ]
        events.append(
            (11.0, self._put("slack-posts", "Agents post where their team reads, and wake nobody up."))
        )
        events.append((1.1, self._stage("slack")))
        return events

    def _describe(self, server: str, body: Any) -> Any:
        return lambda: self._ask(PRIYA, "PATCH", f"/credentials/{self._credentials[server]}", body)

    def _rotate(self, server: str) -> Any:
        def act() -> None:
            scheme = "" if server in CHILDREN else "Bearer "
            body = {"material": scheme + self._value(server), "verify": server not in CHILDREN}
            if server in CHILDREN:  # what is used without a proof needs a reason
                body["because"] = "the database has no probe"
            self._ask(PRIYA, "POST", f"/credentials/{self._credentials[server]}/rotate", body)

        return act

    def _stage(self, server: str) -> Any:
        def act() -> None:
            body = {"material": "Bearer " + self._value(server)}
            self._ask(PRIYA, "POST", f"/credentials/{self._credentials[server]}/stage", body)

        return act

    def _put(self, name: str, description: str = "") -> Any:
        document = yaml.safe_load((DOCUMENTS / f"{name}.policy.yaml").read_text(encoding="utf-8"))
        if description:
            document["description"] = description
        if name == "rate-limits":  # as often as the company's own automations call
            document["tools"]["search_*"]["limits"][0] |= {
                "calls": 3,
                "message": "Three searches a minute are enough.",
            }
        because = "reviewed with the team" if description else "agreed with security"

        def act() -> None:
            path = f"/policies/{name}"
            self._ask(PRIYA, "PUT", path, {"document": document, "because": because})

        return act

    def _use(self, name: str, **of: str) -> Any:
        return lambda: self._ask(PRIYA, "POST", f"/policies/{name}/use", of)

    # --- grants ---

    def _tickets(self) -> list[Event]:
        events: list[Event] = [(ticket.issued, self._issue(ticket)) for ticket in TICKETS]
        body = {"because": "contract ended"}
        events += [
            (0.4, lambda: self._ask(MAREN, "POST", f"/subjects/{LEFT.subject}/offboard", body)),
        ]
        return events

    def _issue(self, ticket: Ticket) -> Any:
        ends = None if ticket.ends is None else self._now + timedelta(days=ticket.ends)
        body = {
            "label": ticket.label,
            "subject": ticket.subject,
            "servers": None if ticket.servers is None else list(ticket.servers),
            "tools": None if ticket.tools is None else list(ticket.tools),
            "expires_at": ends.isoformat() if ends else None,
            "by_claim": ticket.fate == "unclaimed",
        }

        def act() -> None:
            issued = self._ask(PRIYA, "POST", "/grants", body)
            self._world.tokens[ticket.label] = issued["token"] or ""

        return act

    # --- a day of calls ---

    def _day(self) -> list[Event]:
        working = [ticket for ticket in TICKETS if ticket.weight]
        chosen = self._chance.choices(working, [ticket.weight for ticket in working], k=self._calls)
        return [(self._moment(ticket), self._call(ticket)) for ticket in chosen]

    def _moment(self, ticket: Ticket) -> float:
        """Return when in the last day a call was made, as hours of the day are busy."""
        hours = self._chance.choices(range(24), BUSY)[0]
        ago = ((self._now.hour - hours) % 24 + self._chance.random()) / 24
        if ticket.is_of_a_machine:
            ago = self._chance.random()
        return min(max(ago, 0.001), 0.999)

    def _call(self, ticket: Ticket) -> Any:
        servers = ticket.servers or tuple(TOOLS)
        server = self._chance.choice(servers)
        works = WORK[server]
        _, tool, arguments = self._chance.choices(works, [work[0] for work in works])[0]
        return lambda: self._world.call(ticket.label, server, tool, arguments, ticket.client, ticket.address)

    def _endings(self) -> list[Event]:
        def stop() -> None:
            self._world.remote.good[FAILING].clear()

        knocks = [(ago, self._call(LEFT)) for ago in (0.31, 0.22, 0.09, 0.011)]
        return [(1 / 24, stop), *knocks]
