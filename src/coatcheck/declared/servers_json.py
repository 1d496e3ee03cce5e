"""Reads `servers.json` whole: every key checked, every variable replaced, or all that is wrong at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from coatcheck.declared import acl, acl_roles, audit, auth, servers
from coatcheck.declared.reading import jsonc
from coatcheck.declared.reading.expand import Expander, Sources
from coatcheck.declared.reading.place import Place
from coatcheck.declared.reading.problems import DeclarationError, Findings
from coatcheck.model.access import OPEN, Access
from coatcheck.model.declaration import (
    AuditRules,
    Declaration,
    DeclaredServer,
    IdentityRules,
    Problem,
)

KEYS: Final = frozenset({"mcpServers", "servers", "serverAuth", "audit"})
ASIDE: Final = {
    "$schema": "it is for editors",
    "inputs": "nobody is asked for values here; write ${NAME} or ${file:/path}",
}


def load(text: bytes | str, path: Path | None, sources: Sources) -> Declaration:
    """Return what a file declares. `path` names it, and relative `${file:...}` start from its directory.

    Raises:
        DeclarationError: with everything that is wrong, each with line, JSON pointer and what to do.
    """
    declaration, findings = judge(text, path, sources)
    if findings.problems:
        raise DeclarationError(path, findings.problems, declaration.files)
    return declaration


def judge(text: bytes | str, path: Path | None, sources: Sources) -> tuple[Declaration, Findings]:
    """Return what a file declares so far as it can be told, and all that was found in it.

    `load` for those who weigh the problems themselves.

    Raises:
        DeclarationError: the text is not JSON with comments.
    """
    files = (path,) if path else ()
    try:
        document = jsonc.read(text)
    except jsonc.JsoncError as error:
        raise DeclarationError(path, [Problem(error.line, "", error.message, error.fix)], files) from None
    findings = Findings(document.lines)
    findings.add(document.doubles)
    expander = Expander(sources, path.parent if path else None, findings)
    parts = _declaration(Place(document.value, "", findings, expander))
    files = tuple(dict.fromkeys((*files, *expander.files)))
    return Declaration(*parts, notices=findings.notices, files=files, path=path), findings


_Parts = tuple[tuple[DeclaredServer, ...], IdentityRules, Access, AuditRules]


def _declaration(place: Place) -> _Parts:
    keys = place.keys(KEYS, aside=ASIDE, name_unknown=False) or {}
    if "mcpServers" in keys and "servers" in keys:
        keys["servers"].problem("both mcpServers and servers are given", "move everything under mcpServers")
    listed = keys.get("mcpServers") or keys.get("servers")
    declared = servers.read_servers(listed) if listed else ()
    identity = IdentityRules()
    access: Access = OPEN
    if "serverAuth" in keys:
        names = listed.value if listed is not None and isinstance(listed.value, dict) else {}
        identity, access = _read_server_auth(keys["serverAuth"], names)
    audited = audit.read_audit(keys["audit"]) if "audit" in keys else AuditRules()
    return declared, identity, access, audited


def _read_server_auth(place: Place, servers: Collection[str]) -> tuple[IdentityRules, Access]:
    keys = place.keys(auth.KEYS, refused=auth.REFUSED, name_unknown=False) or {}
    identity = auth.read_identity(keys, place)
    access = acl.read_access(keys["acl"], servers) if "acl" in keys else OPEN
    return identity, access


def known_keys() -> Iterable[str]:
    """Return every key that the file may have, to hold the documentation against."""
    groups: tuple[Iterable[str], ...] = (
        *(KEYS, ASIDE, servers.KEYS, servers.ASIDE, servers.REFUSED, servers.MARK_KEYS, servers.PROBE_KEYS),
        *(auth.KEYS, auth.REFUSED, auth.BEARER_KEYS, auth.HOLDER_KEYS, auth.FORWARDED_KEYS),
        *(acl.KEYS, acl.RULE_KEYS, acl_roles.KEYS, acl_roles.SUBJECT_KEYS, acl_roles.ENTRY_KEYS),
        *(audit.KEYS, audit.REFUSED, audit.OUTPUTS),
    )
    return sorted({key for group in groups for key in group})
