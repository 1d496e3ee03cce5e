"""A server that lacks a credential says so, and nothing is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from coatcheck.errors import UpstreamUnreachable
from coatcheck.model.server import Server, StdioReach
from coatcheck.ports import Ask, State
from coatcheck.upstream.lacking import LackingUpstream

WHY = "the credential key of git has no active version"
Attempt = Callable[[Any], Awaitable[Any]]


@pytest.mark.parametrize(
    "attempt",
    [
        lambda upstream: upstream.greet(),
        lambda upstream: upstream.ask(Ask.TOOLS),
        lambda upstream: upstream.forward(None, None, None),
        lambda upstream: upstream.relay(None),
    ],
)
async def test_every_request_says_what_is_lacking(attempt: Attempt) -> None:
    upstream = LackingUpstream(Server(UUID(int=1), "git", StdioReach("-"), lacking=WHY))
    upstream.attend(True)
    assert (upstream.server.name, upstream.state) == ("git", State.FAILING)
    assert upstream.status().last_error == WHY
    with pytest.raises(UpstreamUnreachable, match=WHY) as raised:
        await attempt(upstream)
    assert not raised.value.reached
    assert "operator" in raised.value.fix
    upstream.kill()
    await upstream.close(0.0)
