"""What a server offers: its greeting and its lists, each entry kept as the bytes the server sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from coatcheck.model.call import NO_PARAMS
from coatcheck.model.era import LEGACY_VERSIONS, Era


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a server said of itself in `initialize` or `server/discover`; raw JSON where it is relayed.

    `versions` are all that it named in `server/discover`: a server may speak both eras.
    """

    era: Era
    version: str
    capabilities: Mapping[str, bytes]
    server_info: bytes = b"{}"
    instructions: str | None = None
    extra: Mapping[str, bytes] = field(default_factory=lambda: NO_PARAMS)
    versions: tuple[str, ...] = ()

    @property
    def speaks_legacy(self) -> bool:
        """Whether the server has sessions: it opened one with us, or names a version that has them."""
        return self.era is Era.LEGACY or any(version in LEGACY_VERSIONS for version in self.versions)


@dataclass(frozen=True, slots=True)
class Entry:
    """One tool, prompt, resource or template: its name (or URI, or URI template) and its members, raw."""

    name: str
    members: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One server's lists at one time. `version` grows by one whenever a list really changed.

    `mirrored` are the headers that a modern server wants with calls of a tool: header name -> the names that
    lead to its value in the arguments (SEP-2243). `quarantined` names entries left out and says why; `ttl_ms`
    is how long the server lets a list be kept. `held_back` are tools that nobody may see or call until an
    operator accepts what the server made of them; they are not among `tools`.
    """

    greeting: Greeting
    tools: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    prompts: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    resources: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    templates: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    mirrored: Mapping[str, Mapping[str, tuple[str, ...]]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    quarantined: tuple[str, ...] = ()
    held_back: Mapping[str, Entry] = field(default_factory=lambda: MappingProxyType({}))
    ttl_ms: int = 0
    version: int = 0
