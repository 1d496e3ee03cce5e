"""What is printed: JSON for programs, tables for people, and nothing a server could steer a terminal with."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console

_STEERING: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""C0 but tab and newline, DEL, C1, marks and overrides of direction, line separators, lone surrogates."""

_STYLES: Final[Mapping[str, str]] = {
    "ok": "green",
    "ready": "green",
    "allowed": "green",
    "warn": "yellow",
    "starting": "yellow",
    "degraded": "yellow",
    "hidden": "yellow",
    "live": "green",
    "enabled": "green",
    "active": "green",
    "unclaimed": "yellow",
    "invited": "yellow",
    "expired": "yellow",
    "disabled": "red",
    "revoked": "red",
    "ended": "red",
    "fail": "red",
    "failing": "red",
    "denied": "red",
    "refused": "red",
}
"""Words that stand alone in a cell and have a colour on terminals that show any."""


def clean(text: str) -> str:
    """Return the text without characters that move the cursor, colour, hide or reorder what is shown."""
    return _STEERING.sub("", text)


def clean_line(text: str) -> str:
    """Return the text cleaned and on one line."""
    return " ".join(clean(text).split())


def shorten(text: str, most: int) -> str:
    """Return the text cleaned, on one line and at most so many characters long."""
    line = clean_line(text)
    return line if len(line) <= most else line[: most - 1] + "…"


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return JSON that is safe on a terminal: what `clean` strips stands escaped."""
    return escape_steering(json.dumps(value, ensure_ascii=False, indent=indent))


def escape_steering(text: str) -> str:
    r"""Return JSON text with steering characters as `\uXXXX`; they can only stand inside its strings."""
    return _STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def is_terminal() -> bool:
    """Tell whether results go to a person's terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def say(text: str) -> None:
    """Print words for a person on standard error."""
    if sys.stderr is not None:
        print(clean(text), file=sys.stderr)  # noqa: T201


def say_failure(message: str, fix: str = "") -> None:
    """Print what is wrong, and what to do about it where that is known, on standard error."""
    say(f"coatcheck: {message}")
    if fix:
        say(f"fix: {fix}")


@contextmanager
def waiting(words: str) -> Iterator[None]:
    """Show on a terminal that something takes a while; nothing of it stays."""
    if not is_terminal() or sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True, markup=False, emoji=False).status(clean(words), spinner="line"):
        yield


def put(text: str) -> None:
    """Print a piece of the result on standard output, cleaned."""
    print(clean(text))  # noqa: T201


def put_json(value: Any) -> None:
    """Print one JSON value: on one line when piped, spread out on a terminal."""
    print(json_text(value, indent=2 if is_terminal() else None))  # noqa: T201


def put_json_line(value: Any) -> None:
    """Print one line of JSON Lines at once, however the output is buffered; only printable ASCII in it."""
    print(json.dumps(value), flush=True)  # noqa: T201


def put_list(items: Sequence[Any], **more: Any) -> None:
    """Print a list in the form every command shares: `{"items": [...], "next": null}` and `more`."""
    put_json({"items": list(items), "next": None, **more})


def put_page(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    items: Sequence[Any],
    rest: str | None,
    as_json: bool,
    none: str,
) -> None:
    """Print a list as JSON or a table; `rest` is the cursor of what was left out, if anything was.

    `none` is said where there is nothing to show: why that is so, and what to do.
    """
    if as_json:
        put_json({"items": list(items), "next": rest})
    elif items:
        put_table(columns, rows)
    else:
        say(f"coatcheck: {none}")
    if rest is not None and not as_json:
        say("coatcheck: there are more; --limit says how many are shown")


def put_members(members: Mapping[str, Any]) -> None:
    """Print one object, a member a line; empty ones are left out."""
    told = {name: clean_line(str(value)) for name, value in members.items() if value not in {None, ""}}
    width = max((len(name) for name in told), default=0)
    for name, value in told.items():
        put(f"{name:<{width}}  {value}")


def put_status(status: str, text: str) -> None:
    """Print a line that opens with a coloured word such as `ok`."""
    from rich.text import Text

    _console().print(
        Text.assemble((f"{status:<6}", _STYLES.get(status, "")), "  ", clean(text)), soft_wrap=True
    )


def put_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table as wide as the terminal. Cells may hold anything a server said."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(columns):
        table.add_column(name, overflow="fold", no_wrap=number == 0)
    for row in rows:
        cells = [clean("" if cell is None else str(cell)) for cell in row]
        table.add_row(*(Text(cell, style=_STYLES.get(cell.partition(" ")[0], "")) for cell in cells))
    _console().print(table)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)
