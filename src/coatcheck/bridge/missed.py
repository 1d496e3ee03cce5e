"""What a broken stream costs a client: requests to make again, notifications that it may have missed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from coatcheck.bridge.answers import one_line
from coatcheck.core.wire import messages
from coatcheck.model.call import Call, Fault, Reply

ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"
_MAX_RESOURCES: Final = 1_000
_LISTENED: Final = {
    "toolsListChanged": "notifications/tools/list_changed",
    "promptsListChanged": "notifications/prompts/list_changed",
    "resourcesListChanged": "notifications/resources/list_changed",
}
"""Member of a listen's filter -> the notification it stands for (MCP 2026-07-28, subscriptions)."""
_LEVEL: Final = "logging/setLevel"
_SUBSCRIBE: Final = "resources/subscribe"
_UNSUBSCRIBE: Final = "resources/unsubscribe"


class Memory:
    """Remembers requests that were granted and must be made again in a new session."""

    def __init__(self) -> None:
        self._level: Mapping[str, bytes] | None = None
        self._subscribed: dict[bytes, Mapping[str, bytes]] = {}

    def note(self, call: Call, reply: Reply) -> None:
        """Take note of a request and what came of it; of over 1,000 resources, the first are forgotten."""
        if isinstance(reply, Fault):
            return
        uri = call.params.get("uri", b"")
        if call.method == _LEVEL:
            self._level = call.params
        elif call.method == _UNSUBSCRIBE:
            self._subscribed.pop(uri, None)
        elif call.method == _SUBSCRIBE:
            self._subscribed[uri] = call.params
            if len(self._subscribed) > _MAX_RESOURCES:
                del self._subscribed[next(iter(self._subscribed))]

    def requests(self) -> list[tuple[str, Mapping[str, bytes]]]:
        """Return the method and params of what to ask again."""
        level = [(_LEVEL, self._level)] if self._level is not None else []
        return level + [(_SUBSCRIBE, params) for params in self._subscribed.values()]

    def subscribed(self) -> list[bytes]:
        """Return the URIs of the resources that the client follows, as it wrote them."""
        return list(self._subscribed)


def on_listen(acknowledged: bytes) -> list[bytes]:
    """Return what to tell the client after a listen was opened again, from the params of its new
    acknowledgement: everything it listens to may have changed.
    """
    params = messages.members_of(acknowledged) or {}
    honoured = messages.members_of(params.get("notifications", b"{}")) or {}
    meta = {"_meta": params["_meta"]} if "_meta" in params else {}
    told = [
        messages.notification(method, messages.object_of(meta))
        for member, method in _LISTENED.items()
        if honoured.get(member) == b"true"
    ]
    uris = messages.items_of(honoured.get("resourceSubscriptions", b"[]")) or []
    told += [_updated(uri, meta) for uri in uris[:_MAX_RESOURCES]]
    return [one_line(message) for message in told]


def on_session(initialized: bytes, subscribed: list[bytes]) -> list[bytes]:
    """Return what to tell the client after its session was opened again, from the result of `initialize`
    and the raw URIs it had subscribed to: lists may be others, resources may have changed.
    """
    result = messages.members_of(initialized) or {}
    capabilities = messages.members_of(result.get("capabilities", b"{}")) or {}
    told = []
    for kind in ("tools", "prompts", "resources"):
        offered = messages.members_of(capabilities.get(kind, b"{}")) or {}
        if offered.get("listChanged") == b"true":
            told.append(messages.notification(f"notifications/{kind}/list_changed"))
    return told + [_updated(uri, {}) for uri in subscribed]


def _updated(uri: bytes, meta: dict[str, bytes]) -> bytes:
    return messages.notification("notifications/resources/updated", messages.object_of({"uri": uri, **meta}))
