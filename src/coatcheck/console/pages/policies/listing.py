"""Policies: which there are, one of them with where it is used, taking it on and off, and removing it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.pages.policies.reading import Typed
from coatcheck.console.pages.policies.ready import ready
from coatcheck.console.pages.policies.shapes import UseForm
from coatcheck.console.pages.policies.trying import tried
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Shown, done, seen
from coatcheck.console.web.paths import policy_page
from coatcheck.console.web.rendering import paged
from coatcheck.core.policy.builtin import BUILT_IN
from coatcheck.core.policy.editing.sentences import sentences_of
from coatcheck.core.policy.editing.yaml_writing import write_yaml
from coatcheck.model.stored_policy import UseKind
from coatcheck.operations.permissions import Permission
from coatcheck.operations.policies.policies import Policies
from coatcheck.operations.policies.showing import words_of
from coatcheck.operations.policies.using import Place
from coatcheck.operations.policies.views import PolicyFilter, PolicyView
from coatcheck.operations.use_cases import UseCases

A_PAGE: Final = 50
MOST_USES: Final = 200
MOST_SENTENCES: Final = 200
_LATEST: Final = 5


class PolicyQuery(Struct):
    """Which policies to list: those with `q` in their name; with `ended`, those that were removed as well."""

    q: str = ""
    ended: bool = False
    after: str | None = None


class OneQuery(Struct):
    """What the policy may be used on next, as a link from elsewhere says it."""

    kind: str = ""
    of: str = ""
    server: str = ""


class EndForm(Struct):
    """A policy that is to be removed as it is at a version."""

    version: int
    because: str = ""


class CasesForm(Struct):
    """Cases to try."""

    cases: str = ""


class PolicyPages:
    """Serves the list and one policy."""

    def __init__(self, cases: UseCases, typed: Typed) -> None:
        self._cases = cases
        self._typed = typed
        self._policies: Policies = cases.policies

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages. `/show` is for policies that are called as a page of ours is."""
        writing = Permission.POLICIES_WRITE
        one = "/policies/{name}"
        return [
            seen("/policies", Permission.POLICIES_READ, self.list, PolicyQuery),
            seen(one, Permission.POLICIES_READ, self.show, OneQuery),
            seen(f"{one}/show", Permission.POLICIES_READ, self.show, OneQuery),
            done(f"{one}/use", writing, self.use, UseForm, again=self.show_again),
            done(f"{one}/unuse", writing, self.unuse, UseForm, again=self.show_again),
            done(f"{one}/remove", writing, self.end, EndForm, again=self.show_again),
            done(f"{one}/cases", Permission.POLICIES_READ, self.try_cases, CasesForm, again=self.show_again),
        ]

    async def list(self, asked: Asked[PolicyQuery, Nothing]) -> Answer:
        """List policies by name."""
        query = asked.query
        name = f"*{query.q.strip().lower()}*" if query.q.strip() else None
        page = await self._policies.list(PolicyFilter(name, query.ended, A_PAGE, query.after))
        own = any(view.name not in BUILT_IN for view in page.items)
        values = {
            "query": query,
            "items": [(view, _used(view)) for view in page.items],
            **paged("/policies", {"q": query.q, "ended": query.ended and "1"}, query.after, page.next),
            "begins": not own and name is None and query.after is None,
            "ready": list(ready().values()),
        }
        return Shown("policies/list.html", values)

    async def show(self, asked: Asked[OneQuery, Any]) -> Answer:
        """Show what a policy does, where it is used, and its latest versions."""
        return await self._shown(asked, asked.query)

    async def show_again(self, asked: Asked[Any, Any]) -> Shown:
        """Show it once more, with what was typed."""
        return await self._shown(asked, OneQuery())

    async def use(self, asked: Asked[Nothing, UseForm]) -> Answer:
        """Use a policy on everything, a role, a grant or a server."""
        name, form = asked.names["name"], asked.form
        used = await self._cases.policy_uses.use(asked.actor, name, _place(form), form.because.strip())
        instead = f" It took the place of {used.instead_of}." if used.instead_of else ""
        said = f"{name} is used on {words_of(used)} from the next call on.{instead}"
        return Moved(policy_page(name), said)

    async def unuse(self, asked: Asked[Nothing, UseForm]) -> Answer:
        """Take a policy off what it is used on."""
        name, form = asked.names["name"], asked.form
        gone = await self._cases.policy_uses.unuse(asked.actor, name, _place(form), form.because.strip())
        said = f"{name} is not used on {words_of(gone)} any more."
        return Moved(policy_page(name), said)

    async def end(self, asked: Asked[Nothing, EndForm]) -> Answer:
        """Remove a policy that is used on nothing; its versions stay."""
        name, form = asked.names["name"], asked.form
        await self._policies.end(asked.actor, name, form.version, form.because.strip())
        return Moved("/policies", f"{name} is removed. Its versions stay, and one can be taken back.")

    async def try_cases(self, asked: Asked[Nothing, CasesForm]) -> Answer:
        """Show what comes of cases; they are kept nowhere."""
        shown = await self._shown(asked, OneQuery())
        view: PolicyView = shown.values["view"]
        tries = await self._typed.aside(tried, self._typed.read, view.policy, asked.form.cases)
        return replace(shown, values={**shown.values, "tries": tries, "cases": asked.form.cases})

    async def _shown(self, asked: Asked[Any, Any], query: OneQuery) -> Shown:
        name = asked.names["name"]
        view = await self._policies.get(name)
        stored = name not in BUILT_IN
        latest = await self._policies.versions(name, _LATEST, None) if stored else None
        sentences = sentences_of(view.policy)
        beside = ready().get(name)
        values = {
            "view": view,
            "stored": stored,
            "query": query,
            "sentences": sentences[:MOST_SENTENCES],
            "more_sentences": max(0, len(sentences) - MOST_SENTENCES),
            "uses": [(use, words_of(use)) for use in view.uses[:MOST_USES]],
            "more_uses": max(0, len(view.uses) - MOST_USES),
            "latest": latest.items if latest is not None else [],
            "document": write_yaml(view.policy),
            "servers": sorted(self._cases.directory.snapshot.servers),
            "cases": beside.cases if beside is not None else "",
            "tries": None,
        }
        return Shown("policies/one.html", values)


def _used(view: PolicyView) -> tuple[Sequence[str], int]:
    """Return the first things that a policy is used on, in words, and how many more there are."""
    return [words_of(use) for use in view.uses[:2]], max(0, len(view.uses) - 2)


def _place(form: UseForm) -> Place:
    on_grant = form.kind is UseKind.GRANT
    of = "" if form.kind is UseKind.EVERYTHING else form.of.strip()
    return Place(form.kind, of, form.server.strip() if on_grant else "")
