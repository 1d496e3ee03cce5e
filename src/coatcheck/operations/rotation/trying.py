"""Trying one server with a credential: greeting, lists and probe; and its reasons, cleaned of secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from coatcheck.core.filling import values_of
from coatcheck.core.redact import MARK, MIN_CHARS, Redactor, header_secrets, material_secrets
from coatcheck.core.wire import messages, param_headers
from coatcheck.errors import UpstreamError, UpstreamTimeout
from coatcheck.model.call import Fault, Reply
from coatcheck.model.catalogue import Catalogue
from coatcheck.model.credential import Probe
from coatcheck.model.secret import Secret
from coatcheck.model.server import Server, StdioReach
from coatcheck.operations.reaching.served import Served
from coatcheck.operations.rotation.probing import Probing
from coatcheck.ports import ProbeCall

LONGEST_REASON: Final = 300
_SHORTEST: Final = 3
"""Shorter secrets cannot be cleaned out of a text, so nothing of a server's words is shown then."""


class Rejected(Exception):
    """The probe did not succeed. `said` is the server's own word for it, not cleaned."""

    def __init__(self, sentence: str, said: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.said = said


async def tried(served: Served, seconds: float, probing: Probing, *, wrong: bool = False) -> Catalogue:
    """Greet a server, list what it offers and make its probe call if it has one, within a time.

    Raises:
        UpstreamError: it failed, or was too slow.
        Rejected: it answered the probe with an error.
        LedgerUnavailable: the probe could not be put on record.
    """
    server = served.server
    try:
        async with asyncio.timeout(seconds):
            catalogue = await served.ask()
            if server.upkeep.probe is not None:
                await _probed(served, catalogue, server.upkeep.probe, probing, wrong)
            return catalogue
    except TimeoutError:
        raise UpstreamTimeout(f"{server.name} did not answer within {seconds:g} s") from None


async def _probed(served: Served, catalogue: Catalogue, probe: Probe, probing: Probing, wrong: bool) -> None:
    if probe.tool not in catalogue.tools:
        raise Rejected(f"{served.server.name} offers no tool {probe.tool!r} for the probe")
    arguments = probe.arguments.encode("utf-8")
    annotations = catalogue.mirrored.get(probe.tool, {})
    mirrored = tuple(param_headers.headers_for(annotations, arguments)) if annotations else ()
    reply = await probing.call(served, ProbeCall(probe.tool, arguments, mirrored), wrong=wrong)
    said = _complaint(reply)
    if said is not None:
        raise Rejected(f"{served.server.name} answered the probe {probe.tool!r} with an error", said)


def _complaint(reply: Reply) -> str | None:
    """Return what a reply complains of; None if it does not."""
    if isinstance(reply, Fault):
        return f"{reply.message} ({reply.code})"
    members = messages.members_of(reply.raw) or {}
    if members.get("isError") != b"true":
        return None
    items = messages.items_of(members.get("content", b"[]")) or []
    texts = [messages.text_of((messages.members_of(item) or {}).get("text")) for item in items[:10]]
    return " ".join(text for text in texts if text)


# --- reasons -----------------------------------------------------------------------------------------------


class Cleaner:
    """Takes the secrets of some servers out of texts, and makes them one short line."""

    def __init__(self, servers: Iterable[Server], held: Iterable[Secret] = ()) -> None:
        """`held` are secrets that a server may know besides those it is given now, such as former ones."""
        secrets = {secret for server in servers for secret in _secrets_of(server) if secret}
        secrets |= {secret for one in held for secret in material_secrets(one.reveal()) if secret}
        self._redactor = Redactor(secrets)
        self._short = sorted((one for one in secrets if len(one) < MIN_CHARS), key=len, reverse=True)

    def clean(self, text: str) -> str:
        """Return a text without the secrets, control characters and line breaks, and bounded."""
        if any(len(one) < _SHORTEST and one in text for one in self._short):
            return ""
        text = self._redactor.redact_text(text)
        for one in self._short:
            text = text.replace(one, MARK)
        line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return line if len(line) <= LONGEST_REASON else line[: LONGEST_REASON - 1] + "\u2026"

    def reason(self, failure: UpstreamError | Rejected, served: Served) -> str:
        """Return why a server failed, in its own words as far as it gave any."""
        if isinstance(failure, Rejected):
            return _joined(failure.sentence, self.clean(failure.said))
        said = self.clean(failure.said.reveal()) if failure.said is not None else ""
        last = ""
        if isinstance(served.server.reach, StdioReach):
            lines = [line for line in served.upstream.status().stderr if line.strip()]
            last = self.clean(lines[-1]) if lines else ""
        return _joined(failure.message, said or self.clean(failure.detail), last)


def _joined(*parts: str) -> str:
    return ": ".join(dict.fromkeys(part for part in parts if part))


def _secrets_of(server: Server) -> Iterable[str]:
    """Yield every value that goes to a server at the place of a credential, and the parts of it."""
    places = {use.place for use in server.uses}
    for place, value in values_of(server.reach):
        kind, _, name = place.partition("/")
        if kind == "headers":
            yield from header_secrets(name, value.reveal())
        elif place in places:
            yield from material_secrets(value.reveal())
    for value in server.reach.hush:
        yield from material_secrets(value.reveal())
