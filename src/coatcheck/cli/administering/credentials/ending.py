"""`coatcheck credential rollback`, `retire` and `remove`: back to what was, and away with what is over."""

from __future__ import annotations

import click

from coatcheck.cli import options, show
from coatcheck.cli.administering.credentials.telling import no_wait, put_activated
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.near import unknown_object
from coatcheck.cli.reaching.reach import at


@click.command(
    "rollback",
    short_help="Use the previous version again.",
    epilog=options.example(
        "coatcheck credential rollback github-authorization --because 'a scope is missing'"
    ),
)
@click.argument("name", shell_complete=names.credentials)
@options.because
@no_wait
@options.reached()
@options.as_json
def rollback(name: str, because: str, no_wait: bool, where: Where, as_json: bool) -> int:
    """Use the previous version of the credential NAME from the next call on; no server is asked.

    The one in use becomes the previous one: the same command goes forth again.
    """
    reach = reach_of(where)
    body = {"because": because, "wait": not no_wait}
    with unknown_object(reach, "credentials", name), show.waiting("waiting for calls with the other version"):
        answer = reach.send("POST", at("credentials", name, "rollback"), body)
    put_activated(answer, as_json)
    return Exit.DONE


@click.command(
    "retire",
    short_help="Forget the value of the previous version.",
    epilog=options.example("coatcheck credential retire github-authorization"),
)
@click.argument("name", shell_complete=names.credentials)
@options.reached()
@options.as_json
def retire(name: str, where: Where, as_json: bool) -> int:
    """Forget the value of the previous version of the credential NAME. Nothing can be rolled back to then."""
    reach = reach_of(where)
    with unknown_object(reach, "credentials", name):
        answer = reach.send("POST", at("credentials", name, "retire"))
    show.put_json(answer) if as_json else show.put(f"retired the previous version of {name}")
    return Exit.DONE


@click.command(
    "remove",
    short_help="Forget a credential that no server uses.",
    epilog=options.example("coatcheck credential remove github-authorization"),
)
@click.argument("name", shell_complete=names.credentials)
@options.because
@options.reached()
@options.as_json
def remove(name: str, because: str, where: Where, as_json: bool) -> int:
    """Forget the credential NAME with all of its values. One that a server uses is refused."""
    reach = reach_of(where)
    query = {"because": because} if because else {}
    with unknown_object(reach, "credentials", name):
        answer = reach.send("DELETE", at("credentials", name), query=query)
    show.put_json(answer) if as_json else show.put(f"removed {name}, and all of its values")
    return Exit.DONE
