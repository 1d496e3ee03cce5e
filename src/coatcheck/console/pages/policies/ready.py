"""Policies to begin with, which come with Coatcheck, each with cases that show what it stops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Ready:
    """One policy to begin with: what it is for, and its files as they are written."""

    name: str
    title: str
    about: str
    text: str
    cases: str


_ABOUT: Final = {
    "approved-tools": (
        "Approved tools only",
        "Three tools and no other; what a server adds later is hidden.",
    ),
    "rate-limits": ("Limits", "An agent in a loop costs others nothing."),
    "payments-caps": ("Caps on payments", "So much at a time and so much a day; refunds are for finance."),
    "read-only-sql": ("SQL that reads", "Agents ask a database and change nothing in it."),
    "repository-deletion": (
        "Repositories that stay",
        "Nobody deletes, pushes by force, or skips protection.",
    ),
    "workspace-files": ("Files in the workspace", "Below one folder, without a way up, and no keys."),
    "kubernetes-namespaces": (
        "Namespaces of Kubernetes",
        "Some are changed, the others read, secrets never.",
    ),
    "slack-posts": ("Posts that wake nobody", "In the channels of a team, calling on nobody at large."),
    "email-own-domain": ("Mail to our own people", "To addresses of one domain, and nowhere else."),
    "office-hours": ("Contractors: hours and addresses", "On weekdays, from the office network."),
    "team-role": ("Hidden from another team", "Tools that a role does not see, on any server."),
    "team-server": ("A server for one team", "Others see it, and are told whom to ask."),
}


@cache
def ready() -> Mapping[str, Ready]:
    """Return all of them by name, the simple ones first."""
    folder = files("coatcheck.console").joinpath("ready")

    def text(name: str, kind: str) -> str:
        return folder.joinpath(f"{name}.{kind}.yaml").read_text("utf-8")

    return MappingProxyType(
        {
            name: Ready(name, title, about, text(name, "policy"), text(name, "cases"))
            for name, (title, about) in _ABOUT.items()
        }
    )
