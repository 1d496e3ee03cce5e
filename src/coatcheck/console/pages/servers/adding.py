"""Adding servers: a URL, a command or a pasted configuration; tried, shown, and only then kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from coatcheck.console.pages.servers.drafts import Candidate, Draft, Drafts
from coatcheck.console.pages.servers.previewing import preview_of
from coatcheck.console.pages.servers.shapes import (
    AddForm,
    ChooseForm,
    CommandForm,
    PasteForm,
    UrlForm,
    child_of,
    configuration_of_command,
    configuration_of_url,
    globs_of,
    pasted_of,
    remote_of,
    typed_of,
)
from coatcheck.console.pages.servers.words import place_in_words, report_of
from coatcheck.console.web.commands import Retold
from coatcheck.console.web.forms import BadField
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Shown, done, seen
from coatcheck.console.web.paths import credential_page, server_page
from coatcheck.console.web.rendering import plural
from coatcheck.core.pasted import Filled, FoundServer, Pasted, filled
from coatcheck.errors import CoatcheckError, Missing, Unfit, UpstreamError
from coatcheck.model.operator import Actor
from coatcheck.model.policy import Default
from coatcheck.operations.permissions import Permission
from coatcheck.operations.registry.patches import NewServer
from coatcheck.operations.registry.serving.equipping import names_of
from coatcheck.operations.registry.serving.servers import ServerAdded
from coatcheck.operations.use_cases import UseCases

ANYWAY: Final = "Nothing was added. To add it although it does not answer, say so below"
MAX_PASTE: Final = 1024 * 1024
_IN_PART: Final = frozenset({"url"})
"""What is shown again without its query, where a key may stand."""
Ask = Asked[Any, Any]


class AddingPages:
    """Serves adding. What is tried is held in `drafts`, and no page has a secret of it."""

    def __init__(self, cases: UseCases, drafts: Drafts) -> None:
        self._cases = cases
        self._drafts = drafts

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        write = Permission.SERVERS_WRITE
        return [
            seen("/servers/new", write, self.ask_url),
            seen("/servers/new/url", write, self.ask_url),
            done(
                "/servers/new/url",
                write,
                self.try_url,
                UrlForm,
                again=self.ask_url,
                partly=_IN_PART,
            ),
            seen("/servers/new/command", write, self.ask_command),
            done("/servers/new/command", write, self.try_command, CommandForm, again=self.ask_command),
            seen("/servers/new/paste", write, self.ask_paste),
            done("/servers/new/paste", write, self.read, PasteForm, again=self.ask_paste, limit=MAX_PASTE),
            seen("/servers/new/draft/{draft}", write, self.show),
            done("/servers/new/draft/{draft}", write, self.add, AddForm, again=self.show),
            done("/servers/new/draft/{draft}/choose", write, self.choose, ChooseForm, again=self.show_choice),
            seen("/servers/new/draft/{draft}/choose", write, self.show_choice),
        ]

    # --- three ways ----------------------------------------------------------------------------------------

    async def ask_url(self, asked: Ask) -> Shown:  # noqa: ARG002 - the shape of a page
        """Show the form for a server with a URL."""
        return Shown("servers/new_url.html", {"way": "url"})

    async def ask_command(self, asked: Ask) -> Shown:
        """Show the form for a server that is a command, or why this operator cannot add one."""
        why = self._cases.servers.may_add_commands(asked.actor)
        return Shown("servers/new_command.html", {"way": "command", "why_not": why})

    async def ask_paste(self, asked: Ask) -> Shown:
        """Show the form for a client's configuration."""
        why = self._cases.servers.may_add_commands(asked.actor)
        return Shown("servers/new_paste.html", {"way": "paste", "why_not": why})

    async def try_url(self, asked: Asked[Nothing, UrlForm]) -> Answer:
        """Try a URL, and show what came of it."""
        form = asked.form
        new = remote_of(form, await self._filled(configuration_of_url(form), "url"))
        return await self._tried(asked.actor, new, anyway=form.anyway)

    async def try_command(self, asked: Asked[Nothing, CommandForm]) -> Answer:
        """Try a command, and show what came of it."""
        form = asked.form
        if why := self._cases.servers.may_add_commands(asked.actor):
            raise Unfit(why)
        new = child_of(form, await self._filled(configuration_of_command(form), "command"))
        return await self._tried(asked.actor, new, anyway=form.anyway)

    async def read(self, asked: Asked[Nothing, PasteForm]) -> Answer:
        """Read a client's configuration, and show the servers that are in it."""
        pasted = await self._read(asked.form.text.reveal())
        if not pasted.servers:
            said = pasted.problems[0]
            where = f" (line {said.line})" if said.line > 1 else ""
            raise Unfit(f"{said.message}{where}", fix=said.fix)
        draft = self._drafts.put(asked.actor.name, pasted)
        return Moved(_path(draft, "/choose"))

    async def _read(self, text: str) -> Pasted:
        # Up to 256 KiB of anything, read by hand: calls of everybody would wait for it on the loop.
        return await asyncio.to_thread(self._cases.read_pasted, text)

    async def _filled(self, configuration: str, field: str) -> Filled:
        """Return what one URL or command says, apart from what looks like a credential in it."""
        pasted = await self._read(configuration)
        if not pasted.servers:
            said = pasted.problems[0]
            raise BadField(field, f"{said.message[0].upper()}{said.message[1:]}. {said.fix}".strip())
        found = pasted.servers[0]
        if found.gaps:
            raise BadField(field, f"Write the value itself in place of {found.gaps[0].written}.")
        return filled(found, {}, taken=self._taken())

    async def _tried(self, actor: Actor, new: NewServer, *, anyway: bool) -> Answer:
        trial = await self._cases.trials.run(actor, new)
        if trial.error and not anyway:
            fix: str = Retold.of(trial.fix).sentence()
            if trial.refused:
                fix = "Give it a credential, another one, or choose OAuth."
            raise UpstreamError(f"trying it failed: {trial.error}", fix=f"{fix} {ANYWAY}".strip())
        return Moved(_path(self._drafts.put(actor.name, None, [Candidate(new, trial)])))

    # --- choosing among what was pasted --------------------------------------------------------------------

    async def show_choice(self, asked: Ask) -> Shown:
        """Show the servers of a pasted configuration, to choose from."""
        return self._shown(asked, choosing=True)

    async def choose(self, asked: Asked[Nothing, ChooseForm]) -> Answer:
        """Try the servers that were chosen, and show what came of it."""
        actor, form = asked.actor, asked.form
        draft = self._drafts.get(actor.name, asked.names["draft"])
        if draft.pasted is None:
            raise Unfit("nothing was pasted that could be chosen from", fix="begin again, with a paste")
        found = [(n, one) for n, one in enumerate(draft.pasted.servers) if str(n) in form.include]
        if not found:
            raise Unfit("no server is chosen", fix="choose at least one")
        taken, wanted = self._taken(), list[NewServer]()
        for number, one in found:
            wanted.append(_chosen(one, number, form, taken))
            taken |= wanted[-1].credentials.keys()
        self._drafts.change(draft, await asyncio.gather(*(self._candidate(actor, new) for new in wanted)))
        return Moved(_path(draft))

    async def _candidate(self, actor: Actor, new: NewServer, *, chosen: bool | None = None) -> Candidate:
        try:
            return Candidate(new, await self._cases.trials.run(actor, new), chosen=chosen)
        except CoatcheckError as error:
            return Candidate(new, None, error.message, error.fix, chosen)

    def _taken(self) -> set[str]:
        """Return the names that credentials have."""
        return names_of(self._cases.directory.snapshot.registry)

    # --- before they are kept, and keeping them ------------------------------------------------------------

    async def show(self, asked: Ask) -> Shown:
        """Show what was tried, what would become of it, and what that allows."""
        return self._shown(asked)

    def _shown(self, asked: Ask, *, choosing: bool = False) -> Shown:
        """Return the page of a draft: what was pasted, to choose from, or what was tried, if there is such.

        Raises:
            Missing: there is neither.
        """
        draft, trials = self._drafts.get(asked.actor.name, asked.names["draft"]), self._cases.trials
        if draft.pasted is not None and (choosing or not draft.candidates):
            why = self._cases.servers.may_add_commands(asked.actor)
            values = {"draft": draft, "pasted": draft.pasted, "why_not": why, "in_words": place_in_words}
            return Shown("servers/new_choose.html", values)
        if not draft.candidates:
            raise Missing("there is nothing here that could be added", fix="begin again")
        previews = [preview_of(trials, number, one) for number, one in enumerate(draft.candidates)]
        return Shown("servers/new_preview.html", {"draft": draft, "previews": previews})

    async def add(self, asked: Asked[Nothing, AddForm]) -> Answer:
        """Keep the servers that were chosen, or try all of them again."""
        actor, form = asked.actor, asked.form
        draft = self._drafts.get(actor.name, asked.names["draft"])
        draft = self._drafts.change(
            draft, [_as_chosen(one, n, form) for n, one in enumerate(draft.candidates)]
        )
        if form.act == "again":
            again = (self._candidate(actor, one.new, chosen=one.chosen) for one in draft.candidates)
            self._drafts.change(draft, await asyncio.gather(*again))
            return Moved(_path(draft))
        chosen = [one for n, one in enumerate(draft.candidates) if str(n) in form.include]
        if not chosen:
            raise Unfit("no server is chosen", fix="choose at least one")
        return await self._added(actor, draft, chosen)

    async def _added(self, actor: Actor, draft: Draft, chosen: Sequence[Candidate]) -> Answer:
        added: list[tuple[NewServer, ServerAdded]] = []
        left = [one for one in draft.candidates if one not in chosen]
        for number, one in enumerate(chosen):
            try:
                added.append((one.new, await self._cases.servers.add(actor, one.new)))
            except CoatcheckError as error:
                self._drafts.change(draft, [*chosen[number:], *left])
                if not added:
                    raise
                names = ", ".join(new.name for new, _ in added)
                raise Unfit(f"{names}: added. {one.new.name}: {error.message}", fix=error.fix) from None
        self._drafts.drop(draft.id)
        return _told(added)


def _told(added: Sequence[tuple[NewServer, ServerAdded]]) -> Moved:
    """Return where to go on after servers were added, and what to say there."""
    if len(added) > 1:
        return Moved("/servers", f"{plural(len(added), 'server')} were added: {_names(added)}.")
    new, done = added[0]
    name = done.server.name
    if new.oauth is not None and done.credentials:
        said = f"{name} was added. Connect it now: until then it has no token."
        return Moved(credential_page(done.credentials[-1]), said)
    if done.tools is None:
        return Moved(server_page(name), f"{name} was added, and cannot be asked: {done.error}.", "warn")
    return Moved(server_page(name), f"{name} was added. {report_of(done.tools)}")


def _names(added: Sequence[tuple[NewServer, ServerAdded]]) -> str:
    names = [new.name for new, _ in added]
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _chosen(found: FoundServer, number: int, form: ChooseForm, taken: set[str]) -> NewServer:
    """Return a server of a paste as it was chosen to be.

    Raises:
        Unfit: a gap has no value.
    """
    proposed = {one.place for one in found.proposed}
    keep = {one.partition(":")[2] for one in form.keep if one.partition(":")[0] == str(number)}
    pairs = zip(form.gap_of, form.gaps, strict=False)
    given = {
        gap.partition(":")[2]: value
        for gap, value in pairs
        if gap.partition(":")[0] == str(number) and typed_of(value)
    }
    name = form.names[number].strip() if number < len(form.names) else ""
    try:
        made = filled(found, given, name=name or found.name, shown=proposed - keep, taken=taken)
    except Unfit as error:
        raise Unfit(f"{found.name}: {error.message}", fix=error.fix) from None
    return pasted_of(made)


def _as_chosen(one: Candidate, number: int, form: AddForm) -> Candidate:
    """Return a candidate with what it is to allow of itself, and whether it was chosen.

    What is left as it was shown says nothing: what did not answer is ticked once it does.
    """
    is_in = str(number) in form.include
    new = replace(
        one.new,
        default=form.default[number] if number < len(form.default) else Default.READ_ONLY,
        approved=globs_of(form.approved[number]) if number < len(form.approved) else None,
        trusted=str(number) in form.trusted,
    )
    return replace(one, new=new, chosen=one.chosen if is_in is one.ticked else is_in)


def _path(draft: Draft, more: str = "") -> str:
    return f"/servers/new/draft/{draft.id}{more}"
