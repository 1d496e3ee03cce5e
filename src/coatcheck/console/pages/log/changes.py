"""Who changed what: every change by operators, the file and the gateway, with before and after."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.pages.log.asking import TIMES, Position, moment_of
from coatcheck.console.pages.log.calls import with_own
from coatcheck.console.pages.places import Places
from coatcheck.console.web.forms import BadField
from coatcheck.console.web.page import Answer, AnyPage, Asked, Nothing, Shown, seen
from coatcheck.console.web.rendering import paged
from coatcheck.console.web.words import action_in_words, kind_in_words
from coatcheck.model.change import Change, ChangeEntry, ChangeFilter, ObjectKind
from coatcheck.operations.permissions import Permission
from coatcheck.operations.use_cases import UseCases

PAGE: Final = 50
MOST_LINES: Final = 300
MOST_COMPARED: Final = 600
"""Lines of two texts that are compared; of longer ones each is told as a whole."""
_AROUND: Final = 2
_KINDS: Final = (
    ("", "Anything"),
    *((kind.value, kind_in_words(kind.value).capitalize()) for kind in ObjectKind),
)

Line = tuple[str, str]


class ChangeQuery(Struct, kw_only=True):
    """Which changes: by whom, of what (an id or a name), which action, since when."""

    actor: str = ""
    kind: ObjectKind | None = None
    object: str = ""
    action: str = ""
    since: str = ""
    before: Position | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One change: what it did in words, where its object is, and what it was before and after."""

    entry: ChangeEntry
    words: str
    href: str
    lines: Sequence[Line]


class ChangePages:
    """Serves the changes."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the page."""
        return [seen("/log/changes", Permission.CHANGES, self.list, ChangeQuery)]

    async def list(self, asked: Asked[ChangeQuery, Nothing]) -> Answer:
        """List what operators, the servers file and the gateway changed, newest first."""
        query, complaint, since = asked.query, "", None
        try:
            since = moment_of("since", query.since.strip(), self._cases.clock.now())
        except BadField as error:
            complaint = error.message
        said = {
            "actor": query.actor.strip(),
            "kind": query.kind.value if query.kind else "",
            "object": query.object.strip(),
            "action": query.action.strip(),
            "since": query.since.strip(),
        }
        wanted = ChangeFilter(
            actor=said["actor"] or None,
            action=said["action"] or None,
            kind=query.kind,
            object=said["object"] or None,
            since=since,
            limit=PAGE + 1,
            before=query.before,
        )
        entries = [] if complaint else list(await self._cases.changes(wanted))
        shown = entries[:PAGE]
        older = shown[-1].position if len(entries) > PAGE else None
        places = Places(self._cases.directory.snapshot)
        values = {
            "rows": [_row(entry, places) for entry in shown],
            "asked": said,
            "narrowed": any(said.values()),
            "complaint": complaint,
            "kinds": _KINDS,
            "times": with_own(TIMES, said["since"]),
            **paged("/log/changes", said, query.before, older, "before"),
        }
        return Shown("log/changes.html", values)


def _row(entry: ChangeEntry, places: Places) -> Row:
    change = entry.change
    return Row(
        entry, action_in_words(change.action), place_of(change, places), lines_of(change.before, change.after)
    )


def place_of(change: Change, places: Places) -> str:
    """Return the page of what was changed; the empty text if it has none, or is gone."""
    match change.kind:
        case ObjectKind.GRANT:
            return places.grant(change.object_id)
        case ObjectKind.SERVER:
            return places.server(change.object_name)
        case ObjectKind.CREDENTIAL:
            return places.credential(change.object_name)
        case ObjectKind.SUBJECT:
            return places.person(change.object_name)
        case ObjectKind.OPERATOR:
            return places.operator(change.object_name)
        case ObjectKind.POLICY:
            return places.policy(change.object_name)
        case ObjectKind.KEY:
            return "/settings/keys"
        case _:
            return ""


def lines_of(before: str, after: str) -> list[Line]:
    """Return what differs between two JSON texts, line by line, as `ui.diff` takes it."""
    old, new = _lines(before), _lines(after)
    if not old or not new or len(old) + len(new) > MOST_COMPARED:
        lines = [("-", line) for line in old] + [("+", line) for line in new]
        return _cut(lines)
    found: list[Line] = []
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(_AROUND):
        if found:
            found.append(("@", "…"))
        for tag, first, last, other, end in group:
            if tag == "equal":
                found += [(" ", line) for line in old[first:last]]
            else:
                found += [("-", line) for line in old[first:last]]
                found += [("+", line) for line in new[other:end]]
    return _cut(found)


def _cut(lines: list[Line]) -> list[Line]:
    left = len(lines) - MOST_LINES
    return lines if left <= 0 else [*lines[:MOST_LINES], ("@", f"{left} more lines")]


def _lines(text: str) -> list[str]:
    """Return a JSON object as lines, a member each; texts on several lines as they are read."""
    if not text:
        return []
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return text.splitlines()
    return json.dumps(found, ensure_ascii=False, indent=2).splitlines()
