"""Operators over the API: invite, log in, end; and what an operator is told of itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from coatcheck.admin.api.problems import problem
from coatcheck.admin.api.routes import AnyRoute, Asking, Nothing, Reply, Route
from coatcheck.admin.resources.values import Moment, Name
from coatcheck.errors import Missing
from coatcheck.model.operator import OperatorRole
from coatcheck.model.secret import Secret
from coatcheck.operations.permissions import ROLES, Permission
from coatcheck.operations.registry.operators import Operators
from coatcheck.operations.registry.views import OperatorState, OperatorView


class OperatorShape(Struct, kw_only=True):
    """One operator; never its token."""

    name: str
    role: OperatorRole
    state: OperatorState
    created_at: Moment | None
    expires_at: Moment | None
    code_until: Moment | None
    ended_at: Moment | None
    version: int


class OperatorList(Struct):
    """All operators."""

    items: list[OperatorShape]
    next: None = None


class Invitation(Struct):
    """An operator that was invited, and the code it logs in with, once."""

    operator: OperatorShape
    code: str


class LoggedIn(Struct):
    """An operator that logged in, and its token, told once."""

    operator: OperatorShape
    token: str


class WhoAmI(Struct):
    """Whoever asks, and what it may do."""

    name: str
    role: OperatorRole
    origin: str
    permissions: list[Permission]


class NewOperatorBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """An operator to invite."""

    name: Name
    role: OperatorRole
    expires_at: Moment | None = None


class RoleBody(Struct, forbid_unknown_fields=True):
    """The role that an operator is to have."""

    role: OperatorRole


class LoginBody(Struct, forbid_unknown_fields=True):
    """The one-time code."""

    code: Annotated[Secret, Meta(description="The code that the gateway or an admin gave.")]


def operator_shape(view: OperatorView) -> OperatorShape:
    """Return an operator as it is told."""
    return OperatorShape(
        name=view.name,
        role=view.role,
        state=view.state,
        created_at=view.created_at,
        expires_at=view.expires_at,
        code_until=view.code_until,
        ended_at=view.ended_at,
        version=view.version,
    )


class OperatorRoutes:
    """Serves operators."""

    def __init__(self, operators: Operators) -> None:
        self._operators = operators

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes."""
        return [*self._of_all(), *self._of_oneself()]

    def _of_all(self) -> list[AnyRoute]:
        return [
            Route(
                method="GET",
                path="/operators",
                permission=Permission.OPERATORS_READ,
                summary="List operators.",
                answer=self.list,
                gives=OperatorList,
                query=Nothing,
                body=Nothing,
            ),
            Route(
                method="POST",
                path="/operators",
                permission=Permission.OPERATORS_WRITE,
                summary="Invite an operator; or anew one that has not ended: its token is void then.",
                answer=self.add,
                gives=Invitation,
                status=201,
                query=Nothing,
                body=NewOperatorBody,
                errors=("taken",),
            ),
            Route(
                method="GET",
                path="/operators/{name}",
                permission=Permission.OPERATORS_READ,
                summary="Show an operator.",
                answer=self.get,
                gives=OperatorShape,
                query=Nothing,
                body=Nothing,
            ),
            Route(
                method="POST",
                path="/operators/{name}/role",
                permission=Permission.OPERATORS_WRITE,
                summary="Give an operator another role, or bring one back: it comes in by a new code alone.",
                answer=self.change_role,
                gives=Invitation,
                query=Nothing,
                body=RoleBody,
            ),
            Route(
                method="DELETE",
                path="/operators/{name}",
                permission=Permission.OPERATORS_WRITE,
                summary="End an operator: its token and code are void at once.",
                answer=self.end,
                gives=OperatorShape,
                query=Nothing,
                body=Nothing,
                errors=("unfit",),
            ),
        ]

    def _of_oneself(self) -> list[AnyRoute]:
        return [
            Route(
                method="GET",
                path="/whoami",
                permission=Permission.SELF,
                summary="Tell who asks and what that role may do.",
                answer=self.whoami,
                gives=WhoAmI,
                query=Nothing,
                body=Nothing,
            ),
            Route(
                method="POST",
                path="/login",
                permission=None,
                summary="Trade a one-time code for an operator token.",
                answer=self.login,
                gives=LoggedIn,
                query=Nothing,
                body=LoginBody,
                errors=("bad_code", "slow_down"),
            ),
        ]

    async def list(self, asking: Asking[Nothing, Nothing]) -> Reply:  # noqa: ARG002 - the shape of an answer
        """Answer GET /operators."""
        return Reply(OperatorList([operator_shape(view) for view in self._operators.list()]))

    async def add(self, asking: Asking[Nothing, NewOperatorBody]) -> Reply:
        """Answer POST /operators."""
        body = asking.body
        view, code = await self._operators.add(asking.actor, body.name, body.role, body.expires_at)
        return Reply(Invitation(operator_shape(view), code.reveal()), 201)

    async def get(self, asking: Asking[Nothing, Nothing]) -> Reply:
        """Answer GET /operators/{name}."""
        name = asking.names["name"]
        for view in self._operators.list():
            if view.name == name:
                return Reply(operator_shape(view))
        raise Missing("there is no such operator", fix="`coatcheck operator list` names them")

    async def change_role(self, asking: Asking[Nothing, RoleBody]) -> Reply:
        """Answer POST /operators/{name}/role."""
        view, code = await self._operators.change_role(asking.actor, asking.names["name"], asking.body.role)
        return Reply(Invitation(operator_shape(view), code.reveal()))

    async def end(self, asking: Asking[Nothing, Nothing]) -> Reply:
        """Answer DELETE /operators/{name}."""
        return Reply(operator_shape(await self._operators.end(asking.actor, asking.names["name"])))

    async def whoami(self, asking: Asking[Nothing, Nothing]) -> Reply:
        """Answer GET /whoami."""
        actor = asking.actor
        may = sorted(ROLES.get(actor.role, frozenset()))
        return Reply(WhoAmI(actor.name, actor.role, actor.origin, may))

    async def login(self, asking: Asking[Nothing, LoginBody]) -> Reply:
        """Answer POST /login."""
        try:
            view, token = await self._operators.login(asking.body.code.reveal(), asking.address)
        except Missing as wrong:
            asking.spend()
            raise problem("bad_code", _sentence(wrong.message), wrong.fix) from None
        return Reply(LoggedIn(operator_shape(view), token.reveal()))


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
