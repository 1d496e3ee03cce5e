"""What every use case of credentials works with: the desk, and the servers in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from coatcheck.core.credentials.making import printed
from coatcheck.errors import Unfit
from coatcheck.model.credential import Credential, Custody
from coatcheck.model.operator import Actor
from coatcheck.model.registry import Edit, Object
from coatcheck.model.secret import Secret
from coatcheck.operations.credentials import telling
from coatcheck.operations.credentials.showing import find_credential, standing, used_by, view_of
from coatcheck.operations.credentials.views import CredentialView, Verdict
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.reaching.servers import Servers
from coatcheck.operations.registry import changes
from coatcheck.operations.registry.desk import Desk


@dataclass(frozen=True, slots=True)
class Counter:
    """The desk of the registry, and the servers in use."""

    desk: Desk
    servers: Servers

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot in force."""
        return self.desk.snapshot

    def now(self) -> datetime:
        """Return the time, in UTC."""
        return self.desk.now()

    def new_id(self) -> UUID:
        """Return the id of a new credential."""
        return UUID(bytes=self.desk.entropy.token(16), version=4)

    def printed(self, material: Secret) -> str:
        """Return the fingerprint of material."""
        return printed(self.desk.print_key, material)

    def show(self, ref: str) -> CredentialView:
        """Return what is shown of a credential.

        Raises:
            Missing: there is none.
        """
        return self.look(ref)[1]

    def look(self, ref: str) -> tuple[Credential, CredentialView]:
        """Return a credential, and what is shown of it.

        Raises:
            Missing: there is none.
        """
        snapshot = self.snapshot
        found = find_credential(snapshot, ref)
        places = used_by(snapshot).get(found.name, ())
        return found, view_of(found, places, self.servers.in_use().get(found.id, {}), self.now())

    def every(self) -> list[tuple[Credential, CredentialView]]:
        """Return the credentials that have not ended, each with what is shown of it."""
        snapshot, now = self.snapshot, self.now()
        places, in_use = used_by(snapshot), self.servers.in_use()
        return [
            (one, view_of(one, places.get(one.name, ()), in_use.get(one.id, {}), now))
            for one in standing(snapshot)
        ]

    def stored(self, snapshot: Snapshot, ref: str) -> Credential:
        """Return a credential whose versions operators make.

        Raises:
            Missing: there is none.
            Unfit: its material comes from elsewhere.
        """
        found = find_credential(snapshot, ref)
        if found.custody is not Custody.STORE:
            fix = "edit it there; it switches at once, and `coatcheck credential verify` asks the servers"
            raise Unfit(f"the credential {found.name} comes from {_WHENCE[found.custody]}", fix=fix)
        return found

    def edit(
        self, actor: Actor, action: str, before: Credential | None, after: Credential, because: str = ""
    ) -> Edit:
        """Return the edit that puts a credential, and the record of it."""
        told = changes.of_credential(before) if before is not None else None
        outlines = told, changes.of_credential(after)
        change = self.desk.scribe.changed(actor, action, telling.what(after), *outlines, because)
        return Edit((after,), (change,))

    def step(
        self,
        actor: Actor,
        action: str,
        before: Credential,
        after: Credential,
        verdicts: Sequence[Verdict] = (),
        because: str = "",
        **step: object,
    ) -> Edit:
        """Return the edit that makes one step of a rotation, and the record of it.

        Where the step changed nothing, such as a failed try, there is the record alone.
        """
        outlines = telling.of_step(before, (), {}), telling.of_step(after, verdicts, step)
        change = self.desk.scribe.changed(actor, action, telling.what(after), *outlines, because)
        puts: tuple[Object, ...] = () if after is before else (after,)
        return Edit(puts, (change,))


_WHENCE = {
    Custody.ENV: "the environment of the gateway",
    Custody.FILE: "a file",
    Custody.LITERAL: "the servers file",
}
