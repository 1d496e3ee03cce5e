"""`coatcheck grant change` and `rotate`."""

from __future__ import annotations

from typing import Any, Final

import click

from coatcheck.cli import options, show, since
from coatcheck.cli.administering.grants.asking import scope, servers_of
from coatcheck.cli.administering.grants.issuing import put_issued
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Expiry, Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.near import unknown_object
from coatcheck.cli.reaching.place import address_for_clients
from coatcheck.cli.reaching.reach import at
from coatcheck.declared.reading.problems import Unfit
from coatcheck.declared.reading.units import seconds_of

_DAY: Final = 86_400.0


@click.command(
    "change",
    short_help="Change what a grant reaches and how long it lasts.",
    epilog=options.example(
        "coatcheck grant change alice-laptop --server github --server sentry --expires 30d"
    ),
)
@click.argument("grant", shell_complete=names.grants)
@click.option("--label", help="What it is called from now on.")
@scope
@click.option("--every-tool", is_flag=True, help="It is narrowed to no tools any more.")
@options.expires
@click.option("--note", help="Words for other operators.")
@options.reached()
@options.as_json
def change(grant: str, where: Where, as_json: bool, **words: Any) -> int:
    """Change GRANT, by label or id; what is not given stays, and so does the token.

    Streams that are open end if what it reaches has changed; its next call is judged by the new scope.
    """
    patch = _patch(words)
    if not patch:
        raise click.UsageError("there is nothing to change")
    reach = reach_of(where)
    with unknown_object(reach, "grants", grant, "label"):
        found = reach.get(at("grants", grant))
    answer = reach.send("PATCH", at("grants", str(found["id"])), patch, version=found["version"])
    show.put_json(answer) if as_json else show.put(f"changed {answer['label']}")
    return Exit.DONE


def _patch(words: dict[str, Any]) -> dict[str, Any]:
    expires: Expiry = words["expires"]
    patch: dict[str, Any] = {name: words[name] for name in ("label", "note") if words[name] is not None}
    if words["servers"] or words["every"]:
        patch["servers"] = servers_of(words["servers"], words["every"])
    if words["tools"] and words["every_tool"]:
        raise click.UsageError("--tools and --every-tool exclude each other")
    if words["tools"] or words["every_tool"]:
        patch["tools"] = list(words["tools"]) or None
    return patch | expires.member()


def _overlap(_context: click.Context, _option: click.Parameter, text: str) -> float:
    try:
        return float(seconds_of(text, 0, _DAY))
    except Unfit as error:
        raise click.BadParameter(f"{text!r} {error}") from None


@click.command(
    "rotate",
    short_help="Give a grant a new token.",
    epilog=options.example("coatcheck grant rotate alice-laptop --overlap 1h"),
)
@click.argument("grant", shell_complete=names.grants)
@click.option(
    "--overlap",
    default="0s",
    show_default=True,
    metavar="TIME",
    callback=_overlap,
    help="How long the old token stays good; a day at most.",
)
@options.reached()
@options.as_json
def rotate(grant: str, overlap: float, where: Where, as_json: bool) -> int:
    """Give GRANT, by label or id, a new token, which is printed as `coatcheck grant issue` prints it."""
    reach = reach_of(where)
    origin = address_for_clients(reach)
    with unknown_object(reach, "grants", grant, "label"):
        answer = reach.send("POST", at("grants", grant, "rotate"), {"overlap_seconds": overlap})
    put_issued(answer, origin, as_json)
    if not as_json:
        until = since.local(answer["grant"]["overlap_until"])
        show.say("coatcheck: the old token " + (f"is good until {until}" if until else "is dead"))
    return Exit.DONE
