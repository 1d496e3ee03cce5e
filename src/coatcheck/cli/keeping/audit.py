"""`coatcheck audit verify`, `key` and `checkpoint`: whether the record is the one that was written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coatcheck.cli import options, show
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.dialling import SOCKET_NAME, NoGateway
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.reach import ANSWER_SECONDS, Reach
from coatcheck.config import Config
from coatcheck.core.recording.chain import is_whole
from coatcheck.core.recording.notes import Broken, PublicKey, read_receipt
from coatcheck.errors import CoatcheckError, ConfigError

if TYPE_CHECKING:
    from coatcheck.model.chain import Presented, Report


@click.command(
    "verify",
    short_help="Find out whether the record is as it was written.",
    epilog=options.example(
        "coatcheck audit verify",
        "coatcheck audit verify --checkpoints /mnt/worm/checkpoints.log --key audit.pub",
        "coatcheck audit verify --file record.jsonl --key audit.pub --receipt LOG/NUMBER/HASH",
    ),
)
@options.where
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    help="An exported record, instead of the store; needs --key, and no gateway.",
)
@click.option(
    "--checkpoints",
    type=click.Path(path_type=Path),
    help="The file of checkpoints kept outside; for a store, its own.",
)
@click.option(
    "--segments", type=click.Path(path_type=Path), help="Also judge the sealed parts, whose files are there."
)
@click.option("--key", "keys", multiple=True, metavar="KEY|FILE", help="A public key, or a file of some.")
@click.option(
    "--receipt", "receipts", multiple=True, metavar="R", help="What an answer said in Coatcheck-Receipt."
)
@options.as_json
def verify(
    where: Where,
    file: Path | None,
    checkpoints: Path | None,
    segments: Path | None,
    keys: Sequence[str],
    receipts: Sequence[str],
    as_json: bool,
) -> int:
    """Read the whole record and judge every entry: exit 0 if it is sound, 1 if anything was found.

    3 if nothing was found and not all of it is proven. A gateway that runs signs first where it stands.

    Edits, removals, insertions, swaps, columns that do not say what their entry says, an end before what was
    signed, an older store put back. A gateway may run meanwhile. Each --key and --receipt can be given again.
    """
    presented = [_receipt(text) for text in receipts]
    public = [key for text in keys for key in keys_in(text)]
    if file is None:
        config = options.load(where)
        _have_signed(config)
        report = _of_store(config, public, checkpoints, segments, presented)
    elif not public:
        raise click.UsageError("--file needs --key: the public key that `coatcheck audit key` prints")
    elif segments is not None:
        raise click.UsageError("--segments is for a store; judge the file of a sealed part with --file")
    else:
        from coatcheck.app.keeping.files import verify_file
        from coatcheck.app.keeping.proof import Proof

        report = verify_file(file, Proof(public, checkpoints), presented)
    if as_json:
        show.put_json(_json(report))
    else:
        _put(report)
    if report.sound:
        return Exit.DONE
    return Exit.NO if report.found else Exit.UNPROVEN


@click.command(
    "key",
    short_help="Print the public key of the record.",
    epilog=options.example("coatcheck audit key > audit.pub"),
)
@options.where
@click.option("--json", "as_json", is_flag=True, help="JSON.")
def key(where: Where, as_json: bool) -> int:
    """Print the public key that proves the record's checkpoints. Keep it where the gateway is not."""
    own = _own_key(options.load(where))
    if as_json:
        show.put_json({"log": own.log, "key": own.text})
    else:
        show.put(own.text)
    return Exit.DONE


@click.command(
    "checkpoint",
    short_help="Sign now where the record stands.",
    epilog=options.example("coatcheck audit checkpoint", "coatcheck audit checkpoint --json | jq -r .note"),
)
@options.reached()
@options.as_json
def checkpoint(where: Where, as_json: bool) -> int:
    """Have a running gateway sign where its record stands now, without waiting for the minute to end."""
    made: dict[str, Any] = reach_of(where).send("POST", "/checkpoints")
    if as_json:
        show.put_json(made)
    else:
        show.put(f"signed entry {made['seq']} of log {made['log']} at {made['time']}")
    return Exit.DONE


def _have_signed(config: Config) -> None:
    """Ask the gateway that runs, if one does, to sign what it just wrote, so that the end is proven as well.

    It signs nothing that it did not write itself, and the record is judged whatever it answers.
    """
    try:
        Reach(config.data / SOCKET_NAME).send("POST", "/checkpoints", within=ANSWER_SECONDS)
    except NoGateway:
        return
    except CoatcheckError as error:
        show.say(f"coatcheck: the gateway did not sign where its record stands now: {error.message}")


def _receipt(text: str) -> Presented:
    try:
        return read_receipt(text)
    except Broken as error:
        raise click.BadParameter(f"{show.shorten(text, 80)} {error}", param_hint="--receipt") from None


def keys_in(text: str) -> list[PublicKey]:
    """Return the key that a text is, or those of the file that it names, one a line."""
    try:
        return [PublicKey.read(text)]
    except Broken as error:
        path = Path(text)
        if not path.is_file():
            raise click.BadParameter(f"{show.shorten(text, 80)} {error}", param_hint="--key") from None
    from coatcheck.app.auditing import public_keys_in

    return public_keys_in(path)


def _of_store(
    config: Config,
    public: list[PublicKey],
    checkpoints: Path | None,
    segments: Path | None,
    receipts: list[Presented],
) -> Report:
    from coatcheck.app.auditing import checkpoints_path, own_keys
    from coatcheck.app.keeping.proof import Proof
    from coatcheck.app.keeping.segments import FOLDER
    from coatcheck.app.keeping.verifying import Archive, verify_store

    if not public:
        _require_key(config)
        public = own_keys(config)
    proof = Proof(public, checkpoints or checkpoints_path(config), may_lack=checkpoints is None)
    archive = Archive(segments or config.segments or config.data / FOLDER, whole=segments is not None)
    return verify_store(config.data, config.database, proof, receipts, archive=archive)


def _own_key(config: Config) -> PublicKey:
    from coatcheck.app.auditing import public_key

    _require_key(config)
    return public_key(config)


def _require_key(config: Config) -> None:
    from coatcheck.app.auditing import key_path

    path = key_path(config)
    if not os.path.lexists(path):
        raise ConfigError(
            f"there is no signing key at {path}",
            fix="start the gateway once, or give the public key with --key",
        )


def _json(report: Report) -> dict[str, Any]:
    return {
        "sound": report.sound,
        "log": report.beginning.log,
        "entries": report.entries,
        "first": report.beginning.seq + 1,
        "whole": is_whole(report.beginning),
        "head": {"seq": report.head.seq, "hash": report.head.hash.hex()},
        "before": report.beginning.before,
        "left_out": report.left_out,
        "checkpoints": report.checkpoints,
        "unproven": report.unproven,
        "receipts": report.receipts,
        "sealed": report.sealed,
        "found": report.found,
        "lacking": list(report.lacking),
        "findings": [{"seq": one.seq, "what": one.what.value, "words": one.words} for one in report.findings],
    }


def _put(report: Report) -> None:
    for finding in report.findings:
        show.put(f"{finding.what.value:<9} {show.clean_line(finding.words)}")
    if report.found > len(report.findings):
        show.put(f"and {report.found - len(report.findings)} more")
    for words in report.lacking:
        show.put(f"{'unproven':<9} {show.clean_line(words)}")
    whole, first, last = is_whole(report.beginning), report.beginning.seq + 1, report.head.seq
    which = f"up to {last}" if whole else f"from {first} to {last}, a part"
    parts = [_counted(report.entries, "entry", "entries") + f" {which}"]
    parts += [_counted(report.checkpoints, "checkpoint", "checkpoints")]
    parts += [f"{report.receipts} receipts"] if report.receipts else []
    parts += [f"{report.left_out} entries left out"] if report.left_out else []
    show.put(f"{_verdict(report)}: {', '.join(parts)} (log {report.beginning.log or 'unknown'})")
    rests = {
        "are sealed in files; judge them with --segments DIR": report.sealed,
        "after the last checkpoint rest on the chain alone": report.unproven,
        "are from before the chain: it proves none of them": report.beginning.before,
    }
    for words, count in rests.items():
        if count:
            show.say(f"coatcheck: {count} entries {words}")
    if not whole and report.entries:
        show.say(f"coatcheck: of what was before entry {first} it tells nothing; should it begin there?")


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _verdict(report: Report) -> str:
    if report.found:
        return f"NOT sound, {report.found} found"
    return "NOT PROVEN, though nothing was found" if report.lacking else "sound"
