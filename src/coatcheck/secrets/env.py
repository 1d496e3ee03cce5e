"""Secret material from environment variables."""

from __future__ import annotations

from collections.abc import Mapping

from coatcheck.model.secret import Secret


class EnvSource:
    """Finds material by the name of a variable in the mapping it is given; a `SecretSource`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def find(self, reference: str) -> Secret | None:
        """Return the value of the variable, which may be empty, or None if it is not set."""
        value = self._environment.get(reference)
        return None if value is None else Secret(value)
