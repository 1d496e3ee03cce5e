"""`coatcheck operator add`, `list`, `role` and `end`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from coatcheck.cli import options, show, since
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.near import unknown_object
from coatcheck.cli.reaching.place import address_for_operators
from coatcheck.cli.reaching.reach import at
from coatcheck.model.operator import OperatorRole

_ROLES: Final = tuple(each.value for each in OperatorRole)
_COLUMNS: Final = ("OPERATOR", "ROLE", "STATE", "ADDED", "EXPIRES")


@click.command(
    "add",
    short_help="Invite an operator.",
    epilog=options.example("coatcheck operator add bob --role auditor --expires 180d"),
)
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), required=True, help="What it may do.")
@options.expires
@options.reached()
@options.as_json
def add(name: str, role: str, expires: options.Expiry, where: Where, as_json: bool) -> int:
    """Invite the operator NAME. Prints what it has to type, once, with a one-time code.

    One that there is gets a new code, and its old token is void.
    """
    reach = reach_of(where)
    origin = address_for_operators(reach)  # before there is a code that a failure would lose
    body: dict[str, Any] = {"name": name, "role": role, **expires.member()}
    _put_invitation(reach.send("POST", "/operators", body), origin, as_json)
    return Exit.DONE


@click.command(
    "role",
    short_help="Give an operator another role.",
    epilog=options.example("coatcheck operator role bob admin"),
)
@click.argument("name", shell_complete=names.operators)
@click.argument("role", type=click.Choice(_ROLES))
@options.reached()
@options.as_json
def role(name: str, role: str, where: Where, as_json: bool) -> int:
    """Give the operator NAME another ROLE, in one change. Prints what it has to type, as `add` does.

    Its token, password and browsers are void at once. One that has ended or expired is back by it. Nobody
    changes their own role.
    """
    reach = reach_of(where)
    origin = address_for_operators(reach)
    with unknown_object(reach, "operators", name):
        answer = reach.send("POST", at("operators", name, "role"), {"role": role})
    _put_invitation(answer, origin, as_json)
    return Exit.DONE


def _put_invitation(answer: Mapping[str, Any], origin: str, as_json: bool) -> None:
    """Print how an operator comes in that was just invited, once."""
    name = answer["operator"]["name"]
    line = f"coatcheck login --url {origin} --code {answer['code']}"
    link = f"{origin}/welcome/{answer['code']}"
    if as_json:
        show.put_json({**answer, "login": line, "link": link})
        return
    show.put(line)
    until = since.local(answer["operator"].get("code_until"))
    show.say(f"coatcheck: {name} logs in with this line, once" + (f", until {until}" if until else ""))
    show.say(f"coatcheck: or in a browser, instead: {link}")


@click.command("list", short_help="List the operators.", epilog=options.example("coatcheck operator list"))
@options.reached()
@options.as_json
def list_operators(where: Where, as_json: bool) -> int:
    """List the operators, those that ended last."""
    answer = reach_of(where).get("/operators")
    items = answer["items"]
    none = "there are no operators; `coatcheck operator add` invites one"
    show.put_page(_COLUMNS, [_row(item) for item in items], items, answer.get("next"), as_json, none)
    return Exit.DONE


def _row(item: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        item["name"],
        item["role"],
        item["state"],
        since.local(item.get("created_at")),
        since.local(item.get("expires_at")) or "never",
    )


@click.command(
    "end",
    short_help="End an operator, whose token is void then.",
    epilog=options.example("coatcheck operator end bob"),
)
@click.argument("name", shell_complete=names.operators)
@options.reached()
@options.as_json
def end(name: str, where: Where, as_json: bool) -> int:
    """End the operator NAME: its token and its code are void when this returns."""
    reach = reach_of(where)
    with unknown_object(reach, "operators", name):
        answer = reach.send("DELETE", at("operators", name))
    show.put_json(answer) if as_json else show.put(f"ended {name}")
    return Exit.DONE
