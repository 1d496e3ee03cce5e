"""Where pages lead back to: a path of ours and nothing else."""

from __future__ import annotations

from urllib.parse import urlsplit


def way_back(back: str) -> str:
    """Return the path to go on at; the first page for anything that could lead elsewhere.

    Browsers take two slashes, backslashes and blanks in many ways (WHATWG URL section 4.4): no path of ours
    begins with such.
    """
    plain = back.isascii() and back.isprintable() and not any(char in back for char in "\\ ")
    if not plain or not back.startswith("/") or back.startswith("//"):
        return "/"
    parts = urlsplit(back)
    return back if not parts.scheme and not parts.netloc and not parts.fragment else "/"
