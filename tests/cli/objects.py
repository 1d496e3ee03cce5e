"""Objects as the API tells them, for tests of what is made of them."""

from __future__ import annotations

from typing import Any

TOKEN = "cckg_the-token-that-is-shown-once"


def grant(label: str, **changes: Any) -> dict[str, Any]:
    """Return a grant."""
    return {
        "id": f"id-of-{label}",
        "label": label,
        "subject": "alice",
        "servers": ["github"],
        "tools": None,
        "source": "store",
        "state": "live",
        "issued_at": "2026-11-21T08:00:00Z",
        "issued_by": "local",
        "expires_at": "2027-02-19T08:00:00Z",
        "revoked_at": None,
        "revoked_by": "",
        "because": "",
        "note": "",
        "claim_until": None,
        "overlap_until": None,
        "last_used": None,
        "clients": [],
        "version": 3,
        **changes,
    }


def issued(label: str, **changes: Any) -> dict[str, Any]:
    """Return what comes of issuing a grant."""
    return {"grant": grant(label), "token": TOKEN, "claim_code": None, "claim_url": None, **changes}


def ended(*labels: str, **changes: Any) -> dict[str, Any]:
    """Return what comes of an ending."""
    grants = [grant(label, state="revoked") for label in labels]
    return {
        "grants": grants,
        "revoked": [each["id"] for each in grants],
        "calls": 2,
        "streams": 1,
        "sessions": 0,
        "seconds": 0.0123,
        "left": 0,
        **changes,
    }


def subject(name: str, **changes: Any) -> dict[str, Any]:
    """Return a subject."""
    return {
        "name": name,
        "kind": "person",
        "roles": ["dev"],
        "disabled": False,
        "because": "",
        "note": "",
        "source": "store",
        "created_at": "2026-11-21T08:00:00Z",
        "grants": 1,
        "version": 2,
        **changes,
    }


def registered(name: str, **changes: Any) -> dict[str, Any]:
    """Return a server."""
    return {
        "name": name,
        "id": "00000000-0000-4000-8000-000000000001",
        "source": "store",
        "transport": "auto",
        "reach": "https://mcp.example.com/mcp",
        "plain": {"X-Team": "a"},
        "sealed": ["Authorization"],
        "args": 0,
        "cwd": None,
        "disabled": False,
        "because": "",
        "created_at": "2026-11-21T08:00:00Z",
        "created_by": "local",
        "note": "",
        "revision": 4,
        "state": "ready",
        "degraded": False,
        "tools": 2,
        "credentials": [{"place": "headers/Authorization", "name": "github-authorization", "number": 1}],
        "lacking": "",
        "upkeep": {"replace": "overlap", "probe": None},
        "default": "read-only",
        "approved": None,
        "trusted": False,
        **changes,
    }


def tool(name: str, access: str = "read", by_default: str = "allowed", **changes: Any) -> dict[str, Any]:
    """Return a tool of a server that is `read-only`."""
    rule = "read-only:/default"
    return {
        "server": "github",
        "name": name,
        "access": access,
        "by_default": by_default,
        "default_rule": rule,
        **changes,
    }


def version(number: int, stage: str = "active", **changes: Any) -> dict[str, Any]:
    """Return a version of a credential."""
    return {
        "number": number,
        "stage": stage,
        "print": f"{number:016x}",
        "made_at": "2026-11-21T08:00:00Z",
        "made_by": "local",
        "assurance": "proven",
        "kept": stage != "retired",
        "verified_at": "2026-11-21T08:00:01Z",
        "activated_at": "2026-11-21T08:00:02Z",
        "ended_at": None,
        "expires_at": None,
        "refused_at": None,
        "refused_by": "",
        "in_use": 0,
        **changes,
    }


def credential(name: str, **changes: Any) -> dict[str, Any]:
    """Return a credential."""
    return {
        "id": f"id-of-{name}",
        "name": name,
        "custody": "store",
        "kind": "value",
        "owner": "",
        "state": "ok",
        "interval_days": 90,
        "due_at": "2027-02-19T08:00:00Z",
        "expires_at": None,
        "on_refusal": "flag",
        "note": "",
        "version": 3,
        "created_at": "2026-11-21T08:00:00Z",
        "created_by": "local",
        "used_by": [{"server": "github", "place": "headers/Authorization"}],
        "versions": [version(2), version(1, "previous")],
        "oauth": None,
        "warnings": [],
        **changes,
    }


def verdict(server: str = "github", **changes: Any) -> dict[str, Any]:
    """Return what a server said to a version."""
    took = "took it and lists 12 tools; an obviously wrong one was refused"
    return {
        "server": server,
        "ok": True,
        "sentence": took,
        "tools": 12,
        "control": "refused",
        "probe": False,
        **changes,
    }


def activated(name: str, **changes: Any) -> dict[str, Any]:
    """Return what comes of a rotation."""
    return {
        "credential": credential(name),
        "number": 2,
        "former": 1,
        "assurance": "proven",
        "verdicts": [verdict()],
        "effect_seconds": 0.03,
        "drained": True,
        "left": 0,
        "drain_seconds": 0.4,
        "warnings": [],
        **changes,
    }


def due(name: str, *reasons: str, **changes: Any) -> dict[str, Any]:
    """Return a line of the rotation plan."""
    return {
        "credential": credential(name, **changes),
        "reasons": list(reasons),
        "since": "2026-11-20T08:00:00Z",
    }
