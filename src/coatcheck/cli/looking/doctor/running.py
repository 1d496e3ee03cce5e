"""Checks that ask the running gateway: itself, each of its servers, and the names of their tools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from coatcheck import __version__
from coatcheck.cli import show
from coatcheck.cli.administering.credentials.planning import what_to_do
from coatcheck.cli.administering.credentials.showing import servers_of
from coatcheck.cli.looking.doctor.finding import Finding, fail, ok, warn
from coatcheck.cli.reaching.reach import PATIENT_SECONDS, Reach
from coatcheck.core.names import MAX_EXPOSED

CLIENT_PREFIX: Final = "mcp__team__"
"""What the longest-winded clients put before a tool's name, for a connection called `team`."""
KEY_FILE: Final = "coatcheck.key"
"""As `app.unsealing.keys` calls it, which a command that asks does not load."""
_MOVED: Final = (
    "find out what wrote to the store, and keep a copy of it; then put it back as it was, or go on from what"
    " it says: `coatcheck audit accept WHY`"
)
_STDERR_LINES: Final = 5
_NAMED: Final = 5
_FAILING: Final = frozenset({"failing", "lacking", "reconnect", "expired"})
_LATE: Final = frozenset({"overdue", "expiring"})


def check_gateway(reach: Reach, directory: Path) -> Iterator[Finding]:
    """Judge the gateway that answers, then what it says of its servers and their tools."""
    status = reach.get("/status")
    yield _check_version(status)
    yield _check_ready(status)
    yield from _check_key(reach.get("/key"), directory / KEY_FILE)
    yield from _check_edit(status["config"])
    yield from _check_rows(status.get("damaged") or [])
    yield from check_checkpoints(status.get("checkpoints") or {})
    yield from check_sinks(status.get("sinks") or [])
    servers = reach.get("/servers", {"probe": "true"}, within=PATIENT_SECONDS)["items"]
    for item in servers:
        yield check_server(item)
    yield from check_credentials(reach.get("/credentials/plan")["items"])
    tools = reach.get("/tools", within=PATIENT_SECONDS)["items"]
    yield check_name_lengths([str(item["exposed_name"]) for item in tools])


def _check_version(status: dict[str, Any]) -> Finding:
    told = (
        f"pid {status['pid']}, version {status['version']}, at {status['http']}, since {status['started_at']}"
    )
    if status["version"] != __version__:
        return warn("gateway", f"{told}; this command is version {__version__}", "restart the gateway")
    return ok("gateway", told)


def _check_key(key: Mapping[str, Any], own: Path) -> Iterator[Finding]:
    if not key["origin"] and not own.is_file():
        told = f"the key file {own} is gone: the gateway has it in memory, and the next start will be sealed"
        yield warn("key", told, "put it back from your copy, or have another made: coatcheck key rotate")


def _check_ready(status: dict[str, Any]) -> Finding:
    ledger = status["ledger"]
    if (status.get("checkpoints") or {}).get("moved"):
        return fail("record", "calls are refused, since something else wrote to it", _MOVED)
    if not ledger["healthy"]:
        return fail(
            "record",
            f"calls are refused, since they cannot be recorded: {ledger['error']}",
            "make room on the disk of the data directory, and see that it is writable",
        )
    if not status["ready"]:
        return warn("record", "the gateway is not ready to answer calls yet", "ask again in a moment")
    return ok("record", "written; the gateway answers calls")


def _check_edit(config: dict[str, Any]) -> Iterator[Finding]:
    """Tell of an edit that the gateway refused: it goes on with what the file said before."""
    if not config["error"]:
        return
    problems = config["problems"]
    detail = [f"{config['path']}:{each['line']}: {each['where']}: {each['message']}" for each in problems]
    yield fail(
        "last edit",
        f"the gateway still runs with the file as it was before the last edit: {config['error']}",
        next(
            (each["fix"] for each in problems if each["fix"]),
            "correct the file; the gateway reads it by itself",
        ),
        detail,
    )


def _check_rows(damaged: Sequence[str]) -> Iterator[Finding]:
    """Tell of stored objects that somebody changed behind the gateway's back: none of them is used."""
    if damaged:
        more = "" if len(damaged) <= _NAMED else f" and {len(damaged) - _NAMED} more"
        yield fail(
            "store",
            f"changed outside of the gateway, and not used: {', '.join(damaged[:_NAMED])}{more}",
            "find out who can write the database; restore a backup of before, or stop the gateway and run"
            " `coatcheck migrate --accept-damage WHY`",
        )


def check_checkpoints(told: Mapping[str, Any]) -> Iterator[Finding]:
    """Tell of a record that is not the one that was signed, and of checkpoints that are not kept outside."""
    fix = (
        "find out who can write the store, and run `coatcheck audit verify`; if you put a backup back"
        f" yourself, move {told.get('file')} away, start the gateway again"
        " and run `coatcheck audit accept WHY`"
    )
    if told.get("moved"):
        fix = _MOVED
    for alarm in told.get("alarms") or []:
        yield fail("chain", str(alarm), fix)
    if told.get("error"):
        yield warn(
            "checkpoints",
            str(told["error"]),
            f"{told['file']} has to be a regular file on a disk with room; calls go on",
        )
    elif told and not told["alarms"]:
        yield ok("chain", f"log {told['log']}, signed up to entry {told['signed']}")


def check_sinks(items: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Tell of sinks that take nothing: what they lack waits in the store."""
    for item in items:
        check = f"sink {item['name']}"
        behind = f"{item['lag']} entries behind" if item["lag"] else "has every entry"
        if item["error"]:
            fix = f"mend the receiver, and see it with `coatcheck sink test {item['name']}`"
            since_when = f", since {item['behind_since']}" if item["behind_since"] else ""
            yield warn(check, f"{item['error']}; {behind}{since_when}; no entry is lost", fix)
        else:
            yield ok(check, f"{item['kind']}, {behind}")


def check_credentials(items: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Tell of credentials that fail, or will soon, by the rotation plan."""
    told = [item for item in items if item["reasons"][0] in _FAILING | _LATE]
    for item in told:
        found, reason = item["credential"], str(item["reasons"][0])
        used = servers_of(found)
        fix = what_to_do(item)
        verdict = fail if reason in _FAILING and used else warn
        yield verdict(f"credential {found['name']}", f"{reason}; used by {used or 'nobody'}", fix)
    if not told:
        yield ok("credentials", "none is failing or overdue")


def check_server(item: dict[str, Any]) -> Finding:
    """Judge one server by its state, last error, old tool lists and names left out."""
    check = f"server {item['name']}"
    if item["state"] == "failing":
        return _failing(check, item)
    if item["degraded"]:
        fix = f"see why with `coatcheck tools {item['name']}`; the last good list is served until then"
        return warn(check, f"{item['state']}, with an old list of tools: {item['last_error']}", fix)
    if item["quarantined"]:
        names = ", ".join(item["quarantined"][:_NAMED])
        return warn(
            check, f"names that clients cannot tell apart are left out: {names}", "rename them at the server"
        )
    counted = "tools not asked for yet" if item["tools"] is None else f"{item['tools']} tools"
    return ok(check, f"{item['state']}, {item['transport']}, {counted}")


def _failing(check: str, item: dict[str, Any]) -> Finding:
    last_words: Sequence[str] = item["stderr"][-_STDERR_LINES:]
    reached = show.clean_line(item["reach"])
    if item["transport"] == "stdio":
        fix = f"run its command by hand ({reached}), and see what it is given: coatcheck server show"
    else:
        fix = f"see that {reached} answers from here, and what it is given: coatcheck credential list"
    return fail(check, item["last_error"] or "it does not answer", fix, last_words)


def check_name_lengths(names: Sequence[str]) -> Finding:
    """Judge tool names with a client's prefix against the limit of the model APIs behind common clients."""
    most = MAX_EXPOSED - len(CLIENT_PREFIX)
    long = [name for name in names if len(name) > most]
    if not long:
        return ok(
            "tool names",
            f"all {len(names)} fit {MAX_EXPOSED} characters with a prefix such as {CLIENT_PREFIX}",
        )
    more = "" if len(long) <= _NAMED else f" and {len(long) - _NAMED} more"
    return warn(
        "tool names",
        f"with the prefix {CLIENT_PREFIX} that clients add, {len(long)} are over {MAX_EXPOSED} characters: "
        f"{', '.join(long[:_NAMED])}{more}",
        "shorten the server's name, or connect clients to /mcp/<server>/, which adds no server name",
    )
