"""The record of changes: who changed what, what it was before and after, from where and why."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from coatcheck.cli import show, since
from coatcheck.cli.reaching.reach import Reach

OF_CALLS: Final = frozenset(
    {"server", "tool", "subject", "grant", "credential", "version", "decision", "outcome", "rule", "method"}
    | {"client_ip", "until", "errors", "knocking", "arguments"}
)
OF_CHANGES: Final = frozenset({"actor", "kind", "object"})
"""Options that have a meaning for one of the two records only."""
_COLUMNS: Final = ("TIME", "BY", "FROM", "ACTION", "OBJECT", "CHANGED", "BECAUSE")
_SHOWN_CHARS: Final = 120
_PAGE: Final = 1_000


def read(reach: Reach, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the newest entries that were asked for, oldest first."""
    found: list[dict[str, Any]] = []
    cursors: dict[str, str] = {}
    while (left := int(query["limit"]) - len(found)) > 0:
        page = reach.get("/changes", {**query, "limit": str(min(left, _PAGE)), **cursors})
        found = [*page["items"], *found]
        if page["next"] is None:
            break
        cursors = {"before": page["next"]}
    return found


def follow(reach: Reach, query: Mapping[str, str], as_json: bool) -> None:
    """Print what there is, then each change as it is made, none twice and none left out."""
    so_far = read(reach, query)
    last = _print_after(so_far, 0, as_json)
    is_first = True
    for change in reach.follow("/changes", {**query, "limit": "1", "follow": "true"}):
        if is_first:  # what came between the reading and the following
            last = _print_after(read(reach, query), last, as_json)
            is_first = False
        last = _print_after([change], last, as_json)


def _print_after(items: Sequence[Mapping[str, Any]], position: int, as_json: bool) -> int:
    for item in items:
        if item["position"] <= position:
            continue
        if as_json:
            show.put_json_line(item)
        else:
            show.put("  ".join(cell for cell in _cells(item) if cell))
        position = item["position"]
    return position


def put(items: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """Print them: JSON Lines or a table."""
    if as_json:
        for item in items:
            show.put_json_line(item)
    elif items:
        show.put_table(_COLUMNS, [_cells(item) for item in items])
    else:
        show.say("coatcheck: no entries")


def _cells(item: Mapping[str, Any]) -> tuple[str, ...]:
    named = item.get("object_name") or item.get("object_id") or "-"
    changed = difference(item.get("before"), item.get("after"))
    return (
        since.local(item.get("time")),
        *(show.clean_line(str(item.get(name) or "-")) for name in ("actor", "origin", "action")),
        show.clean_line(str(named)),
        show.shorten(changed, _SHOWN_CHARS),
        show.clean_line(str(item.get("because") or "")),
    )


def difference(before: Any, after: Any) -> str:
    """Return in words which members differ; of something new or ended, nothing more than that."""
    if not isinstance(before, dict) or not isinstance(after, dict) or not before or not after:
        return ""
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return ", ".join(f"{name}: {_word(before.get(name))} > {_word(after.get(name))}" for name in names)


def _word(value: Any) -> str:
    return (
        "-" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    )
