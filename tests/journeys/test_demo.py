"""The demo as a newcomer runs it: what it prints works when pasted, and nothing is left of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.environments import ROOT
from gateway import descendants, free_port, still_there
from real.installed import BUILD, server

pytestmark = pytest.mark.real


TRY_IT = "── Try it here, in another terminal\n"


class Demo:
    """A running demo and what it has printed."""

    def __init__(self, port: int, home: Path, log: Path) -> None:
        self.log = log
        with log.open("wb") as output:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "demo", "--port", str(port), "--home", str(home)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def await_sheet(self) -> str:
        limit = time.monotonic() + 120
        while "Ctrl-C ends everything" not in self.said():
            assert self.child.poll() is None, self.said()
            assert time.monotonic() < limit, self.said()
            time.sleep(0.05)
        return self.said()


@contextmanager
def running(port: int, log: Path) -> Iterator[Demo]:
    # In the folder where the tests have the same servers installed already.
    for name in ("time", "git", "sqlite", "datasette"):
        server(name)
    demo = Demo(port, BUILD, log)
    try:
        yield demo
    finally:
        if demo.child.poll() is None:
            demo.child.terminate()
        demo.child.wait(60)


def typed(commands: str) -> str:
    """Return what a shell answers to the pasted lines."""
    ended = subprocess.run(
        ["sh", "-eu", "-c", commands], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
def test_what_it_prints_works_and_nothing_is_left(ending: signal.Signals, tmp_path: Path) -> None:
    with running(free_port(), tmp_path / "demo.log") as demo:
        sheet = demo.await_sheet()
        commands, _, curl = sheet.split(TRY_IT)[1].split("\ndemo: ")[0].partition("\n\n")
        assert "Europe/Paris" in typed(commands)
        # Only the credential that the gateway adds opens that database.
        assert "orders__execute_sql" in curl
        assert shutil.which("curl") is None or "wool coat" in typed(curl)
        left = descendants(demo.child.pid)
        assert len(left) >= 5  # the gateway, Datasette, three servers
        os.killpg(demo.child.pid, ending)
        assert demo.child.wait(60) == 0, demo.said()
        assert not still_there(left), demo.said()


def test_no_secret_lies_open(tmp_path: Path) -> None:
    with running(free_port(), tmp_path / "demo.log") as demo:
        grant = re.findall(r"cckg_[0-9A-Za-z]{61}", demo.await_sheet())[0]
        declared = BUILD / "data" / "servers.json"
        credential = BUILD / "data" / "orders.credential"
        for path in (declared, credential):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert '"sha256:' in declared.read_text()
        for secret in (grant, credential.read_text().strip()):
            assert secret not in declared.read_text()
            assert secret not in (BUILD / "logs" / "coatcheck.log").read_text()


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        demo = Demo(port, tmp_path, tmp_path / "demo.log")
        assert demo.child.wait(30) == 2
    assert demo.said().count("\n") == 1
    assert f"port {port} is taken" in demo.said()
    assert "make demo PORT=" in demo.said()


@pytest.mark.parametrize("text", ["0", "65536", "http", "-1", "", "٨٠٨٠"])
def test_a_bad_port_is_one_sentence(text: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "demo", f"--port={text}", "--home", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert "from 1 to 65535" in ended.stderr
