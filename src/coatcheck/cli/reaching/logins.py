"""Logins at gateways elsewhere, kept by URL in a file of the user that nobody else can read."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.reaching.dialling import Remote
from coatcheck.declared.reading.addresses import Address, origin_of
from coatcheck.declared.reading.problems import Unfit
from coatcheck.model.secret import Secret

VARIABLE: Final = "COATCHECK_OPERATOR_TOKEN"
_MAX_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Login:
    """One login. `insecure` tells that its owner allowed plain http to another machine."""

    url: str
    token: str = field(repr=False)
    operator: str = ""
    role: str = ""
    insecure: bool = False


def remote_at(url: str, environment: Mapping[str, str]) -> Remote:
    """Return the gateway at a URL with the operator's token of the environment, or of the stored login.

    Raises:
        Stop: the URL is none, is not safe for a token, or there is no login.
    """
    origin = origin_or_stop(url)
    if token := environment.get(VARIABLE):
        refuse_plain(origin)
        return Remote(origin, Secret(token))
    login = read_logins(environment).get(origin)
    if login is None:
        raise Stop(
            f"there is no login at {origin}",
            exit_code=Exit.NOT_PERMITTED,
            fix=f"ask an operator for a code, then: coatcheck login --url {origin} --code CODE;"
            f" or set {VARIABLE}",
        )
    if not login.insecure:
        refuse_plain(origin)
    return Remote(origin, Secret(login.token))


def origin_or_stop(url: str) -> str:
    """Return the URL as an origin; raises `Stop` for a usage error if it is none."""
    try:
        return origin_of(url)
    except Unfit as error:
        fix = error.fix or "give scheme, host and port alone, as in https://mcp.example.com"
        raise Stop(f"the URL {error.message}", exit_code=Exit.USAGE, fix=fix) from None


def refuse_plain(origin: str) -> None:
    """Refuse plain http to another machine: everyone on the way could read the token."""
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if parts.scheme == "https" or host == "localhost" or Address(host, 0).is_loopback:
        return
    raise Stop(
        f"{origin} is plain http to another machine, and everyone on the way could read the operator's token",
        exit_code=Exit.USAGE,
        fix="use https; `coatcheck login --insecure` allows it for this URL all the same",
    )


# --- the file ----------------------------------------------------------------------------------------------


def path_of(environment: Mapping[str, str]) -> Path:
    """Return where logins are kept: below `XDG_CONFIG_HOME`, else `~/.config`."""
    base = environment.get("XDG_CONFIG_HOME")
    root = Path(base) if base and Path(base).is_absolute() else Path(environment.get("HOME", "~")) / ".config"
    return root.expanduser() / "coatcheck" / "logins.json"


def read_logins(environment: Mapping[str, str]) -> dict[str, Login]:
    """Return the logins by URL; none where there is no file.

    Raises:
        Stop: the file is open to others, or is no such file.
    """
    path = path_of(environment)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise _bad(path, f"cannot be read: {error.strerror}", "see who owns it") from None
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise _bad(path, "is open to other accounts", f"chmod 600 {path}")
        text = file.read(_MAX_BYTES)
    try:
        return {url: Login(url=url, **members) for url, members in json.loads(text)["logins"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _bad(path, "is no file of logins", "remove it, and log in again") from None


def write_logins(environment: Mapping[str, str], logins: Mapping[str, Login]) -> None:
    """Replace the file in one step; it and its folder are for this account alone.

    Raises:
        Stop: it cannot be written.
    """
    path = path_of(environment)
    members: dict[str, Any] = {url: _members(login) for url, login in sorted(logins.items())}
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"logins": members}, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise _bad(path, f"cannot be written: {error.strerror}", "see that its folder is yours") from None


def _members(login: Login) -> dict[str, Any]:
    return {name: value for name, value in asdict(login).items() if name != "url"}


def _bad(path: Path, message: str, fix: str) -> Stop:
    return Stop(f"{path} {message}", exit_code=Exit.CONFIG, fix=fix)
