"""`coatcheck grant issue`: makes a grant, and tells its token once; or many from a CSV file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from coatcheck.cli import options, show, since
from coatcheck.cli.administering.grants.asking import body_of, scope, servers_of
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Expiry, Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.near import unknown_name
from coatcheck.cli.reaching.place import address_for_clients
from coatcheck.core.client_pieces import VARIABLE, pastes, route_of


@click.command(
    "issue",
    short_help="Issue a grant, or many from a CSV file.",
    epilog=options.example(
        "coatcheck grant issue alice-laptop --to alice --server github --expires 90d",
        "coatcheck grant issue alice-laptop --to alice --all --claim",
        "coatcheck grant issue --csv team.csv --out tokens.csv",
    ),
)
@click.argument("label", required=False)
@click.option("--to", "subject", metavar="SUBJECT", help="Who owns it.", shell_complete=names.subjects)
@scope
@options.expires
@click.option(
    "--policy",
    metavar="NAME",
    help="Use this policy on it, from its first call on.",
    shell_complete=names.policies,
)
@click.option("--note", help="Words for other operators.")
@click.option("--claim", is_flag=True, help="Make a link by which its owner fetches the token, once.")
@click.option(
    "--csv",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Issue a grant for each row of a file.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --csv: write the tokens to a new file.",
)
@options.reached()
@options.as_json
def issue(file: Path | None, out: Path | None, where: Where, as_json: bool, **words: Any) -> int:
    """Issue the grant LABEL to a subject, which is made if it is new. It lasts 90 days unless --expires says.

    The token is printed once and kept nowhere: alone on standard output on a terminal, as `token` in JSON.
    What clients need stands below it.
    """
    if file is not None:
        _refuse_single(words)
        from coatcheck.cli.administering.grants.bulk import issue_many

        return issue_many(file, out, where, as_json)
    if out is not None:
        raise click.UsageError("--out belongs to --csv")
    if words["label"] is None or words["subject"] is None:
        raise click.UsageError("give LABEL and --to SUBJECT, or --csv FILE")
    return _issue_one(where, as_json, words)


def _refuse_single(words: dict[str, Any]) -> None:
    expires: Expiry = words["expires"]
    if any(value for name, value in words.items() if name != "expires") or expires.said:
        raise click.UsageError("with --csv, everything about the grants stands in the file")


def _issue_one(where: Where, as_json: bool, words: dict[str, Any]) -> int:
    servers = servers_of(words["servers"], words["every"])
    body = body_of(
        words["label"],
        words["subject"],
        servers,
        words["tools"],
        words["expires"],
        words["note"] or "",
        words["claim"],
        words["policy"] or "",
    )
    reach = reach_of(where)
    origin = address_for_clients(reach)  # before there is a token that a failure would lose
    with unknown_name(reach, servers=servers or ()):
        answer = reach.send("POST", "/grants", body)
    put_issued(answer, origin, as_json)
    return Exit.DONE


def put_issued(answer: dict[str, Any], origin: str, as_json: bool) -> None:
    """Print a grant that was just made or rotated, and what to do with it."""
    found = answer["grant"]
    name, url = route_of(origin, found["servers"])
    if as_json:
        clients = [asdict(each) for each in pastes(name, url)]
        show.put_json({**answer, "url": url, "clients": clients})
        return
    until = since.local(found["expires_at"]) or "never"
    if answer["claim_url"]:
        show.put(answer["claim_url"])
        show.say(f"coatcheck: send this link to {found['subject']}; it shows the token once")
        show.say(f"until {since.local(found['claim_until'])}; the grant expires: {until}")
        return
    show.put(answer["token"])
    show.say(f"coatcheck: this token is shown once; {found['label']} of {found['subject']} expires: {until}")
    say_pastes(name, url)


def say_pastes(name: str, url: str) -> None:
    """Tell a person what each client needs."""
    show.say(f"\nWhere the client is started:  export {VARIABLE}=...   (the token above)")
    for each in pastes(name, url):
        show.say(f"\n{each.client} ({each.where}):\n{each.text}")
    show.say("\nClaude Desktop reads the grant from a file that holds it alone; chmod 600 it.")
