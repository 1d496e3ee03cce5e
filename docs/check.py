"""Checks what the documents claim: links lead somewhere, commands and their options exist, examples parse.

`python docs/check.py` reads README.md and everything under docs/, prints every problem with file and line,
and ends with 1 if there is one.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import click
from markdown_it import MarkdownIt
from markdown_it.token import Token

from coatcheck.cli.root import root
from coatcheck.declared.reading import jsonc
from coatcheck.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
SHELLS = {"console", "sh", "bash", "shell"}


@dataclass(frozen=True)
class Problem:
    """One claim that does not hold."""

    path: Path
    line: int
    words: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.words}"


def main() -> int:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    problems = [problem for page in pages for problem in check(page)]
    for problem in problems:
        print(problem)
    print(f"docs: {len(pages)} pages, {len(problems)} problems")
    return 1 if problems else 0


def check(page: Path) -> Iterator[Problem]:
    """Yield the problems of one page."""
    for token, line in tokens(page):
        for words in claims(page, token):
            yield Problem(page, line, words)


def claims(page: Path, token: Token) -> Iterator[str]:
    """Yield what is wrong with one piece of a page."""
    if token.type == "link_open":
        yield from broken_link(page, str(token.attrs["href"]))
    elif token.type == "image":
        yield from broken_link(page, str(token.attrs["src"]))
    elif token.type == "code_inline":
        yield from wrong_commands(token.content)
    elif token.type == "fence":
        kind = token.info.split()[0] if token.info.strip() else ""
        yield from wrong_example(kind, token.content)


@cache
def tokens(page: Path) -> tuple[tuple[Token, int], ...]:
    """Return every token of a page, those inside paragraphs too, with the line it stands on."""
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8")):
        line = (token.map[0] if token.map else 0) + 1
        found += [(token, line), *((child, line) for child in token.children or [])]
    return tuple(found)


# --- links ---------------------------------------------------------------------------------------------


def broken_link(page: Path, link: str) -> Iterator[str]:
    """Yield what is wrong with a link into the repository; others are not followed."""
    if re.match(r"[a-z][a-z0-9+.-]*:", link, re.IGNORECASE):
        return
    place, _, anchor = unquote(link).partition("#")
    target = (page.parent / place).resolve() if place else page
    if not target.is_relative_to(ROOT) or not target.exists():
        yield f"{link} leads nowhere"
    elif anchor and target.suffix == ".md" and anchor not in anchors(target):
        yield f"{link}: no heading there makes #{anchor}"


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors that a page's headings make."""
    found: list[str] = []
    previous = ""
    for token, _ in tokens(page):
        if previous == "heading_open" and token.type == "inline":
            kept = re.sub(r"[^\w\- ]", "", token.content.lower()).replace(" ", "-")
            count = sum(
                anchor == kept or re.fullmatch(f"{re.escape(kept)}-\\d+", anchor) is not None
                for anchor in found
            )
            found.append(f"{kept}-{count}" if count else kept)
        previous = token.type if token.type in {"heading_open", "inline"} else previous
    return frozenset(found)


# --- examples and commands ---------------------------------------------------------------------------------


def wrong_example(kind: str, text: str) -> Iterator[str]:
    """Yield what is wrong with a fenced example."""
    try:
        if kind in {"json", "jsonc"}:
            # An excerpt may be some members of an object.
            whole = f"{{{text}}}" if text.lstrip().startswith('"') else text
            jsonc.read(whole) if kind == "jsonc" else json.loads(whole)
        elif kind == "toml":
            tomllib.loads(text)
    except (ValueError, ConfigError) as failure:
        yield f"this {kind} does not parse: {failure}"
    if kind in SHELLS:
        typed = text.replace("\\\n", " ").splitlines()
        if kind == "console":
            typed = [line[2:] for line in typed if line.startswith("$ ")]
        for line in typed:
            yield from wrong_commands(line)


def wrong_commands(line: str) -> Iterator[str]:
    """Yield what is wrong with the `coatcheck` and `make` commands of a shell line."""
    if not re.search(r"\b(coatcheck|make) ", line):
        return
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>()")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:
        return
    command: list[str] = []
    for word in [*words, ";"]:
        if set(word) <= set(";&|()"):
            yield from wrong_command(command)
            command = []
        else:
            command.append(word)


def wrong_command(words: list[str]) -> Iterator[str]:
    """Yield what is wrong with one simple command."""
    while words and re.match(r"[A-Za-z_]+=", words[0]):
        words = words[1:]
    if words and words[0] == "sudo":
        words = words[1:]
    if not words:
        return
    name = words[0].rsplit("/", 1)[-1]
    if name == "make":
        for word in words[1:]:
            if re.fullmatch(r"[a-z]+", word) and word not in targets():
                yield f"the Makefile has no target {word}"
    elif name == "coatcheck":
        yield from wrong_arguments(root, words[1:])


def wrong_arguments(command: click.Command, words: list[str]) -> Iterator[str]:
    """Yield the subcommand or the options among the words that the command does not have."""
    context = click.Context(command)
    options = {
        name for option in command.get_params(context) for name in (*option.opts, *option.secondary_opts)
    }
    for place, word in enumerate(words):
        if word in {"<", ">", ">>", "--"}:
            return
        if word.startswith("-") and len(word) > 1:
            name = word.split("=", 1)[0]
            if name not in options:
                yield f"`{context.command.name} {name}` is no option"
        elif isinstance(command, click.Group):
            found = command.get_command(context, word)
            if found is None:
                # A group that is a command as well takes values of its own, as far as can be told.
                if re.fullmatch(r"[a-z]+", word) and not command.invoke_without_command:
                    yield f"`{command.name} {word}` is no command"
            else:
                yield from wrong_arguments(found, words[place + 1 :])
            return


@cache
def targets() -> frozenset[str]:
    """Return the targets of the Makefile."""
    return frozenset(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


if __name__ == "__main__":
    sys.exit(main())
