"""Checks of what was configured: the servers file, and what each server in it will need."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from coatcheck.cli.declaring.declaration import Reading
from coatcheck.cli.looking.doctor.finding import Finding, fail, ok, warn
from coatcheck.core.surroundings import DEFAULT_PATH
from coatcheck.model.declaration import Declaration
from coatcheck.model.server import StdioReach


def check_file(reading: Reading) -> Iterator[Finding]:
    """Judge the servers file: found, free of problems, and what is odd about it."""
    if reading.file is None:
        places = " and ".join(map(str, reading.found.awaited))
        first = reading.found.awaited[0] if reading.found.awaited else "servers.json"
        fix = f"add a server with `coatcheck add`, or write {first}"
        yield warn("servers file", f"there is none; looked for {places}", fix)
        return
    for problem in reading.problems:
        fix = problem.fix or "`coatcheck config check` lists every problem"
        yield fail("servers file", f"{reading.file}:{problem.line}: {problem.where}: {problem.message}", fix)
    for notice in reading.notices:
        fix = notice.fix or "remove it, or leave it: it does no harm"
        yield warn("servers file", f"{reading.file}:{notice.line}: {notice.where}: {notice.message}", fix)
    if reading.declaration is not None:
        count = len(reading.declaration.servers)
        told = f"{reading.file} (from {reading.origin}), {count} {'server' if count == 1 else 'servers'}"
        yield ok("servers file", told)


def check_commands(declaration: Declaration, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Judge what each declared server that is a child needs of this machine."""
    for server in declaration.servers:
        if isinstance(server.reach, StdioReach):
            yield check_command(server.name, server.reach, environment)


def check_command(name: str, reach: StdioReach, environment: Mapping[str, str]) -> Finding:
    """Judge whether a server's command and its directory are there, by the PATH that the child gets."""
    check = f"command of {name}"
    if reach.cwd is not None and not Path(reach.cwd).is_dir():
        return fail(check, f"its cwd {reach.cwd} is not a directory", "correct cwd in the servers file")
    own = reach.env.get("PATH")
    path = own.reveal() if own is not None else environment.get("PATH", DEFAULT_PATH)
    directory = Path(reach.cwd) if reach.cwd is not None else Path.cwd()
    wanted = str(directory / reach.command) if "/" in reach.command else reach.command
    found = shutil.which(wanted, path=path)
    if found is None:
        fix = f"install {reach.command}, or give its full path as `command` in the servers file"
        return fail(check, f"{reach.command} is not found on this machine", fix)
    return ok(check, found)
