"""The command line: `serve` starts the gateway, every other command asks a gateway through its socket."""

from __future__ import annotations

from collections.abc import Sequence

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; without `arguments`, those of this process.

    The import stands inside so that an interrupt during start-up is as quiet as a later one.
    """
    try:
        from coatcheck.cli.root import run

        return run(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
