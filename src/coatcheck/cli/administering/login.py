"""`coatcheck login` and `logout`: the operator's own token for a gateway elsewhere."""

from __future__ import annotations

import json
import os
import sys
from typing import Final

import click

from coatcheck.cli import options, show
from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.reaching import logins
from coatcheck.cli.reaching.dialling import Remote
from coatcheck.cli.reaching.logins import Login
from coatcheck.cli.reaching.reach import Reach

_MOST_CHARS: Final = 1_000


@click.command(
    "login",
    short_help="Log in at a gateway elsewhere.",
    epilog=options.example("coatcheck login --url https://mcp.example.com --code cckb_..."),
)
@click.option("--url", "--gateway", "url", metavar="URL", required=True, help="The gateway's address.")
@click.option(
    "--code", metavar="CODE", help="The one-time code; without it, or with -, read from standard input."
)
@click.option("--insecure", is_flag=True, help="Allow plain http to another machine.")
@options.as_json
def login(url: str, code: str | None, insecure: bool, as_json: bool) -> int:
    """Trade a one-time code for a token at the gateway at URL, and keep it for later commands.

    `coatcheck up` prints the first code, `coatcheck operator add` the others. The token is kept in a file
    that only you can read; other commands use it where their --url is the same.
    """
    origin = logins.origin_or_stop(url)
    if not insecure:
        logins.refuse_plain(origin)
    known = logins.read_logins(os.environ)  # a file that cannot be used is told before the code is spent
    logins.write_logins(os.environ, known)
    reach = Reach(Remote(origin))
    body = json.dumps({"code": _code(code)}).encode()
    answer = json.loads(reach.post("/login", body))
    who = answer["operator"]
    made = Login(origin, str(answer["token"]), str(who["name"]), str(who["role"]), insecure)
    logins.write_logins(os.environ, {**known, origin: made})
    told = {"url": origin, "operator": made.operator, "role": made.role, "expires_at": who.get("expires_at")}
    if as_json:
        show.put_json(told)
    else:
        show.put(f"logged in at {origin} as {made.operator} ({made.role})")
    return Exit.DONE


def _code(given: str | None) -> str:
    """Return the code; from standard input, where nobody else can read it."""
    if given is not None and given != "-":
        return given.strip()
    if sys.stdin is None or sys.stdin.isatty():
        fix = "give --code CODE, or pipe it in"
        raise Stop("there is no code", exit_code=Exit.USAGE, fix=fix)
    code = sys.stdin.read(_MOST_CHARS).strip()
    if not code:
        raise Stop("standard input is empty", exit_code=Exit.USAGE, fix="pipe the one-time code in")
    return code


@click.command(
    "logout",
    short_help="Forget a login.",
    epilog=options.example("coatcheck logout --url https://mcp.example.com"),
)
@click.option("--url", "--gateway", "url", metavar="URL", required=True, help="The gateway's address.")
@options.as_json
def logout(url: str, as_json: bool) -> int:
    """Forget the login at the gateway at URL on this machine.

    The token itself stays good until `coatcheck operator end` ends it.
    """
    origin = logins.origin_or_stop(url)
    known = logins.read_logins(os.environ)
    gone = known.pop(origin, None)
    if gone is None:
        there = ", ".join(sorted(known)) or "none"
        raise Stop(f"there is no login at {origin}", exit_code=Exit.NO, fix=f"logins are at: {there}")
    logins.write_logins(os.environ, known)
    if as_json:
        show.put_json({"url": origin, "operator": gone.operator})
    else:
        show.put(f"forgot the login of {gone.operator} at {origin}")
        show.say(f"coatcheck: its token is good until `coatcheck operator end {gone.operator}` ends it")
    return Exit.DONE
