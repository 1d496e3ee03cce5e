"""How pages speak of grants: of how they stand."""

from __future__ import annotations

from typing import Final

from coatcheck.console.pages.grants.shapes import Standing

STANDINGS: Final = {
    Standing.LIVE: "live",
    Standing.UNCLAIMED: "unclaimed",
    Standing.EXPIRING: "expiring",
    Standing.NEVER_USED: "never used",
    Standing.IDLE: "not used for long",
    Standing.DISABLED: "owner disabled",
    Standing.REVOKED: "revoked",
    Standing.EXPIRED: "expired",
}
