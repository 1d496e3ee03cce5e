"""A running gateway whose console operators of every role visit, as browsers without script do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from journeys.operating import Office
from visitor import Visitor

PASSWORD = "a phrase for tests only"


@dataclass
class House:
    """A running gateway with visitors of its console, one for each role, and its API beside them."""

    office: Office
    visitors: dict[str, Visitor] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

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
        visitor = self.stranger()
        visitor.get(f"/welcome/{code}")
        entered = visitor.send(f"/welcome/{code}", password=PASSWORD, again=PASSWORD, follow=False)
        assert entered.status == 303, entered.text
        self.names[name] = role
        return visitor

    def as_role(self, role: str) -> Visitor:
        """Return the visitor of this role that all tests of the module share."""
        if role not in self.visitors:
            self.visitors[role] = self.enter(role)
        return self.visitors[role]
