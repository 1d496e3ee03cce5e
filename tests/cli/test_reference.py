"""docs/reference/commands.md, administering.md and credentials.md tell of every command, option and exit code there is, and of no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from coatcheck.cli.exits import Exit
from coatcheck.cli.root import root

PAGES = [
    (Path(__file__).parents[2] / "docs" / "reference" / name).read_text(encoding="utf-8")
    for name in (
        "commands.md",
        "administering.md",
        "credentials.md",
        "reading.md",
        "audit.md",
        "proofs.md",
        "policies.md",
    )
]
PAGE = "\n".join(PAGES)
OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*(?![\w])")


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            if command.invoke_without_command:
                yield " ".join((*path, name)), command
            yield from leaves(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


LEAVES = dict(leaves(root))


def section(words: str) -> str:
    """Return what the page says of one command."""
    parts = [part for page in PAGES for part in re.split(r"^## ", page, flags=re.MULTILINE)]
    found = [part for part in parts if part.startswith(f"coatcheck {words}\n")]
    assert len(found) == 1, words
    return found[0]


def own_options(command: click.Command) -> set[str]:
    params = [param for param in command.params if isinstance(param, click.Option)]
    names = {name for param in params for name in (*param.opts, *param.secondary_opts)}
    return names - {"--help", "-h"}


def test_the_commands_are_those_of_the_page() -> None:
    assert len(LEAVES) == 92
    found = [re.findall(r"^## coatcheck (.+)$", page, re.MULTILINE) for page in PAGES]
    assert sorted(name for names in found for name in names) == sorted(LEAVES)
    for page in found[1:]:
        assert page == [name for name in LEAVES if name in page]


@pytest.mark.parametrize("words", LEAVES)
def test_every_option_is_told_and_no_other(words: str) -> None:
    prose = re.sub(r"```.*?```", "", section(words), flags=re.DOTALL)
    told = {name for code in re.findall(r"`([^`]+)`", prose) for name in OPTION.findall(code)}
    assert told == own_options(LEAVES[words])


@pytest.mark.parametrize("words", LEAVES)
def test_every_argument_is_told(words: str) -> None:
    for param in LEAVES[words].params:
        if isinstance(param, click.Argument):
            assert param.name is not None
            assert param.name.upper() in section(words)


def test_every_exit_code_is_told() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert told == {code.value for code in Exit}


@pytest.mark.parametrize("words", LEAVES)
def test_every_option_has_a_help_text(words: str) -> None:
    for param in LEAVES[words].params:
        if isinstance(param, click.Option):
            assert param.help, param.name
