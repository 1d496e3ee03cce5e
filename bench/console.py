"""Whether the console is fast at a large company: each page, and what looking on costs those who call.

`python -m bench.console` makes a store of many grants, people, servers and calls, starts a gateway on it,
signs in and asks for each page of the table. Each is asked for again and again, and the first time, which may
have more to do, is told apart. Then calls are made with nobody at the console, and with people who look on.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from bench import company
from bench.company import Company
from bench.load import Settings, settings_text
from bench.local import Local
from bench.machine import Others, cpu_seconds, load, memory_mib
from bench.programs import BUILD, ROOT
from bench.registry import running
from bench.surface import every_page
from demo.programs import free_port

TIMES: Final = 9
LIMIT_MS: Final = 200.0
WATCHERS: Final = 3
"""People who look on; each has the overview and the live log open."""
CALLERS: Final = 16
SECONDS: Final = 10.0
PASSWORD: Final = "a phrase for benchmarks only"
_NEEDS_MORE: Final = ("{code}", "{draft}", "/login/", "/confirm")
"""Pages of somebody who is just coming in, or just adding."""
_FILES: Final = ("/file", ".csv", ".txt", "/backup")
_COOKIE: Final = re.compile(r"([^=;]+)=([^;]*)")
_CSRF: Final = re.compile(r'name="csrf" value="([^"]*)"')


class Browser:
    """Somebody at the console, over one connection; keeps cookies."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._origin = f"http://127.0.0.1:{port}"
        self._cookies: dict[str, str] = {}

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Ask for a page; return status and body."""
        return self._send("GET", path, None, headers or {})

    def post(self, path: str, form: Mapping[str, str]) -> tuple[int, bytes]:
        """Send the form of a page."""
        found = _CSRF.search(self.get(path)[1].decode())
        body = urlencode({**form, "csrf": found[1] if found else ""}).encode()
        given = {"Origin": self._origin, "Content-Type": "application/x-www-form-urlencoded"}
        return self._send("POST", path, body, given)

    def sign_in(self, code: str) -> None:
        """Use the one-time link of an operator."""
        status, body = self.post(f"/welcome/{code}", {"password": PASSWORD, "again": PASSWORD})
        if status != 303:
            raise SystemExit(f"signing in was answered {status}: {body[:2000]!r}")

    def confirm(self) -> None:
        """Prove once more who it is: some pages want to know it of the last minutes."""
        self.post("/confirm", {"password": PASSWORD})

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        cookie = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        self.connection.request(method, path, body, {"Cookie": cookie, **headers})
        answer = self.connection.getresponse()
        for line in answer.headers.get_all("Set-Cookie", []):
            if found := _COOKIE.match(line):
                self._cookies[found[1]] = found[2]
        return answer.status, answer.read()


@dataclass
class Took:
    """What one page took: milliseconds each time, the gateway's CPU for all but the first, and its size."""

    path: str
    status: int
    ms: list[float] = field(default_factory=list)
    cpu_ms: float = 0.0
    size: int = 0

    @property
    def median(self) -> float:
        """The time in the middle."""
        return statistics.median(self.ms)

    def __str__(self) -> str:
        status = "" if self.status == 200 else f"  answered {self.status}"
        slow = "  SLOW" if self.median > LIMIT_MS else ""
        return (
            f"{self.path:66} {self.median:7.1f} {self.ms[0]:8.1f} {max(self.ms[1:]):8.1f} "
            f"{self.cpu_ms:7.1f} {self.size:9,}{status}{slow}"
        )


HEAD: Final = f"{'page':66} {'median':>7} {'first':>8} {'most':>8} {'CPU ms':>7} {'bytes':>9}"


@dataclass(frozen=True)
class Names:
    """What there is, by what the braces of a path mean; and questions to pages that take some."""

    grant: str
    call: str
    operator: str

    def paths(self) -> Iterator[str]:
        """Yield a path for each page of the table, and for those that are asked something, some."""
        for path in table():
            if any(part in path for part in _NEEDS_MORE) or path.endswith(_FILES):
                continue
            whole = self.filled(path)
            for query in self.questions().get(path, [{}]):
                yield f"{whole}?{urlencode(query)}" if query else whole
            if "/servers/{ref}" in path:
                yield whole.replace(company.FIRST, company.MUTE)

    def filled(self, path: str) -> str:
        """Return a path with names in place of its braces."""
        refs = {
            "servers": company.FIRST,
            "credentials": f"{company.FIRST}-authorization",
            "grants": self.grant,
            "policies": "policy-00",
            "operators": self.operator,
            "calls": self.call,
        }
        for section, name in refs.items():
            path = re.sub(rf"/{section}/\{{\w+\}}", f"/{section}/{name}", path)
        return path.replace("{number}", "7")

    def questions(self) -> dict[str, list[dict[str, Any]]]:
        """Return queries by path."""
        person, server, mute = {"subject": "person-0007"}, {"server": "server004"}, {"server": company.MUTE}
        one = {"name": "person-0007"}
        return {
            "/": [{}, {"span": "7d"}, {"span": "30d"}],
            "/servers": [{}, {"q": "server1"}, {"state": "failing"}, {"q": "no such thing"}],
            "/grants": [
                {},
                {"q": "laptop-0777"},
                {"q": "no such thing"},
                {"server": "server004"},
                {"owner": "person-0007"},
                {"policy": "policy-03"},
                {"used": "never"},
                {"state": "live"},
            ],
            "/grants/revoke": [{"grant": self.grant}],
            "/people": [{}, {"q": "son-07"}, {"q": "no such thing"}, {"role": "team-3"}],
            **{f"/people/{page}": [one] for page in ("one", "change", "offboard", "disable", "report")},
            "/credentials": [{}, {"q": "server1"}, {"q": "no such thing"}],
            "/access": [{}, {"by": "grant"}, {"mark": "no"}, {"q": "person-0007"}, server],
            "/access/one": [
                {**person, **server},
                {**person, **mute},
                {**person, "grant": self.grant, **server},
            ],
            "/policies/{name}/edit": [{}, server, mute],
            "/access/tool": [
                {**mute, "tool": "tool3"},
                {**server, "tool": "tool3"},
                {**server, "tool": "tool3", "every": "on"},
            ],
            "/access/narrow": [{"grant": self.grant}, {"grant": self.grant, "tools": "yes"}],
            "/access/withdraw": [{**person, **server}],
            "/policies/explain": [{"grant": self.grant, **server, "tool": "tool3"}],
            "/policies/suggest": [{}, {"grant": self.grant, **server}],
            "/log": [
                {},
                {"subject": "person-0007"},
                {"grant": self.grant},
                {"server": "server004", "tool": "tool3"},
                {"errors": "on"},
                {"q": "no such thing"},
                {"credential": "server004-authorization"},
                {"client_ip": "192.0.2.1"},
            ],
            "/log/calls/{id}": [{}, {"verify": "on"}],
            "/log/changes": [{}, {"actor": self.operator}, {"kind": "grant"}],
            "/log/verify": [{}],
            "/settings/sessions": [{}],
        }


def table() -> Sequence[str]:
    """Return the paths of all pages that are looked at, as they stand in the table."""
    return sorted({page.path for page in every_page() if page.method == "GET"})


def ask(browser: Browser, pid: int, path: str, times: int = TIMES) -> Took:
    """Ask for one page again and again."""
    took = Took(path, 0)
    used = 0.0
    for number in range(times):
        began = time.perf_counter()
        took.status, body = browser.get(path)
        took.ms.append((time.perf_counter() - began) * 1e3)
        took.size = len(body)
        if number == 0:
            used = cpu_seconds([pid])
    took.cpu_ms = (cpu_seconds([pid]) - used) / (times - 1) * 1e3
    return took


@contextmanager
def operators(api: Local, port: int, names: Sequence[str]) -> Iterator[list[Browser]]:
    """Invite admins, who sign in."""
    api.close()  # it has been idle for longer than the gateway waits
    with ExitStack() as stack:
        browsers = []
        for name in names:
            browsers.append(Browser(port))
            stack.callback(browsers[-1].connection.close)
            browsers[-1].sign_in(api.ask("POST", "/operators", {"name": name, "role": "admin"})["code"])
        yield browsers


def look(api: Local, port: int, pid: int, only: str) -> list[Took]:
    """Ask for every page, print what each took, and return it."""
    name = f"watcher-{secrets.token_hex(3)}"
    grant = api.ask("GET", "/grants/laptop-00007")["id"]
    call = api.ask("GET", "/records?limit=1")["items"][0]["id"]
    all_of_them = []
    with operators(api, port, [name]) as [browser]:
        print(f"{HEAD}   (load {load()})", flush=True)
        for path in Names(grant, call, name).paths():
            if re.search(only, path):
                browser.confirm()
                all_of_them.append(ask(browser, pid, path))
                print(all_of_them[-1], flush=True)
    return all_of_them


@contextmanager
def watched(browsers: Iterable[Browser]) -> Iterator[list[float]]:
    """Have people look on as their pages do: overview every 15 s, log every 2 s; yield milliseconds."""
    over, took = threading.Event(), list[float]()

    def watch(browser: Browser, path: str, every: float) -> None:
        while not over.is_set():
            began = time.perf_counter()
            browser.get(path, {"X-Poll": "1"})
            took.append((time.perf_counter() - began) * 1e3)
            over.wait(every)

    threads = [
        threading.Thread(target=watch, args=(browser, path, every))
        for browser, (path, every) in zip(browsers, [("/", 15.0), ("/log", 2.0)] * WATCHERS, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        yield took
    finally:
        over.set()
        for thread in threads:
            thread.join()


def calls(port: int, token: str, seconds: float) -> str:
    """Make calls, and tell how many and how long they took."""
    settings = Settings(port, f"/mcp/{company.FIRST}", "echo", token, CALLERS, seconds)
    ended = subprocess.run(
        [sys.executable, "-m", "bench.load", settings_text(settings)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=seconds + 60,
    )  # fmt: skip
    told = json.loads(ended.stdout)
    half, most = told["p50_us"] / 1e3, told["p99_us"] / 1e3
    return f"{told['rps']:,.0f} calls/s, p50 {half:.1f} ms, p99 {most:.1f} ms, {told['failed']} failed"


def beside(api: Local, port: int, token: str, rounds: int, seconds: float) -> None:
    """Print what calls are worth with nobody at the console and with people who look on, in turns."""
    names = [f"looking-{secrets.token_hex(3)}" for _ in range(2 * WATCHERS)]
    with operators(api, port, names) as browsers:
        for _ in range(rounds):
            print(f"nobody looks on: {calls(port, token, seconds)} (load {load()})", flush=True)
            with watched(browsers) as took:
                text = calls(port, token, seconds)
            print(f"{WATCHERS} people look on: {text} (load {load()})")
            half = statistics.median(took)
            print(f"  their {len(took)} pages: median {half:.0f} ms, most {max(took):.0f} ms", flush=True)


def measure(state: Path, there: Company, only: str, rounds: int, seconds: float) -> bool:
    """Look at every page and call beside it; return whether every page was fast."""
    others, began = Others(), time.monotonic()
    with (
        company.standing(there),
        running(state) as (program, port),
        closing(Local(state / "coatcheck.sock")) as api,
    ):
        print(f"start: {time.monotonic() - began:.1f} s, {memory_mib([program.pid]):.0f} MiB", flush=True)
        company.ask_all(there, port, there.token)
        took = look(api, port, program.pid, only)
        print(f"memory: {memory_mib([program.pid]):.0f} MiB")
        beside(api, port, there.token, rounds, seconds)
        print(f"memory: {memory_mib([program.pid]):.0f} MiB")
    slow = [one for one in took if one.median > LIMIT_MS]
    print(f"{len(took)} pages, {len(slow)} of them over {LIMIT_MS:.0f} ms")
    print(f"meanwhile other programs used {others.text()}")
    return not slow


def main() -> int:
    """Read the command line, make a store unless there is one, and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--servers", type=int, default=200)
    parser.add_argument("--people", type=int, default=2_000)
    parser.add_argument("--grants", type=int, default=10_000)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--state", type=Path, default=BUILD / "console", help="where the store is made")
    parser.add_argument(
        "--keep", action="store_true", help="use the store of the last run, and leave it there"
    )
    parser.add_argument("--only", default="", help="pages whose path has this (a regular expression)")
    parser.add_argument("--rounds", type=int, default=3, help="of calls with and without people who look on")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    asked = parser.parse_args()
    there = company.again(asked.state) if asked.keep else None
    if there is None:
        began = time.monotonic()
        ports = free_port(), free_port()
        wanted = Company(
            asked.servers, asked.people, asked.grants, asked.calls, *ports, secrets.token_urlsafe(32), ""
        )
        there = company.make(asked.state, wanted)
        print(f"made in {time.monotonic() - began:.0f} s", flush=True)
    try:
        return 0 if measure(asked.state, there, asked.only, asked.rounds, asked.seconds) else 1
    finally:
        if not asked.keep:
            shutil.rmtree(asked.state)


if __name__ == "__main__":
    sys.exit(main())
