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
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.config import Config
from coatcheck.core.recording.notes import Broken, PublicKey, read_receipt
from coatcheck.errors import ConfigError

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
    help="The file of checkpoints kept outside; for a store, its own if there is one.",
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
    keys: Sequence[str],
    receipts: Sequence[str],
    as_json: bool,
) -> int:
    """Read the whole record and judge every entry: exit 0 if it is sound, 1 if anything was found.

    Edits, removals, insertions, swaps, columns that do not say what their entry says, an end before what was
    signed, an older store put back. A gateway may run meanwhile. Each --key and --receipt can be given again.
    """
    from coatcheck.app.keeping.verifying import Proof, verify_file, verify_store

    presented = [_receipt(text) for text in receipts]
    public = [key for text in keys for key in keys_in(text)]
    if file is not None:
        if not public:
            raise click.UsageError("--file needs --key: the public key that `coatcheck audit key` prints")
        report = verify_file(file, Proof(public, checkpoints), presented)
    else:
        config = options.load(where)
        own = public or [_own_key(config)]
        outside = checkpoints or _own_checkpoints(config)
        report = verify_store(config.data, config.database, Proof(own, outside), presented)
    if as_json:
        show.put_json(_json(report))
    else:
        _put(report)
    return Exit.DONE if report.sound else Exit.NO


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
    try:
        lines = path.read_text("ascii", "replace").splitlines()
        return [PublicKey.read(line) for line in lines if line.strip()]
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", fix="name a file of public keys"
        ) from None
    except Broken as error:
        raise ConfigError(f"a line of {path} {error}", fix="`coatcheck audit key` prints them") from None


def _own_key(config: Config) -> PublicKey:
    from coatcheck.app.auditing import key_path, public_key

    path = key_path(config)
    if not os.path.lexists(path):
        raise ConfigError(
            f"there is no signing key at {path}",
            fix="start the gateway once, or give the public key with --key",
        )
    return public_key(config)


def _own_checkpoints(config: Config) -> Path | None:
    from coatcheck.app.auditing import checkpoints_path

    path = checkpoints_path(config)
    return path if path.exists() or config.checkpoints is not None else None


def _json(report: Report) -> dict[str, Any]:
    return {
        "sound": report.sound,
        "log": report.beginning.log,
        "entries": report.entries,
        "head": {"seq": report.head.seq, "hash": report.head.hash.hex()},
        "before": report.beginning.before,
        "left_out": report.left_out,
        "checkpoints": report.checkpoints,
        "unproven": report.unproven,
        "receipts": report.receipts,
        "sealed": report.sealed,
        "found": report.found,
        "findings": [{"seq": one.seq, "what": one.what.value, "words": one.words} for one in report.findings],
    }


def _put(report: Report) -> None:
    for finding in report.findings:
        show.put(f"{finding.what.value:<9} {show.clean_line(finding.words)}")
    if report.found > len(report.findings):
        show.put(f"and {report.found - len(report.findings)} more")
    parts = [f"{report.entries} entries up to {report.head.seq}", f"{report.checkpoints} checkpoints"]
    if report.receipts:
        parts.append(f"{report.receipts} receipts")
    if report.left_out:
        parts.append(f"{report.left_out} entries left out")
    verdict = "sound" if report.sound else f"NOT sound, {report.found} found"
    show.put(f"{verdict}: {', '.join(parts)} (log {report.beginning.log or 'unknown'})")
    if report.sealed:
        show.say(f"coatcheck: {report.sealed} entries are sealed in files; judge each with --file")
    if report.unproven:
        show.say(f"coatcheck: {report.unproven} entries after the last checkpoint rest on the chain alone")
    if report.beginning.before:
        show.say(
            f"coatcheck: {report.beginning.before} entries are from before the chain: it proves none of them"
        )
