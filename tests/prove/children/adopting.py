"""A gateway that is broken: it goes on from wherever the database says that the record ends."""

from __future__ import annotations

import sys

from coatcheck.model.chain import Head
from coatcheck.prove.child import main
from coatcheck.store.chain import Chain


def checked(chain: Chain, found: Head | None) -> Head:
    assert found is not None
    return found


Chain.checked = checked  # type: ignore[method-assign,assignment]

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
