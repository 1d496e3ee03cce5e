"""Pictures of pages are small, cut where they are long, and the same however often they are taken."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from screenshots.pages import PICTURES
from screenshots.taking import MOST_BYTES, MOST_HEIGHT, TAKINGS, quantised, take

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


def test_a_picture_with_many_colours_gets_fewer_until_it_is_small() -> None:
    noise = Image.effect_noise((900, 700), 90).convert("RGB")
    raw = io.BytesIO()
    noise.save(raw, "PNG")
    assert len(raw.getvalue()) > 2 * MOST_BYTES
    assert len(quantised(raw.getvalue())) < len(raw.getvalue()) / 2
