"""Runs the demo: a gateway in front of real public servers, until Ctrl-C. `make demo` starts it."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from coatcheck.core.tokens import mint
from demo.environments import ROOT, CannotInstall
from demo.programs import DidNotStart, Program, is_free
from demo.servers import Place, declare, install, start_orders
from demo.sheet import sheet

READY_SECONDS: Final = 60.0
ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(BaseException):
    """Someone asked the demo to end."""


def main() -> int:
    """Run until asked to end. Returns 0 after Ctrl-C, 1 when something did not start, 2 for a bad port."""
    chosen = _arguments()
    port = _port(chosen.port)
    if port is None:
        return 2
    for number in ENDINGS:
        signal.signal(number, _end)
    try:
        with ExitStack() as running:
            gateway = _start(running, port, Place(chosen.home.resolve()))
            while not gateway.has_ended():
                time.sleep(0.2)
            _say(f"the gateway ended by itself:\n{gateway.last_words()}")
            return 1
    except Ended:
        _say("ended; nothing is left running")
        return 0
    except (CannotInstall, DidNotStart) as failure:
        _say(str(failure))
        return 1


def _start(running: ExitStack, port: int, place: Place) -> Program:
    commands = install(place, _say)
    _say("starting the servers and the gateway")
    orders, orders_url = start_orders(place, commands)
    running.callback(_stop, orders)
    grant = mint(secrets.token_bytes)
    servers = declare(place, commands, orders_url, grant)
    gateway = _gateway(place, port)
    running.callback(_stop, gateway)
    gateway.wait_for_port(port, READY_SECONDS)
    _wait_until_ready(gateway, port)
    here = Path(sys.executable).parent / "coatcheck"
    command = f"COATCHECK_DATA={_short(place.state)} {_short(here)}"
    print("\n" + sheet(f"http://127.0.0.1:{port}/mcp", grant, command, servers) + "\n", flush=True)
    _say(f"the gateway's log is {_short(place.log('coatcheck'))}; Ctrl-C ends everything")
    return gateway


def _gateway(place: Place, port: int) -> Program:
    command = [sys.executable, "-m", "coatcheck", "serve", "--http", f"127.0.0.1:{port}"]
    command += ["--config", str(place.config), "--data", str(place.state)]
    # What is set on this machine for another gateway has no say in the demo.
    env = {name: text for name, text in os.environ.items() if not name.startswith(("COATCHECK_", "MCP_"))}
    return Program("coatcheck", command, place.log("coatcheck"), env)


def _wait_until_ready(gateway: Program, port: int) -> None:
    limit = time.monotonic() + READY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError) as failure:
            if gateway.has_ended() or time.monotonic() > limit:
                raise DidNotStart(f"the gateway is not ready ({failure}):\n{gateway.last_words()}") from None
        time.sleep(0.1)


def _stop(program: Program) -> None:
    """Stop a program; a second Ctrl-C meanwhile must not leave it running."""
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    program.stop()


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    raise Ended


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="demo", description="Run Coatcheck in front of real public servers."
    )
    parser.add_argument("--port", default="8080", help="where the gateway listens on 127.0.0.1")
    parser.add_argument("--home", type=Path, default=ROOT / ".demo", help="where everything is kept")
    return parser.parse_args()


def _port(text: str) -> int | None:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 65535:
        _say(f"{text!r} is no port: use a number from 1 to 65535, as in: make demo PORT=9090")
        return None
    if not is_free(int(text)):
        _say(
            f"port {text} is taken on this machine; choose another, as in: make demo PORT={_other(int(text))}"
        )
        return None
    return int(text)


def _other(port: int) -> int:
    return next(candidate for candidate in (9090, 8090, 9191, port ^ 1) if candidate != port)


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _say(words: str) -> None:
    sys.stderr.write(f"demo: {words}\n")  # one write: two environments are installed at once


if __name__ == "__main__":
    sys.exit(main())
