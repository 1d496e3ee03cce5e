"""The versions of a policy: who made them, what is other in each, and going back to one."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import unified_diff
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.web.forms import BadField
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Shown, done, seen
from coatcheck.console.web.paths import policy_page
from coatcheck.console.web.rendering import paged
from coatcheck.core.policy.editing.yaml_writing import write_yaml
from coatcheck.model.policy import Policy
from coatcheck.operations.permissions import Permission
from coatcheck.operations.policies.policies import Policies
from coatcheck.operations.policies.views import PolicyFilter, PolicyView
from coatcheck.operations.use_cases import UseCases

A_PAGE: Final = 50
_AROUND: Final = 3
_MOST_LINES: Final = 2_000


class HistoryQuery(Struct):
    """From where on to list versions."""

    after: str | None = None


class VersionQuery(Struct):
    """Which version to compare with; by default the one before."""

    before: int | None = None


class RevertForm(Struct):
    """A version of the policy as it is now, so that nothing is undone that nobody saw."""

    version: int
    because: str = ""


class HistoryPages:
    """Serves versions, also of policies that were removed."""

    def __init__(self, cases: UseCases) -> None:
        self._policies: Policies = cases.policies

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        one = "/policies/{name}/history/{number}"
        return [
            seen("/policies/{name}/history", Permission.POLICIES_READ, self.list, HistoryQuery),
            seen(one, Permission.POLICIES_READ, self.show, VersionQuery),
            done(
                f"{one}/revert",
                Permission.POLICIES_WRITE,
                self.revert,
                RevertForm,
                VersionQuery,
                again=self.show_again,
            ),
        ]

    async def list(self, asked: Asked[HistoryQuery, Nothing]) -> Answer:
        """List the versions of a policy, newest first."""
        name = asked.names["name"]
        page = await self._policies.versions(name, A_PAGE, asked.query.after)
        values = {
            "name": name,
            "items": page.items,
            **paged(policy_page(name, "history"), {}, asked.query.after, page.next),
            "now_view": await self._now(name),
        }
        return Shown("policies/history.html", values)

    async def show(self, asked: Asked[VersionQuery, Nothing]) -> Answer:
        """Show one version of a policy, and what is other in it than in the one before."""
        return await self.show_again(asked)

    async def show_again(self, asked: Asked[VersionQuery, Any]) -> Shown:
        """Show one version once more."""
        name, number = asked.names["name"], _number(asked)
        version = await self._policies.version(name, number)
        diff = await self._policies.diff(name, asked.query.before, number)
        newest = await self._policies.version(name)
        before = await self._policies.version(name, diff.before) if diff.before != number else None
        lines = lines_of(before.policy if before is not None else None, version.policy)
        values = {
            "chosen": version,
            "before": before,
            "lines": lines[:_MOST_LINES],
            "more_lines": max(0, len(lines) - _MOST_LINES),
            "places": diff.differences,
            "document": write_yaml(version.policy),
            "newest": newest,
            "now_view": await self._now(name),
            "numbers": [one.number for one in (await self._policies.versions(name, A_PAGE, None)).items],
        }
        return Shown("policies/version.html", values)

    async def revert(self, asked: Asked[VersionQuery, RevertForm]) -> Answer:
        """Make a new version that says what this one said."""
        name, number, form = asked.names["name"], _number(asked), asked.form
        view = await self._policies.revert(asked.actor, name, number, form.version, form.because.strip())
        said = f"{name} says again what version {number} said. This is version {view.version}."
        return Moved(policy_page(name), said)

    async def _now(self, name: str) -> PolicyView | None:
        """Return the policy as it is, in use or removed; None for one that never was."""
        page = await self._policies.list(PolicyFilter(name, ended=True, limit=1))
        return page.items[0] if page.items else None


def _number(asked: Asked[Any, Any]) -> int:
    text = asked.names["number"]
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise BadField("number", "A version has a number.")
    return int(text)


def lines_of(before: Policy | None, after: Policy) -> list[tuple[str, str]]:
    """Return what is other in a policy as lines: `+`, `-`, a space, or `@` between parts, and a text."""
    old = write_yaml(before).splitlines() if before is not None else []
    found = unified_diff(old, write_yaml(after).splitlines(), lineterm="", n=_AROUND)
    lines = [(line[0], line[1:]) for line in list(found)[2:]]
    return [(sign, _heading(text) if sign == "@" else text) for sign, text in lines]


def _heading(text: str) -> str:
    """Return where a part begins, of the line `@@ -1,3 +1,4 @@` without its first character."""
    return f"line {text.rpartition('+')[2].split(' ')[0].split(',')[0]}"
