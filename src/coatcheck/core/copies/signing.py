"""How the posts of a webhook are signed, and how a receiver judges them.

The signature is HMAC-SHA-256 (RFC 2104) over the timestamp, a full stop and the body, so that neither can be
changed and an old post is told from a new one.
"""

from __future__ import annotations

import hashlib
import hmac

from coatcheck.model.secret import Secret

TIMESTAMP_HEADER = "Coatcheck-Timestamp"
SIGNATURE_HEADER = "Coatcheck-Signature"
IDEMPOTENCY_HEADER = "Idempotency-Key"


def signature_of(secret: Secret, timestamp: int, body: bytes) -> str:
    """Return the value of the signature header: `v1=` and 64 hexadecimal digits. `timestamp`: seconds."""
    signed = b"%d.%b" % (timestamp, body)
    return "v1=" + hmac.new(secret.reveal().encode("utf-8"), signed, hashlib.sha256).hexdigest()


def is_signed(secret: Secret, timestamp: int, body: bytes, signature: str) -> bool:
    """Tell whether a post bears our signature; compared in constant time."""
    return hmac.compare_digest(
        signature_of(secret, timestamp, body).encode(), signature.encode("utf-8", "replace")
    )
