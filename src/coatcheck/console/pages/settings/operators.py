"""Operators and their roles: who there is, inviting, another role, tokens for programs, and ending."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.pages.settings.browsers import browser_of
from coatcheck.console.pages.settings.own import TokenForm, What, made_of, operator_of
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Shown, done, seen
from coatcheck.console.web.rendering import part
from coatcheck.model.browser import Whose
from coatcheck.model.operator import OperatorRole
from coatcheck.model.secret import Secret
from coatcheck.operations.permissions import ROLES, Permission
from coatcheck.operations.registry import fitness
from coatcheck.operations.registry.views import OperatorState, OperatorView
from coatcheck.operations.signing_in.sessions import BrowserSessions
from coatcheck.operations.use_cases import UseCases

LIST: Final = "/settings/operators"
ONE: Final = "/settings/operators/{name}"

ROLE_WORDS: Final[Mapping[OperatorRole, str]] = {
    OperatorRole.ADMIN: "Does everything, and says who else may do what.",
    OperatorRole.POLICY_MANAGER: "Runs the day: servers, credentials, grants, people and policies.",
    OperatorRole.AUDITOR: "Sees everything and the whole record; changes nothing.",
    OperatorRole.VIEWER: "Sees how it is set up, without the record.",
}
PERMISSION_WORDS: Final[Mapping[Permission, str]] = {
    Permission.SELF: "Sign in, and see oneself",
    Permission.STATUS: "See how the gateway does",
    Permission.SERVERS_READ: "See servers",
    Permission.SERVERS_WRITE: "Add, change and remove servers",
    Permission.CREDENTIALS_READ: "See credentials, never their values",
    Permission.CREDENTIALS_WRITE: "Add and rotate credentials",
    Permission.CREDENTIALS_END: "End credentials for good",
    Permission.TOOLS: "See the tools of servers",
    Permission.CALL: "Call tools as an operator",
    Permission.GRANTS_READ: "See grants",
    Permission.GRANTS_WRITE: "Issue, change and revoke grants",
    Permission.SUBJECTS_READ: "See people and automations",
    Permission.SUBJECTS_WRITE: "Add and offboard people",
    Permission.POLICIES_READ: "See policies",
    Permission.POLICIES_WRITE: "Write policies and use them",
    Permission.ACCESS: "See who may reach what",
    Permission.RECORDS: "Read the record, export it, make evidence",
    Permission.SEAL: "Seal old parts of the record in files",
    Permission.CHANGES: "See who changed what",
    Permission.OPERATORS_READ: "See operators",
    Permission.OPERATORS_WRITE: "Invite and end operators",
    Permission.BACKUP: "Take a backup",
    Permission.KEY_READ: "See which key the store is sealed with",
    Permission.KEY_ROTATE: "Change that key",
    Permission.CHECKPOINT: "Sign the record now",
    Permission.ACCEPT: "Go on from a record that was moved",
    Permission.SINKS_TEST: "Send a test entry to a sink",
}


class InviteForm(Struct):
    """Somebody to invite; `days`: for how many of them, empty without an end."""

    name: str
    role: OperatorRole
    days: int | None = None


class RoleForm(Struct):
    """The role after; the one of now for a new link alone."""

    role: OperatorRole


class OperatorPages:
    """Serves them. `sessions` are the browsers they are signed in at."""

    def __init__(self, cases: UseCases, sessions: BrowserSessions) -> None:
        self._cases = cases
        self._sessions = sessions

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages. What ends or adds somebody is behind a fresh proof of who asks."""
        read, write = Permission.OPERATORS_READ, Permission.OPERATORS_WRITE
        return [
            seen(LIST, read, self.list),
            seen("/settings/roles", Permission.SELF, self.roles),
            seen("/settings/tokens", read, self.tokens),
            seen("/settings/invite", write, self.ask_invite, proven=True),
            done(
                "/settings/invite",
                write,
                self.invite,
                InviteForm,
                again=self.ask_invite,
                proven=True,
                once=LIST,
            ),
            seen(ONE, read, self.show),
            seen(f"{ONE}/role", write, self.ask_role, proven=True),
            done(
                f"{ONE}/role",
                write,
                self.change_role,
                RoleForm,
                again=self.ask_role,
                proven=True,
                once=LIST,
            ),
            seen(f"{ONE}/token", write, self.ask_token, proven=True),
            done(f"{ONE}/token", write, self.token, TokenForm, proven=True, once="/settings/tokens"),
            seen(f"{ONE}/end", write, self.ask_end, proven=True),
            done(f"{ONE}/end", write, self.end, proven=True),
        ]

    # --- looking -------------------------------------------------------------------------------------------

    async def list(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """List operators."""
        views = self._cases.operators.list()
        values = {
            "views": [view for view in views if view.state is not OperatorState.ENDED],
            "ended": [view for view in views if view.state is OperatorState.ENDED],
            "browsers": self._browsers(),
            "myself": asked.actor.name,
        }
        return Shown("settings/operators.html", values)

    async def roles(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Show what each role may do."""
        values = {
            "roles": list(OperatorRole),
            "words": ROLE_WORDS,
            "mine": asked.actor.role,
            "rows": [
                (PERMISSION_WORDS.get(permission, permission.value), permission, _holders(permission))
                for permission in Permission
            ],
        }
        return Shown("settings/roles.html", values)

    async def tokens(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """List who has an API token."""
        standing = [view for view in self._cases.operators.list() if view.state is not OperatorState.ENDED]
        values = {
            "having": [view for view in standing if view.has_token],
            "others": [view for view in standing if not view.has_token],
            "myself": asked.actor.name,
        }
        return Shown("settings/tokens.html", values)

    async def show(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Show one operator."""
        view = self._named(asked)
        found = self._sessions.list(Whose.OPERATOR, view.name)
        values = {
            **self._about(view),
            "browsers": [(one, browser_of(one.agent)) for one in found],
            "words": ROLE_WORDS,
        }
        return Shown("settings/operator.html", values)

    # --- inviting ------------------------------------------------------------------------------------------

    async def ask_invite(self, asked: Asked[Nothing, Any]) -> Shown:  # noqa: ARG002 - the shape of a page
        """Show the form for a new operator."""
        return Shown("settings/invite.html", {"roles": _choices()})

    async def invite(self, asked: Asked[Nothing, InviteForm]) -> Answer:
        """Invite an operator, and show the link once."""
        form = asked.form
        until = fitness.end_in(form.days, self._cases.clock.now())
        view, code = await self._cases.operators.add(asked.actor, form.name.strip().lower(), form.role, until)
        return _invited(asked.origin, view, code)

    async def ask_role(self, asked: Asked[Nothing, Any]) -> Shown:
        """Show the form for another role of an operator, or a new link."""
        view = self._named(asked)
        is_me = view.name == asked.actor.name
        return Shown("settings/role.html", {**self._about(view), "roles": _choices(), "is_me": is_me})

    async def change_role(self, asked: Asked[Nothing, RoleForm]) -> Answer:
        """Give somebody another role, or just a new link; whoever has ended or expired is back by it."""
        name, role = asked.names["name"], asked.form.role
        view, code = await self._cases.operators.change_role(asked.actor, name, role)
        return _invited(asked.origin, view, code)

    # --- tokens and ending ---------------------------------------------------------------------------------

    async def ask_token(self, asked: Asked[Nothing, Any]) -> Shown:
        """Show whether an operator has an API token; the token itself cannot be shown."""
        return Shown("settings/token.html", self._about(self._named(asked)))

    async def token(self, asked: Asked[Nothing, TokenForm]) -> Answer:
        """Make, replace or void an operator's API token."""
        name = asked.names["name"]
        if asked.form.what is What.VOID:
            await self._cases.operators.void_token(asked.actor, name)
            return Moved("/settings/tokens", f"The token of {name} is void.")
        view, token = await self._cases.operators.token(asked.actor, name)
        return Shown("settings/token_made.html", made_of(self._cases, view, token, "/settings/tokens"))

    async def ask_end(self, asked: Asked[Nothing, Any]) -> Shown:
        """Show what ends with an operator."""
        view = self._named(asked)
        values = {
            **self._about(view),
            "browsers": self._sessions.list(Whose.OPERATOR, view.name),
            "is_me": view.name == asked.actor.name,
            "is_last": self._cases.operators.is_last_admin(view.name),
        }
        return Shown("settings/end.html", values)

    async def end(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """End an operator."""
        ended = await self._cases.operators.end(asked.actor, asked.names["name"])
        said = f"{ended.name} has ended: token, code, password and browsers are void."
        return Moved("/login" if ended.name == asked.actor.name else LIST, said)

    # --- within --------------------------------------------------------------------------------------------

    def _named(self, asked: Asked[Any, Any]) -> OperatorView:
        return operator_of(self._cases, asked.names["name"])

    def _about(self, view: OperatorView) -> dict[str, Any]:
        return {"view": view, "here": f"{LIST}/{part(view.name)}"}

    def _browsers(self) -> Mapping[str, int]:
        """Return at how many browsers each operator is signed in."""
        counts: dict[str, int] = {}
        for one in self._sessions.list(Whose.OPERATOR):
            counts[one.who] = counts.get(one.who, 0) + 1
        return counts


def _invited(origin: str, view: OperatorView, code: Secret) -> Shown:
    """Show the link by which somebody comes in; by the address that whoever asks reaches us by."""
    return Shown("settings/invited.html", {"view": view, "url": f"{origin}/welcome/{code.reveal()}"})


def _choices() -> list[tuple[str, str, str]]:
    return [
        (role.value, role.value.replace("_", " ").capitalize(), ROLE_WORDS[role]) for role in OperatorRole
    ]


def _holders(permission: Permission) -> list[bool]:
    return [permission in ROLES[role] for role in OperatorRole]
