"""What a session was told to keep is what a new one is told first."""

from __future__ import annotations

from coatcheck.core.wire.standing import SET_LEVEL, SUBSCRIBE, UNSUBSCRIBE, Standing
from coatcheck.model.call import Call


def level(name: str) -> Call:
    return Call(b"1", SET_LEVEL, {"level": b'"%b"' % name.encode()})


def subscribe(uri: str, method: str = SUBSCRIBE) -> Call:
    return Call(b"2", method, {"uri": b'"%b"' % uri.encode()})


def test_the_last_level_and_every_subscription_that_was_not_ended() -> None:
    standing = Standing()
    assert standing.calls() == ()
    for call in (
        subscribe("a:1"),
        level("debug"),
        subscribe("b:2"),
        level("error"),
        subscribe("a:1", UNSUBSCRIBE),
        subscribe("c:3"),
    ):
        standing.note(call)
    assert standing.calls() == (level("error"), subscribe("b:2"), subscribe("c:3"))
    assert standing.watching


def test_other_calls_and_unknown_ends_leave_nothing() -> None:
    standing = Standing()
    standing.note(Call(b"1", "tools/call", {"name": b'"x"'}))
    standing.note(subscribe("a:1", UNSUBSCRIBE))
    assert (standing.calls(), standing.watching) == ((), False)
    standing.note(subscribe("a:1"))
    standing.note(subscribe("a:1"))
    assert len(standing.calls()) == 1
