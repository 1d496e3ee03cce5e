"""One request with all that it is answered by."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from coatcheck.model.call import Call
from coatcheck.model.server import Server
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.reaching.conversation import Conversation
from coatcheck.operations.records import Asked
from coatcheck.ports import Notify


class Request(msgspec.Struct, frozen=True):
    """One request on its way to an answer. `server` None means the aggregated route."""

    asked: Asked
    snapshot: Snapshot
    server: Server | None
    call: Call
    notify: Notify
    conversation: Conversation | None = None

    def with_notify(self, notify: Notify) -> Request:
        """Return the request with a place for what comes before its answer."""
        return replace(self, notify=notify)
