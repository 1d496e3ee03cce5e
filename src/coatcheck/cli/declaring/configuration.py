"""`coatcheck config`: is the configuration sound, and where does each setting come from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from coatcheck.cli import options, show
from coatcheck.cli.declaring import declaration
from coatcheck.cli.declaring.declaration import Reading
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Where
from coatcheck.config import Config, check_exposure
from coatcheck.declared.locate import Found
from coatcheck.declared.reading.expand import Sources
from coatcheck.declared.sinks.filling import filled
from coatcheck.errors import ConfigError
from coatcheck.model.declaration import Declaration
from coatcheck.secrets.env import EnvSource
from coatcheck.secrets.file import FileSource

_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Item:
    """One line of `config check`. `line` is 0 for a setting that stands in no file."""

    severity: str
    file: str
    line: int
    where: str
    message: str
    fix: str

    def shape(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {name: getattr(self, name) for name in self.__slots__}


@click.group("config", epilog=options.example("coatcheck config check"))
def configuration() -> None:
    """Check and show the configuration."""


@configuration.command("check", epilog=options.example("coatcheck config check servers.json"))
@click.argument("file", required=False, type=click.Path(path_type=Path))
@options.where
@options.as_json
def check(file: Path | None, where: Where, as_json: bool) -> int:
    """Check the settings and FILE, or the servers file that `serve` would read.

    Prints every problem in one go, each with its line and what to do. Starts nothing and changes nothing.
    Exit code 0 if the gateway would start, also with notices; 78 if it would not.
    """
    items: list[Item] = []
    try:
        config: Config | None = options.load(where)
    except ConfigError as error:
        config = None
        items += _settings(error)
    reading = _read(config, file)
    if reading is not None:
        items += _items(reading)
    items += _sinks(config)
    if config is not None and (reading is None or reading.declaration is not None):
        items += _exposure(config, (reading and reading.declaration) or Declaration())
    if as_json:
        show.put_list([item.shape() for item in items])
    else:
        _put(items)
    _conclude(reading, items)
    return Exit.CONFIG if any(item.severity == "error" for item in items) else Exit.DONE


@configuration.command("show", epilog=options.example("coatcheck config show --data state"))
@options.where
@options.as_json
def show_settings(where: Where, as_json: bool) -> int:
    """Show each setting with its value and where it comes from, and which servers file is read."""
    config = options.load(where)
    settings = config.describe()
    found, origin = declaration.find(config)
    servers_file = {"path": str(found.path) if found.path else None, "source": origin or None}
    if as_json:
        items = [{name: getattr(each, name) for name in each.__slots__} for each in settings]
        show.put_list(items, servers_file=servers_file)
        return Exit.DONE
    show.put_table(
        ("SETTING", "VALUE", "FROM", "ABOUT"),
        [(each.name, _worded(each.value, each.unit), each.source, each.about) for each in settings],
    )
    show.put("")
    if found.path is not None or found.text is not None:
        show.put(f"servers file: {found.path or 'the JSON itself'} (from {origin})")
    else:
        show.put(f"servers file: none; looked for {' and '.join(map(str, found.awaited))}")
    return Exit.DONE


def _settings(error: ConfigError) -> list[Item]:
    """Return one item for each line of what is wrong with the settings."""
    return [Item("error", "settings", 0, "", line, "") for line in error.message.splitlines()]


def _sinks(config: Config | None) -> list[Item]:
    """Return what keeps sinks from their secrets."""
    if config is None:
        return []
    sources = Sources(EnvSource(os.environ), FileSource())
    items: list[Item] = []
    for rules in config.sinks:
        try:
            filled(rules, sources, config.data)
        except ConfigError as error:
            items.append(Item("error", "settings", 0, "", error.message, error.fix))
    return items


def _exposure(config: Config, declared: Declaration) -> list[Item]:
    """Return what keeps the gateway from listening where it is told to, with the identities declared."""
    try:
        check_exposure(config, declared.identity)
    except ConfigError as error:
        return _settings(error)
    return []


def _read(config: Config | None, file: Path | None) -> Reading | None:
    """Return the reading of the file, or None if there is none, or no setting that says where it is."""
    if file is not None:
        return declaration.read(Found(file.absolute()), "the command line")
    if config is None:
        return None
    found, origin = declaration.find(config)
    if found.path is None and found.text is None:
        return None
    return declaration.read(found, origin)


def _items(reading: Reading) -> list[Item]:
    file = reading.file or ""
    return [
        Item(severity, file, each.line, each.where, each.message, each.fix)
        for severity, problems in (("error", reading.problems), ("notice", reading.notices))
        for each in problems
    ]


def _put(items: Sequence[Item]) -> None:
    for item in items:
        place = f"{item.file}:{item.line}" if item.line else item.file
        where = f" {item.where}:" if item.where else ""
        severity = "" if item.severity == "error" else f" {item.severity}:"
        show.put(f"{place}:{severity}{where} {show.clean_line(item.message)}")
        if item.fix:
            show.put(f"  fix: {show.clean_line(item.fix)}")


def _conclude(reading: Reading | None, items: Sequence[Item]) -> None:
    """Say in words what was checked and how it stands."""
    errors = sum(item.severity == "error" for item in items)
    if errors:
        show.say(
            f"coatcheck: {errors} {'error' if errors == 1 else 'errors'}; `coatcheck serve` refuses to start"
        )
    elif reading is None:
        show.say("coatcheck: the settings are sound; there is no servers file (`coatcheck config show`)")
    else:
        count = len(reading.declaration.servers) if reading.declaration else 0
        odd = f", {len(items)} to look at" if items else ""
        show.say(f"coatcheck: {reading.file} is sound: {count} {'server' if count == 1 else 'servers'}{odd}")


def _worded(value: Any, unit: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    if unit == "seconds":
        return f"{value:g} s"
    return f"{value // _MIB} MiB" if unit == "bytes" and value % _MIB == 0 else str(value)
