"""Reads a paste: finds out what it is, reads each server in it, and tells of all that cannot be used.

Nothing of it is run, looked up or expanded: what it refers to becomes a gap for the operator to fill.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from coatcheck.core.pasted import FoundServer, Gap, Pasted
from coatcheck.declared.pasted.documents import Found, Undocumented, fragment_of, json_of, toml_of
from coatcheck.declared.pasted.entries import Entry, read_entry
from coatcheck.declared.pasted.lines import entries_of
from coatcheck.declared.pasted.naming import fit_name
from coatcheck.declared.reading.problems import Unfit
from coatcheck.model.declaration import Problem

MAX_BYTES: Final = 256 * 1024
MAX_SERVERS: Final = 100
_FENCE: Final = re.compile(r"^[ \t]*(?:```|~~~)[^\n]*$", re.MULTILINE)
_TABLE: Final = re.compile(r"^[ \t]*+\[?[ \t]*+mcp_servers\b", re.MULTILINE)
_LIST: Final = re.compile(r"\[\s*[{\"\]]")
_ODD: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_CURLY: Final = re.compile("[\u201c\u201d\u201e\u2018\u2019]")


def read_pasted(text: str) -> Pasted:
    """Return the servers of a paste, and what cannot be used of it. Never raises.

    At most 256 KiB: JSON or JSONC of any client, TOML of Codex, lines of a shell, a URL, a command. No
    message quotes a value, and no field but those of type `Secret` holds one that looks like a credential.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return _nothing(f"the text is larger than {MAX_BYTES // 1024} KiB", "paste the servers alone")
    text = _FENCE.sub("", text.removeprefix("\ufeff")).replace("\r\n", "\n").replace("\u00a0", " ")
    if not text.strip():
        return _nothing("there is nothing here", "paste the configuration of a client, or one line of it")
    if _ODD.search(text):
        return _nothing("the text has a control character or half a character", "paste it as plain text")
    try:
        return _read(text)
    except Undocumented as error:
        return Pasted("", problems=(_kinder(error.problem, text),))


def _read(text: str) -> Pasted:
    start = text.lstrip()
    if start.startswith(("{", '"', "//", "/*")) or _LIST.match(start):
        return _servers_of(json_of(fragment_of(text)))
    if _TABLE.search(text):
        return _servers_of(toml_of(text))
    problems: list[Problem] = []
    entries = tuple(
        entries_of(text, lambda line, error: problems.append(Problem(line, "", error.message, error.fix)))
    )
    return _servers_of(Found("lines of a shell", entries, {}), problems)


def _servers_of(found: Found, before: list[Problem] | None = None) -> Pasted:
    problems = before or []
    taken: set[str] = set()
    servers = [_server(entry, found.inputs, taken, problems) for entry in found.entries[:MAX_SERVERS]]
    if len(found.entries) > MAX_SERVERS:
        line = found.entries[MAX_SERVERS].line
        problems.append(
            Problem(line, "", f"there are more than {MAX_SERVERS} servers", "paste the others apart")
        )
    if not found.entries and not problems:
        problems.append(Problem(1, "", "there are no servers in this", "paste the part that has them"))
    named = tuple(server for server in servers if server is not None)
    return Pasted(found.form, named, tuple(sorted(problems, key=_line)), found.notices)


def _server(
    entry: Entry, inputs: Mapping[str, Gap], taken: set[str], problems: list[Problem]
) -> FoundServer | None:
    try:
        return read_entry(entry, inputs, taken)
    except Unfit as error:
        where = fit_name(entry.name) if entry.name else ""
        problems.append(Problem(entry.line, where, error.message, error.fix))
        return None


def _kinder(problem: Problem, text: str) -> Problem:
    """Return a problem with what most often causes it, if that is there."""
    if not _CURLY.search(text):
        return problem
    fix = "the text has curly quotes, which an editor put there: write straight ones"
    return Problem(problem.line, problem.where, problem.message, fix)


def _nothing(message: str, fix: str) -> Pasted:
    return Pasted("", problems=(Problem(1, "", message, fix),))


def _line(problem: Problem) -> int:
    return problem.line
