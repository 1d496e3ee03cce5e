"""Takes a picture of a page that is the same however often it is taken, and makes its file small."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Browser, FloatRect, Page

MOST_BYTES: Final = 150_000
MOST_HEIGHT: Final = 1600
WAIT_MS: Final = 15_000
MARGIN: Final = 24
MOST_SHOTS: Final = 5
_SIDE: Final = """(height) => {
  for (const one of document.querySelectorAll(".side")) one.style.height = height;
}"""
_USUAL: Final = """() => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode;
    text.data = text.data.replace(/(\\/[\\w.-]+)+\\/screenshots\\/data/g, "/var/lib/coatcheck");
  }
}"""
"""Shows the data where they usually are, and not where the pictures happened to be taken."""


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


def take(page: Page, file: Path, part: str = "") -> int:
    """Write the picture of a page as it is shown now, from its top; return how many bytes the file has.

    `part` is a selector: the picture is of that part alone.

    Raises:
        ValueError: it would be larger than `MOST_BYTES`.
    """
    page.evaluate("() => document.fonts.ready")
    page.evaluate(_USUAL)
    page.wait_for_timeout(150)  # plots are drawn in the frame after the one that brought their numbers
    width, height = _stretched(page)
    clip = _around(page, part) if part else FloatRect(x=0, y=0, width=width, height=height)
    raw = b""
    for _ in range(MOST_SHOTS):  # until nothing moves any more: an edge of a letter may yet settle
        before, raw = raw, _shot(page, clip)
        if raw == before:
            break
    small = quantised(raw)
    if len(small) > MOST_BYTES:
        raise ValueError(f"{file.name} has {len(small)} bytes, more than {MOST_BYTES}")
    file.write_bytes(small)
    return len(small)


def _shot(page: Page, clip: FloatRect) -> bytes:
    return page.screenshot(full_page=True, clip=clip, animations="disabled", caret="hide", scale="css")


def _stretched(page: Page) -> tuple[int, int]:
    """Return how large the picture is; what stands at the side of a page as tall as the window reaches to its end.

    A dialogue stands in the middle of the window: a page with one is shown as it is seen.
    """
    size = page.viewport_size
    assert size is not None
    height = size["height"]
    if not page.locator("dialog[open]").count():
        tall = int(page.evaluate("() => document.documentElement.scrollHeight"))
        height = max(height, min(tall, MOST_HEIGHT))
        page.evaluate(_SIDE, f"{height}px")
    return size["width"], height


def _around(page: Page, part: str) -> FloatRect:
    """Return where a part of the page is, with a little of what is around it."""
    box = page.locator(part).bounding_box()
    assert box is not None, part
    top = page.evaluate("() => scrollY")
    return FloatRect(
        x=max(0, box["x"] - MARGIN),
        y=max(0, box["y"] + top - MARGIN),
        width=box["width"] + 2 * MARGIN,
        height=min(box["height"] + 2 * MARGIN, MOST_HEIGHT),
    )


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
