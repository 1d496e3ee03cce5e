"""Where a browser may be led: a path of ours and nothing else.

Browsers take two slashes, backslashes and blanks in many ways (WHATWG URL section 4.4): no path of ours
has such.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

_DOT: Final = re.compile("%2e", re.IGNORECASE)
_PATH: Final = re.compile(r"/(?![/\\])[!-\[\]-~]{0,2047}\Z")


def return_path(text: str, otherwise: str = "/") -> str:
    """Return where to go after signing in: a path of ours; `otherwise` for all that could lead elsewhere."""
    path = text.partition("?")[0].partition("#")[0]
    return text if _PATH.match(text) and "//" not in path else otherwise


def way_back(text: str) -> str:
    """Return the page to go on at. A server never sees a fragment, so that one with it was made elsewhere."""
    return "/" if "#" in text else return_path(text)


def path_of(text: str) -> str:
    """Return the path that we are asked for by who is led to this one of ours, as the routes read it.

    Browsers take `.` and `..` out before they ask, written as `%2e` or not (WHATWG URL section 4.4).
    """
    path = text.partition("?")[0].partition("#")[0]
    return unquote(urlsplit(urljoin("http://here/", _DOT.sub(".", path))).path)
