"""Every route against every role, against no token and against a grant: made from the routes themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, cast

import pytest

from coatcheck.admin.api.routes import AnyRoute, Match
from coatcheck.admin.surface import admin_of
from coatcheck.model.operator import OperatorRole
from coatcheck.operations.permissions import ROLES
from coatcheck.operations.use_cases import UseCases
from journeys.operating import Office

ROUTES = admin_of(UseCases(**{one.name: cast("Any", None) for one in fields(UseCases)})).routes
NOBODY = "nobody-of-this-name"


def cases() -> Iterator[Any]:
    for route in ROUTES:
        if route.permission is not None:
            yield pytest.param(route, id=f"{route.method} {route.path}")


def ask(office: Office, route: AnyRoute, who: str | None) -> int:
    """Ask with nothing that could do anything: objects that there are not, and bodies that are empty."""
    path = route.path.replace("{ref}", NOBODY).replace("{name}", NOBODY)
    headers = {"If-Match": '"1"'} if route.match is Match.REQUIRED else {}
    told = office.ask(route.method, path, who, {} if route.has_body else None, headers)
    assert told.headers["cache-control"] == "no-store"
    return told.status


@pytest.mark.parametrize("route", list(cases()))
def test_a_route_is_for_its_roles_and_nobody_else(office: Office, route: AnyRoute) -> None:
    for role in OperatorRole:
        status = ask(office, route, role.value)
        if route.permission in ROLES[role]:
            assert status not in {401, 403} and status < 500, role  # noqa: PT018 - one thing
        else:
            assert status == 403, role


@pytest.mark.parametrize("route", list(cases()))
def test_a_route_is_closed_without_an_operators_token(office: Office, route: AnyRoute) -> None:
    good = office.tokens["admin"]
    assert office.ask("GET", "/whoami", good).status == 200
    changed = good[:-1] + ("A" if good[-1] != "A" else "B")
    for token in (None, office.hall.grant, changed, good.replace("ccka_", "cckb_"), "' OR '1'='1"):
        assert ask(office, route, token) == 401
    scheme = office.raw(route.method, f"/api/v1{route.path}".replace("{", "").replace("}", ""), None, {"Authorization": f"Token {good}"})  # fmt: skip
    assert scheme.status == 401
    query = office.raw(
        route.method, f"/api/v1{route.path}?access_token={good}".replace("{", "").replace("}", "")
    )
    assert query.status == 401


def test_only_login_is_open() -> None:
    assert [route.path for route in ROUTES if route.permission is None] == ["/login"]
