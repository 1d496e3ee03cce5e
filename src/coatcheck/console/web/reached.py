"""Under which URL browsers reach the console, and whether one request came to it over https."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final
from urllib.parse import urlsplit

from coatcheck.console.web.refusing import Refusal
from coatcheck.core.wire.framing import Headers

_TITLE: Final = "Only over https"
_PLAIN: Final = (
    "The console is not served to other machines over plain http: whoever listens could take over a session."
)


@dataclass(frozen=True)
class Reached:
    """The URL of the address that the console stands at, as `setting` gives it; None: it was not given."""

    setting: str
    url: str | None

    @cached_property
    def https_hosts(self) -> frozenset[str]:
        """The Hosts of the URL, if it is https."""
        parts = urlsplit((self.url or "").lower())
        if parts.scheme != "https" or not parts.hostname:
            return frozenset()
        host = parts.netloc.removesuffix(":443")
        return frozenset({host, f"{host}:443"}) if ":" not in host.rpartition("]")[2] else frozenset({host})

    def is_told_https(self, host: str, headers: Headers) -> bool:
        """Tell whether a proxy took a request to this Host over https.

        It has to say so, since one and the same Host may be served over plain http, too. Whoever says so
        without being a proxy harms nobody else.
        """
        said = ",".join(headers.get("x-forwarded-proto", ())).partition(",")[0]
        return host in self.https_hosts and said.strip(" \t").lower() == "https"

    def only_https(self, host: str) -> Refusal:
        """Return what is told of a request that came in the clear."""
        if host in self.https_hosts:
            fix = f"Open {self.url} instead. If you did, the proxy must send X-Forwarded-Proto."
        elif self.https_hosts:
            fix = f"Open {self.url} instead."
        else:
            port = host.rpartition("]")[2].partition(":")[2] or "80"
            fix = (
                f"Put a TLS proxy in front, and give the gateway its address as {self.setting}; or, where it "
                f"listens on 127.0.0.1, run ssh -L {port}:127.0.0.1:{port} to its machine."
            )
        return Refusal(403, _TITLE, _PLAIN, fix)
