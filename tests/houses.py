"""A running gateway whose console operators of every role visit, as browsers without script do."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Final

from journeys.operating import Office
from visitor import Visitor

PASSWORD: Final = "a phrase for tests only"
PROVEN_SECONDS: Final = 120.0
"""For so long whoever signed in does what takes a fresh proof: less than the gateway's five minutes."""


@dataclass
class House:
    """A running gateway with visitors of its console, one for each role, and its API beside them."""

    office: Office
    visitors: dict[str, Visitor] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    proven: dict[str, float] = field(default_factory=dict)
    """When the visitor of each role proved the last time who it is."""

    @property
    def port(self) -> int:
        """Where the console is."""
        return self.office.hall.gateway.port

    def ask(self, method: str, path: str, body: Any = None, **query: str | int) -> Any:
        """Ask the API as an admin on its machine; return the JSON of a good answer."""
        return self.office.locally(method, path, body, **query)

    def stranger(self) -> Visitor:
        """Return a visitor who is not signed in."""
        return Visitor(self.port)

    def enter(self, role: str = "admin") -> Visitor:
        """Return a new visitor, signed in as an operator of its own of this role."""
        name = f"{role.replace('_', '-')}-{len(self.names)}"
        code = self.ask("POST", "/operators", {"name": name, "role": role})["code"]
        visitor = self.welcome(code)
        visitor.name = name
        self.names[name] = role
        return visitor

    def welcome(self, code: str) -> Visitor:
        """Return a new visitor, signed in by a link."""
        visitor = self.stranger()
        visitor.get(f"/welcome/{code}")
        entered = visitor.send(f"/welcome/{code}", password=PASSWORD, again=PASSWORD, follow=False)
        assert entered.status == 303, entered.text
        return visitor

    def as_role(self, role: str) -> Visitor:
        """Return the visitor of this role that all tests of the module share: who it is, it has proven lately."""
        began = time.monotonic()
        if role not in self.visitors:
            self.visitors[role] = self.enter(role)
        elif began - self.proven[role] > PROVEN_SECONDS:
            prove(self.visitors[role])
        else:
            return self.visitors[role]
        self.proven[role] = began
        return self.visitors[role]


def prove(visitor: Visitor) -> None:
    """Have somebody prove anew who they are."""
    visitor.get("/confirm?back=/settings/me")
    action = next(form.action for form in visitor.page.forms if form.action.startswith("/confirm"))
    told = visitor.send(action, password=PASSWORD, follow=False)
    assert (told.status, told.header("location")) == (303, "/settings/me"), told.text
