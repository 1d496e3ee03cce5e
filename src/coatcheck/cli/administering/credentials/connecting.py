"""`coatcheck credential connect`: the link by which a person lets the gateway in at an OAuth server."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import click

from coatcheck.cli import options, show
from coatcheck.cli.administering.credentials.rotating import reach_credential
from coatcheck.cli.administering.credentials.showing import active_of
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.reach import Reach, at

_LOOK_EVERY: Final = 1.0


@click.command(
    "connect",
    short_help="Connect an OAuth credential by a link.",
    epilog=options.example("coatcheck credential connect notion-oauth --wait"),
)
@click.argument("name", shell_complete=names.credentials)
@click.option("--wait", is_flag=True, help="Return when it is connected, or the link is good no more.")
@options.reached()
@options.as_json
def connect(name: str, wait: bool, where: Where, as_json: bool) -> int:
    """Print the link to open in a browser, by which the credential NAME is connected to its OAuth server.

    The link is good once, for ten minutes, and leads back to the gateway's public_url. A credential with
    client credentials needs nobody, and is connected when this returns.
    """
    reach = reach_of(where)
    before = _newest(reach_credential(reach, name))
    with show.waiting("asking the server who authorizes it"):
        answer = reach.send("POST", at("credentials", name, "connect"))
    is_open = answer["url"] is not None
    if as_json and not wait:
        show.put_json(answer)
    elif is_open:
        show.say(f"coatcheck: open this link in a browser within {answer['seconds'] / 60:.0f} minutes:")
        if as_json:
            show.say(str(answer["url"]))
        else:
            show.put(str(answer["url"]))
    if is_open and not wait:
        return Exit.DONE
    if is_open:
        _await(reach, name, before, float(answer["seconds"]))
    if as_json and wait:
        show.put_json(reach_credential(reach, name))
    elif not as_json:
        show.put(f"connected: {name}")
    return Exit.DONE


def _newest(credential: Mapping[str, Any]) -> int:
    return max((int(one["number"]) for one in credential["versions"]), default=0)


def _await(reach: Reach, name: str, before: int, seconds: float) -> None:
    """Return when a version newer than those before is active; raises `Stop` if none is in time."""
    with show.waiting("waiting for the browser"):
        for _ in range(max(1, int(seconds / _LOOK_EVERY))):
            active = active_of(reach_credential(reach, name))
            if active is not None and int(active["number"]) > before:
                return
            time.sleep(_LOOK_EVERY)
    fix = f"run the command again; the log of the gateway says if {name} was refused"
    raise Stop("nobody opened the link in time, or access was not given", exit_code=Exit.NO, fix=fix)
