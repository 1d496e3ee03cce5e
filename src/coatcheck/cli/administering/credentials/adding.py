"""`coatcheck credential add` and `change`."""

from __future__ import annotations

from typing import Any

import click

from coatcheck.cli import options, show
from coatcheck.cli.administering.credentials.giving import GivenApart, Origin, check_name, material, origin
from coatcheck.cli.administering.credentials.rotating import reach_credential
from coatcheck.cli.administering.credentials.terms import oauth, oauth_of, upkeep
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Expiry, Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.reach import at


@click.command(
    "add",
    cls=GivenApart,
    short_help="Add a credential.",
    epilog=options.example(
        "coatcheck credential add github-token --from-file token --owner platform",
        "coatcheck credential add notion --oauth https://mcp.notion.com/mcp",
    ),
)
@click.argument("name")
@origin
@click.option("--empty", is_flag=True, help="Give it no value yet; servers that name it cannot be used.")
@click.option("--oauth", "resource", metavar="URL", help="Its tokens come by OAuth, for the server at URL.")
@oauth
@upkeep
@options.expires
@options.reached()
@options.as_json
def add(name: str, origin: Origin, members: dict[str, Any], where: Where, as_json: bool, **words: Any) -> int:
    """Add the credential NAME, which servers name as ${credential:NAME}. It is due after 90 days by default.

    The value is asked for on a terminal, and read from standard input elsewhere. `coatcheck server add` makes
    credentials by itself.
    """
    expires: Expiry = words["expires"]
    resource = words["resource"]
    terms = oauth_of(words, resource is not None)
    if (words["empty"] or resource is not None) and (origin.is_said or expires.said):
        raise click.UsageError("--empty and --oauth stand for a value: give none")
    body: dict[str, Any] = {"name": check_name(name), **members, **expires.member()}
    reach = reach_of(where)
    if terms is not None:
        body["oauth"] = {"resource": resource, **terms}
    elif not words["empty"]:
        reach.get("/status")  # before a person is asked for a secret
        body["material"] = material(name, origin).reveal()
    answer = reach.send("POST", "/credentials", body)
    if as_json:
        show.put_json(answer)
        return Exit.DONE
    show.put(f"added {name}; servers name it as ${{credential:{name}}}")
    if terms is not None:
        show.say(f"coatcheck: next: coatcheck credential connect {name}")
    for warning in answer["warnings"]:
        show.say(f"coatcheck: {show.clean_line(str(warning))}")
    return Exit.DONE


@click.command(
    "change",
    short_help="Change owner, interval and the like.",
    epilog=options.example("coatcheck credential change github-token --interval 30 --on-refusal roll-back"),
)
@click.argument("name", shell_complete=names.credentials)
@upkeep
@options.expires
@options.reached()
@options.as_json
def change(name: str, members: dict[str, Any], expires: Expiry, where: Where, as_json: bool) -> int:
    """Change what is known of the credential NAME; what is not given stays, and so does its value.

    --expires is about the version in use.
    """
    patch = members | expires.member()
    if not patch:
        raise click.UsageError("there is nothing to change; for a new value: coatcheck credential rotate")
    reach = reach_of(where)
    found = reach_credential(reach, name)
    answer = reach.send("PATCH", at("credentials", str(found["id"])), patch, version=found["version"])
    show.put_json(answer) if as_json else show.put(f"changed {answer['name']}")
    return Exit.DONE
