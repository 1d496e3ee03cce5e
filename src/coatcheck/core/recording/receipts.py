"""The receipt of an answer: one line by which a client can have its call looked up in the ledger later."""

from __future__ import annotations

from typing import Final

from coatcheck.model.record import Receipt

HASH_DIGITS: Final = 32


def receipt_of(log: str, receipt: Receipt) -> str:
    """Return `LOG/NUMBER/HASH`: the name of the chain, the entry's number, and the first half of its hash."""
    return f"{log}/{receipt.seq}/{receipt.hash.hex()[:HASH_DIGITS]}"
