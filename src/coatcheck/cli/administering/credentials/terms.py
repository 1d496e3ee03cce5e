"""What is known of a credential besides its value: owner, interval, what happens on a refusal, OAuth."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any, Final

import click

from coatcheck.cli.administering.material import Materials
from coatcheck.cli.declaring.given import wrong
from coatcheck.cli.options import Command

ON_REFUSAL: Final = ("flag", "roll-back")
NEVER: Final = "never"
_GRANT_TYPES: Final = ("authorization_code", "client_credentials")
_MAX_DAYS: Final = 3_650
_OAUTH_WORDS: Final = ("oauth_grant", "oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope")


def _days(_context: click.Context, _option: click.Parameter, text: str | None) -> str | int | None:
    if text is None or text == NEVER:
        return text
    digits = text.removesuffix("d")
    if not (digits.isascii() and digits.isdigit() and 1 <= int(digits) <= _MAX_DAYS):
        raise click.BadParameter(f"{text!r} is neither a number of days, 1 to {_MAX_DAYS}, nor never")
    return int(digits)


def upkeep(command: Command) -> Command:
    """Give a command `--owner`, `--interval`, `--on-refusal` and `--note`; it gets a body's members."""

    @click.option("--owner", metavar="SUBJECT", help="Who looks after it.")
    @click.option("--interval", metavar="DAYS|never", callback=_days, help="Days between rotations.")
    @click.option(
        "--on-refusal",
        type=click.Choice(ON_REFUSAL),
        help="What happens if a server refuses a version that was just activated.",
    )
    @click.option("--note", help="Words for other operators.")
    @functools.wraps(command)
    def with_upkeep(
        owner: str | None, interval: str | int | None, on_refusal: str | None, note: str | None, **rest: Any
    ) -> Any:
        members: dict[str, Any] = {"owner": owner, "on_refusal": on_refusal, "note": note}
        members = {name: value for name, value in members.items() if value is not None}
        if interval is not None:
            members["interval_days"] = None if interval == NEVER else interval
        return command(members=members, **rest)

    return with_upkeep


def oauth(command: Command) -> Command:
    """Give a command the options of OAuth terms; `oauth_of` makes a body's member of them."""
    for option in reversed(
        (
            click.option(
                "--oauth-grant",
                type=click.Choice(_GRANT_TYPES),
                help="How tokens are had: a person connects it, or the client has credentials.",
            ),
            click.option(
                "--oauth-issuer", metavar="URL", help="The authorization server; found if not given."
            ),
            click.option(
                "--oauth-client-id", metavar="ID", help="A client that is registered there already."
            ),
            click.option(
                "--oauth-client-secret", metavar="@FILE", help="Its secret: @FILE, @env:VARIABLE or @-."
            ),
            click.option(
                "--oauth-scope", metavar="SCOPE", multiple=True, help="A scope to ask for. Repeatable."
            ),
        )
    ):
        command = option(command)
    return command


def oauth_of(words: Mapping[str, Any], wanted: bool) -> dict[str, Any] | None:
    """Return the OAuth terms of a body; None where none are wanted.

    Raises:
        Stop: options that belong to OAuth without it, or a client secret that stands on the command line.
    """
    given = {name: words[name] for name in _OAUTH_WORDS if words[name]}
    if not wanted:
        if given:
            option = "--" + next(iter(given)).replace("_", "-")
            raise wrong(f"{option} belongs to --oauth", "add --oauth, or leave it out")
        return None
    members = {
        "grant_type": given.get("oauth_grant"),
        "issuer": given.get("oauth_issuer"),
        "client_id": given.get("oauth_client_id"),
        "client_secret": _client_secret(given.get("oauth_client_secret")),
        "scopes": list(given.get("oauth_scope", ())),
    }
    return {name: value for name, value in members.items() if value}


def _client_secret(text: str | None) -> str | None:
    if text is None:
        return None
    if not text.startswith("@") or text.startswith("@@"):
        raise wrong(
            "the client secret stands on the command line, where it stays in the shell's history",
            "have another one made, and give it as @FILE, @env:VARIABLE or @-",
        )
    return Materials(os.environ).variable(f"client-secret={text}").written
