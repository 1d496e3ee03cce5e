"""Makes what the demo's servers serve: a git repository with a few commits and two SQLite databases."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Final

_COMMITS: Final = (
    ("README.md", "# Cloakroom\n\nWho hung what where.\n", "Say what this is for"),
    ("hooks.txt", "1 free\n2 free\n3 free\n", "Add the hooks"),
    ("hooks.txt", "1 coat\n2 free\n3 umbrella\n", "Hang the first things"),
)
_ORDERS: Final = (("Ada", "wool coat", 2, 240.0), ("Grace", "rain coat", 1, 95.5), ("Edsger", "hat", 3, 60.0))
_NOTES: Final = (("opening hours", "nine to five"), ("lost property", "third shelf, ask first"))


def repository(directory: Path) -> Path:
    """Make a small git repository, unless it is there, and return its folder."""
    if (directory / ".git").exists():
        return directory
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    _git(directory, "init", "--quiet")
    for name, text, message in _COMMITS:
        (directory / name).write_text(text, encoding="utf-8")
        _git(directory, "add", name)
        _git(directory, "commit", "--quiet", "--message", message)
    return directory


def orders(path: Path) -> Path:
    """Make the database that is served over HTTP, unless it is there."""
    return _database(
        path, "CREATE TABLE orders (customer TEXT, item TEXT, amount INTEGER, price REAL)", _ORDERS
    )


def notes(path: Path) -> Path:
    """Make the database that is served over stdio, unless it is there."""
    return _database(path, "CREATE TABLE notes (title TEXT, body TEXT)", _NOTES)


def _database(path: Path, schema: str, rows: tuple[tuple[object, ...], ...]) -> Path:
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    table = schema.split()[2]
    marks = ", ".join("?" * len(rows[0]))
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    connection = sqlite3.connect(unfinished)
    try:
        with connection:
            connection.execute(schema)
            connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
    finally:
        connection.close()
    return unfinished.rename(path)


def _git(directory: Path, *arguments: str) -> None:
    # The author's own settings (signing, hooks, templates) stay out of a sample.
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for role in ("AUTHOR", "COMMITTER"):
        quiet |= {f"GIT_{role}_NAME": "Coatcheck demo", f"GIT_{role}_EMAIL": "demo@coatcheck.example"}
    surroundings = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    subprocess.run(
        ["git", "-c", "init.defaultBranch=main", "-C", str(directory), *arguments],
        check=True,
        stdin=subprocess.DEVNULL,
        env={**surroundings, **quiet},
    )
