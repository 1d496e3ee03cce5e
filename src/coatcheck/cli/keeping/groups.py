"""The groups of commands about tokens, about the record as a proof, and the proofs of the promises."""

from __future__ import annotations

import click

from coatcheck.cli import options
from coatcheck.cli.lazy import LazyGroup


@click.group(
    "token",
    cls=LazyGroup,
    places={"check": ("keeping.token:check", "Tell what a token is, without a gateway.")},
    epilog=options.example("coatcheck token check < grant"),
)
def token() -> None:
    """Tokens, judged offline."""


@click.group(
    "audit",
    cls=LazyGroup,
    places={
        "verify": ("keeping.audit:verify", "Find out whether the record is as it was written."),
        "key": ("keeping.audit:key", "Print the public key of the record."),
        "checkpoint": ("keeping.audit:checkpoint", "Sign now where the record stands."),
        "accept": ("keeping.sealing:accept", "Go on from a record that something else moved."),
        "seal": ("keeping.sealing:seal", "Move the oldest part of the record to a file."),
        "segments": ("keeping.sealing:segments", "List the sealed parts of the record."),
    },
    epilog=options.example("coatcheck audit verify"),
)
def audit() -> None:
    """The record as a proof: verify it, its public key, its checkpoints."""


@click.group(
    "prove",
    cls=LazyGroup,
    places={
        "audit": ("keeping.proving:audit", "No record, no call: with a disk that fails."),
        "crash": ("keeping.proving:crash", "What was acknowledged is still there after a crash."),
        "tamper": ("keeping.proving:tamper", "Whatever is changed in the record is found."),
    },
    epilog=options.example("coatcheck prove audit --short"),
)
def prove() -> None:
    """The promises, tried on this machine: each proof has a gateway and a directory of its own.

    Nothing of yours is read or changed. Exit code 0 if the promise holds, 1 if it is broken or could not be
    tried. What a proof did and saw goes to standard error, what it came to to standard output.
    """
