"""`coatcheck status`: how a running gateway does, in one look, and by its exit code whether it does well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import click

from coatcheck.cli import options, show, since
from coatcheck.cli.exits import Exit
from coatcheck.cli.looking.servers import state_of
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of

_FAILING: Final = frozenset({"failing", "lacking", "reconnect", "expired"})
_LATE: Final = frozenset({"overdue", "expiring"})
_NAMED: Final = 5
MOST_SERVERS: Final = 10_000


@click.command(
    "status",
    short_help="Tell how the gateway does.",
    epilog=options.example("coatcheck status", "coatcheck status --json | jq -r '.wrong[]'"),
)
@options.reached()
@options.as_json
def status(where: Where, as_json: bool) -> int:
    """Tell how a running gateway does: its record, checkpoints, sinks, servers and credentials.

    Exit code 1 if anything is wrong. No server is asked; `coatcheck doctor` asks them, and says what to do.
    """
    reach = reach_of(where)
    told, plan = reach.get("/status"), reach.get("/credentials/plan")["items"]
    look = Look(told, reach.pages("/servers", {}, MOST_SERVERS)[0], plan)
    wrong = list(look.wrong())
    if as_json or not show.is_terminal():
        show.put_json({"well": not wrong, "wrong": wrong, **look.as_json()})
    else:
        show.put_members(look.members(since.system_now()))
        for words in wrong:
            show.put_status("fail", show.clean_line(words))
    return Exit.NO if wrong else Exit.DONE


@dataclass(frozen=True, slots=True)
class Look:
    """What the gateway says of itself, of its servers, and of credentials that want something."""

    told: Mapping[str, Any]
    servers: Sequence[Mapping[str, Any]]
    plan: Sequence[Mapping[str, Any]]

    def wrong(self) -> Iterator[str]:
        """Yield what is wrong, a sentence each."""
        yield from self._wrong_with_itself()
        for sink in self.told.get("sinks") or ():
            if sink["error"]:
                yield f"the sink {sink['name']} takes nothing: {sink['error']}"
        for item in self.servers:
            if item["state"] == "failing":
                yield f"the server {item['name']} fails: {item['last_error'] or 'it does not answer'}"
        for item in self._credentials(_FAILING):
            yield f"the credential {item['credential']['name']} is {item['reasons'][0]}"

    def _wrong_with_itself(self) -> Iterator[str]:
        signed, edit = self._signed, self.told["config"]
        yield from (f"ALARM: {alarm}" for alarm in signed.get("alarms") or ())
        if not self.told["ready"]:
            reasons = self.told.get("blocking") or ["it does not say why"]
            yield f"calls are refused: {'; '.join(reasons)}"
        if edit.get("error"):
            yield f"the last edit of {edit['path']} is not used: {edit['error']}"
        if signed.get("error"):
            yield str(signed["error"])
        if damaged := self.told.get("damaged"):
            yield f"changed outside of the gateway, and not used: {_some(damaged)}"

    def members(self, now: datetime) -> dict[str, str]:
        """Return what is told to people, in its order."""
        told = self.told
        started = since.local(told["started_at"])
        return {
            "gateway": f"version {told['version']}, pid {told['pid']}, since {started}",
            "address": str(told.get("public_url") or told["http"]),
            "ready": "yes" if told["ready"] else "NO",
            "calls": ", ".join(
                f"{told.get(name, 0)} {words}"
                for name, words in {
                    "calls_under_way": "under way",
                    "sessions": "sessions",
                    "streams": "streams",
                }.items()
            ),
            "servers": self._of_servers(),
            "tools": _of_tools(self.told.get("tools") or {}),
            "record": self._of_record(),
            "signed": self._of_checkpoints(now),
            "sinks": "; ".join(_of_sink(sink) for sink in told.get("sinks") or ()) or "none",
            "credentials": self._of_credentials(),
            "file": str(told["config"].get("path") or "none"),
        }

    def as_json(self) -> dict[str, Any]:
        """Return the same for programs."""
        return {
            "gateway": dict(self.told),
            "servers": [
                {name: item.get(name) for name in ("name", "transport", "state", "degraded", "last_error")}
                for item in self.servers
            ],
            "credentials": [
                {"name": item["credential"]["name"], "reasons": item["reasons"]}
                for item in self._credentials(_FAILING | _LATE)
            ],
        }

    @property
    def _signed(self) -> Mapping[str, Any]:
        return self.told.get("checkpoints") or {}

    def _credentials(self, reasons: frozenset[str]) -> list[Mapping[str, Any]]:
        return [item for item in self.plan if item["reasons"][0] in reasons]

    def _of_servers(self) -> str:
        states = [state_of(dict(item)) for item in self.servers]
        counted = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
        return f"{len(states)}: {counted}" if states else "none"

    def _of_record(self) -> str:
        ledger = self.told["ledger"]
        written = "written" if ledger["healthy"] else f"NOT written: {ledger['error']}"
        head = self._signed.get("head")
        return f"{written}, up to entry {head}" if head is not None else written

    def _of_checkpoints(self, now: datetime) -> str:
        at = self._signed.get("signed_at")
        if not at:
            return "nothing yet"
        seconds = max(0, round((now - datetime.fromisoformat(at)).total_seconds()))
        return f"up to entry {self._signed['signed']}, {seconds} s ago (log {self._signed['log']})"

    def _of_credentials(self) -> str:
        parts = [
            f"{words}: {_some([item['credential']['name'] for item in found])}"
            for words, found in {
                "failing": self._credentials(_FAILING),
                "late": self._credentials(_LATE),
            }.items()
            if found
        ]
        return "; ".join(parts) or "none is failing or overdue"


def _of_sink(sink: Mapping[str, Any]) -> str:
    behind = f"{sink['lag']} entries behind" if sink["lag"] else "has every entry"
    return f"{sink['name']} {behind}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _of_tools(told: Mapping[str, int]) -> str:
    waiting, hidden = told.get("waiting", 0), told.get("quarantined", 0)
    if not waiting:
        return "none waits to be accepted"
    return f"{waiting} wait to be accepted, {hidden} of them hidden: coatcheck server review"
