"""Explanations over the API: what a call would get, layer by layer, without making it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from coatcheck.admin.api.permissions import Permission
from coatcheck.admin.api.problems import problem
from coatcheck.admin.api.routes import AnyRoute, Asking, Nothing, Reply, Route
from coatcheck.admin.resources.values import Name
from coatcheck.model.access import Nature
from coatcheck.model.verdict import Judgement, Step
from coatcheck.operations.policies.explaining import Explaining, Explanation, Layer, Question

Word = Annotated[str, Meta(max_length=256)]


class StepShape(Struct, kw_only=True):
    """One part of a policy that covers the call. `truth` is null for what is no condition.

    `denies`: this part alone would deny or hide.
    """

    rule: str
    says: str
    truth: str | None
    because: str
    denies: bool


class LayerShape(Struct, kw_only=True):
    """One layer, and what it alone would say."""

    called: str
    outcome: Judgement
    rule: str
    because: str
    steps: list[StepShape]


class ExplanationShape(Struct, kw_only=True):
    """What a call with one grant would get; `grant` empty: with one that reaches everything.

    `message` is what a denied caller is told. `access` is what the tool does, and `why` that is thought.
    """

    subject: str
    grant: str
    access: Nature
    why: str
    outcome: Judgement
    rule: str
    because: str
    message: str
    layers: list[LayerShape]


class ExplanationList(Struct):
    """One explanation for each grant that is asked about."""

    items: list[ExplanationShape]
    next: None = None


class QuestionBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """A call that is not made: of a subject with each of its grants, or with one grant."""

    server: Name
    tool: Name
    subject: Word = ""
    grant: Word = ""
    arguments: Raw | UnsetType = UNSET
    address: Word = ""
    client: Word = ""


class ExplainingRoutes:
    """Serves explanations."""

    def __init__(self, explaining: Explaining) -> None:
        self._explaining = explaining

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes."""
        return [
            Route(
                method="POST",
                path="/access/explain",
                permission=Permission.ACCESS,
                summary="Explain what a call would get, layer by layer; it is not made.",
                answer=self.explain,
                gives=ExplanationList,
                query=Nothing,
                body=QuestionBody,
                errors=("not_found",),
            )
        ]

    async def explain(self, asking: Asking[Nothing, QuestionBody]) -> Reply:
        """Answer POST /access/explain."""
        body = asking.body
        raw = None if isinstance(body.arguments, UnsetType) else bytes(body.arguments)
        if raw is not None and not raw.startswith(b"{"):
            raise problem("unfit", "The arguments must be an object.", "", "arguments")
        question = Question(
            server=body.server,
            tool=body.tool,
            subject=body.subject,
            grant=body.grant,
            arguments=raw,
            address=body.address,
            client=body.client,
        )
        return Reply(ExplanationList([_shape(one) for one in await self._explaining.explain(question)]))


def _shape(one: Explanation) -> ExplanationShape:
    return ExplanationShape(
        subject=one.subject,
        grant=one.grant,
        access=one.nature,
        why=one.why,
        outcome=one.judgement,
        rule=one.rule,
        because=one.because,
        message=one.message,
        layers=[_layer(layer) for layer in one.layers],
    )


def _layer(layer: Layer) -> LayerShape:
    return LayerShape(
        called=layer.called,
        outcome=layer.judgement,
        rule=layer.rule,
        because=layer.because,
        steps=[_step(step) for step in layer.steps],
    )


def _step(step: Step) -> StepShape:
    return StepShape(
        rule=step.rule,
        says=step.says,
        truth=step.truth.value if step.truth is not None else None,
        because=step.because,
        denies=step.denies,
    )
