"""`coatcheck policy use` and `unuse`."""

from __future__ import annotations

import functools
from typing import Any

import click

from coatcheck.cli import options, show
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Command, Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.reach import at


def placed(command: Command, *, needed: bool = True) -> Command:
    """Give a command the options that say on what; it gets the members of a request's body as `place`.

    Without `needed` there are none where nothing is said.
    """

    @click.option("--everything", is_flag=True, help="On every call; it can only take away.")
    @click.option("--role", metavar="ROLE", help="On callers of this role; it can only take away.")
    @click.option("--grant", metavar="GRANT", shell_complete=names.grants, help="On this grant: what it may.")
    @click.option(
        "--server",
        metavar="SERVER",
        shell_complete=names.servers,
        help="On this server, for all whose grant has no policy; with --grant, for that grant there.",
    )
    @functools.wraps(command)
    def with_place(
        everything: bool, role: str | None, grant: str | None, server: str | None, **rest: Any
    ) -> Any:
        given = everything or any(one is not None for one in (role, grant, server))
        place = _place(everything, role, grant, server) if needed or given else {}
        return command(place=place, **rest)

    return with_place


def _place(everything: bool, role: str | None, grant: str | None, server: str | None) -> dict[str, str]:
    given = sum((everything, role is not None, grant is not None, server is not None and grant is None))
    if given != 1:
        raise click.UsageError(
            "say on what: --everything, --role, --grant, --server, or --grant with --server"
        )
    if everything:
        return {"kind": "everything"}
    if role is not None:
        return {"kind": "role", "of": role}
    if grant is not None:
        return {"kind": "grant", "of": grant} | ({} if server is None else {"server": server})
    return {"kind": "server", "of": server or ""}


@click.command(
    "use",
    short_help="Use a policy on somebody or something.",
    epilog=options.example(
        "coatcheck policy use payments-caps --grant billing-bot --server stripe",
        "coatcheck policy use office-hours --role contractor",
    ),
)
@click.argument("name", shell_complete=names.policies)
@placed
@options.because
@options.reached()
@options.as_json
def use(name: str, place: dict[str, str], because: str, where: Where, as_json: bool) -> int:
    """Use the policy NAME from the next request on.

    On a grant or a server it takes the place of the one that was used there, in one step.
    """
    found = reach_of(where).send("POST", at("policies", name, "use"), {**place, "because": because})
    if as_json:
        show.put_json(found)
        return Exit.DONE
    instead = f", instead of {found['instead_of']}" if found["instead_of"] else ""
    show.put(f"{name} is used on {_words(found)}{instead}")
    return Exit.DONE


@click.command(
    "unuse",
    short_help="Take a policy off somebody or something.",
    epilog=options.example("coatcheck policy unuse office-hours --role contractor"),
)
@click.argument("name", shell_complete=names.policies)
@placed
@options.because
@options.reached()
@options.as_json
def unuse(name: str, place: dict[str, str], because: str, where: Where, as_json: bool) -> int:
    """Take the policy NAME off what it is used on. A grant then has the policy of the server."""
    found = reach_of(where).send("POST", at("policies", name, "unuse"), {**place, "because": because})
    show.put_json(found) if as_json else show.put(f"{name} is used on {_words(found)} no more")
    return Exit.DONE


def _words(found: dict[str, Any]) -> str:
    if found["kind"] == "everything":
        return "everything"
    narrowed = f" on {found['server']}" if found["server"] else ""
    return show.clean_line(f"the {found['kind']} {found['shown']}{narrowed}")
