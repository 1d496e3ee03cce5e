"""`coatcheck backup`, `restore` and `migrate`: the store as a whole."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from coatcheck import __version__
from coatcheck.cli import options, show, since
from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.answers import lost
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.config import Config

_CHUNK: Final = 256 * 1024


@click.command(
    "backup",
    short_help="Write a copy of the store to a file.",
    epilog=options.example(
        "coatcheck backup /var/backups/coatcheck-$(date +%F).backup",
        "coatcheck backup here.backup --url https://mcp.example.com",
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@options.reached()
@options.as_json
def backup(file: Path, where: Where, as_json: bool) -> int:
    """Write a copy of the store, as of one moment, to the new FILE; with a gateway running or not.

    It holds the record, grants, servers, subjects and operators. Secrets in it are sealed: keep the key
    file elsewhere, for `coatcheck restore` needs both.
    """
    if where.url is not None:
        _fetch(file, where)
    else:
        from coatcheck.store.backup import back_up

        back_up(_data_of(where), file, now=since.system_now(), version=__version__)
    size = file.stat().st_size
    if as_json:
        show.put_json({"file": str(file), "bytes": size})
    else:
        show.put(f"wrote {file}, {max(1, round(size / 1024))} KiB")
        show.say("coatcheck: it does not hold the key: keep coatcheck.key, or what gives it, elsewhere")
    return Exit.DONE


def _data_of(where: Where) -> Path:
    """Return the data directory whose store is a file in it."""
    config = options.load(where)
    if config.database is not None:
        from coatcheck.store.backup import PG_DUMP

        raise Stop(PG_DUMP, exit_code=Exit.CONFIG)
    return config.data


def _fetch(file: Path, where: Where) -> None:
    """Take the copy from a gateway elsewhere; a file that is not whole is not left behind."""
    reach = reach_of(where)
    with reach.stream("GET", "/backup") as answer:
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise Stop(f"{file} is there already", exit_code=Exit.NO, fix="name a new file") from None
        except OSError as error:
            raise Stop(f"{file} cannot be made: {error.strerror}", exit_code=Exit.NO) from None
        try:
            with os.fdopen(descriptor, "wb") as target, _progress("fetching") as advance:
                while piece := answer.read(_CHUNK):
                    target.write(piece)
                    advance(len(piece))
                if answer.length:
                    raise lost()  # the connection ended before the announced length
                target.flush()
                os.fsync(descriptor)
            _require_backup(file)
        except BaseException:
            file.unlink(missing_ok=True)
            raise


def _require_backup(file: Path) -> None:
    """Raise `ConfigError` unless what came is a backup."""
    from coatcheck.store.backup import read_facts

    read_facts(file)


@contextmanager
def _progress(words: str) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many bytes went by; elsewhere nothing."""
    if not show.is_terminal():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words, total=None)
        yield lambda size: bar.advance(task, size)


@click.command(
    "restore",
    short_help="Put a backup in a data directory's place.",
    epilog=options.example("coatcheck restore coatcheck.backup --data /var/lib/coatcheck"),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--data", metavar="DIR", help="The data directory: new, or empty but for the key and servers.json."
)
@options.as_json
def restore(file: Path, data: str | None, as_json: bool) -> int:
    """Put the store of the backup FILE into a data directory that has none, whole or not at all.

    The key that it was made with must be there first: coatcheck.key in the directory, or by the
    environment. No gateway may run on it.
    """
    from coatcheck.app.unsealing.keys import find_keys
    from coatcheck.store.backup import restore as put_back

    directory = _data_of(Where(data=data))
    keys = find_keys(directory, os.environ)
    facts = put_back(file, directory, key_id=keys.id if keys is not None else None)
    if as_json:
        show.put_json({"data": str(directory), **asdict(facts)})
    else:
        show.put(f"restored the store of {since.local(facts.made_at)} into {directory}")
        show.say("coatcheck: whatever was revoked after that moment is live again: revoke it anew")
    return Exit.DONE


@click.command(
    "migrate",
    short_help="Bring the store to this version's form.",
    epilog=options.example("coatcheck migrate --data /var/lib/coatcheck", "coatcheck migrate --check"),
)
@click.option("--check", is_flag=True, help="Only tell whether there is something to do; exit code 1 if so.")
@click.option(
    "--accept-damage",
    "because",
    metavar="WHY",
    help="Take the store as it is after somebody changed it outside of the gateway; the reason is on record.",
)
@click.option("--data", metavar="DIR", help="The data directory.")
@options.as_json
def migrate(check: bool, because: str | None, data: str | None, as_json: bool) -> int:
    """Bring the store to the form that this version uses, as a gateway does when it starts.

    No gateway may run on it. The database is copied beside itself first.
    """
    config = options.load(Where(data=data))
    if because is not None:
        return _accept(config, because, as_json)
    if check:
        return _tell_standing(config, as_json)
    from coatcheck.store.migrating import migrate_now

    done = migrate_now(config.data, config.database)
    told = {
        "database": done.before.name,
        "from": done.before.revision,
        "to": done.before.head,
        "copy": str(done.copy) if done.copy else None,
    }
    if as_json:
        show.put_json(told)
    elif done.before.is_current:
        show.put(f"{done.before.name} is of this version's form already ({done.before.head})")
    else:
        show.put(f"{done.before.name}: from {done.before.revision or 'nothing'} to {done.before.head}")
        if done.copy:
            show.put(f"as it was before: {done.copy}")
    return Exit.DONE


def _accept(config: Config, because: str, as_json: bool) -> int:
    """Remove damaged rows and take the rest as the whole."""
    from coatcheck.app import accept_damage

    if not because.strip():
        raise click.UsageError("--accept-damage needs a reason, which goes on record")
    accepted = asyncio.run(accept_damage(config, os.environ, because.strip()))
    if as_json:
        show.put_json(asdict(accepted))
        return Exit.DONE
    show.put("nothing is damaged" if not accepted.damaged else f"accepted: {', '.join(accepted.damaged)}")
    for row in accepted.removed:
        show.put(f"removed: {row}")
    if accepted.damaged:
        show.say("coatcheck: what a row that is gone had revoked or disabled is not so any more: see to it")
    return Exit.DONE


def _tell_standing(config: Config, as_json: bool) -> int:
    from coatcheck.store.migrating import standing

    found = standing(config.data, config.database)
    if as_json:
        show.put_json(
            {
                "database": found.name,
                "revision": found.revision,
                "head": found.head,
                "current": found.is_current,
            }
        )
    else:
        state = "is of this version's form" if found.is_current else f"is to be migrated to {found.head}"
        show.put(f"{found.name} {state} ({found.revision or 'empty'})")
    return Exit.DONE if found.is_current else Exit.NO
