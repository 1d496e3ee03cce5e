"""Checks of the machine: Python, and the data directory with its permissions and free space."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from coatcheck.cli.looking.doctor.finding import Finding, fail, ok, warn

OLDEST_PYTHON: Final = (3, 11)
LEAST_FREE: Final = 64 * 1024 * 1024
LOW_FREE: Final = 512 * 1024 * 1024
_MIB: Final = 1024 * 1024


def check_python(version: tuple[int, int]) -> Finding:
    """Judge the Python that runs this command, and so the gateway."""
    told = f"Python {platform.python_version()} at {sys.executable}"
    if version < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        return fail("python", told, f"install Coatcheck under Python {wanted} or newer")
    return ok("python", told)


def check_directory(directory: Path) -> Iterator[Finding]:
    """Judge the data directory: there, ours alone, writable, and with room for the record."""
    try:
        found = directory.stat()
    except FileNotFoundError:
        yield warn("data directory", f"{directory} does not exist yet", "`coatcheck serve` makes it")
        return
    except OSError as error:
        yield fail("data directory", f"{directory}: {error.strerror}", "choose another with --data")
        return
    if not stat.S_ISDIR(found.st_mode):
        yield fail("data directory", f"{directory} is not a directory", "choose another with --data")
        return
    yield _check_mode(directory, found)
    yield check_space(shutil.disk_usage(directory).free, directory)


def _check_mode(directory: Path, found: os.stat_result) -> Finding:
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        return fail(
            "data directory",
            f"{directory} is not writable for this account",
            "run as the account that owns it, or choose another with --data",
        )
    mode = stat.S_IMODE(found.st_mode)
    fix = f"chmod 700 {directory}"
    if mode & 0o022:
        return fail("data directory", f"{directory} can be changed by other accounts (mode {mode:04o})", fix)
    if mode & 0o077:
        return warn("data directory", f"{directory} can be read by other accounts (mode {mode:04o})", fix)
    return ok("data directory", f"{directory}, mode {mode:04o}, writable")


def check_space(free: int, directory: Path) -> Finding:
    """Judge the bytes that are free: a full disk stops every call, since none goes unrecorded."""
    told = f"{free // _MIB} MiB free at {directory}"
    fix = "free space there, or move the data directory"
    if free < LEAST_FREE:
        return fail("disk space", told, fix)
    if free < LOW_FREE:
        return warn("disk space", told, fix)
    return ok("disk space", told)
