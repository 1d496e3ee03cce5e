"""Foreseen failures, sorted by whose fault they are; each has a stable code that clients and docs use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coatcheck.model.secret import Secret


class CoatcheckError(Exception):
    """A failure with a stable `code` and a `fix`: what the reader can do about it (may be empty)."""

    code = "internal"

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


# --- blame: the caller ---------------------------------------------------------------------------


class CallerError(CoatcheckError):
    """The caller sent something we refuse."""

    code = "caller"


class BadJson(CallerError):
    """The body is not JSON, or JSON outside the grammar we accept (RFC 8259). JSON-RPC -32700."""

    code = "bad_json"


class AmbiguousJson(CallerError):
    """Valid JSON that two readers could take differently, or that is over a limit. JSON-RPC -32600."""

    code = "ambiguous_json"


class Stale(CallerError):
    """The object was changed since it was read. REST: 412."""

    code = "stale"


class Taken(CallerError):
    """The name or label belongs to another object that is in use. REST: 409."""

    code = "taken"


class Missing(CallerError):
    """There is no such object. REST: 404."""

    code = "not_found"


class Unfit(CallerError):
    """A value that cannot be accepted. REST: 422. `field` is the member that holds it, if it is one."""

    code = "unfit"

    def __init__(self, message: str, *, fix: str = "", field: str = "") -> None:
        super().__init__(message, fix=fix)
        self.field = field


class NotVerified(CallerError):
    """A server refused the new version of a credential, so nothing was switched. REST: 409.

    `verdicts` are what each server said, as `operations.credentials.views.Verdict`.
    """

    code = "not_verified"

    def __init__(self, message: str, *, fix: str = "", verdicts: Sequence[Any] = ()) -> None:
        super().__init__(message, fix=fix)
        self.verdicts = tuple(verdicts)


class Unproven(NotVerified):
    """The servers took the new version, and an obviously wrong one as well: it proves nothing. REST: 409."""

    code = "unproven"


class ToolChanged(CallerError):
    """A tool is not any more as an operator saw it who accepts it. REST: 409."""

    code = "tool_changed"


class Forbidden(CallerError):
    """The operator's role, or a setting, does not allow it. REST: 403."""

    code = "forbidden"


class SignInRefused(CallerError):
    """Nobody is signed in by what was presented; which part of it was wrong is not told. Pages: 401."""

    code = "sign_in_refused"


class OpenIdRefused(SignInRefused):
    """Somebody who comes back from the OpenID provider is not let in. Pages: 403.

    The message is for strangers; `because` is for operators and the log, and quotes nothing that was said.
    """

    code = "openid_refused"

    def __init__(self, message: str, *, fix: str = "", because: str = "") -> None:
        super().__init__(message, fix=fix)
        self.because = because or message


class SignedOut(CallerError):
    """The browser session is over: it ended, or a newer one took its place. Pages: 401."""

    code = "signed_out"


class ConfirmFirst(CallerError):
    """This needs somebody who proved within the last minutes who they are. Pages: 403."""

    code = "confirm_first"


class SlowDown(CallerError):
    """Too many wrong tries; nothing is looked at for `seconds`. Pages: 429 with Retry-After."""

    code = "slow_down"

    def __init__(self, message: str, *, fix: str = "", seconds: int = 60) -> None:
        super().__init__(message, fix=fix)
        self.seconds = seconds


class Damaged(CallerError):
    """Stored rows were changed outside of the gateway, and this cannot be done with them. REST: 409."""

    code = "damaged"


# --- blame: the server ---------------------------------------------------------------------------


class UpstreamError(CoatcheckError):
    """A server failed us. `reached` tells whether it may have acted on the request.

    The message may reach callers: it names the server and the kind of failure and never quotes what
    the server sent. What an operator needs beyond that is in `detail`, already free of secrets.
    """

    code = "upstream"
    status: int | None = None
    """The HTTP status, where that says no."""
    said: Secret | None = None
    """What the server gave as its reason, as it came. It may hold what we sent, so it is only for who cleans
    it."""

    def __init__(self, message: str, *, fix: str = "", detail: str = "", reached: bool = False) -> None:
        super().__init__(message, fix=fix)
        self.detail = detail
        self.reached = reached


class UpstreamUnreachable(UpstreamError):
    """No connection, or no process: the server cannot have seen the request."""

    code = "upstream_unreachable"


class UpstreamForbidden(UpstreamUnreachable):
    """The server's address is one that we never dial (loopback, private, metadata, ...)."""

    code = "upstream_forbidden"


class UpstreamLost(UpstreamError):
    """The connection or the process ended before the answer."""

    code = "upstream_lost"


class UpstreamBadReply(UpstreamError):
    """The server answered with something that is not an answer (status, media type, JSON, id, size)."""

    code = "upstream_bad_reply"


class UpstreamCredentialRefused(UpstreamError):
    """The server answered 401 or 403 to the credential that we hold."""

    code = "upstream_credential_refused"


class AuthorizationRefused(UpstreamCredentialRefused):
    """An authorization server said no, and would again. `error`: its word for it (RFC 6749 5.2), if known."""

    code = "authorization_refused"

    def __init__(self, message: str, *, fix: str = "", error: str = "") -> None:
        super().__init__(message, fix=fix)
        self.error = error


class UpstreamTimeout(UpstreamError):
    """The server did not connect, start or answer within its time."""

    code = "upstream_timeout"


# --- blame: us, for now --------------------------------------------------------------------------


class Unavailable(CoatcheckError):
    """We cannot serve this now: too many calls at once, stopping, or the record cannot be written."""

    code = "unavailable"


class LedgerUnavailable(Unavailable):
    """The record could not be made durable, so nothing may be done."""

    code = "ledger_unavailable"


class SinkFailed(Unavailable):
    """A sink did not take what it was given. The message holds nothing that it said."""

    code = "sink_failed"


class Busy(Unavailable):
    """More calls at once than the limit, and none ended within the queue's time."""

    code = "busy"


# --- blame: the configuration ----------------------------------------------------------------------


class ConfigError(CoatcheckError):
    """A setting or file that we refuse to run with. The command line exits 78."""

    code = "config"


class Sealed(ConfigError):
    """The store belongs to a key, and that is not the one given, or none is. REST, MCP: 503."""

    code = "sealed"
