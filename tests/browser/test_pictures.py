"""Pictures of pages are small, cut where they are long, and the same however often they are taken."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from screenshots.pages import PICTURES
from screenshots.taking import MARGIN, MOST_BYTES, MOST_HEIGHT, TAKINGS, quantised, take

BUSY = """<!doctype html><style>@keyframes spin { to { transform: rotate(1turn) } } b { animation: spin 1s infinite }
i { display: block; height: 8px }</style><input autofocus><b>turning</b>"""


def test_each_picture_has_a_name_of_its_own_and_is_taken_in_four_ways() -> None:
    assert len({one.name for one in PICTURES}) == len(PICTURES)
    assert {taking.name for taking in TAKINGS} == {"light", "light-narrow", "dark", "dark-narrow"}
    assert all(one.only <= {taking.name for taking in TAKINGS} for one in PICTURES)


def test_a_picture_is_the_same_twice_cut_and_small(browser: Browser, tmp_path: Path) -> None:
    sizes = set()
    for taking in TAKINGS:
        page = taking.context(browser, "http://127.0.0.1:9")
        page.set_content(
            BUSY + "".join(f"<i style='background:hsl({one},90%,60%)'></i>" for one in range(300))
        )
        first, second = tmp_path / "first.png", tmp_path / "second.png"
        assert take(page, first) == first.stat().st_size <= MOST_BYTES
        take(page, second)
        assert first.read_bytes() == second.read_bytes()
        with Image.open(first) as picture:
            sizes.add(picture.size)
    assert sizes == {(1280, MOST_HEIGHT), (390, MOST_HEIGHT)}


SIDE = """<!doctype html><style>body { margin: 0 } nav { position: sticky; top: 0; float: left; width: 40px; height: 100vh;
background: rgb(0, 0, 255) } p { height: 1200px; margin: 0 } b { display: block; width: 300px; height: 100px; background: rgb(255, 0, 0) }</style>
<nav class="side"></nav><p></p><b id="part"></b>"""


def test_what_is_as_tall_as_the_window_reaches_to_the_end_of_the_picture(
    browser: Browser, tmp_path: Path
) -> None:
    page = TAKINGS[0].context(browser, "http://127.0.0.1:9")
    page.set_content(SIDE)
    take(page, tmp_path / "whole.png")
    with Image.open(tmp_path / "whole.png") as whole:
        assert whole.size == (1280, 1300)
        assert whole.convert("RGB").getpixel((5, 1290)) == (0, 0, 255)


def test_a_picture_of_a_part_has_it_and_little_else(browser: Browser, tmp_path: Path) -> None:
    page = TAKINGS[0].context(browser, "http://127.0.0.1:9")
    page.set_content(SIDE)
    take(page, tmp_path / "part.png", "#part")
    with Image.open(tmp_path / "part.png") as part:
        assert part.size[1] <= 100 + 2 * MARGIN
        assert part.convert("RGB").getpixel((MARGIN + 100, MARGIN + 50)) == (255, 0, 0)


def test_a_picture_with_many_colours_gets_fewer_until_it_is_small() -> None:
    noise = Image.effect_noise((900, 700), 90).convert("RGB")
    raw = io.BytesIO()
    noise.save(raw, "PNG")
    assert len(raw.getvalue()) > 2 * MOST_BYTES
    assert len(quantised(raw.getvalue())) < len(raw.getvalue()) / 2
