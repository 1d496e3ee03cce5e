"""The two eras of the Model Context Protocol and the versions that belong to each."""

from __future__ import annotations

from enum import StrEnum

MODERN_VERSIONS = ("2026-07-28",)
"""Stateless versions, newest first."""

LEGACY_VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Versions with a handshake and sessions, newest first."""

SERVED_VERSIONS = MODERN_VERSIONS + LEGACY_VERSIONS


class Era(StrEnum):
    """How two parties talk: `legacy` opens with a handshake and keeps a session, `modern` is stateless."""

    LEGACY = "legacy"
    MODERN = "modern"
