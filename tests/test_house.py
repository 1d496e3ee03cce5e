"""The rules of the house that no linter knows: read from the source, whoever wrote it."""

from __future__ import annotations

import ast
import importlib.util
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "coatcheck"
MODULES = sorted(SOURCE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in MODULES}
MOST_LINES = 400
FLOORS = ["cli", "prove", "app | bridge | sample", "config", "front", "mcp | admin | console", "operations | declared | store | secrets | identity | upstream | audit", "ports", "core", "errors", "model"]  # fmt: skip

OF_THE_APP = frozenset(
    {
        "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns", "time.localtime", "time.gmtime",
        "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today", "os.urandom", "os.getrandom", "uuid.uuid1", "uuid.uuid4",
        "uuid.uuid6", "uuid.uuid7",
    }
)  # fmt: skip
"""Clocks and randomness: made once, in `app`, and handed down as ports."""
MODULES_OF_THE_APP = ("random", "secrets")


def place(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def uses(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and full dotted name of everything reached through an absolute import."""
    known = {local: name for _, local, name in imported(tree)}
    yield from ((line, name) for line, _, name in imported(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (name := dotted(node)) is not None:
            first, _, rest = name.partition(".")
            if first in known:
                yield node.lineno, f"{known[first]}.{rest}"


def imported(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Yield line, local name and full name of what is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                yield node.lineno, alias.asname or first, alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                yield node.lineno, alias.asname or alias.name, f"{node.module}.{alias.name}"


def dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)) is not None:
        return f"{before}.{node.attr}"
    return None


def called(tree: ast.Module, name: str) -> list[int]:
    """Return the lines where something of this name is called, whatever it is an attribute of."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Name) and node.func.id == name)
            or (isinstance(node.func, ast.Attribute) and node.func.attr == name)
        )
    ]


def clocks_in(tree: ast.Module) -> list[tuple[int, str]]:
    return [
        (line, name)
        for line, name in uses(tree)
        if name in OF_THE_APP or name.partition(".")[0] in MODULES_OF_THE_APP
    ]


# --- the scans find what they look for ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntime.monotonic()", "from time import monotonic", "import time as t\nx = t.time", "from datetime import datetime\ndatetime.now()", "import datetime\ndatetime.datetime.now()",
        "import os\nos.urandom(1)", "from os import urandom as u", "import secrets", "from secrets import token_bytes", "import random", "from uuid import uuid4", "import uuid\nuuid.uuid4()",
        "def f():\n    import random",
    ],
)  # fmt: skip
def test_a_clock_is_found_however_it_is_reached(source: str) -> None:
    assert clocks_in(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    ["import asyncio\nasyncio.timeout(1)", "self.clock.now()", "from coatcheck.secrets import env", "from datetime import UTC, datetime\ndatetime.fromisoformat('x')", "import uuid\nuuid.UUID(int=1)", "clock.monotonic()", "import time\ntime.sleep"],
)  # fmt: skip
def test_what_is_no_clock_is_left_alone(source: str) -> None:
    assert not clocks_in(ast.parse(source))


# --- the rules ----------------------------------------------------------------------------------------------


def test_only_decide_makes_a_permit() -> None:
    makers = {place(path): called(tree, "Permit") for path, tree in TREES.items()}
    assert len(makers.pop("core/access/decide.py")) == 1
    assert {path: lines for path, lines in makers.items() if lines} == {}
    copiers = {
        place(path)
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == "Permit" and isinstance(node.ctx, ast.Store)
    }
    assert copiers == set()


def test_only_what_tries_credentials_makes_a_probe() -> None:
    makers = {place(path): called(tree, "ProbeCall") for path, tree in TREES.items()}
    assert len(makers.pop("operations/rotation/trying.py")) == 1
    assert {path: lines for path, lines in makers.items() if lines} == {}
    copiers = {
        place(path)
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == "ProbeCall" and isinstance(node.ctx, ast.Store)
    }
    assert copiers == set()


def test_only_the_app_has_a_clock_or_randomness() -> None:
    found = {
        place(path): clocks_in(tree) for path, tree in TREES.items() if not place(path).startswith("app/")
    }
    assert {path: lines for path, lines in found.items() if lines} == {}
    assert any(clocks_in(tree) for path, tree in TREES.items() if place(path).startswith("app/"))


def test_only_the_room_for_results_prints() -> None:
    found = {place(path): bare_calls(tree, "print") for path, tree in TREES.items()}
    assert found.pop("cli/show.py")
    assert {path: lines for path, lines in found.items() if lines} == {}


def bare_calls(tree: ast.Module, name: str) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_every_module_says_what_it_is_for_in_one_sentence(path: Path) -> None:
    said = ast.get_docstring(TREES[path])
    assert said, "a module opens with one sentence that says what it is for"
    assert said.splitlines()[0].endswith((".", ":", "?"))


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_no_module_outgrows_its_room(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_every_folder_of_code_is_a_package() -> None:
    folders = {path.parent for path in MODULES}
    assert all((folder / "__init__.py").is_file() for folder in folders)
    assert (SOURCE / "py.typed").is_file()


def test_the_floors_are_written_down_and_all_there() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    (floors,) = [contract for contract in contracts if contract["type"] == "layers"]
    assert (floors["exhaustive"], floors["containers"]) == (True, ["coatcheck"])
    assert [floor for floor in floors["layers"] if floor != "__main__"] == FLOORS
    rooms = {name.strip() for floor in FLOORS for name in floor.split("|")}
    found = {
        path.name.removesuffix(".py")
        for path in SOURCE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert found - {"__init__", "__main__"} == rooms
    assert importlib.util.find_spec("coatcheck") is not None


def test_no_folder_of_tests_is_a_package() -> None:
    """One named like a package of the standard library would stand before it."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []
