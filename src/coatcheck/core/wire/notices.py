"""What the notifications of servers are about: a request, a subscription, or the whole conversation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from coatcheck.core.wire import eras, messages
from coatcheck.model.call import Result

PROGRESS: Final = "notifications/progress"
MESSAGE: Final = "notifications/message"
CANCELLED: Final = "notifications/cancelled"
ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"
ONLY_OF_CLIENTS: Final = frozenset({"notifications/initialized", "notifications/roots/list_changed"})
"""Notifications that no server has a reason to send."""

LISTEN: Final = "subscriptions/listen"
_SUBSCRIPTION: Final = eras.META_SUBSCRIPTION.rpartition("/")[2].encode("ascii")
_FILTERS: Final[Mapping[str, str]] = {
    "tools": "toolsListChanged",
    "prompts": "promptsListChanged",
    "resources": "resourcesListChanged",
}


def take_subscription(params: bytes) -> tuple[bytes | None, bytes]:
    """Return the id in `_meta["io.modelcontextprotocol/subscriptionId"]`, and the params without it.

    Some servers turn a number into a string: the id is the lexeme without its quotes.
    """
    if _SUBSCRIPTION not in params:
        return None, params
    members = messages.members_of(params) or {}
    meta = messages.members_of(members.get("_meta", b"")) or {}
    id = meta.pop(eras.META_SUBSCRIPTION, None)
    if id is None:
        return None, params
    members["_meta"] = messages.object_of(meta)
    if not meta:
        del members["_meta"]
    return spelled(id), messages.object_of(members)


def spelled(id: bytes) -> bytes:
    """Return an id of ours as we spell it, whether it came back as a number or as a string."""
    return id[1:-1] if len(id) > 1 and id.startswith(b'"') and id.endswith(b'"') else id


def end_of_listening(result: Result) -> Result:
    """Return the result that ends a subscription, without the id that only we know."""
    return Result(take_subscription(result.raw)[1])


def announced_changes(capabilities: Mapping[str, bytes]) -> bytes | None:
    """Return the filter of a subscription to every list change that a server announces; None for none."""
    wanted = {
        name: b"true"
        for kind, name in _FILTERS.items()
        if (messages.members_of(capabilities.get(kind, b"")) or {}).get("listChanged") == b"true"
    }
    return messages.object_of(wanted) if wanted else None
