"""Explanations over the API: what a call would get, layer by layer, without making it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from coatcheck.admin.api.problems import problem
from coatcheck.admin.api.routes import AnyRoute, Asking, Nothing, Reply, Route
from coatcheck.admin.resources.values import Moment, Name
from coatcheck.model.access import Nature
from coatcheck.model.call import Kind
from coatcheck.model.policy import Per
from coatcheck.model.verdict import Judgement, Step
from coatcheck.operations.permissions import Permission
from coatcheck.operations.policies.explaining import Explaining, Explanation, Layer, LimitUse, Question

Word = Annotated[str, Meta(max_length=256)]
Uri = Annotated[str, Meta(max_length=4_096)]


class StepShape(Struct, kw_only=True):
    """One part of a policy that covers the call. `truth` is null for what is no condition.

    `denies`: this part alone would deny or hide.
    """

    rule: str
    says: str
    truth: str | None
    because: str
    denies: bool


class LimitShape(Struct, kw_only=True):
    """How a limit stands now: `taken` of `most`, exact numbers as text; `per` is null for calls at one time.

    `takes` is what the call would take, and `fits` whether so much is left.
    """

    rule: str
    takes: str
    taken: str
    most: str
    per: Per | None
    fits: bool


class LayerShape(Struct, kw_only=True):
    """One layer, and what it alone would say. `limits` are those that count the call."""

    called: str
    outcome: Judgement
    rule: str
    because: str
    steps: list[StepShape]
    limits: list[LimitShape]


class ExplanationShape(Struct, kw_only=True):
    """What a call with one grant would get; `grant` empty: with one that reaches everything.

    `message` is what a denied caller is told. `access` is what a tool does, and `why` that is thought.
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
    """A call that is not made, of one `tool`, `prompt` or `resource` (a URI), by the server's own name.

    It is of a `subject` with each of its grants, or with one `grant`. `at` is now unless it is said; limits
    are told as they stand now.
    """

    server: Name
    tool: Word = ""
    prompt: Word = ""
    resource: Uri = ""
    subject: Word = ""
    grant: Word = ""
    arguments: Raw | UnsetType = UNSET
    address: Word = ""
    client: Word = ""
    at: Moment | None = None


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
        kind, name = _asked_about(body)
        question = Question(
            server=body.server,
            kind=kind,
            name=name,
            subject=body.subject,
            grant=body.grant,
            arguments=raw,
            address=body.address,
            client=body.client,
            at=body.at,
        )
        return Reply(ExplanationList([_shape(one) for one in await self._explaining.explain(question)]))


def _asked_about(body: QuestionBody) -> tuple[Kind, str]:
    named = ((Kind.TOOL, body.tool), (Kind.PROMPT, body.prompt), (Kind.RESOURCE, body.resource))
    given = [(kind, name) for kind, name in named if name]
    if len(given) != 1:
        raise problem("unfit", "Name a tool, a prompt or a resource.", "give one of the three", "tool")
    return given[0]


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
        limits=[_limit(use) for use in layer.limits],
    )


def _limit(use: LimitUse) -> LimitShape:
    return LimitShape(
        rule=use.rule,
        takes=str(use.takes),
        taken=str(use.taken),
        most=str(use.most),
        per=use.per,
        fits=use.fits,
    )


def _step(step: Step) -> StepShape:
    return StepShape(
        rule=step.rule,
        says=step.says,
        truth=step.truth.value if step.truth is not None else None,
        because=step.because,
        denies=step.denies,
    )
