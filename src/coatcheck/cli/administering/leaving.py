"""`coatcheck subject disable`, `enable` and `offboard`: when someone is away, back, or gone."""

from __future__ import annotations

import click

from coatcheck.cli import options, show
from coatcheck.cli.administering import outcomes
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.answers import ApiRefusal
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.near import unknown_object
from coatcheck.cli.reaching.reach import Reach, at


@click.command(
    "disable",
    short_help="Refuse a subject however it comes.",
    epilog=options.example("coatcheck subject disable alice --because 'on leave'"),
)
@click.argument("name", shell_complete=names.subjects)
@options.because
@options.reached()
@options.as_json
def disable(name: str, because: str, where: Where, as_json: bool) -> int:
    """Refuse the subject NAME: by grant, by a token of the servers file, by a proxy's header.

    Returns when its calls and streams have ended. Its grants stay, for `coatcheck subject enable`.
    """
    reach = reach_of(where)
    note = _note_on(reach, name)
    answer = reach.send("POST", at("subjects", name, "disable"), {"because": because})
    outcomes.put_ended(answer, f"disabled {name}", as_json)
    if note:
        show.say(note)
    return Exit.DONE


@click.command(
    "enable",
    short_help="Let a disabled subject in again.",
    epilog=options.example("coatcheck subject enable alice"),
)
@click.argument("name", shell_complete=names.subjects)
@options.reached()
@options.as_json
def enable(name: str, where: Where, as_json: bool) -> int:
    """Let the subject NAME in again. Grants that were revoked stay revoked."""
    reach = reach_of(where)
    with unknown_object(reach, "subjects", name):
        answer = reach.send("POST", at("subjects", name, "enable"))
    show.put_json(answer) if as_json else show.put(f"enabled {name}")
    return Exit.DONE


@click.command(
    "offboard",
    short_help="Disable a subject and revoke all its grants.",
    epilog=options.example("coatcheck subject offboard alice --because 'left the company'"),
)
@click.argument("name", shell_complete=names.subjects)
@options.because
@options.reached()
@options.as_json
def offboard(name: str, because: str, where: Where, as_json: bool) -> int:
    """Disable the subject NAME and revoke all its grants, those of the servers file among them.

    One change: all of it or nothing. Returns when its calls and streams have ended.
    """
    reach = reach_of(where)
    note = _note_on(reach, name)
    answer = reach.send("POST", at("subjects", name, "offboard"), {"because": because})
    revoked, _ = outcomes.revoked_by(answer)
    counted = outcomes.counted(len(revoked), "grant")
    outcomes.put_ended(answer, f"offboarded {name}, with {counted},", as_json)
    if revoked and not as_json:
        show.put(f"grants: {', '.join(revoked)}")
    if note:
        show.say(note)
    return Exit.DONE


def _note_on(reach: Reach, name: str) -> str:
    """Return what to say of a name that nobody had so far: a proxy may yet send it, or it is misspelt."""
    try:
        with unknown_object(reach, "subjects", name):
            reach.get(at("subjects", name))
    except (ApiRefusal, Stop) as refusal:
        if isinstance(refusal, ApiRefusal) and refusal.status != 404:
            return ""  # whoever may not read it is told so by the change itself
        near = f" ({refusal.fix})" if "did you mean" in refusal.fix else ""
        return f"coatcheck: nobody was known as {name} until now; it is refused from here on{near}"
    return ""
