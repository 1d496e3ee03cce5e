"""Reading both records straight from the store, which needs no key: for while a gateway is sealed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from coatcheck.config import Config
from coatcheck.core.recording.record_lines import line_of, rfc3339
from coatcheck.model.change import ChangeEntry, ChangeFilter, ObjectKind
from coatcheck.model.record import Outcome, RecordFilter, Verdict
from coatcheck.store.offline import changes_in, records_in

Query = Mapping[str, str]
"""As the API takes it."""


def read_records(config: Config, query: Query) -> list[dict[str, Any]]:
    """Return what `GET /records` would, oldest first.

    Raises:
        ConfigError: there is no store, or it cannot be read.
    """
    decision, outcome = query.get("decision"), query.get("outcome")
    wanted = RecordFilter(
        server=query.get("server"),
        tool=query.get("tool"),
        subject=query.get("subject"),
        decision=None if decision is None else Verdict(decision),
        since=_moment(query, "since"),
        errors="errors" in query,
        knocking="knocking" in query,
        grant=query.get("grant"),
        credential=query.get("credential"),
        version=int(query["version"]) if "version" in query else None,
        outcome=None if outcome is None else Outcome(outcome),
        rule=query.get("rule"),
        client_ip=query.get("client_ip"),
        method=query.get("method"),
        until=_moment(query, "until"),
        limit=int(query["limit"]),
    )
    return [line_of(entry) for entry in records_in(config.data, config.database, wanted)]


def read_changes(config: Config, query: Query) -> list[dict[str, Any]]:
    """Return what `GET /changes` would, oldest first.

    Raises:
        ConfigError: there is no store, or it cannot be read.
    """
    kind = query.get("kind")
    wanted = ChangeFilter(
        actor=query.get("actor"),
        kind=None if kind is None else ObjectKind(kind),
        object=query.get("object"),
        since=_moment(query, "since"),
        limit=int(query["limit"]),
    )
    return [_change(entry) for entry in reversed(changes_in(config.data, config.database, wanted))]


def _moment(query: Query, name: str) -> datetime | None:
    return datetime.fromisoformat(query[name]) if name in query else None


def _change(entry: ChangeEntry) -> dict[str, Any]:
    change = entry.change
    return {
        "position": entry.position,
        **{name: getattr(change, name) for name in change.__slots__ if name not in {"id", "at"}},
        "id": str(change.id),
        "time": rfc3339(change.at),
        "kind": change.kind.value,
        "before": json.loads(change.before or "null"),
        "after": json.loads(change.after or "null"),
    }
