"""`coatcheck evidence` and `evidence check`: a signed bundle for auditors, who check it with no gateway."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import click

from coatcheck.cli import options, show
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit
from coatcheck.cli.keeping.audit import keys_in
from coatcheck.cli.lazy import LazyGroup, refuse_before
from coatcheck.cli.looking import filters
from coatcheck.cli.looking.exporting import fetch, new_file
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import record_of

if TYPE_CHECKING:
    from coatcheck.app.keeping.evidence import Checked


@click.group(
    "evidence",
    cls=LazyGroup,
    invoke_without_command=True,
    places={"check": ("keeping.evidence:check", "Check a bundle, without a gateway.")},
    epilog=options.example(
        "coatcheck evidence --from 2026-10-01 --to 2026-11-01 --subject alice --out alice.zip",
        "coatcheck evidence check alice.zip --key audit.pub",
    ),
)
@click.option(
    "--from", "since", callback=filters.moment, metavar="AGE|TIME", help="From then on: 30d or RFC 3339."
)
@click.option("--to", "until", callback=filters.moment, metavar="AGE|TIME", help="Up to then.")
@click.option("--grant", help="About this grant, by id or label.", shell_complete=names.grants)
@click.option("--subject", help="About this subject.", shell_complete=names.subjects)
@click.option("--server", help="About this server.", shell_complete=names.servers)
@click.option("--out", type=click.Path(path_type=Path), help="The new file.")
@options.where
@options.far
def evidence(out: Path | None, where: Where, **wanted: Any) -> int:
    """Write what the record tells of a time into one signed file.

    Calls and refusals by grant, the grants and who issued them, rotations, revocations and other changes, the
    entries themselves with their chain, and what a look at it found.
    """
    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        refuse_before(context)
        return Exit.DONE
    if out is None:
        raise click.UsageError("--out says where to write the bundle")
    query = filters.query_of(wanted)
    if len(query.keys() & {"grant", "subject", "server"}) > 1:
        raise click.UsageError("say one of --grant, --subject and --server")
    with record_of(where, options.load(where)) as reach, new_file(out) as write:
        fetch(reach, "/records/evidence", query, write)
    show.say(f"coatcheck: wrote {out}, {max(1, round(out.stat().st_size / 1024))} KiB")
    return _tell(out)


def _tell(out: Path) -> int:
    """Tell what the gateway found when it made the bundle; whether it is whole, `check` finds out."""
    with ZipFile(out) as bundle:
        told, manifest = (json.loads(bundle.read(name)) for name in ("verify.json", "manifest.json"))
    if through := manifest["sealed_through"]:
        show.say(f"coatcheck: entries up to {through} are in files of sealed parts, and not in this bundle")
    for words in [*(one["words"] for one in told["findings"]), *told["lacking"]]:
        show.say(f"coatcheck: NOT SOUND: {show.clean_line(str(words))}")
    return Exit.DONE if told["sound"] else Exit.NO


@click.command(
    "check",
    short_help="Check a bundle, without a gateway.",
    epilog=options.example("coatcheck evidence check alice.zip --key audit.pub"),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--key", "keys", multiple=True, metavar="KEY|FILE", help="A public key, or a file of some.")
@options.as_json
def check(file: Path, keys: Sequence[str], as_json: bool) -> int:
    """Check the bundle FILE: its signature, the chain of its entries, and its tables by these.

    Exit code 1 if anything is wrong. Without --key, which can be given again, the key in the bundle is used:
    that shows damage, but not who made it.
    """
    from coatcheck.app.keeping.evidence import check_evidence

    checked = check_evidence(file, [key for text in keys for key in keys_in(text)])
    if as_json or not show.is_terminal():
        show.put_json(_told(checked))
    else:
        _put(checked)
    if checked.own_key:
        show.say("coatcheck: checked with the key in the bundle itself; give the gateway's with --key")
    return Exit.DONE if checked.sound else Exit.NO


def _told(checked: Checked) -> dict[str, Any]:
    report = checked.report
    return {
        "sound": checked.sound,
        "key": checked.key,
        "key_given": not checked.own_key,
        "asked": checked.manifest.get("asked"),
        "made": checked.manifest.get("made"),
        "by": checked.manifest.get("by"),
        "entries": report.entries if report else 0,
        "left_out": report.left_out if report else 0,
        "older": checked.older,
        "sealed_through": checked.manifest.get("sealed_through"),
        "wrong": [
            *checked.wrongs,
            *(one.words for one in (report.findings if report else ())),
            *(report.lacking if report else ()),
        ],
    }


def _put(checked: Checked) -> None:
    told = _told(checked)
    show.put(f"made {told['made']} by {show.clean_line(str(told['by']))}, signed with {told['key']}")
    show.put(f"{told['entries']} entries in the chain, {told['left_out']} of them by their hash alone")
    for words in told["wrong"]:
        show.put(f"WRONG: {show.clean_line(words)}")
    if told["sealed_through"]:
        show.put(
            f"entries up to {told['sealed_through']} are in files of sealed parts, and not in this bundle"
        )
    if told["older"]:
        show.put(f"{told['older']} calls are from before the chain: the signature alone speaks for them")
    show.put("sound" if told["sound"] else "NOT SOUND")
