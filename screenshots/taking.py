"""Takes a picture of a page that is the same however often it is taken, and makes its file small."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Browser, Page

MOST_BYTES: Final = 150_000
MOST_HEIGHT: Final = 1600
WAIT_MS: Final = 15_000


@dataclass(frozen=True)
class Taking:
    """One way in which each page is taken."""

    dark: bool
    narrow: bool

    @property
    def name(self) -> str:
        """The end of the names of its files."""
        return ("dark" if self.dark else "light") + ("-narrow" if self.narrow else "")

    def context(self, browser: Browser, origin: str) -> Page:
        """Open a page in a context of its own."""
        width, height = (390, 844) if self.narrow else (1280, 800)
        context = browser.new_context(
            base_url=origin,
            color_scheme="dark" if self.dark else "light",
            viewport={"width": width, "height": height},
            locale="en-GB",
            timezone_id="UTC",
            reduced_motion="reduce",
        )
        context.set_default_timeout(WAIT_MS)
        return context.new_page()


TAKINGS: Final = tuple(Taking(dark, narrow) for dark in (False, True) for narrow in (False, True))


def take(page: Page, file: Path) -> int:
    """Write the picture of a page as it is shown now, from its top; return how many bytes the file has.

    Raises:
        ValueError: it would be larger than `MOST_BYTES`.
    """
    page.evaluate("() => document.fonts.ready")
    page.wait_for_timeout(150)  # plots are drawn in the frame after the one that brought their numbers
    tall = int(page.evaluate("() => document.documentElement.scrollHeight"))
    size = page.viewport_size
    assert size is not None
    raw = page.screenshot(
        full_page=True,
        clip={"x": 0, "y": 0, "width": size["width"], "height": max(size["height"], min(tall, MOST_HEIGHT))},
        animations="disabled",
        caret="hide",
        scale="css",
    )
    small = quantised(raw)
    if len(small) > MOST_BYTES:
        raise ValueError(f"{file.name} has {len(small)} bytes, more than {MOST_BYTES}")
    file.write_bytes(small)
    return len(small)


def quantised(raw: bytes) -> bytes:
    """Return a PNG with a palette of 256 colours, and fewer if it is too large: pages have few."""
    picture = Image.open(io.BytesIO(raw)).convert("RGB")
    for colours in (256, 128, 64, 32):
        palette = picture.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        out = io.BytesIO()
        palette.save(out, "PNG", optimize=True)
        if out.tell() <= MOST_BYTES:
            break
    return out.getvalue()
