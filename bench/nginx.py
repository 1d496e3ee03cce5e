"""nginx as a plain proxy in front of the raw upstream: what a hop costs that knows nothing of MCP.

An installed nginx is taken, or Debian's package is fetched and unpacked under `build/bench`: nothing is
installed, and no system service starts. It runs on a free port of the loopback, with one worker.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.programs import BUILD, Upstream, first_call
from demo.programs import Program, free_port

INSTALL = "apt-get install nginx-light"
PACKAGES = ("nginx", "nginx-light")
"""One of these holds the program itself, the other nothing: which, differs by distribution."""
PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"))
FETCHED = BUILD / "packages"
UNUSED = ("fastcgi", "uwsgi", "scgi")


@dataclass(frozen=True)
class Nginx:
    """A running nginx: its port, and the ids of its processes, the master first."""

    port: int
    pids: tuple[int, ...]


@dataclass(frozen=True)
class Found:
    """An nginx that can run here: its version, and how it was compiled."""

    path: Path
    version: str
    compiled: str


@contextmanager
def running(found: Found | None, upstream: Upstream) -> Iterator[Nginx | None]:
    """Start nginx in front of the upstream and yield it once it answers; None where there is none."""
    if found is None:
        yield None
        return
    folder = BUILD / "nginx"
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(configuration(folder, port, upstream.port, found.compiled, root=os.geteuid() == 0))
    command = [str(found.path), "-e", "stderr", "-p", str(folder), "-c", str(config)]
    program = Program("nginx", command, folder / "nginx.log", os.environ)
    try:
        # The master listens before there is a worker: only an answer shows that all of it runs.
        first_call(program, port, "/mcp", upstream.credential)
        yield Nginx(port, (program.pid, *machine.children(program.pid)))
    finally:
        program.stop()


def configuration(folder: Path, port: int, upstream: int, compiled: str, *, root: bool) -> str:
    """Write the file for a plain proxy from `port` to `upstream` that writes in `folder` alone."""
    unused = [kind for kind in UNUSED if f"--without-http_{kind}_module" not in compiled]
    places = "\n".join(f"  {kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", *unused))
    return f"""{"user root root;" if root else ""}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
{places}
  keepalive_requests 1000000000;
  upstream raw {{
    server 127.0.0.1:{upstream};
    keepalive 128;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://raw;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""


def find() -> Found | None:
    """Return an nginx that runs here, fetched if there is none yet; None says why on standard error."""
    installed = shutil.which("nginx", path=PLACES)
    for path in (Path(installed) if installed else None, *map(unpacked, PACKAGES)):
        if path is not None and (found := asked(path)) is not None:
            return found
    for package in PACKAGES:
        if fetch(package) and (found := asked(unpacked(package))) is not None:
            return found
    say(f"there is no nginx here, its rows are left out; to have them: {INSTALL}")
    return None


def unpacked(package: str) -> Path:
    """Return where a fetched package has the program."""
    return FETCHED / package / "usr" / "sbin" / "nginx"


def asked(path: Path) -> Found | None:
    """Ask an nginx what it is; None where it is not there or cannot run."""
    try:
        ended = subprocess.run([path, "-V"], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    number = re.search(r"nginx version: \S*?/([\d.]+)", ended.stderr)
    return Found(path, number[1], ended.stderr) if ended.returncode == 0 and number else None


def fetch(package: str) -> bool:
    """Fetch Debian's package and unpack it, the lists of packages made anew first where they are missing."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return False
    print(
        f"bench: no nginx is installed: fetching the package {package} to unpack it in build/",
        file=sys.stderr,
    )
    folder = FETCHED / package
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    done = quietly("apt-get", "download", package, cwd=folder)
    if not done and os.geteuid() == 0:
        done = quietly("apt-get", "update", cwd=folder) and quietly(
            "apt-get", "download", package, cwd=folder
        )
    return done and all(quietly("dpkg-deb", "-x", deb.name, ".", cwd=folder) for deb in folder.glob("*.deb"))


def quietly(*command: str, cwd: Path) -> bool:
    """Run a command to its end and tell whether it worked."""
    try:
        return subprocess.run(command, cwd=cwd, capture_output=True, check=False, timeout=180).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def say(words: str) -> None:
    print(f"bench: {words}", file=sys.stderr, flush=True)
