"""One credential: its versions in time, who uses it, what is to be done about it, and what it touched."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from coatcheck.console.pages.credentials.words import frame_of
from coatcheck.console.pages.places import Places
from coatcheck.console.pages.servers.words import place_in_words
from coatcheck.console.web.forms import RunQuery
from coatcheck.console.web.page import Answer, AnyPage, Asked, Nothing, Shown, seen
from coatcheck.model.reading import Radius, RadiusFilter, Touched
from coatcheck.operations.permissions import Permission
from coatcheck.operations.readers import ReadKind
from coatcheck.operations.use_cases import UseCases


class RadiusQuery(Struct):
    """Of which version; None: of all."""

    version: int | None = None


class CredentialPages:
    """Serves credentials."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages. `/show` is for credentials that are called as a page of ours is."""
        return [
            seen("/credentials/{ref}", Permission.CREDENTIALS_READ, self.show, RunQuery),
            seen("/credentials/{ref}/show", Permission.CREDENTIALS_READ, self.show, RunQuery),
            seen("/credentials/{ref}/radius", Permission.RECORDS, self.radius, RadiusQuery),
        ]

    async def show(self, asked: Asked[RunQuery, Nothing]) -> Answer:
        """Show a credential: its versions, who uses it, and what it waits for."""
        row = await self._cases.credential_lists.get(asked.names["ref"])
        wanted, runs = asked.query.run, self._cases.runs
        run = runs.find(asked.actor, wanted) if wanted else None
        values = {
            **frame_of(row),
            "places": Places(self._cases.directory.snapshot),
            "uses": [(server, place_in_words(place)) for server, place in row.view.used_by],
            "run": run if run is not None and run.credential == row.view.id else None,
            "busy": runs.under_way(row.view.id),
        }
        return Shown("credentials/one.html", values)

    async def radius(self, asked: Asked[RadiusQuery, Nothing]) -> Answer:
        """Show all that a credential, or one version of it, touched."""
        row = await self._cases.credential_lists.get(asked.names["ref"])
        name, version = row.view.name, asked.query.version
        found = await self._cases.radii.find(RadiusFilter(name, version))
        if found is not None:
            what = {"credential": name, "version": version}
            await self._cases.readers.look(asked.actor, ReadKind.RADIUS, what)
        lists = _lists(found.radius) if found is not None else ()
        values = {**frame_of(row), "number": version, "found": found, "lists": lists}
        return Shown("credentials/radius.html", values)


def _lists(radius: Radius) -> Sequence[tuple[str, Sequence[Touched]]]:
    return [
        ("Servers", radius.servers),
        ("Tools", radius.tools),
        ("People and automations", radius.subjects),
        ("Grants", radius.grants),
        ("Addresses", radius.addresses),
        ("Clients", radius.clients),
    ]
