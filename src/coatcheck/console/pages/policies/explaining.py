"""Explains what a call would get and why, layer by layer, without making it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.web.forms import BadField
from coatcheck.console.web.page import Answer, AnyPage, Asked, Nothing, Shown, done, seen
from coatcheck.console.web.refusing import Refusal, status_of
from coatcheck.core.wire import strict
from coatcheck.errors import AmbiguousJson, BadJson, CoatcheckError
from coatcheck.model.call import Kind
from coatcheck.operations.permissions import Permission
from coatcheck.operations.policies.explaining import Explanation, Question
from coatcheck.operations.use_cases import UseCases

_KINDS: Final = {"": Kind.TOOL, "tool": Kind.TOOL, "prompt": Kind.PROMPT, "resource": Kind.RESOURCE}


class WhyQuery(Struct):
    """A call that nobody makes, as a link asks about it: without arguments, which stay out of addresses."""

    subject: str = ""
    grant: str = ""
    server: str = ""
    tool: str = ""
    kind: str = ""


class WhyForm(Struct, kw_only=True):
    """A call that nobody makes. `name` is the server's own name of a tool or prompt, or a URI."""

    subject: str = ""
    grant: str = ""
    server: str = ""
    kind: str = ""
    name: str = ""
    arguments: str = ""
    address: str = ""
    client: str = ""


class ExplainPages:
    """Serves explanations."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        path = "/policies/explain"
        return [
            seen(path, Permission.ACCESS, self.ask, WhyQuery),
            done(path, Permission.ACCESS, self.explain, WhyForm),
        ]

    async def ask(self, asked: Asked[WhyQuery, Nothing]) -> Answer:
        """Show the form for a call, and what the call that the address names would get."""
        query = asked.query
        form = WhyForm(
            subject=query.subject, grant=query.grant, server=query.server, kind=query.kind, name=query.tool
        )
        whole = query.server and query.tool and (query.subject or query.grant)
        return await self._answer(form) if whole else self._shown(form)

    async def explain(self, asked: Asked[Nothing, WhyForm]) -> Answer:
        """Show what a call would get and why; it is not made."""
        return await self._answer(asked.form)

    async def _answer(self, form: WhyForm) -> Shown:
        try:
            return self._shown(form, await self._cases.explaining.explain(_question(form)))
        except CoatcheckError as error:
            shown = self._shown(form)
            return replace(
                shown, values={**shown.values, "fault": Refusal.of(error)}, status=status_of(error)
            )

    def _shown(self, form: WhyForm, found: Sequence[Explanation] = ()) -> Shown:
        values: dict[str, Any] = {
            "form": form,
            "found": found,
            "servers": sorted(self._cases.directory.snapshot.servers),
        }
        return Shown("policies/explain.html", values)


def _question(form: WhyForm) -> Question:
    """Return the question of a form.

    Raises:
        BadField: something is missing, or the arguments are no JSON object.
    """
    if form.kind not in _KINDS:
        raise BadField("kind", "Choose a tool, a prompt or a resource.")
    for field, text, said in (("server", form.server, "a server"), ("name", form.name, "what is called")):
        if not text.strip():
            raise BadField(field, f"Name {said}.")
    return Question(
        server=form.server.strip(),
        kind=_KINDS[form.kind],
        name=form.name.strip(),
        subject=form.subject.strip(),
        grant=form.grant.strip(),
        arguments=_arguments(form.arguments.strip()),
        address=form.address.strip(),
        client=form.client.strip(),
    )


def _arguments(text: str) -> bytes | None:
    if not text:
        return None
    raw = text.encode("utf-8", "surrogatepass")
    try:
        value = strict.read(raw)
    except (BadJson, AmbiguousJson) as error:
        said = error.message.replace("the body", "what stands here")
        raise BadField("arguments", f"{said[:1].upper()}{said[1:]}.") from None
    if not isinstance(value, dict):
        raise BadField("arguments", "The arguments are a JSON object, in { }.")
    return raw
