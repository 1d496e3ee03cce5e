"""One call's whole story: who asked for what, how it was decided and ended, and what proves it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.pages.places import Places
from coatcheck.console.web.commands import Retold
from coatcheck.console.web.page import Answer, AnyPage, Asked, Nothing, Shown, seen
from coatcheck.console.web.rendering import part
from coatcheck.console.web.words import outcome_in_words, reason_in_words
from coatcheck.core.recording.charges import shown_charges
from coatcheck.core.recording.record_lines import credentials_of
from coatcheck.model.record import Outcome, RecordEntry, Verdict
from coatcheck.operations.entries import CallOnRecord, Checked
from coatcheck.operations.permissions import Permission
from coatcheck.operations.readers import ReadKind
from coatcheck.operations.records import POLICY
from coatcheck.operations.use_cases import UseCases

MOST_ARGUMENTS: Final = 200
MOST_VALUE_CHARS: Final = 2_000
MOST_CHARGES: Final = 100

_REACHED: Final = "No byte reached a server."


class StoryQuery(Struct):
    """What more to tell: whether the entry is as it was written; values of arguments that were kept."""

    verify: bool = False
    values: bool = False


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: its name, the bytes of its value, its print, and the value itself where it is told."""

    name: str
    size: str
    print: str
    value: str


class StoryPages:
    """Serves one call."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the page."""
        return [seen("/log/calls/{id}", Permission.RECORDS, self.show, StoryQuery)]

    async def show(self, asked: Asked[StoryQuery, Nothing]) -> Answer:
        """Show one call: how it was decided and ended, and what proves it."""
        ref, query = asked.names["id"], asked.query
        how = ReadKind.ARGUMENTS if query.values else ReadKind.LIST
        await self._cases.readers.look(asked.actor, how, {"id": ref})
        call = await self._cases.entries.call(ref)
        record = call.entry.record
        checked = await self._checked(call) if query.verify else None
        opened = self._cases.values.open(record) if query.values else None
        charges = shown_charges(record.charges)
        values = {
            "call": call,
            "record": record,
            "settlement": call.entry.settlement,
            "here": f"/log/calls/{part(ref)}",
            "title": title_of(call.entry),
            "steps": _steps(call),
            "arguments": _arguments(call.entry, opened),
            "are_kept": bool(record.argument_values),
            "unreadable": query.values and bool(record.argument_values) and opened is None,
            "shown": query.values,
            "credentials": [use.rpartition("@") for use in credentials_of(call.entry)],
            "charges": charges[:MOST_CHARGES] if isinstance(charges, list) else [],
            "odd_charges": charges if isinstance(charges, str) else "",
            "policy": "" if record.policy in {"", POLICY} else record.policy,
            "is_grant": bool(record.grant_id) and ":" not in record.grant_id,
            "places": Places(self._cases.directory.snapshot),
            "checked": checked,
        }
        return Shown("log/call.html", values)

    async def _checked(self, call: CallOnRecord) -> Checked | None:
        """Judge the call and its outcome; None for one from before there was a chain."""
        if call.intent is None:
            return None
        return await self._cases.entries.check(call.intent.seq, call.ended.seq if call.ended else None)


def title_of(entry: RecordEntry) -> str:
    """Return what was asked for, in a few words."""
    record = entry.record
    what = record.tool or record.method or record.route or "a request"
    return f"{record.server} / {what}" if record.server else what


def _steps(call: CallOnRecord) -> list[tuple[str, str, str]]:
    """Return what happened one after the other, as `ui.steps` takes it."""
    record, settlement = call.entry.record, call.entry.settlement
    allowed = record.decision is Verdict.ALLOWED
    place = f"as entry {call.intent.seq}" if call.intent else "before there was a chain"
    decided = f"{record.decision.value.capitalize()} by {record.rule or 'no rule'}"
    steps = [
        (decided, "done" if allowed else "failed", reason_in_words(record.reason)),
        (f"Put on record {place}", "done", "It was durable before a server saw a byte of it."),
    ]
    if allowed:
        steps.append(_at_server(call.entry))
    if settlement is None:
        return [*steps, ("Under way", "now", "Nothing is known yet of how it ended.")]
    ended = f"Ended: {outcome_in_words(settlement.outcome)}"
    where = f"as entry {call.ended.seq}" if call.ended else "before there was a chain"
    detail = _said(reason_in_words(settlement.detail), told=record.decision is Verdict.DENIED)
    state = "done" if settlement.outcome is Outcome.OK or not allowed else "failed"
    told = f"{detail}Durable {where} before the caller heard of it."
    return [*steps, (ended, state, told)]


def _said(detail: str, *, told: bool) -> str:
    """Return what there is to say about an end, before more is said; `told`: it is what the caller got."""
    if not detail:
        return ""
    return f"The caller was told: \u201c{detail}\u201d " if told else f"{Retold.as_it_is(detail).sentence()} "


def _at_server(entry: RecordEntry) -> tuple[str, str, str]:
    """Return what is known of the server's part."""
    settlement, server = entry.settlement, entry.record.server or "the server"
    if settlement is None:
        return (f"Asking {server}", "now", "")
    if not settlement.request_bytes:
        return ("Answered without a server", "done", _REACHED)
    status = f", status {settlement.upstream_status}" if settlement.upstream_status is not None else ""
    told = (
        f"{settlement.request_bytes:,} bytes sent, {settlement.answer_bytes:,} came back{status}; "
        f"it took {settlement.upstream_seconds * 1_000:,.1f} ms of {settlement.seconds * 1_000:,.1f} ms."
    )
    return (f"Asked {server}", "done", told)


def _arguments(entry: RecordEntry, opened: str | None) -> list[Argument]:
    """Return the arguments by name, each with the prints of what is in it."""
    sizes, prints = _members(entry.record.arguments), _members(entry.record.argument_prints)
    values = _members(opened or "")
    return [
        Argument(name, str(size), _print_of(name, prints), _value_of(name, values))
        for name, size in list(sizes.items())[:MOST_ARGUMENTS]
    ]


def _print_of(name: str, prints: Mapping[str, Any]) -> str:
    pointer = "/" + name.replace("~", "~0").replace("/", "~1")
    if pointer in prints:
        return str(prints[pointer])
    within = sum(path.startswith(f"{pointer}/") for path in prints)
    return f"{within} within" if within else ""


def _value_of(name: str, values: Mapping[str, Any]) -> str:
    if name not in values:
        return ""
    value = values[name]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    return text if len(text) <= MOST_VALUE_CHARS else f"{text[:MOST_VALUE_CHARS]} …"


def _members(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
