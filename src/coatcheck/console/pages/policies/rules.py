"""What the visual side of the editor shows: the tools of a server with their rows, then the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from coatcheck.console.pages.policies.drafting import Draft
from coatcheck.core.policy.conditions.paths import escaped
from coatcheck.core.policy.editing.rows import Choice, Place, Row, row_of, rows_of
from coatcheck.core.policy.editing.sentences import Sentence, sentence_of, sentences_of
from coatcheck.core.policy.judging import DEFAULT_POINTER, ReadyPolicy, Standing
from coatcheck.core.wire import messages
from coatcheck.model.call import Kind, Target
from coatcheck.model.policy import Policy, PolicyEntry, Section
from coatcheck.model.verdict import Judgement
from coatcheck.operations.views import ToolView, Views

MOST_TOOLS: Final = 100
"""Tools that are shown at once; a search finds the others."""
MOST_OTHERS: Final = 200
_LONGEST_KEY: Final = 256


@dataclass(frozen=True, slots=True)
class Line:
    """One row to show. `standing` is what comes of a tool by the whole policy, which others may decide.

    `otherwise` is what would come of it without the row. `told` says in words what the row cannot show.
    `nameable` False: no entry can stand for just this name.
    """

    row: Row
    tool: ToolView | None = None
    about: str = ""
    standing: Standing | None = None
    otherwise: Judgement | None = None
    told: Sentence | None = None
    nameable: bool = True

    @property
    def description(self) -> str:
        """What the server says of the tool."""
        return "" if self.tool is None else messages.text_of(self.tool.entry.members.get("description")) or ""

    @property
    def by(self) -> str:
        """What else of the document decides, in words; empty where it is the row itself."""
        pointer = self.standing.rule.partition(":")[2].removesuffix("/outcome") if self.standing else ""
        if not pointer or pointer == f"/{self.row.section}/{escaped(self.row.key)}":
            return ""
        return "by default" if pointer == DEFAULT_POINTER else f"by {pointer[1:]}"


@dataclass(frozen=True, slots=True)
class Rules:
    """The visual side. `tools` are of the server that was chosen, `more` of them are not shown.

    `whole` are limits over everything, in words; `failing` says why nobody knows the tools.
    """

    tools: Sequence[Line] = ()
    others: Sequence[Line] = ()
    whole: Sentence | None = None
    more: int = 0
    there_are: int = 0
    more_others: int = 0
    failing: str = ""


Listed = tuple[Sequence[ToolView], str]
"""The tools of a server, and why nobody knows them."""


def rules_of(draft: Draft, listed: Listed, search: str) -> Rules:
    """Return the visual side of a draft beside the tools that a server lists now, those whose name fits."""
    policy, (tools, failing) = draft.shown, listed
    if policy is None:
        return Rules()
    words = search.casefold()
    found = [tool for tool in tools if words in tool.entry.name.casefold()]
    shown, names = found[:MOST_TOOLS], {tool.entry.name for tool in tools}
    both, known, entries = (ReadyPolicy(policy), _without(policy, names)), rows_of(policy), _entries(policy)
    lines = [_tool_line(tool, both, _row(draft, known, tool.entry.name), entries) for tool in shown]
    others = _others(draft, policy, names)
    return Rules(
        lines,
        others[:MOST_OTHERS],
        next((one for one in sentences_of(policy) if one.where == "/limits"), None),
        len(found) - len(shown),
        len(tools),
        max(0, len(others) - MOST_OTHERS),
        failing,
    )


async def tools_of(views: Views, server: str) -> Listed:
    """Return the tools that a server lists now; of no server, none."""
    if not server:
        return (), ""
    try:
        tools, failing = await views.tools_soon(server)
    except KeyError:
        return (), f"There is no server {server} in use."
    return tools, failing[0][1] if failing else ""


def _entries(policy: Policy) -> Mapping[Place, PolicyEntry]:
    return {(entry.section, entry.key): entry for entry in policy.entries}


def _row(draft: Draft, known: Mapping[Place, Row], name: str) -> Row:
    place = (Section.TOOLS, name)
    return draft.typed.get(place) or known.get(place) or Row(*place)


def _tool_line(
    tool: ToolView, both: tuple[ReadyPolicy, ReadyPolicy], row: Row, entries: Mapping[Place, PolicyEntry]
) -> Line:
    name = tool.entry.name
    standing, rest = (one.standing(Target(Kind.TOOL, name), tool.nature) for one in both)
    told = sentence_of(entries[row.place]) if row.choice is Choice.CUSTOM else None
    return Line(row, tool, name, standing, rest.judgement, told, is_nameable(name))


def _without(policy: Policy, tools: set[str]) -> ReadyPolicy:
    """Return a policy without what it says of just these tools: this holds where a row says nothing."""
    kept = [
        one
        for one in policy.entries
        if one.section is not Section.TOOLS or one.key not in tools or not is_nameable(one.key)
    ]
    return ReadyPolicy(replace(policy, entries=tuple(kept)))


def is_nameable(name: str) -> bool:
    """Tell whether an entry can stand for just this tool."""
    return 0 < len(name) <= _LONGEST_KEY and name.isprintable() and name == name.strip() and "*" not in name


def _others(draft: Draft, policy: Policy, tools: set[str]) -> list[Line]:
    """Return the lines of all entries that are not of one of these tools, and of those that were typed."""
    lines = []
    for entry in policy.entries:
        if entry.section is Section.TOOLS and entry.key in tools and is_nameable(entry.key):
            continue
        row, told = draft.typed.get((entry.section, entry.key)) or row_of(entry), sentence_of(entry)
        lines.append(Line(row, None, told.about, told=told if row.choice is Choice.CUSTOM else None))
    known = {line.row.place for line in lines} | {(Section.TOOLS, name) for name in tools}
    return lines + [Line(row, None, row.key) for place, row in draft.typed.items() if place not in known]
