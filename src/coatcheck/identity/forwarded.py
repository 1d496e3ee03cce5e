"""Telling callers by a header that a trusted proxy sets; from anyone else it is as if absent."""

from __future__ import annotations

import hmac
import unicodedata
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final

from coatcheck.model.declaration import ForwardedRules
from coatcheck.model.grant import Principal, Voucher
from coatcheck.ports import Identified, NotMine, Presented, Refused

MAX_SUBJECT_CHARS: Final = 256
_RESERVED: Final = frozenset({"anonymous", "*"})
_LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_BAD: Final = "The proxy in front of this gateway sent a subject that cannot be used."


class ForwardedIdentifier:
    """Believes `rules.header` from peers in `rules.trusted` (loopback if none are given)."""

    def __init__(self, rules: ForwardedRules) -> None:
        self._rules = rules
        trusted = _LOOPBACK if rules.trusted is None else rules.trusted

        @lru_cache(maxsize=1024)
        def trusts(peer: str) -> bool:
            try:
                address = ip_address(peer)
            except ValueError:
                return False
            mapped = getattr(address, "ipv4_mapped", None) or address
            return any(mapped in network for network in trusted)

        self._trusts = trusts

    def identify(self, presented: Presented) -> Identified:
        """Return the forwarded principal; `NotMine` without the header or from an untrusted peer."""
        values = presented.headers.get(self._rules.header, ())
        if not values or not self._trusts(presented.peer) or not self._knows_secret(presented):
            return NotMine()
        subject = _written(values[0]).strip(" \t")
        if len(values) > 1 or not self._is_subject(subject):
            return Refused("bad_forwarded_subject", _BAD)
        groups = _written(",".join(presented.headers.get(self._rules.groups_header, ())))
        roles = frozenset(group.strip() for group in groups.split(",") if group.strip())
        return Principal(subject, roles, f"forwarded:{subject}", "forwarded", Voucher.FORWARDED)

    @staticmethod
    def _is_subject(subject: str) -> bool:
        if not subject or len(subject) > MAX_SUBJECT_CHARS or subject in _RESERVED:
            return False
        return subject.isprintable()

    def _knows_secret(self, presented: Presented) -> bool:
        if self._rules.secret_header is None or self._rules.secret is None:
            return True
        values = presented.headers.get(self._rules.secret_header, ())
        if len(values) != 1:
            return False
        return hmac.compare_digest(values[0].encode(), self._rules.secret.reveal().encode())


def _written(value: str) -> str:
    """Return what a header says that was read as Latin-1, as all are: proxies write names in UTF-8.

    In NFC (Unicode annex 15), so that whoever is called the same in `servers.json`, or was disabled by an
    operator, is the same here.
    """
    with suppress(UnicodeError):  # it was written in Latin-1
        value = value.encode("latin-1").decode("utf-8")
    return unicodedata.normalize("NFC", value)
