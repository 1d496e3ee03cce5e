"""What one reading of `servers.json` says, checked and expanded; or what is wrong with the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import MappingProxyType

from coatcheck.model.access import OPEN, Access
from coatcheck.model.credential import NO_BLANKS, Blank, Custody, Upkeep
from coatcheck.model.grant import Grant
from coatcheck.model.secret import Secret
from coatcheck.model.server import AccessMarks, HttpReach, IdlePolicy, StdioReach


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong (or, as a notice, odd) in a file. `line` counts from 1; `where` is a JSON pointer."""

    line: int
    where: str
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class DeclaredServer:
    """A server as the file gives it: a `Server` but for its UUID.

    `blanks` are to be filled in, as in `StoredServer`. `custody` says of each other place that holds a
    secret, such as `headers/Authorization`, where that comes from. `lines` are those of the blanks.
    """

    name: str
    reach: HttpReach | StdioReach
    idle: IdlePolicy = IdlePolicy()
    marks: AccessMarks = AccessMarks()
    upkeep: Upkeep = Upkeep()
    blanks: Mapping[str, Blank] = field(default_factory=lambda: NO_BLANKS)
    custody: Mapping[str, Custody] = field(default_factory=lambda: MappingProxyType({}))
    lines: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}), compare=False)


class Provider(StrEnum):
    """One link of `serverAuth.providers`."""

    BEARER = "bearer"
    FORWARDED = "forwarded"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ForwardedRules:
    """Which header a trusted proxy names the caller in. `trusted` None: loopback peers, on loopback."""

    header: str = "x-forwarded-user"
    groups_header: str = "x-forwarded-groups"
    trusted: tuple[IPv4Network | IPv6Network, ...] | None = None
    secret_header: str | None = None
    secret: Secret | None = None


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """`serverAuth` without its ACL. No provider at all means anonymous callers, on loopback only."""

    providers: tuple[Provider, ...] = ()
    grants: tuple[Grant, ...] = ()
    forwarded: ForwardedRules = ForwardedRules()


class Output(StrEnum):
    """Where copies of the record go besides the store. `file` is the store itself and adds nothing."""

    FILE = "file"
    STDOUT = "stdout"
    STDERR = "stderr"


@dataclass(frozen=True, slots=True)
class AuditRules:
    """The `audit` key."""

    output: Output = Output.FILE
    log_arguments: bool = False


@dataclass(frozen=True, slots=True)
class Declaration:
    """A file that loads. `files` are all the paths whose change must cause another reading."""

    servers: tuple[DeclaredServer, ...] = ()
    identity: IdentityRules = IdentityRules()
    access: Access = OPEN
    audit: AuditRules = AuditRules()
    notices: tuple[Problem, ...] = ()
    files: tuple[Path, ...] = ()
    path: Path | None = None
