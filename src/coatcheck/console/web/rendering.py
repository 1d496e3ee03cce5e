"""Templates to pages. Everything that is put into one is text, and becomes markup nowhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from coatcheck.console.web import paths
from coatcheck.console.web.commands import PageFor, Retold
from coatcheck.console.web.words import action_in_words, kind_in_words, outcome_in_words, reason_in_words

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2.runtime import Context


class Rendering:
    """The templates of the package. They are read when the first page is shown: starts stay quick."""

    def __init__(self, asset: Callable[[str], str], version: str) -> None:
        self._asset = asset
        self._version = version

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """Return a page.

        Raises:
            jinja2.TemplateError: a defect of the template.
        """
        return self._environment.get_template(template).render(values)

    @cached_property
    def _environment(self) -> Environment:
        from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context

        made = Environment(
            loader=PackageLoader("coatcheck.console"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=400,
        )
        made.globals.update(asset=self._asset, version=self._version, link=link)
        made.globals.update(server_page=paths.server_page, credential_page=paths.credential_page)
        made.globals.update(policy_page=paths.policy_page, grant_page=paths.grant_page)
        made.filters.update(iso=iso, utc=utc, part=part, plural=plural, seconds=seconds, sentence=sentence)
        made.filters.update(outcome=outcome_in_words, reason=reason_in_words, told=pass_context(told))
        made.filters.update(linked=pass_context(linked))
        made.filters.update(action=action_in_words, kind=kind_in_words)
        return made


def told(context: Context, text: Any) -> Any:
    """Return a text of ours with pages in place of commands: links to those that the reader may see.

    It is for what we say ourselves, such as why something failed: what others said is shown as they said it.
    What is markup already stays as it is. It is not for attributes.
    """
    return text if hasattr(text, "__html__") or not text else linked(context, Retold.of(str(text)))


def linked(context: Context, text: Any) -> Any:
    """Return a text that was told already with its links, and any other as it is."""
    if not isinstance(text, Retold):
        return text
    may = context.get("may") or (lambda _: False)
    pieces = (
        (one.words, one.path if may(one.who.value) else "") if isinstance(one, PageFor) else (one, "")
        for one in text.pieces
    )
    macros: Any = context.environment.get_template("parts/told.html").module
    return macros.told(pieces)


def sentence(text: str) -> Retold:
    """Return a text of ours as a sentence."""
    return Retold.of(text).sentence()


def link(path: str, **query: Any) -> str:
    """Return a path with a query, without what is empty. Lists give a parameter several times."""
    kept = {name: value for name, value in query.items() if value not in (None, "", False, [], ())}
    return f"{path}?{urlencode(kept, doseq=True)}" if kept else path


def paged(
    path: str, here: Mapping[str, Any], after: object, then: object, by: str = "after"
) -> Mapping[str, str]:
    """Return where the `first` and the `next` page of a list are, for its pager; empty where there is none.

    `here` are the filters of the list, `after` is where this page of it begins, `then` where the next one
    does, both None or empty without such; `by` is the parameter that says so.
    """
    return {
        "first": "" if after in (None, "") else link(path, **here),
        "next": "" if then in (None, "") else link(path, **{**here, by: then}),
    }


def part(text: Any) -> str:
    """Return a text as one part of a path."""
    return quote(str(text), safe="")


def iso(moment: datetime) -> str:
    """Return a time as `datetime` attributes have it (RFC 3339, UTC)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc(moment: datetime) -> str:
    """Return a time as people read it where no script puts it into their zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def plural(count: int, noun: str) -> str:
    """Return a number with its noun, in groups as `ui.count` has it: `1 tool`, `1\u202f234 tools`."""
    grouped = f"{count:,}".replace(",", "\u202f")
    return f"{grouped} {noun}{'' if count == 1 else 's'}"


def seconds(duration: float) -> str:
    """Return a duration as people read it: `0.4 ms`, `12 ms`, `1.3 s`, `4 min`, `3 h`, `12 d`."""
    if duration < 1:
        thousandths = duration * 1_000
        return f"{thousandths:.1f} ms" if thousandths < 10 else f"{thousandths:.0f} ms"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if duration >= 2 * size:
            return f"{duration / size:.0f} {unit}"
    return f"{duration:.1f} s" if duration < 10 else f"{duration:.0f} s"
