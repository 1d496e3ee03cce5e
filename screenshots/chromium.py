"""Runs one Chromium for the pictures and for the tests: an installed one, else the distribution's package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, sync_playwright

OLDEST: Final = 140
NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGES: Final = ("chromium", "fonts-dejavu-core", "fonts-inter")
"""What Debian and Ubuntu call it, and the fonts that its pages are drawn with (`fonts.conf`)."""
INSTALL_SECONDS: Final = 600
FONTS: Final = Path(__file__).with_name("fonts.conf")

FLAGS: Final = (
    "--no-sandbox",  # root has none, and it only ever opens our own pages
    "--disable-dev-shm-usage",
    "--disable-lcd-text",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
"""Nothing but this machine can be reached, and pictures are the same on every machine."""


class NoBrowser(Exception):
    """There is no Chromium here; the text says how to get one."""


@cache
def chromium() -> str:
    """Return the path of Chromium; as root on Debian or Ubuntu it is installed at first. Raises `NoBrowser`."""
    found = _installed()
    if found is None:
        _install()
        found = _installed()
    if found is None:
        raise NoBrowser(f"no Chromium {OLDEST} or newer: install it with {' '.join(PACKAGES[1:])}")
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """Run Chromium while the block lasts. Playwright's own browsers are never fetched."""
    path = chromium()
    # Where a plain `playwright` would look for a browser of its own, and get one: there is nothing for it.
    os.environ["PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD"] = "1"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=path,
            args=list(FLAGS),
            env={**os.environ, "FONTCONFIG_FILE": str(FONTS), "LANG": "C.UTF-8"},
        )
        try:
            yield running
        finally:
            running.close()


def _installed() -> str | None:
    found = (shutil.which(name) for name in NAMES)
    return next((path for path in found if path and _version(path) >= OLDEST), None)


def _version(path: str) -> int:
    # Debian's is a script that complains where there is no home to write to.
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    number = re.search(r" (\d+)\.", said)
    return int(number[1]) if number else 0


def _install() -> None:
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
        ended = subprocess.run(
            [apt, "--quiet", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            env=quiet,
            check=False,
        )
        if ended.returncode:
            raise NoBrowser(f"apt-get {words[0]} failed: {ended.stderr[-1000:]}")
