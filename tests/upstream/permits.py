"""Permits for calls in tests, made by the same `decide` that makes them in the product."""

from __future__ import annotations

from uuid import UUID

from coatcheck.core.wire.messages import raw_of
from coatcheck.model.access import OPEN, Nature
from coatcheck.model.call import Call, Caller, Kind, Notice, Target
from coatcheck.model.decision import Permit
from coatcheck.model.era import Era
from coatcheck.model.grant import ANONYMOUS
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, Server, Transport
from doubles.bench import decide

CALLER = Caller(Era.LEGACY, "2025-11-25", "a test")


def http_server(
    url: str,
    headers: dict[str, str] | None = None,
    *,
    transport: Transport = Transport.AUTO,
    name: str = "weather",
) -> Server:
    secrets = {key: Secret(value) for key, value in (headers or {}).items()}
    reach = HttpReach(Secret(url), url.partition("?")[0], secrets, transport)
    return Server(UUID(int=7), name, reach)


def permit_for(
    server: Server,
    tool: str = "echo",
    arguments: object = None,
    *,
    meta: dict[str, bytes] | None = None,
) -> Permit:
    params = {"name": raw_of(tool), "arguments": raw_of({} if arguments is None else arguments)}
    call = Call(b'"of the caller"', "tools/call", params, meta or {})
    decision = decide(call, Target(Kind.TOOL, tool), ANONYMOUS, server, OPEN, Nature.AMBIGUOUS)
    assert isinstance(decision, Permit)
    return decision


def unheard(notice: Notice) -> None:
    raise AssertionError(f"nobody asked for {notice.method}")
