"""`coatcheck policy suggest`: the least policy that covers what a grant really used."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from coatcheck.cli import options, show
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.looking.filters import moment
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.reach import WHOLE_SECONDS

_ENDING = ".policy.yaml"


@click.command(
    "suggest",
    short_help="Suggest the least policy for a grant.",
    epilog=options.example(
        "coatcheck policy suggest --grant billing-bot --server stripe > billing-bot.policy.yaml",
        "coatcheck policy suggest --grant billing-bot --since 90d --out policies",
    ),
)
@click.option(
    "--grant", metavar="GRANT", required=True, shell_complete=names.grants, help="The grant, by label or id."
)
@click.option(
    "--server", metavar="SERVER", shell_complete=names.servers, help="What it used of this server only."
)
@click.option(
    "--since",
    metavar="AGE|TIME",
    default="30d",
    show_default=True,
    callback=moment,
    help="What it used since then: 90d or RFC 3339.",
)
@click.option(
    "--name", metavar="NAME", help="The name of the policy, instead of one made of grant and server."
)
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write NAME.policy.yaml there, one for each server; there must be none.",
)
@options.reached()
@click.option("--json", "as_json", is_flag=True, help="JSON, with all that the suggestion rests on.")
def suggest(
    grant: str,
    server: str | None,
    since: str,
    name: str | None,
    out: Path | None,
    where: Where,
    as_json: bool,
) -> int:
    """Write the least policy that covers what a grant was allowed and used: all else would be hidden.

    YAML, also to a pipe: a policy is about one server. What is allowed now and was never used is in comments.
    """
    query = {"grant": grant, "since": since}
    query |= {key: word for key, word in (("server", server), ("name", name)) if word is not None}
    with show.waiting("reading the record"):
        found = reach_of(where).get("/access/suggest", query, within=WHOLE_SECONDS)
    items = found["items"]
    if as_json:
        show.put_json(found)
    elif not items:
        raise Stop(f"the record tells of no call with {grant} since {since}", exit_code=Exit.NO)
    elif out is not None:
        _write(out, found["grant"], items)
    elif len(items) > 1:
        servers = ", ".join(show.clean_line(item["server"]) for item in items)
        fix = "name one with --server, or give --out DIR for a file each"
        raise Stop(f"{grant} used several servers: {servers}", exit_code=Exit.USAGE, fix=fix)
    else:
        show.put(show.escape_steering(items[0]["yaml"].rstrip("\n")))
    if found["cut"]:
        show.say("coatcheck: the record has more calls of this grant; only the newest were looked at")
    return Exit.DONE


def _write(out: Path, grant: str, items: Sequence[Mapping[str, Any]]) -> None:
    """Write one file for each server; none of them may be there.

    Raises:
        Stop: one is there, or cannot be written; those before it stay.
    """
    for item in items:
        path = out / f"{item['policy']}{_ENDING}"
        try:
            out.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(item["yaml"])
        except FileExistsError:
            raise Stop(f"{path} is there already", exit_code=Exit.NO, fix="name another --out") from None
        except OSError as error:
            raise Stop(f"{path} cannot be written: {error.strerror}", exit_code=Exit.NO) from None
        words = ("--grant", grant, "--server", item["server"])
        use = shlex.join(("coatcheck", "policy", "use", item["policy"], *words))
        show.put(show.clean_line(f"wrote {path}; once it is put: {use}"))
