"""`coatcheck grant revoke` and `restore`."""

from __future__ import annotations

from typing import Any

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

_NOT_OVER = ("live", "unclaimed", "disabled")
_MOST = 10_000


@click.command(
    "revoke",
    short_help="End grants; returns when they are dead.",
    epilog=options.example(
        "coatcheck grant revoke alice-laptop --because 'laptop lost'",
        "coatcheck grant revoke --all-of alice --because 'left'",
    ),
)
@click.argument("grant", nargs=-1, shell_complete=names.grants)
@click.option(
    "--all-of", metavar="SUBJECT", help="All grants of this subject.", shell_complete=names.subjects
)
@options.because
@options.reached()
@options.as_json
def revoke(grant: tuple[str, ...], all_of: str | None, because: str, where: Where, as_json: bool) -> int:
    """Revoke each GRANT, by label or id, of the servers file or not: all of them or none.

    When this returns they are dead: the next call gets 401, open streams are closed, calls under way are
    cancelled at their servers.
    """
    if bool(grant) == (all_of is not None):
        raise click.UsageError("give GRANT, one or more, or --all-of SUBJECT")
    reach = reach_of(where)
    refs = list(dict.fromkeys(grant)) if all_of is None else _all_of(reach, all_of)
    if len(refs) > _MOST:
        raise click.UsageError(f"at most {_MOST} at once")
    answer = _revoke(reach, refs, because)
    revoked, before = outcomes.revoked_by(answer)
    if revoked or as_json:
        outcomes.put_ended(answer, f"revoked {_told(revoked)}", as_json)
    if before:
        show.say(f"coatcheck: {_told(before)} {'was' if len(before) == 1 else 'were'} revoked before")
    return Exit.DONE


def _told(labels: list[str]) -> str:
    return ", ".join(labels) if len(labels) <= 5 else outcomes.counted(len(labels), "grant")


def _revoke(reach: Reach, refs: list[str], because: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = reach.send("POST", "/grants/revoke", {"grants": refs, "because": because})
        return answer
    except ApiRefusal as refusal:
        if refusal.status != 404:
            raise
        for ref in refs:
            with unknown_object(reach, "grants", ref, "label"):
                reach.get(at("grants", ref))
        raise


def _all_of(reach: Reach, subject: str) -> list[str]:
    items, _ = reach.pages("/grants", {"subject": subject}, _MOST)
    refs = [str(item["id"]) for item in items if item["state"] in _NOT_OVER]
    if not refs:
        fix = "`coatcheck grant list` shows whose grants there are"
        raise Stop(f"{subject!r} has no grants that are not over", exit_code=Exit.NO, fix=fix)
    return refs


@click.command(
    "restore",
    short_help="Lift the revocation of a grant of the file.",
    epilog=options.example("coatcheck grant restore file-3f2a90bb71c4"),
)
@click.argument("grant", shell_complete=names.grants)
@options.reached()
@options.as_json
def restore(grant: str, where: Where, as_json: bool) -> int:
    """Lift the revocation of GRANT of the servers file. One that was issued here stays revoked."""
    reach = reach_of(where)
    with unknown_object(reach, "grants", grant, "label"):
        answer = reach.send("POST", at("grants", grant, "restore"))
    show.put_json(answer) if as_json else show.put(f"restored {answer['label']}")
    return Exit.DONE
