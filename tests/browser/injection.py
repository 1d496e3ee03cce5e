"""Texts that would run a script if a page took them for markup, and a way to see whether one did.

Each marks `globalThis.ran` with its own number. `PAYLOADS` are short enough for labels and notes (`fitting`).
"""

from __future__ import annotations

import time
from typing import Final

from playwright.sync_api import Page

MARK: Final = "globalThis.ran=(globalThis.ran||[]).concat(NUMBER)"
_ENCODED: Final = MARK.replace("g", "&#103;", 1)

_TEMPLATES: Final = (
    # Elements, where text is expected.
    "<script>MARK</script>",
    "<ScRiPt >MARK</sCrIpT\t>",
    '<script src="data:text/javascript,MARK"></script>',
    '<img src=x onerror="MARK">',
    "<img/src/onerror=MARK>",
    "<svg onload=MARK>",
    "<svg><script>MARK</script></svg>",
    '<svg><animate onbegin="MARK" attributeName=x dur=1s></svg>',
    '<details open ontoggle="MARK">x</details>',
    '<video><source onerror="MARK"></video>',
    "<iframe srcdoc=\"<script>parent.eval('MARK')</script>\"></iframe>",
    "<iframe src=\"javascript:parent.eval('MARK')\"></iframe>",
    "<body onload=MARK>",
    '<input autofocus onfocus="MARK">',
    '<style>@keyframes x{}</style><b style="animation:x 1s" onanimationstart="MARK">x</b>',
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=MARK>",
    # Out of an element whose content is text.
    "</title><script>MARK</script>",
    '</textarea><img src=x onerror="MARK">',
    "</script><script>MARK</script>",
    "</style><script>MARK</script>",
    "--><script>MARK</script><!--",
    "]]><script>MARK</script>",
    '<noscript><p title="</noscript><img src=x onerror=MARK>">',
    # Out of an attribute.
    '"><script>MARK</script>',
    "'><img src=x onerror='MARK'>",
    '" autofocus onfocus="MARK" x="',
    "' onmouseover='MARK' style='position:fixed;inset:0' x='",
    "x onfocus=MARK autofocus tabindex=1",
    # Addresses.
    "javascript:MARK",
    " jAvA\tscript:MARK//",
    "data:text/html,<script>opener.eval('MARK')</script>",
    # What templates and htmx look for.
    "{{ ''.__class__.__mro__ }}<script>MARK</script>{% raw %}",
    '<b hx-on:htmx:load="MARK" hx-trigger="load" hx-get="/" hx-vals="js:{x:MARK}">x</b>',
    '<div data-hx-get="/" hx-trigger="load[MARK]" hx-target="body">x</div>',
    # Encodings and letters that become others.
    "&lt;script&gt;MARK&lt;/script&gt;<img src=x onerror=ENCODED>",
    "\uff1cscript\uff1eMARK\uff1c/script\uff1e\u2028<img src=x onerror=\u0022MARK\u0022>\u202e",
)

PAYLOADS: Final = tuple(
    template.replace("ENCODED", _ENCODED).replace("MARK", MARK).replace("NUMBER", str(number))
    for number, template in enumerate(_TEMPLATES)
)

ADDRESSES: Final = frozenset({28, 29, 30})
"""Numbers of those that run only as the address of a link that is followed."""


def fitting(limit: int) -> list[str]:
    """Return the payloads of at most so many characters."""
    return [payload for payload in PAYLOADS if len(payload) <= limit]


def ran(page: Page) -> list[int]:
    """Return the numbers of the payloads that ran, in any frame of the page, after provoking those that wait."""
    page.evaluate(_PROVOKE)
    page.wait_for_timeout(50)
    found: set[int] = set()
    for frame in page.frames:
        found |= set(frame.evaluate("() => globalThis.ran || []"))
    return sorted(found)


def does_run(page: Page, number: int, seconds: float = 30.0) -> bool:
    """Tell whether a payload runs, as soon as it has: some wait for an answer that takes its time."""
    until = time.monotonic() + seconds
    while number not in ran(page):
        if time.monotonic() > until:
            return False
    return True


def nothing_ran(page: Page) -> None:
    """Fail if a payload ran, or if one became an element, an attribute or an address that could run."""
    assert ran(page) == [], f"payloads ran on {page.url}"
    live = page.evaluate(_LIVE)
    assert live == [], f"on {page.url} what somebody wrote became markup: {live}"


_PROVOKE: Final = """() => {
  for (const one of document.querySelectorAll("*")) {
    for (const name of ["mouseover", "focus", "toggle", "load", "animationstart"]) {
      if (one.hasAttribute("on" + name)) one.dispatchEvent(new Event(name));
    }
  }
}"""

_LIVE: Final = """() => {
  const found = [];
  const bad = /^\\s*(javascript|vbscript|data):/i;
  for (const one of document.querySelectorAll("*")) {
    for (const {name, value} of one.attributes) {
      const script = name.startsWith("on") || name.startsWith("hx-on") || name === "srcdoc";
      const address = ["href", "src", "action", "formaction", "data", "xlink:href"].includes(name);
      const plain = one.localName === "img" && /^data:image[/]/.test(value);
      const told = name.includes("hx-") && value.includes("globalThis.ran");
      if (script || told || (address && bad.test(value.replace(/[\\t\\r\\n]/g, "")) && !plain)) {
        found.push(`${one.localName} ${name}=${value}`);
      }
    }
    if (one.localName === "script" && (one.textContent || "").includes("globalThis.ran")) found.push(one.outerHTML);
    if (["iframe", "object", "embed"].includes(one.localName)) found.push(one.outerHTML);
  }
  return found;
}"""
