"""`coatcheck server disable`, `enable` and `remove`."""

from __future__ import annotations

import click

from coatcheck.cli import options, show
from coatcheck.cli.administering import outcomes
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.near import unknown_object
from coatcheck.cli.reaching.reach import at


@click.command(
    "disable",
    short_help="Take a server away from all callers.",
    epilog=options.example("coatcheck server disable github --because 'its token leaked'"),
)
@click.argument("name", shell_complete=names.servers)
@options.because
@options.reached()
@options.as_json
def disable(name: str, because: str, where: Where, as_json: bool) -> int:
    """Take the server NAME, of the servers file or not, away from all callers.

    Returns when its calls have ended and its process is gone.
    """
    reach = reach_of(where)
    with unknown_object(reach, "servers", name):
        answer = reach.send("POST", at("servers", name, "disable"), {"because": because})
    outcomes.put_ended(answer, f"disabled {name}", as_json)
    return Exit.DONE


@click.command(
    "enable",
    short_help="Give a disabled server back.",
    epilog=options.example("coatcheck server enable github"),
)
@click.argument("name", shell_complete=names.servers)
@options.reached()
@options.as_json
def enable(name: str, where: Where, as_json: bool) -> int:
    """Give the server NAME back to its callers."""
    reach = reach_of(where)
    with unknown_object(reach, "servers", name):
        answer = reach.send("POST", at("servers", name, "enable"))
    show.put_json(answer) if as_json else show.put(f"enabled {name}")
    return Exit.DONE


@click.command(
    "remove",
    short_help="Unregister a server.",
    epilog=options.example("coatcheck server remove github --because 'moved to gitlab'"),
)
@click.argument("name", shell_complete=names.servers)
@options.because
@options.reached()
@options.as_json
def remove(name: str, because: str, where: Where, as_json: bool) -> int:
    """Unregister the server NAME; its name is free again.

    For one of the servers file there is `coatcheck remove`. Returns when its calls have ended and its
    process is gone.
    """
    reach = reach_of(where)
    with unknown_object(reach, "servers", name):
        answer = reach.send("DELETE", at("servers", name), query={"because": because} if because else {})
    outcomes.put_ended(answer, f"removed {name}", as_json)
    return Exit.DONE
