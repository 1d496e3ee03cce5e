"""Reads what a gateway's API answers: JSON, or a problem in the form of RFC 9457."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from typing import Any, Final

from coatcheck.cli.exits import Exit, Stop, exit_of_status

MAX_ANSWER: Final = 64 * 1024 * 1024
_VERSIONS: Final = "`coatcheck doctor` tells whether the gateway is of the same version as this command"
_LOGIN_FIX: Final = "log in with `coatcheck login --url URL --code CODE`, or set COATCHECK_OPERATOR_TOKEN"


class ApiRefusal(Stop):
    """The gateway answered, and the answer is an error. `status` is the HTTP status.

    `verdicts` are what servers said to a new version of a credential, where the error is about that.
    """

    def __init__(
        self, status: int, code: str, message: str, fix: str = "", verdicts: Sequence[Any] = ()
    ) -> None:
        super().__init__(message, exit_code=exit_of_status(status), fix=fix)
        self.status = status
        self.code = code
        self.verdicts = tuple(verdicts)


def read_all(response: http.client.HTTPResponse) -> bytes:
    """Return the whole body.

    Raises:
        Stop: it is too large, or ended early.
    """
    body = response.read(MAX_ANSWER + 1)
    if len(body) > MAX_ANSWER:
        raise Stop(
            f"the gateway's answer is larger than {MAX_ANSWER // 1024 // 1024} MiB",
            exit_code=Exit.NO,
            fix="ask for less at once",
        )
    if response.length:
        raise lost()  # the connection ended before the announced length
    return body


def json_of(body: bytes) -> Any:
    """Return the value of a JSON answer.

    Raises:
        Stop: it is none.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise garbled() from None


def refusal(response: http.client.HTTPResponse) -> Stop:
    """Read `{"code", "detail", "fix"}` of a problem (RFC 9457); anything else is not our gateway's answer."""
    try:
        problem = json.loads(read_all(response))
        code, told = str(problem["code"]), str(problem["detail"])
        fix = str(problem.get("fix") or "")
        verdicts = tuple(problem.get("verdicts") or ())
        told += "".join(f"\n  {one['where']}: {one['message']}" for one in problem.get("problems") or ())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Stop(
            f"the gateway answered with HTTP status {response.status} and no reason",
            exit_code=exit_of_status(response.status),
            fix=_VERSIONS,
        )
    fix = fix or (_LOGIN_FIX if response.status == 401 else "")
    return ApiRefusal(response.status, code, told, fix, verdicts)


def garbled() -> Stop:
    """Return the failure to tell for an answer that our gateway cannot have given."""
    return Stop("the gateway's answer cannot be read", exit_code=Exit.UNREACHABLE, fix=_VERSIONS)


def silent(place: str) -> Stop:
    """Return the failure to tell where no answer came in time."""
    return Stop(
        f"the gateway at {place} did not answer in time",
        exit_code=Exit.UNREACHABLE,
        fix="`coatcheck doctor` tells how it does; restart it if it hangs",
    )


def lost() -> Stop:
    """Return the failure to tell where the connection ended before the answer did."""
    return Stop(
        "the gateway ended before it answered",
        exit_code=Exit.UNREACHABLE,
        fix="see what the gateway printed, and start it again with `coatcheck up`",
    )
