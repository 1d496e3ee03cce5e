"""Settings of one server: what it allows, how it is reached, how credentials are looked after, its end."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.pages.endings import ended_words
from coatcheck.console.pages.servers.framing import Framing
from coatcheck.console.pages.servers.shapes import Allowing, globs_of, lines_of, typed_of
from coatcheck.console.pages.servers.words import report_of
from coatcheck.console.web.forms import NOTHING, BadField, BecauseForm
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Shown, done, seen
from coatcheck.console.web.rendering import plural
from coatcheck.model.credential import Probe, Replace, Upkeep
from coatcheck.model.secret import Secret
from coatcheck.model.server import Source, Transport
from coatcheck.operations.permissions import Permission
from coatcheck.operations.registry.patches import UNSAID, GrantFilter, ServerPatch
from coatcheck.operations.registry.serving.listing import TROUBLED, ServerRow
from coatcheck.operations.registry.serving.servers import ServerAdded
from coatcheck.operations.registry.views import GrantState, RegisteredView
from coatcheck.operations.use_cases import UseCases

MOST_COUNTED: Final = 50


class AllowForm(Allowing, kw_only=True):
    """What a server allows of itself, from `version` on."""

    version: int


class ReachForm(Struct, kw_only=True):
    """How a server is reached, from `version` on; what is empty stays.

    `plain` are the headers or variables that may be shown, one a line, all of them. `sealed_of` and `sealed`
    go together: names of secret ones, and a new value of each, or nothing. `drop` names those that are taken
    away; `fresh` are new secret ones, one a line.
    """

    version: int
    url: Secret = NOTHING
    transport: Transport | None = None
    command: str = ""
    args: Secret = NOTHING
    no_args: bool = False
    cwd: str = ""
    plain: str = ""
    sealed_of: list[str] = []
    sealed: list[Secret] = []
    drop: list[str] = []
    fresh: Secret = NOTHING


class UpkeepForm(Struct, kw_only=True):
    """How its credentials are looked after, from `version` on. `probe` empty: there is none."""

    version: int
    replace: Replace = Replace.OVERLAP
    probe: str = ""
    arguments: str = ""


class EndForm(Struct):
    """The name of the server, so that nobody ends another one by mistake."""

    name: str
    because: str = ""


class SettingPages:
    """Serves settings."""

    def __init__(self, cases: UseCases, framing: Framing) -> None:
        self._cases = cases
        self._framing = framing

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        write, base, again = Permission.SERVERS_WRITE, "/servers/{ref}/settings", self.show
        return [
            seen(base, write, self.show),
            done(f"{base}/allow", write, self.allow, AllowForm, again=again),
            done(f"{base}/reach", write, self.reach, ReachForm, again=again),
            done(f"{base}/upkeep", write, self.upkeep, UpkeepForm, again=again),
            done("/servers/{ref}/disable", write, self.disable, BecauseForm, again=again),
            done("/servers/{ref}/enable", write, self.enable),
            done("/servers/{ref}/remove", write, self.remove, EndForm, again=again),
        ]

    async def show(self, asked: Asked[Nothing, Any]) -> Shown:
        """Show the settings of a server."""
        frame = await self._framing.of(asked, "settings")
        view = frame["row"].view
        wanted = GrantFilter(server=str(view.id), state=GrantState.LIVE, limit=MOST_COUNTED)
        grants = await self._cases.grants.list(wanted)
        values = {
            **frame,
            "form": asked.path.rpartition("/")[2] if asked.typed else "",
            "plain": _plain_lines(view),
            "grants": len(grants.items),
            "more": grants.next is not None,
            "dying": self._cases.servers.made_for(str(view.id)),
            "is_file": view.source is Source.FILE,
            "why_not": self._cases.servers.may_add_commands(asked.actor),
        }
        return Shown("servers/settings.html", values)

    async def allow(self, asked: Asked[Nothing, AllowForm]) -> Answer:
        """Change what a server allows of itself."""
        form = asked.form
        patch = ServerPatch(
            note=form.note, default=form.default, approved=globs_of(form.approved), trusted=form.trusted
        )
        return await self._changed(asked, patch, form.version)

    async def reach(self, asked: Asked[Nothing, ReachForm]) -> Answer:
        """Change how a server is reached."""
        row = await self._cases.server_lists.get(asked.names["ref"])
        patch = _patch_of(row.view, asked.form)
        return await self._changed(asked, patch, asked.form.version)

    async def upkeep(self, asked: Asked[Nothing, UpkeepForm]) -> Answer:
        """Change how its credentials are looked after."""
        form = asked.form
        upkeep = Upkeep(form.replace, _probe_of(form))
        return await self._changed(asked, ServerPatch(upkeep=upkeep), form.version)

    async def _changed(self, asked: Asked[Nothing, Any], patch: ServerPatch, version: int) -> Answer:
        done = await self._cases.servers.change(asked.actor, asked.names["ref"], patch, version)
        frame = await self._framing.of(asked, "settings")
        said, tone = _changed_in_words(done, frame["row"])
        return Moved(frame["at"]("settings"), said, tone)

    async def disable(self, asked: Asked[Nothing, BecauseForm]) -> Answer:
        """Take a server away from all callers."""
        frame = await self._framing.of(asked, "settings")
        ref, because = asked.names["ref"], asked.form.because.strip()
        ended = await self._cases.servers.disable(asked.actor, ref, because)
        return Moved(frame["at"](), f"{frame['row'].view.name} is disabled. {ended_words(ended)}")

    async def enable(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Let callers reach a disabled server again."""
        await self._cases.servers.enable(asked.actor, asked.names["ref"])
        frame = await self._framing.of(asked, "settings")
        return Moved(frame["at"](), f"{frame['row'].view.name} is in use again.")

    async def remove(self, asked: Asked[Nothing, EndForm]) -> Answer:
        """Remove a server."""
        row: ServerRow = await self._cases.server_lists.get(asked.names["ref"])
        if asked.form.name.strip() != row.view.name:
            raise BadField("name", f"This is not the name of the server, {row.view.name}.")
        dying = self._cases.servers.made_for(str(row.view.id))
        ended = await self._cases.servers.end(asked.actor, str(row.view.id), asked.form.because.strip())
        also = f" {plural(len(dying), 'credential')} went with it." if dying else ""
        return Moved("/servers", f"{row.view.name} was removed. {ended_words(ended)}{also}")


def _changed_in_words(done: ServerAdded, row: ServerRow) -> tuple[str, Any]:
    if row.view.disabled:
        return "Changed. The server is disabled.", "good"
    if done.tools is None or row.condition in TROUBLED:
        return f"Changed, and it cannot be asked: {row.why or done.error}.", "warn"
    return f"Changed. {report_of(done.tools)}", "good"


def _plain_lines(view: RegisteredView) -> str:
    sign = "=" if view.transport is Transport.STDIO else ": "
    return "\n".join(f"{name}{sign}{value}" for name, value in view.plain)


def _patch_of(view: RegisteredView, form: ReachForm) -> ServerPatch:
    """Return the changes that a form means.

    Raises:
        BadField: a line that is no header or variable, arguments with a quote that is not closed.
    """
    is_child = view.transport is Transport.STDIO
    sign, words = ("=", "NAME=value") if is_child else (":", "Name: value")
    plain = lines_of(form.plain, sign, "plain", words)
    fresh = lines_of(form.fresh.reveal(), sign, "fresh", words)
    given: dict[str, Secret | None] = {name: None for name, _ in view.plain if name not in plain}
    given |= dict.fromkeys(form.drop)
    old = dict(view.plain)
    given |= {name: Secret(value) for name, value in plain.items() if old.get(name) != value}
    pairs = zip(form.sealed_of, form.sealed, strict=False)
    given |= {name: value for name, value in pairs if typed_of(value) and name not in form.drop}
    given |= {name: Secret(value) for name, value in fresh.items()}
    shown = frozenset(plain)
    if not is_child:
        return ServerPatch(
            url=typed_of(form.url) or UNSAID,
            transport=form.transport if form.transport not in {None, view.transport} else UNSAID,
            headers=given or UNSAID,
            plain=UNSAID if shown == old.keys() else shown,
        )
    command = form.command.strip()
    return ServerPatch(
        command=command if command and command != view.reach else UNSAID,
        args=_args_of(form),
        env=given or UNSAID,
        cwd=UNSAID if form.cwd.strip() == (view.cwd or "") else form.cwd.strip() or None,
        plain=UNSAID if shown == old.keys() else shown,
    )


def _args_of(form: ReachForm) -> Any:
    if form.no_args:
        return ()
    try:
        words = shlex.split(form.args.reveal())
    except ValueError:
        raise BadField("args", "A quote in this is not closed.") from None
    return tuple(map(Secret, words)) if words else UNSAID


def _probe_of(form: UpkeepForm) -> Probe | None:
    tool = form.probe.strip()
    if not tool:
        return None
    try:
        arguments = json.loads(form.arguments.strip() or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise BadField("arguments", 'This is no JSON object, such as {"name": "value"}.')
    return Probe(tool, form.arguments.strip() or "{}")
