"""What a legacy session was told to keep, to be set again in a new one: the log level and subscriptions."""

from __future__ import annotations

from typing import Final

from coatcheck.model.call import Call

SET_LEVEL: Final = "logging/setLevel"
SUBSCRIBE: Final = "resources/subscribe"
UNSUBSCRIBE: Final = "resources/unsubscribe"
STANDING: Final = frozenset({SET_LEVEL, SUBSCRIBE, UNSUBSCRIBE})
"""Requests whose effect lasts as long as the session."""


class Standing:
    """The requests of one session that still hold, in the order in which they were made."""

    def __init__(self) -> None:
        self._level: Call | None = None
        self._subscribed: dict[bytes, Call] = {}

    @property
    def watching(self) -> bool:
        """Whether there is a subscription."""
        return bool(self._subscribed)

    def note(self, call: Call) -> None:
        """Take note of a call that the server answered with a result; of other methods it is ignored."""
        uri = call.params.get("uri", b"")
        if call.method == SET_LEVEL:
            self._level = call
        elif call.method == SUBSCRIBE:
            self._subscribed[uri] = call
        elif call.method == UNSUBSCRIBE:
            self._subscribed.pop(uri, None)

    def calls(self) -> tuple[Call, ...]:
        """Return what to send to a new session before anything else."""
        level = () if self._level is None else (self._level,)
        return (*level, *self._subscribed.values())
