"""The cookies of the console (RFC 6265bis): who is signed in, what is said next, and what a form belongs to.

Over https the names begin with `__Host-`, so that no other host and no plain page can set or see them. Plain
http is served on this machine only, under other names, with the port: to browsers a cookie is of all ports of
a host. So gateways side by side leave each other's alone; but whatever else a browser here opens on this
machine's address is sent them, and may set them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from binascii import Error as NotBase64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self, cast, get_args

from coatcheck.console.web.page import Tone
from coatcheck.model.secret import Secret

SESSION: Final = "session"
SAID: Final = "said"
FORM_KEY_COOKIE: Final = "visit"
"""What the forms of somebody are bound to who is not signed in."""
SAID_SECONDS: Final = 60
KEPT_SECONDS: Final = 600
MAX_SAID: Final = 1_000
_TONES: Final = frozenset(get_args(Tone))


@dataclass(frozen=True, slots=True)
class Jar:
    """How cookies are named and marked; `secure`: we are reached over https. `port`: that of plain http."""

    secure: bool
    port: str = ""

    @classmethod
    def of(cls, host: str, *, secure: bool) -> Self:
        """Return the jar of a Host."""
        if secure:
            return cls(secure=True)
        _, _, port = host.rpartition("]")[2].partition(":")
        return cls(secure=False, port=port)

    def name(self, of: str) -> str:
        """Return the whole name of one of our cookies."""
        if self.secure:
            return f"__Host-coatcheck-{of}"
        return f"coatcheck-local-{self.port}-{of}" if self.port else f"coatcheck-local-{of}"

    def set(self, of: str, value: str, seconds: int | None = None) -> str:
        """Return a `Set-Cookie` line; without `seconds` it lasts as long as the browser runs."""
        parts = [f"{self.name(of)}={value}", "Path=/", "HttpOnly", "SameSite=Lax"]
        if self.secure:
            parts.append("Secure")
        if seconds is not None:
            parts.append(f"Max-Age={seconds}")
        return "; ".join(parts)

    def drop(self, of: str) -> str:
        """Return the line that removes a cookie."""
        return self.set(of, "", 0)

    def enter(self, token: str) -> tuple[str, ...]:
        """Return the lines by which a session begins: its token takes the place of a form key."""
        return self.drop(FORM_KEY_COOKIE), self.set(SESSION, token)

    def read(self, values: Sequence[str]) -> Mapping[str, str]:
        """Return our cookies by short name; of one that comes twice, none: nobody can tell which is ours.

        Only blank and tab are taken off (RFC 6265bis section 5.6). With other blanks before it a name has no
        prefix to browsers, so that a neighbouring host may set it.
        """
        mine = self.name("")
        found: dict[str, list[str]] = {}
        for pair in (part.strip(" \t") for value in values for part in value.split(";")):
            name, equals, value = pair.partition("=")
            if equals and name.startswith(mine):
                found.setdefault(name[len(mine) :], []).append(value)
        return {name: given[0] for name, given in found.items() if len(given) == 1}


def csrf_of(cookie: str) -> str:
    """Return what every form sends along, which only our own pages can know: an HMAC under the cookie."""
    return hmac.digest(cookie.encode(), b"coatcheck form", hashlib.sha256).hex()


def pack(tone: Tone, text: str) -> Secret:
    """Return what is to be said on the next page, fit for a cookie; a long text is cut."""
    said = f"{tone}\n{text[:MAX_SAID]}".encode()
    return Secret(base64.urlsafe_b64encode(said).decode().rstrip("="))


def unpack(value: str) -> tuple[Tone, str] | None:
    """Return tone and text of what is to be said, or None if it is nothing of ours."""
    try:
        said = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode("utf-8")
    except (NotBase64, ValueError):
        return None
    tone, newline, text = said.partition("\n")
    if not newline or tone not in _TONES or len(text) > MAX_SAID:
        return None
    return cast("Tone", tone), text
