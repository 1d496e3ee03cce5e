"""Replays of recorded calls by a changed policy, and suggestions of policies, over the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct

from coatcheck.admin.api.problems import problem
from coatcheck.admin.api.routes import AnyRoute, Asking, Nothing, Reply, Route
from coatcheck.admin.resources.policy_shapes import Of, OnServer, document_of
from coatcheck.admin.resources.records import refuse_backwards
from coatcheck.admin.resources.tools import FailingShape
from coatcheck.admin.resources.values import Moment, Name
from coatcheck.core.policy.conditions.values import read_exact
from coatcheck.core.policy.trying.replaying import Changed, Many
from coatcheck.core.policy.trying.suggesting import Used, yaml_of
from coatcheck.core.recording.record_lines import rfc3339
from coatcheck.model.call import Kind
from coatcheck.model.record import Verdict
from coatcheck.model.stored_policy import UseKind
from coatcheck.model.verdict import Judgement
from coatcheck.operations.permissions import Permission
from coatcheck.operations.policies.replaying import Replay, ReplayQuestion, Replays
from coatcheck.operations.policies.suggesting import OnServer as Suggestion
from coatcheck.operations.policies.suggesting import Suggestions, SuggestQuestion
from coatcheck.operations.policies.using import Place
from coatcheck.operations.readers import Readers, ReadKind

MOST_CHANGES: Final = 10_000
_USUAL: Final = 100
Most = Annotated[
    float,
    Meta(ge=1, le=MOST_CHANGES, multiple_of=1, description="Changes to tell, those with the most calls."),
]
"""A whole number, which JSON may write as `2.0`."""


class ChangedShape(Struct, kw_only=True):
    """Calls that were decided alike, would be decided alike, and otherwise than before."""

    subject: str
    grant: str
    server: str
    method: str
    name: str
    before: Verdict
    before_rule: str
    after: Judgement
    after_rule: str
    because: str
    calls: int
    first: str
    last: str


class CountShape(Struct, kw_only=True):
    """How many calls: undecided by a rule, or left out for a reason."""

    what: str
    calls: int


class ReplayShape(Struct, kw_only=True):
    """What would have come of recorded calls. `used_on` says where the policy was taken to be used.

    `looked_at` is `same`, `newly_denied`, `newly_hidden`, `newly_allowed` and `undecided` together; those of
    `left_out` come besides. `untold` are changed calls in no group of `changes`. `undecided_by` are the rules
    that need what was not recorded. `back_to`: the oldest call looked at; `cut`: older ones were asked for
    and not looked at; `sealed`: some may be in files of sealed parts.
    """

    policy: str
    used_on: list[str]
    looked_at: int
    same: int
    newly_denied: int
    newly_hidden: int
    newly_allowed: int
    undecided: int
    undecided_by: list[CountShape]
    left_out: list[CountShape]
    changes: list[ChangedShape]
    untold: int
    back_to: str | None
    cut: bool
    sealed: bool
    failing: list[FailingShape]


class ReplayBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """A document to judge by, and which calls. Without `kind` it is used where that policy is used now."""

    document: Raw
    kind: UseKind | None = None
    of: Of = ""
    server: OnServer = ""
    since: Moment | None = None
    until: Annotated[Moment, Meta(description="The first time after the calls.")] | None = None
    limit: Most = _USUAL


class UsedShape(Struct, kw_only=True):
    """A tool, prompt or resource that was used. `why`: for what reason it is not covered; empty if it is."""

    kind: Kind
    name: str
    calls: int
    last: str
    why: str = ""


class SuggestionShape(Struct, kw_only=True):
    """The least policy for what was used of one server; `yaml` is the same document with comments.

    `unused` are tools that are allowed now and were never used; null where nobody knows the tools.
    """

    server: str
    policy: str
    document: Raw
    yaml: str
    used: list[UsedShape]
    left_out: list[UsedShape]
    unused: list[str] | None


class SuggestionList(Struct, kw_only=True):
    """One suggestion for each server that the grant used, or for the one that was named.

    `cut`: there are more calls or names than were looked at.
    """

    grant: str
    items: list[SuggestionShape]
    back_to: str | None
    cut: bool
    failing: list[FailingShape]
    next: None = None


class SuggestQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """For which grant, by label or id: one has to be named. For one server, or each that it used.

    `name` is that of the policy to suggest.
    """

    grant: Name | None = None
    server: Name | None = None
    since: Moment | None = None
    name: Name | None = None


class PolicyReplayRoutes:
    """Serves replays and suggestions. Who asks is noted as one who reads the record."""

    def __init__(self, replays: Replays, suggestions: Suggestions, readers: Readers) -> None:
        self._replays = replays
        self._suggestions = suggestions
        self._readers = readers

    def routes(self) -> Sequence[AnyRoute]:
        """Return the routes."""
        return [
            Route(
                method="POST",
                path="/policies/{name}/replay",
                permission=Permission.RECORDS,
                summary="Tell what a changed policy would have decided on recorded calls; it is not put.",
                answer=self.replay,
                gives=ReplayShape,
                query=Nothing,
                body=ReplayBody,
                errors=("bad_policy", "bad_filter", "unfit", "not_found"),
            ),
            Route(
                method="GET",
                path="/access/suggest",
                permission=Permission.RECORDS,
                summary="Suggest the least policies that cover what a grant really used.",
                answer=self.suggest,
                gives=SuggestionList,
                query=SuggestQuery,
                body=Nothing,
                errors=("bad_filter", "unfit", "not_found"),
            ),
        ]

    async def replay(self, asking: Asking[Nothing, ReplayBody]) -> Reply:
        """Answer POST /policies/{name}/replay."""
        body, name = asking.body, asking.names["name"]
        refuse_backwards(body.since, body.until)
        if body.kind is None and (body.of or body.server):
            raise problem("unfit", "It is not said what the policy would be used on.", "Say `kind`.", "kind")
        place = None if body.kind is None else Place(body.kind, body.of, body.server)
        # By a policy one can find out values of arguments, so it is noted as a look at these.
        told = {"replay": name, "since": body.since, "until": body.until}
        await self._readers.look(asking.actor, ReadKind.ARGUMENTS, told)
        question = ReplayQuestion(
            name=name,
            document=read_exact(bytes(body.document)),
            place=place,
            since=body.since,
            until=body.until,
            most=int(body.limit),
        )
        return Reply(_replay_shape(await self._replays.replay(question)))

    async def suggest(self, asking: Asking[SuggestQuery, Nothing]) -> Reply:
        """Answer GET /access/suggest."""
        query = asking.query
        if query.grant is None:
            raise problem("bad_filter", "A grant is to be named.", "Say `grant=`.", "grant")
        told: dict[str, Any] = {"suggest": True, "grant": query.grant, "server": query.server}
        await self._readers.look(asking.actor, ReadKind.LIST, told | {"since": query.since})
        found = await self._suggestions.suggest(
            SuggestQuestion(
                grant=query.grant, server=query.server or "", since=query.since, name=query.name or ""
            )
        )
        return Reply(
            SuggestionList(
                grant=found.grant,
                items=[_suggestion_shape(one) for one in found.items],
                back_to=_time(found.back_to),
                cut=found.cut,
                failing=[FailingShape(*one) for one in found.failing],
            )
        )


def _replay_shape(replay: Replay) -> ReplayShape:
    comparison = replay.comparison
    return ReplayShape(
        policy=replay.name,
        used_on=list(replay.used_on),
        looked_at=comparison.looked_at,
        same=comparison.same,
        newly_denied=comparison.totals[Judgement.DENIED],
        newly_hidden=comparison.totals[Judgement.HIDDEN],
        newly_allowed=comparison.totals[Judgement.ALLOWED],
        undecided=comparison.totals[Judgement.UNDECIDED],
        undecided_by=_counts(comparison.undecided),
        left_out=_counts({why.value: calls for why, calls in replay.left_out.items()}),
        changes=[_changed(*pair) for pair in replay.changes],
        untold=replay.untold,
        back_to=_time(replay.back_to),
        cut=replay.cut,
        sealed=replay.sealed,
        failing=[FailingShape(*one) for one in replay.failing],
    )


def _counts(found: dict[str, int]) -> list[CountShape]:
    largest = sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    return [CountShape(what=what, calls=calls) for what, calls in largest]


def _changed(changed: Changed, many: Many) -> ChangedShape:
    return ChangedShape(
        subject=changed.subject,
        grant=changed.grant,
        server=changed.server,
        method=changed.method,
        name=changed.name,
        before=changed.before,
        before_rule=changed.before_rule,
        after=changed.after,
        after_rule=changed.after_rule,
        because=many.because,
        calls=many.calls,
        first=rfc3339(many.first),
        last=rfc3339(many.last),
    )


def _suggestion_shape(one: Suggestion) -> SuggestionShape:
    found = one.suggestion
    return SuggestionShape(
        server=one.server,
        policy=found.policy.name,
        document=document_of(found.policy),
        yaml=yaml_of(found),
        used=[_used(used) for used in found.covered],
        left_out=[_used(used, why) for used, why in found.left_out],
        unused=None if found.unused is None else list(found.unused),
    )


def _used(used: Used, why: str = "") -> UsedShape:
    return UsedShape(kind=used.kind, name=used.name, calls=used.calls, last=rfc3339(used.last), why=why)


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
