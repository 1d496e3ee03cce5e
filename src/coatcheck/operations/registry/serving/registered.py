"""Registered servers of both sources as they are shown: what they are given is named, and never told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coatcheck.model.credential import Use
from coatcheck.model.registry import Override
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, Server, Source, StdioReach, StoredServer
from coatcheck.operations.registry.serving.amending import as_written
from coatcheck.operations.registry.views import RegisteredView


def of_store(server: StoredServer) -> RegisteredView:
    """Return a stored server."""
    given = _given(server.reach)
    shown = _given(as_written(server))
    return RegisteredView(
        id=server.id,
        name=server.name,
        source=Source.STORE,
        transport=server.reach.transport,
        reach=shown_reach(server.reach),
        plain=tuple((name, shown[name].reveal()) for name in sorted(given) if name in server.plain),
        sealed=tuple(name for name in sorted(given) if name not in server.plain),
        args=len(server.reach.args) if isinstance(server.reach, StdioReach) else 0,
        cwd=server.reach.cwd if isinstance(server.reach, StdioReach) else None,
        disabled=server.disabled,
        because=server.because,
        created_at=server.created_at,
        created_by=server.created_by,
        ended_at=server.ended_at,
        note=server.note,
        version=server.version,
        upkeep=server.upkeep,
        credentials=tuple((place, name) for place, blank in server.blanks.items() for name in blank.names),
        default=server.default,
        approved=server.approved,
        trusted=server.trusted,
    )


def of_file(
    server: Server, word: Override | None, written: Override | None, uses: Sequence[Use] = ()
) -> RegisteredView:
    """Return a server of the file. `word`: an operator's that holds; `written`: the last, held or not."""
    return RegisteredView(
        id=server.id,
        name=server.name,
        source=Source.FILE,
        transport=server.reach.transport,
        reach=shown_reach(server.reach),
        plain=(),
        sealed=tuple(sorted(_given(server.reach))),
        args=len(server.reach.args) if isinstance(server.reach, StdioReach) else 0,
        cwd=server.reach.cwd if isinstance(server.reach, StdioReach) else None,
        disabled=word is not None,
        because=word.because if word is not None else "",
        created_at=None,
        created_by="",
        ended_at=None,
        note="",
        version=written.version if written is not None else 0,
        upkeep=server.upkeep,
        credentials=tuple((use.place, use.name) for use in uses),
        default=server.default,
        approved=server.approved,
        trusted=server.trusted,
    )


def shown_reach(reach: HttpReach | StdioReach) -> str:
    """Return the URL as it may be shown, or the command; never arguments."""
    return reach.shown_url if isinstance(reach, HttpReach) else reach.command


def _given(reach: HttpReach | StdioReach) -> Mapping[str, Secret]:
    return reach.headers if isinstance(reach, HttpReach) else reach.env
