"""Remakes the pictures in docs/screenshots from a gateway that was lived in: `python -m screenshots [NAME ...]`."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Error

from demo.environments import ROOT
from screenshots.chromium import NoBrowser, browser
from screenshots.pages import PICTURES, Picture
from screenshots.signing_in import SignedIn
from screenshots.taking import TAKINGS, Taking, take
from screenshots.world import World, world_in

PLACE: Final = ROOT / "docs" / "screenshots"
BUILD: Final = ROOT / "build" / "screenshots"


def main() -> int:
    """Take the pictures that are asked for, or all. Returns 1 if one cannot be taken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of pictures; all without")
    parser.add_argument("--to", type=Path, default=PLACE, help="the folder that they are written to")
    parser.add_argument("--stay", action="store_true", help="only run the gateway, to look at, until Ctrl-C")
    chosen = parser.parse_args()
    pictures = [one for one in PICTURES if not chosen.names or one.name in chosen.names]
    shutil.rmtree(BUILD, ignore_errors=True)
    try:
        with world_in(BUILD, usual=True) as world:
            if chosen.stay:
                return _stay(world)
            with browser() as running:
                return _all(running, world, pictures, chosen.to)
    except NoBrowser as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _stay(world: World) -> int:
    """Print how an admin signs in, and wait."""
    invited = world.ask("POST", "/operators", {"name": "visitor", "role": "admin"})
    print(f"{world.origin}/welcome/{invited['code']}", flush=True)
    while True:
        time.sleep(1)


def _all(running: Browser, world: World, pictures: list[Picture], place: Path) -> int:
    place.mkdir(parents=True, exist_ok=True)
    signed_in, failed = SignedIn(world.origin, world.ask), 0
    for picture in pictures:
        for taking in TAKINGS:
            if picture.only and taking.name not in picture.only:
                continue
            file = place / f"{picture.name}-{taking.name}.png"
            try:
                print(
                    f"{file.name}: {_one(running, world, signed_in, picture, taking, file)} bytes", flush=True
                )
            except (Error, ValueError) as error:
                failed += 1
                print(f"{file.name}: {error}", file=sys.stderr, flush=True)
    return 1 if failed else 0


def _one(
    running: Browser, world: World, signed_in: SignedIn, picture: Picture, taking: Taking, file: Path
) -> int:
    page = taking.context(running, world.origin)
    try:
        if picture.role:
            signed_in.enter(page.context, picture.role)
        path = picture.path if isinstance(picture.path, str) else picture.path(world)
        shown = page.goto(path)
        if shown is None or not shown.ok:
            raise ValueError(f"{path} was answered {shown.status if shown else 'by nothing'}")
        if picture.then:
            picture.then(page)
        return take(page, file, picture.part)
    finally:
        page.context.close()


if __name__ == "__main__":
    sys.exit(main())
