"""The material of a credential, which masks itself everywhere but in `reveal`."""

from __future__ import annotations

import hmac
from typing import NoReturn, final

_MASK = "Secret(***)"


@final
class Secret:
    """A string that no log line, traceback, f-string or pickle can show.

    Only `reveal` returns the material; call it at the last step before the wire. Two secrets compare
    in constant time, so that records holding them can be compared to find out what an edit changed.
    """

    __slots__ = ("_material",)

    def __init__(self, material: str) -> None:
        self._material = material

    def reveal(self) -> str:
        """Return the material itself. The caller must not keep, log or format it."""
        return self._material

    def __repr__(self) -> str:
        return _MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return _MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._material.encode("utf-8"), other._material.encode("utf-8"))

    __hash__ = None  # type: ignore[assignment]  # a hash would let a secret be a key and so be found

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied by value")
