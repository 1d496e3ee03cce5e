"""`coatcheck policy replay`: what a changed policy would have decided on recorded calls, before it is put."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from coatcheck.cli import options, show, since
from coatcheck.cli.administering.policies.files import policy_in
from coatcheck.cli.administering.policies.using import placed
from coatcheck.cli.exits import Exit
from coatcheck.cli.looking.filters import moment
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.reach import WHOLE_SECONDS, at
from coatcheck.core.policy.writing import write_json

_COLUMNS: Final = ("CALLS", "SUBJECT", "GRANT", "SERVER", "WHAT", "BEFORE", "AFTER", "FIRST", "LAST")
_NEWLY: Final = ("newly_denied", "newly_hidden", "newly_allowed")


@click.command(
    "replay",
    short_help="Tell what a policy would have changed.",
    epilog=options.example(
        "coatcheck policy replay payments-caps.policy.yaml --since 7d",
        "coatcheck policy replay office-hours.policy.yaml --role contractor --fail-on-change",
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--since",
    metavar="AGE|TIME",
    default="7d",
    show_default=True,
    callback=moment,
    help="Calls since then: 30d or RFC 3339.",
)
@click.option("--until", metavar="AGE|TIME", callback=moment, help="Calls before then.")
@functools.partial(placed, needed=False)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="At most so many rows, the largest.",
)
@click.option("--fail-on-change", is_flag=True, help="Exit code 1 if any call would be decided otherwise.")
@options.reached()
@options.as_json
def replay(
    file: Path,
    since: str,
    until: str | None,
    place: dict[str, str],
    limit: int,
    fail_on_change: bool,
    where: Where,
    as_json: bool,
) -> int:
    """Judge recorded calls by the policy in FILE, as if it had been in force; nothing is put.

    It is taken to be used where the policy of that name is used now, or where the options say: on a grant or
    a server, instead of what is used there.
    """
    policy = policy_in(file)
    members = {"since": since, "limit": limit, **place} | ({} if until is None else {"until": until})
    body = b'{"document": %b, %b' % (write_json(policy), msgspec.json.encode(members)[1:])
    reach = reach_of(where)
    with show.waiting("judging what is on record"):
        found = reach.send("POST", at("policies", policy.name, "replay"), body, within=WHOLE_SECONDS)
    if as_json:
        show.put_json(found)
    else:
        _tell(found)
    changed = any(found[name] for name in _NEWLY)
    return Exit.NO if fail_on_change and changed else Exit.DONE


def _tell(found: Mapping[str, Any]) -> None:
    show.put_members(
        {
            "policy": found["policy"],
            "used on": ", ".join(found["used_on"]),
            "calls looked at": str(found["looked_at"]),
            "since": since.local(found["back_to"]),
            "as before": str(found["same"]),
            **{name.replace("_", " "): str(found[name]) for name in _NEWLY},
            "undecided": str(found["undecided"]),
        }
    )
    for one in found["undecided_by"]:
        show.put(show.clean_line(f"  undecided: {one['calls']} by {one['what'] or 'other rules'}"))
    for one in found["left_out"]:
        show.put(show.clean_line(f"  not judged: {one['calls']}, since {one['what']}"))
    if found["changes"]:
        show.put_table(_COLUMNS, [_row(one) for one in found["changes"]])
    for words in _cautions(found):
        show.say(show.clean_line(f"coatcheck: {words}"))


def _row(one: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        one["calls"],
        one["subject"],
        one["grant"] or "-",
        one["server"],
        one["name"] if one["method"] == "tools/call" else f"{one['method']} {one['name']}",
        f"{one['before']} {one['before_rule']}",
        f"{one['after']} {one['after_rule']}",
        since.local(one["first"]),
        since.local(one["last"]),
    )


def _cautions(found: Mapping[str, Any]) -> list[str]:
    """Return what to know of the numbers."""
    said = []
    if found["untold"]:
        said.append(f"{found['untold']} more calls are changed; --limit says how many rows are shown")
    if found["cut"]:
        said.append("the record has more calls in this time; only the newest were looked at")
    if found["sealed"]:
        said.append("older calls may be in files of sealed parts, which were not looked at")
    said += [
        f"{one['server']} gave no list of tools, so what they do is not known: {one['error']}"
        for one in found["failing"]
    ]
    return said
