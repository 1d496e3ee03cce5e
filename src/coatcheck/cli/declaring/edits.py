"""What `coatcheck add` and `remove` share: the file they edit, how they fail, what a gateway makes of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coatcheck.cli import show
from coatcheck.cli.declaring import declaration
from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.reaching.dialling import SOCKET_NAME, NoGateway
from coatcheck.cli.reaching.near import suggestion
from coatcheck.cli.reaching.reach import Reach
from coatcheck.config import Config
from coatcheck.declared.edit import BadEntry, Edited, NameTaken, NameUnknown
from coatcheck.declared.editing.draft import Contended, NotPermitted
from coatcheck.declared.reading.expand import Sources
from coatcheck.declared.reading.problems import DeclarationError
from coatcheck.errors import ConfigError
from coatcheck.secrets.env import EnvSource
from coatcheck.secrets.file import FileSource


def file_to_edit(config: Config) -> Path:
    """Return the servers file that a gateway would read, or the one it would read if it were there.

    Raises:
        Stop: a variable holds the JSON itself.
    """
    found, origin = declaration.find(config)
    if found.text is not None:
        raise Stop(
            f"{origin} holds the declaration itself, so there is no file to edit",
            exit_code=Exit.CONFIG,
            fix=f"edit it where {origin} is set, or name a file with --config",
        )
    return found.path or found.awaited[0]


def sources() -> Sources:
    """Return where the values of references come from. An empty variable says nothing of the gateway's."""
    return Sources(EnvSource({name: value for name, value in os.environ.items() if value}), FileSource())


@contextmanager
def failing_well(name: str) -> Iterator[None]:
    """Give each failure of an edit its exit code and what to do."""
    try:
        yield
    except NameUnknown as error:
        fix = suggestion(name, error.names, "servers")
        raise Stop(error.message, exit_code=Exit.NO, fix=fix) from None
    except DeclarationError as error:
        fix = "correct the file first; it was not touched"
        raise Stop(error.message.rstrip(), exit_code=Exit.CONFIG, fix=fix) from None
    except (NameTaken, BadEntry, NotPermitted, Contended) as error:
        raise Stop(error.message, exit_code=_CODES[type(error)], fix=error.fix) from None


_CODES: Mapping[type[ConfigError], Exit] = {
    NameTaken: Exit.NO,
    BadEntry: Exit.USAGE,
    NotPermitted: Exit.NOT_PERMITTED,
    Contended: Exit.NO,
}


@dataclass(frozen=True, slots=True)
class Uptake:
    """What became of an edit: `live` is False if a gateway runs and does not use it, None if none answers.

    `is_odd` tells that it is not as a person would expect, `problems` why the gateway refuses the file.
    """

    live: bool | None
    words: str
    address: str | None = None
    is_odd: bool = True
    problems: tuple[str, ...] = ()

    @property
    def exit_code(self) -> Exit:
        """78 for an edit that the gateway refuses, whatever is edited next."""
        return Exit.CONFIG if self.problems else Exit.DONE


def ask_gateway(config: Config, edited: Edited) -> Uptake:
    """Ask the gateway of the data directory, if one runs, whether it has taken the edit up."""
    try:
        status = Reach(config.data / SOCKET_NAME).get("/status")
    except NoGateway:
        return Uptake(None, "no gateway is running; the next one reads it", is_odd=False)
    except Stop as failure:
        return Uptake(None, f"whether it is live is not known: {failure.message}")
    address = str(status["http"])
    path = status["config"]["path"]
    if path is None or os.path.realpath(path) != str(edited.file):
        words = f"the running gateway reads {path or 'no file'}, so nothing changes for it"
        return Uptake(False, words, address)
    if not status["config"]["error"]:
        return Uptake(True, "live: the running gateway uses it", address, is_odd=False)
    problems = tuple(_told(path, each) for each in status["config"]["problems"])
    words = "the running gateway does not use it, and goes on with what the file said before"
    return Uptake(False, words, address, problems=problems or (str(status["config"]["error"]),))


def _told(path: str, problem: Mapping[str, Any]) -> str:
    fix = f" ({problem['fix']})" if problem["fix"] else ""
    return f"{path}:{problem['line']}: {problem['message']}{fix}"


def say_oddities(edited: Edited, uptake: Uptake) -> None:
    """Tell a person why an edit is not in force, or what the next gateway needs to use it."""
    if uptake.is_odd:
        show.say(f"coatcheck: {uptake.words}")
    for problem in uptake.problems:
        show.say(f"  {show.clean_line(problem)}")
    if uptake.live is None:
        for message in dict.fromkeys(each.message for each in edited.absences):
            show.say(f"coatcheck: {message} here; the gateway needs it in its environment when it starts")
