"""`python -m coatcheck.prove.child`: `coatcheck serve`, on a disk that can fail and is watched.

COATCHECK_PROVE_PLAN and COATCHECK_PROVE_DIARY are no settings: they are taken out before those are read.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from coatcheck.prove.faults import Faults
from coatcheck.prove.vfs import Between
from coatcheck.store.engines.directory import DATABASE_FILE

PLAN: Final = "COATCHECK_PROVE_PLAN"
DIARY: Final = "COATCHECK_PROVE_DIARY"


def main(address: str, servers: str, data: str) -> int:
    """Serve until stopped; return the exit code."""
    plan, diary = os.environ.pop(PLAN, ""), os.environ.pop(DIARY, "")
    between = Between(Faults(Path(plan) if plan else None, Path(diary) if diary else None), DATABASE_FILE)
    from coatcheck import app
    from coatcheck.config import load_config

    code = app.serve(load_config({"http": address, "config": servers, "data": data}, os.environ))
    del between
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
