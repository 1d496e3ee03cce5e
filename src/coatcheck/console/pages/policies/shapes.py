"""The forms and queries of the pages of policies, and how rows and places are read from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct, field

from coatcheck.console.pages.policies.drafting import NOT_SENT, Visual
from coatcheck.console.web.forms import BadField
from coatcheck.core.policy.editing.rows import Choice, Row
from coatcheck.model.policy import Each, Per, Section
from coatcheck.model.stored_policy import UseKind
from coatcheck.operations.policies.using import Place

DAYS: Final = {"1": 1, "7": 7, "30": 30}
CHOICES: Final = (
    (Choice.NOTHING, "Default"),
    (Choice.ALLOW, "Allow"),
    (Choice.DENY, "Deny, and say why"),
    (Choice.HIDE, "Hide"),
    (Choice.LIMIT, "Allow, up to a limit"),
    (Choice.CAP, "Limit, where allowed"),
)
SECTIONS: Final = (
    (Section.TOOLS, "Tools like"),
    (Section.ACCESS, "Tools that (read, write)"),
    (Section.PROMPTS, "Prompts like"),
    (Section.RESOURCES, "Resources like"),
)
WINDOWS: Final = tuple(
    (f"{per} {each}", f"per {per}, {'in all' if each == 'all' else f'for each {each}'}")
    for per in Per
    for each in (*Each, "all")
)
_MOST_DIGITS: Final = 18


class DraftForm(Struct, kw_only=True):
    """The editor. `at`, `choice`, `message`, `most` and `window` are of one row each, in one order.

    `base` is the document that the rows were made from; `go` is the button, `view` the side that is seen
    without script. `run` is the replay that is under way.
    """

    text: str = ""
    base: str = ""
    view: str = "rules"
    go: str = ""
    version: int | None = None
    server: str = ""
    q: str = ""
    name: str = ""
    default: str = ""
    description: str = ""
    cases: str = ""
    because: str = ""
    at: list[str] = field(default_factory=list)
    choice: list[str] = field(default_factory=list)
    message: list[str] = field(default_factory=list)
    most: list[str] = field(default_factory=list)
    window: list[str] = field(default_factory=list)
    add_section: str = ""
    add_key: str = ""
    add_choice: str = ""
    days: str = "7"
    used_on: str = ""
    of: str = ""
    on_server: str = ""
    run: str = ""


class UseForm(Struct, kw_only=True):
    """What a policy is to be used on, or taken off."""

    kind: UseKind
    of: str = ""
    server: str = ""
    because: str = ""


def visual_of(form: DraftForm) -> Visual:
    """Return the visual side that came with a form.

    Raises:
        BadField: what no page of ours sends.
    """
    if not form.default:  # the rows were not there, or not to be changed
        return NOT_SENT
    rows = list(_rows(form))
    if form.go == "add" and form.add_key:
        rows.append(_row(f"{form.add_section}/{form.add_key}", form.add_choice, "", "100", "hour grant"))
    return Visual(True, form.name, form.default, form.description, tuple(rows))


def _rows(form: DraftForm) -> Iterator[Row]:
    columns = (form.at, form.choice, form.message, form.most, form.window)
    if len({len(column) for column in columns}) > 1:
        raise BadField("at", "The rows are not whole. Open the page again.")
    for one in zip(*columns, strict=True):
        yield _row(*one)


def _row(at: str, choice: str, message: str, most: str, window: str) -> Row:
    section, _, key = at.partition("/")
    per, _, each = window.partition(" ")
    try:
        return Row(
            Section(section),
            key,
            Choice(choice),
            message.strip(),
            int(most) if most.isascii() and most.isdigit() and len(most) <= _MOST_DIGITS else 0,
            Per(per),
            None if each == "all" else Each(each),
        ).plain()
    except ValueError:
        raise BadField("at", f"The row of {key} says what it cannot. Open the page again.") from None


def place_of(form: DraftForm) -> Place | None:
    """Return where a replay takes a policy to be used; None for where it is used now.

    Raises:
        BadField: an unknown word, or nothing to use it on.
    """
    if not form.used_on:
        return None
    if form.used_on not in tuple(UseKind):
        raise BadField("used_on", "Choose what the policy would be used on.")
    kind = UseKind(form.used_on)
    if kind is UseKind.EVERYTHING:
        return Place(kind)
    if not form.of:
        raise BadField("of", f"Name the {kind} that the policy would be used on.")
    return Place(kind, form.of, form.on_server if kind is UseKind.GRANT else "")
