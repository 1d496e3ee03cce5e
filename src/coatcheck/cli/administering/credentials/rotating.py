"""`coatcheck credential rotate`: a new value, verified beside the old, and in use from the next call on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from coatcheck.cli import options, show
from coatcheck.cli.administering.credentials.giving import GivenApart, Origin, check_name, material, origin
from coatcheck.cli.administering.credentials.telling import no_wait, nothing_changed, put_activated
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.options import Expiry, Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.near import unknown_object
from coatcheck.cli.reaching.reach import Reach, at
from coatcheck.model.secret import Secret

_WHENCE: Final[Mapping[str, str]] = {
    "env": "the gateway's environment",
    "file": "a file that the servers file names",
    "literal": "the servers file",
}


@click.command(
    "rotate",
    cls=GivenApart,
    short_help="Verify a new value, and switch to it.",
    epilog=options.example(
        "coatcheck credential rotate github-authorization",
        "pass show github | coatcheck credential rotate github-authorization",
        "coatcheck credential rotate --list new.csv",
    ),
)
@click.argument("name", required=False, shell_complete=names.credentials)
@origin
@options.expires
@click.option("--no-verify", is_flag=True, help="Ask no server; this is recorded.")
@click.option("--accept-unproven", is_flag=True, help="Go on where a server takes a wrong one as well.")
@options.because
@click.option(
    "--list",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Rotate each credential of a CSV or JSON Lines file.",
)
@no_wait
@options.reached()
@options.as_json
def rotate(
    name: str | None, origin: Origin, file: Path | None, where: Where, as_json: bool, **words: Any
) -> int:
    """Give the credential NAME a new value: it is tried at every server beside the old one, then in use.

    The value is asked for on a terminal, and read from standard input elsewhere. Where a server refuses it,
    nothing changes. Where the old value is a scheme and a token and the new one has no space, the scheme
    stays.
    """
    expires: Expiry = words["expires"]
    check_reason(words)
    if file is not None:
        if name is not None or origin.is_said or expires.said:
            raise click.UsageError("with --list, everything about the values stands in the file")
        from coatcheck.cli.administering.credentials.many import rotate_many

        return rotate_many(file, where, as_json, words)
    if name is None:
        raise click.UsageError("give NAME, or --list FILE")
    reach = reach_of(where)
    check_rotates(reach_credential(reach, check_name(name)))  # before a person is asked for a secret
    body = body_of(material(name, origin), expires, words)
    with show.waiting("asking its servers, then waiting for calls with the old version"), nothing_changed():
        answer = reach.send("POST", at("credentials", name, "rotate"), body)
    put_activated(answer, as_json, staged=True)
    return Exit.DONE


def reach_credential(reach: Reach, name: str) -> dict[str, Any]:
    """Return the credential of this name; for one that there is none of, names those near it."""
    with unknown_object(reach, "credentials", name):
        found: dict[str, Any] = reach.get(at("credentials", name))
    return found


def check_rotates(credential: Mapping[str, Any]) -> None:
    """Refuse a credential whose value operators do not give, with what to do instead."""
    name, custody = credential["name"], credential["custody"]
    if credential["kind"] == "oauth":
        fix = f"coatcheck credential connect {name}"
        raise Stop(f"{name} gets its tokens from an OAuth server", exit_code=Exit.NO, fix=fix)
    if custody != "store":
        fix = (
            f"change it there; it switches at once, and `coatcheck credential verify {name}` asks its servers"
        )
        raise Stop(f"the value of {name} comes from {_WHENCE[custody]}", exit_code=Exit.NO, fix=fix)


def check_reason(words: Mapping[str, Any]) -> None:
    """Refuse to go on without a proof and without a reason, before a person is asked for a secret.

    Raises:
        click.UsageError: the reason lacks.
    """
    if (words["no_verify"] or words["accept_unproven"]) and not words["because"].strip():
        raise click.UsageError("say why with --because: --no-verify and --accept-unproven are put on record")


def reason_of(words: Mapping[str, Any]) -> dict[str, str]:
    """Return the reason as a member of what is sent, if one was given."""
    return {"because": words["because"]} if words["because"] else {}


def body_of(given: Secret, expires: Expiry, words: dict[str, Any]) -> dict[str, Any]:
    """Return a rotation as the API takes it."""
    return {
        "material": given.reveal(),
        "verify": not words["no_verify"],
        "accept_unproven": words["accept_unproven"],
        "wait": not words["no_wait"],
        **reason_of(words),
        **expires.member(),
    }
