"""Lets `python -m coatcheck` be the `coatcheck` command."""

from __future__ import annotations

import sys

from coatcheck.cli import main

if __name__ == "__main__":
    sys.exit(main())
