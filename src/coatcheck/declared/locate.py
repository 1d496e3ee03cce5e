"""Finds `servers.json`: where the operator says, where the environment says, or where it usually is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Found:
    """Where the declaration comes from: a `path`, or the `text` itself, or neither.

    `origin` names the setting or place for people. With neither, `awaited` are the usual places, best
    first: a file that appears at one of them is read.
    """

    path: Path | None = None
    text: str | None = None
    origin: str = ""
    awaited: tuple[Path, ...] = ()


def locate(explicit: Path | None, environment: Mapping[str, str], data: Path, *, home: bool = True) -> Found:
    """Return where to read the declaration.

    In order: `explicit` (`--config` or the `config` setting), `COATCHECK_CONFIG`, `MCP_SERVERS_CONFIG` (the
    JSON itself), `MCP_CONFIG_PATH`, `servers.json` in the data directory, `~/.config/mcp/servers.json`. The
    first four are taken whether the file exists or not; empty variables count as not set. `home` False: the
    last is not looked at.
    """
    if explicit is not None:
        return Found(explicit.absolute(), origin="config")
    if path := environment.get("COATCHECK_CONFIG"):
        return Found(Path(path).absolute(), origin="COATCHECK_CONFIG")
    if (text := environment.get("MCP_SERVERS_CONFIG", "")).strip():
        return Found(text=text, origin="MCP_SERVERS_CONFIG")
    if path := environment.get("MCP_CONFIG_PATH"):
        return Found(Path(path).absolute(), origin="MCP_CONFIG_PATH")
    return choose(_usual(environment if home else {}, data))


def choose(awaited: tuple[Path, ...]) -> Found:
    """Return the first of the usual places that has a file."""
    for path in awaited:
        if path.exists() or path.is_symlink():
            return Found(path, origin="the usual place", awaited=awaited)
    return Found(awaited=awaited)


def _usual(environment: Mapping[str, str], data: Path) -> tuple[Path, ...]:
    places = [data / "servers.json"]
    if home := environment.get("HOME"):
        places.append(Path(home) / ".config" / "mcp" / "servers.json")
    return tuple(place.absolute() for place in places)
