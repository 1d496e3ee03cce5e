"""What is told of rotations: what each server said, when the new version was in use, who uses the old."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import click

from coatcheck.cli import show
from coatcheck.cli.administering.outcomes import counted, lasted
from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.options import Command
from coatcheck.cli.reaching.answers import ApiRefusal

_NOT_SWITCHED: Final = frozenset({"not_verified", "unproven"})


def no_wait(command: Command) -> Command:
    """Give a command `--no-wait`."""
    return click.option(
        "--no-wait", is_flag=True, help="Return at once, and not when nothing uses the former version."
    )(command)


def verdict_line(verdict: Mapping[str, Any]) -> str:
    """Return what one server said, on one line that begins with its name."""
    server, sentence = str(verdict["server"]), str(verdict["sentence"])
    return show.clean_line(sentence if sentence.startswith(server) else f"{server}: {sentence}")


def put_verdicts(verdicts: Iterable[Mapping[str, Any]]) -> None:
    """Print what each server said."""
    for verdict in verdicts:
        show.put(f"{'verified' if verdict['ok'] else 'refused'}: {verdict_line(verdict)}")


def put_activated(answer: Mapping[str, Any], as_json: bool, *, staged: bool = False) -> None:
    """Print a switch that was made, step by step; `staged` tells that it began with a new version."""
    if as_json:
        show.put_json(answer)
        return
    name, number = answer["credential"]["name"], answer["number"]
    if staged:
        show.put(f"staged: version {number} of {name}")
    put_verdicts(answer["verdicts"])
    if staged and not answer["verdicts"]:
        show.put(f"verified: by no server ({answer['assurance']})")
    show.put(f"active: version {number}, after {lasted(float(answer['effect_seconds']))}")
    show.put(drained_line(answer))
    for warning in answer["warnings"]:
        show.say(f"coatcheck: {show.clean_line(str(warning))}")


def drained_line(answer: Mapping[str, Any]) -> str:
    """Return what became of calls with the former version."""
    former = answer["former"]
    if former is None:
        return "drained: there was no former version"
    if answer["drained"]:
        return (
            f"drained: nothing uses version {former} any more, after {lasted(float(answer['drain_seconds']))}"
        )
    uses = (
        counted(int(answer["left"]), "call, session or child")
        if answer["left"] == 1
        else (f"{answer['left']} calls, sessions or children")
    )
    return f"draining: {uses} of version {former} go on as they began"


@contextmanager
def nothing_changed(then: str = "nothing changed") -> Iterator[None]:
    """Tell what each server said where a version is not switched to, and that the one before stays in use."""
    try:
        yield
    except ApiRefusal as refusal:
        if refusal.code not in _NOT_SWITCHED:
            raise
        for verdict in refusal.verdicts:
            show.say(f"{'took it' if verdict['ok'] else 'refused'}: {verdict_line(verdict)}")
        raise Stop(f"{refusal.message} {then.capitalize()}.", exit_code=Exit.NO, fix=refusal.fix) from None
