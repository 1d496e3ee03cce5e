"""`coatcheck credential stage`, `verify`, `activate` and `discard`: a rotation step by step."""

from __future__ import annotations

from typing import Any

import click

from coatcheck.cli import options, show
from coatcheck.cli.administering.credentials.giving import GivenApart, Origin, check_name, material, origin
from coatcheck.cli.administering.credentials.rotating import (
    check_reason,
    check_rotates,
    reach_credential,
    reason_of,
)
from coatcheck.cli.administering.credentials.telling import (
    no_wait,
    nothing_changed,
    put_activated,
    put_verdicts,
)
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Expiry, Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.near import unknown_object
from coatcheck.cli.reaching.reach import at


@click.command(
    "stage",
    cls=GivenApart,
    short_help="Keep a new value beside the one in use.",
    epilog=options.example("coatcheck credential stage github-authorization --from-file new"),
)
@click.argument("name", shell_complete=names.credentials)
@origin
@options.expires
@options.reached()
@options.as_json
def stage(name: str, origin: Origin, expires: Expiry, where: Where, as_json: bool) -> int:
    """Keep a new value of the credential NAME beside the one in use; nobody uses it yet.

    The value is given as `coatcheck credential rotate` takes it.
    """
    reach = reach_of(where)
    check_rotates(reach_credential(reach, check_name(name)))
    body = {"material": material(name, origin).reveal(), **expires.member()}
    answer = reach.send("POST", at("credentials", name, "stage"), body)
    if as_json:
        show.put_json(answer)
        return Exit.DONE
    show.put(f"staged: version {answer['versions'][0]['number']} of {name}")
    show.say(f"coatcheck: next: coatcheck credential activate {name}, which verifies it first")
    return Exit.DONE


@click.command(
    "verify",
    short_help="Try a version at its servers; switch nothing.",
    epilog=options.example("coatcheck credential verify github-authorization"),
)
@click.argument("name", shell_complete=names.credentials)
@options.reached()
@options.as_json
def verify(name: str, where: Where, as_json: bool) -> int:
    """Try the staged version of the credential NAME, or else the active one, at every server that uses it.

    Nothing is switched. The exit code is 1 if a server refuses it, or none uses it.
    """
    reach = reach_of(where)
    with unknown_object(reach, "credentials", name), show.waiting("asking its servers"):
        answer = reach.send("POST", at("credentials", name, "verify"))
    asked = bool(answer["verdicts"])
    if as_json:
        show.put_json(answer)
    else:
        put_verdicts(answer["verdicts"])
        told = answer["assurance"] if answer["ok"] else "refused"
        show.put(f"version {answer['number']}: {told if asked else 'no server uses it'}")
    return Exit.DONE if answer["ok"] and asked else Exit.NO


@click.command(
    "activate",
    short_help="Use the staged version from the next call on.",
    epilog=options.example("coatcheck credential activate github-authorization"),
)
@click.argument("name", shell_complete=names.credentials)
@click.option("--no-verify", is_flag=True, help="Ask no server, even if none was asked; this is recorded.")
@click.option("--accept-unproven", is_flag=True, help="Go on where a server takes a wrong one as well.")
@options.because
@no_wait
@options.reached()
@options.as_json
def activate(name: str, where: Where, as_json: bool, **words: Any) -> int:
    """Use the staged version of the credential NAME from the next call on; it is verified if it was not."""
    check_reason(words)
    reach = reach_of(where)
    body = {
        "accept_unproven": words["accept_unproven"],
        "unverified": words["no_verify"],
        "wait": not words["no_wait"],
        **reason_of(words),
    }
    with (
        unknown_object(reach, "credentials", name),
        nothing_changed("nothing changed, and the new version stays staged"),
        show.waiting("asking its servers, then waiting for calls with the old version"),
    ):
        answer = reach.send("POST", at("credentials", name, "activate"), body)
    put_activated(answer, as_json)
    return Exit.DONE


@click.command(
    "discard",
    short_help="Forget the staged version.",
    epilog=options.example("coatcheck credential discard github-authorization"),
)
@click.argument("name", shell_complete=names.credentials)
@options.reached()
@options.as_json
def discard(name: str, where: Where, as_json: bool) -> int:
    """Forget the staged version of the credential NAME; the one in use stays."""
    reach = reach_of(where)
    with unknown_object(reach, "credentials", name):
        answer = reach.send("POST", at("credentials", name, "discard"))
    show.put_json(answer) if as_json else show.put(f"discarded the staged version of {name}")
    return Exit.DONE
