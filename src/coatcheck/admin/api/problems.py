"""Errors of the REST API in their one form: problem details (RFC 9457) with a stable code and a fix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

import msgspec
from starlette.responses import Response

from coatcheck.core.policy.reading.problems import BadPolicy
from coatcheck.errors import (
    AmbiguousJson,
    BadJson,
    CallerError,
    CoatcheckError,
    ConfigError,
    Damaged,
    Forbidden,
    Missing,
    NotVerified,
    Sealed,
    Stale,
    Taken,
    ToolChanged,
    Unavailable,
    Unfit,
    UpstreamError,
    UpstreamTimeout,
)
from coatcheck.operations.credentials.views import Verdict

MEDIA: Final = "application/problem+json"

CODES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "bad_request": 400,
        "bad_origin": 403,
        "bad_host": 421,
        "bad_filter": 400,
        "bad_cursor": 400,
        "bad_key": 400,
        "bad_json": 400,
        "ambiguous_json": 400,
        "bad_precondition": 400,
        "not_logged_in": 401,
        "bad_token": 401,
        "bad_code": 401,
        "role_lacks": 403,
        "forbidden": 403,
        "no_login_yet": 403,
        "not_found": 404,
        "unknown_server": 404,
        "unknown_tool": 404,
        "method_not_allowed": 405,
        "slow_body": 408,
        "taken": 409,
        "config": 409,
        "not_verified": 409,
        "unproven": 409,
        "damaged": 409,
        "tool_changed": 409,
        "stale": 412,
        "too_large": 413,
        "unsupported_media_type": 415,
        "unfit": 422,
        "bad_policy": 422,
        "key_reused": 422,
        "unconditional": 428,
        "slow_down": 429,
        "internal": 500,
        "call_failed": 502,
        "upstream": 502,
        "unavailable": 503,
        "too_many_streams": 503,
        "call_late": 504,
        "upstream_timeout": 504,
    }
)
"""The codes that the API makes itself, each with its status; those of failures below come through."""


class VerdictShape(msgspec.Struct, kw_only=True):
    """What one server said to a new version of a credential; `sentence` is free of secrets.

    `tools`: how many it listed, null if it did not come to that. `control`: what it said to an obviously
    wrong secret. `probe`: its probe call was made.
    """

    server: str
    ok: bool
    sentence: str
    tools: int | None
    control: str
    probe: bool


class PolicyProblem(msgspec.Struct, kw_only=True):
    """One thing that is wrong with a policy. `where` is a JSON Pointer into the document."""

    where: str
    message: str
    fix: str


class ProblemBody(msgspec.Struct, rename={"kind": "type"}, omit_defaults=False):
    """Why a request was not done. `code` is stable, `detail` says what, `fix` what can be done about it.

    `verdicts` is there with `not_verified` and `unproven` only; `problems` with `bad_policy`, where it has
    everything that is wrong.
    """

    kind: str
    title: str
    status: int
    code: str
    detail: str
    fix: str = ""
    field: str | None = None
    """The member or parameter that is wrong, such as `servers[0]`; null where it is no single one."""
    verdicts: list[VerdictShape] | msgspec.UnsetType = msgspec.UNSET
    problems: list[PolicyProblem] | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, slots=True)
class Wrong:
    """What a problem says beyond its code."""

    detail: str
    fix: str = ""
    field: str | None = None
    verdicts: tuple[VerdictShape, ...] | None = None
    problems: tuple[PolicyProblem, ...] | None = None


class Problem(Exception):
    """An answer that is an error. Raised from wherever the request turned out to be unacceptable."""

    def __init__(
        self, code: str, wrong: Wrong, *, status: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.code = code
        self.status = status or CODES[code]
        self.wrong = wrong
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Return the HTTP answer."""
        body = ProblemBody(
            kind=f"urn:coatcheck:error:{self.code}",
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            code=self.code,
            detail=self.wrong.detail,
            fix=self.wrong.fix,
            field=self.wrong.field,
            verdicts=msgspec.UNSET if self.wrong.verdicts is None else list(self.wrong.verdicts),
            problems=msgspec.UNSET if self.wrong.problems is None else list(self.wrong.problems),
        )
        return Response(msgspec.json.encode(body), self.status, self.headers, MEDIA)


def problem(code: str, detail: str, fix: str = "", field: str | None = None) -> Problem:
    """Return a problem with the status that its code has."""
    return Problem(code, Wrong(detail, fix, field))


_STATUS: Final[tuple[tuple[type[CoatcheckError], int], ...]] = (
    (BadJson, 400),
    (AmbiguousJson, 400),
    (Forbidden, 403),
    (Missing, 404),
    (Taken, 409),
    (NotVerified, 409),
    (Damaged, 409),
    (ToolChanged, 409),
    (Sealed, 503),
    (ConfigError, 409),
    (Stale, 412),
    (Unfit, 422),
    (CallerError, 400),
    (UpstreamTimeout, 504),
    (UpstreamError, 502),
    (Unavailable, 503),
)
"""The first class that fits decides."""


def problem_of(error: CoatcheckError) -> Problem:
    """Return the answer to a foreseen failure; its code comes through."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    headers = {"Retry-After": "1"} if status == 503 else {}
    verdicts = None
    if isinstance(error, NotVerified):
        verdicts = tuple(verdict_shape(one) for one in error.verdicts)
    if isinstance(error, BadPolicy):
        return _bad_policy(error, status)
    field = error.field or None if isinstance(error, Unfit) else None
    wrong = Wrong(_sentence(error.message), error.fix, field, verdicts=verdicts)
    return Problem(error.code, wrong, status=status, headers=headers)


def _bad_policy(error: BadPolicy, status: int) -> Problem:
    problems = tuple(
        PolicyProblem(where=one.where, message=one.message, fix=one.fix) for one in error.problems
    )
    first = _sentence(error.message.partition("\n")[0].rstrip(":"))
    wrong = Wrong(first, "The format is in docs/reference/policies.md.", "document", problems=problems)
    return Problem(error.code, wrong, status=status)


def verdict_shape(verdict: Verdict) -> VerdictShape:
    """Return what one server said, as it is told."""
    return VerdictShape(
        server=verdict.server,
        ok=verdict.ok,
        sentence=verdict.sentence,
        tools=verdict.tools,
        control=verdict.control.value,
        probe=verdict.probe,
    )


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "?", "!")) else ".")


def internal() -> Problem:
    """Return the answer to a defect of ours, of which nothing is told."""
    return problem(
        "internal", "The gateway failed in a way nobody foresaw.", "See its log, and report it please."
    )
