"""Where secret material and declarations come from."""

from __future__ import annotations

from typing import Protocol

from coatcheck.model.declaration import Declaration
from coatcheck.model.secret import Secret


class SecretSource(Protocol):
    """Where secret material comes from: the environment, or a file."""

    def find(self, reference: str) -> Secret | None:
        """Return the material that `reference` names here, or None."""
        ...


class Declarations(Protocol):
    """The file that people write, as it stands now."""

    def changed(self) -> bool:
        """Tell whether an edit waits to be read. Cheap: asked on every call."""
        ...

    def read(self) -> Declaration:
        """Read the file anew.

        Raises:
            ConfigError: the file does not load; the message names every problem.
        """
        ...
