"""Policies: put, shown, compared, taken back to an older version, and ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from coatcheck.core.access import globs
from coatcheck.core.policy.builtin import BUILT_IN
from coatcheck.core.policy.differences import differences
from coatcheck.core.policy.reading.document import read_policy
from coatcheck.core.policy.reading.problems import BadPolicy, Problem
from coatcheck.core.policy.writing import write_json, write_policy
from coatcheck.errors import Missing, Stale, Taken, Unfit
from coatcheck.model.change import ObjectKind
from coatcheck.model.operator import Actor
from coatcheck.model.policy import Policy
from coatcheck.model.registry import Edit
from coatcheck.model.stored_policy import PolicyVersion, StoredPolicy
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.policies.showing import (
    built_in_view,
    policy_view,
    policy_views,
    stored_policy,
    told_of,
    use_views,
    uses_of,
    words_of,
)
from coatcheck.operations.policies.views import DiffView, PolicyFilter, PolicyView, VersionView
from coatcheck.operations.registry import fitness
from coatcheck.operations.registry.desk import Desk, check_version
from coatcheck.operations.registry.paging import page_of
from coatcheck.operations.registry.views import Page

MAX_POLICIES: Final = 500
MAX_VERSIONS: Final = 1_000
MAX_DOCUMENT: Final = 256 * 1024
"""Bytes of a document in its canonical form."""


class Policies:
    """The policies that operators put. What is put is in force for the next request."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def put(
        self, actor: Actor, name: str, document: object, version: int | None, because: str = ""
    ) -> PolicyView:
        """Take a document, of plain values with exact numbers, as the policy of that name.

        Without a `version` it must be new. A document that says the same as before makes no new version.

        Raises:
            BadPolicy: the document is no policy, or not of that name; `problems` has all that is wrong.
            Taken: there is such a policy, and no `version` was given.
            Stale: it is not at `version`.
            Unfit: the document is too large, or there are too many.
        """
        policy = policy_of(name, document)
        fitness.note_of(because, "a reason")

        def make(snapshot: Snapshot) -> Edit | None:
            before = snapshot.registry.policies.get(name)
            live = before is not None and before.ended_at is None
            if live and version is None:
                raise Taken(f"there is a policy {name!r} already", fix="say which version this is an edit of")
            if not live and version is not None:
                raise Stale(f"there is no policy {name!r} any more", fix="put it as a new one")
            if before is None:
                return self._edit(snapshot, actor, None, policy, because, "policy.add")
            if live:
                check_version(before.version, version, f"the policy {name!r}")
                if before.policy == policy:
                    return None
            return self._edit(
                snapshot, actor, before, policy, because, "policy.change" if live else "policy.add"
            )

        await self._desk.book.edit(make)
        return await self.get(name)

    async def revert(
        self, actor: Actor, name: str, number: int, version: int | None, because: str = ""
    ) -> PolicyView:
        """Make a new version with the document of an old one; also of a policy that has ended.

        Raises:
            Missing: no such policy, or it never had that version.
            Stale: it is not at `version`.
            Unfit: it says what that version said.
        """
        fitness.note_of(because, "a reason")

        def make(snapshot: Snapshot) -> Edit:
            old = _version(snapshot, name, number)
            before = snapshot.registry.policies[name]
            check_version(before.version, version, f"the policy {name!r}")
            if before.ended_at is None and before.policy == old.policy:
                raise Unfit(f"the policy {name!r} says what its version {number} says")
            return self._edit(snapshot, actor, before, old.policy, because, "policy.revert")

        await self._desk.book.edit(make)
        return await self.get(name)

    async def end(self, actor: Actor, name: str, version: int | None, because: str = "") -> PolicyView:
        """End a policy that is used on nothing. Its versions stay.

        Raises:
            Missing: no such policy.
            Stale: it is not at `version`.
            Unfit: it is in use, or is one that needs no document.
        """
        _refuse_built_in(name)
        fitness.note_of(because, "a reason")

        def make(snapshot: Snapshot) -> Edit:
            before = stored_policy(snapshot, name)
            check_version(before.version, version, f"the policy {name!r}")
            _check_unused(snapshot, name)
            now = self._desk.now()
            after = replace(
                before, at=now, by=actor.name, because=because, ended_at=now, version=before.version + 1
            )
            return Edit(
                (after,),
                (
                    self._desk.scribe.changed(
                        actor,
                        "policy.remove",
                        (ObjectKind.POLICY, name, name),
                        told_of(before),
                        told_of(after),
                        because,
                    ),
                ),
            )

        edited = await self._desk.book.edit(make)
        return policy_view(edited.snapshot, edited.snapshot.registry.policies[name])

    # --- looking -----------------------------------------------------------------------------------------

    async def get(self, name: str) -> PolicyView:
        """Return one policy that has not ended, or one that needs no document.

        Raises:
            Missing: there is none.
        """
        snapshot = self._desk.snapshot
        if name in BUILT_IN:
            return built_in_view(snapshot, name)
        return policy_view(snapshot, stored_policy(snapshot, name))

    def names(self) -> Sequence[str]:
        """Return the names of all policies that can be used, by name."""
        stored = self._desk.snapshot.registry.policies.values()
        return sorted([*BUILT_IN, *(one.name for one in stored if one.ended_at is None)])

    async def list(self, wanted: PolicyFilter) -> Page[PolicyView]:
        """Return a page of policies by name, those that need no document among them.

        Raises:
            Unfit: a limit or cursor that cannot be.
        """
        fit = (
            view
            for view in policy_views(self._desk.snapshot)
            if (wanted.ended or view.ended_at is None)
            and (wanted.name is None or globs.matches(wanted.name, view.name))
        )
        return page_of(fit, lambda view: (view.name,), wanted.limit, wanted.after)

    async def versions(self, name: str, limit: int, after: str | None) -> Page[VersionView]:
        """Return a page of the versions of a policy, in use or ended, newest first.

        Raises:
            Missing: there never was such a policy.
            Unfit: a limit or cursor that cannot be.
        """
        versions = self._desk.snapshot.registry.policy_versions.values()
        found = [_version_view(one) for one in versions if one.name == name]
        if not found:
            raise Missing(f"there is no policy {name!r}", fix="`coatcheck policy list` names the policies")
        return page_of(found, lambda view: (f"{MAX_NUMBER - view.number:010}",), limit, after)

    async def version(self, name: str, number: int | None = None) -> VersionView:
        """Return one version of a policy, in use or ended; by default the newest.

        Raises:
            Missing: there never was such a one.
        """
        snapshot = self._desk.snapshot
        newest = _numbers(snapshot, name)[-1:] or [1]
        return _version_view(_version(snapshot, name, newest[0] if number is None else number))

    async def diff(self, name: str, before: int | None = None, after: int | None = None) -> DiffView:
        """Compare two versions; by default the newest with the one before it.

        Raises:
            Missing: there never was such a policy or version.
        """
        snapshot = self._desk.snapshot
        numbers = _numbers(snapshot, name)
        new = after if after is not None else (numbers[-1] if numbers else 0)
        older = [number for number in numbers if number < new]
        old = before if before is not None else (older[-1] if older else new)
        one, other = _version(snapshot, name, old), _version(snapshot, name, new)
        found = differences(write_policy(one.policy), write_policy(other.policy))
        return DiffView(name, old, new, found)

    # --- within ------------------------------------------------------------------------------------------

    def _edit(
        self,
        snapshot: Snapshot,
        actor: Actor,
        before: StoredPolicy | None,
        policy: Policy,
        because: str,
        action: str,
    ) -> Edit:
        """Return the edit that makes a document the newest version of a policy, in use from then on."""
        if before is None or before.ended_at is not None:
            _check_room(snapshot)
        _check_versions(snapshot, policy.name)
        now, number = self._desk.now(), 1 if before is None else before.version + 1
        after = StoredPolicy(policy.name, policy, now, actor.name, because, None, number)
        version = PolicyVersion(policy.name, number, policy, now, actor.name, because)
        what = (ObjectKind.POLICY, policy.name, policy.name)
        change = self._desk.scribe.changed(actor, action, what, told_of(before), told_of(after), because)
        return Edit((after, version), (change,))


MAX_NUMBER: Final = 2**31


def policy_of(name: str, document: object) -> Policy:
    """Return the policy that a document of plain values is, to be put under a name.

    Raises:
        BadPolicy: it is no policy, or not of that name; `problems` has all that is wrong.
        Unfit: it is too large.
    """
    policy = read_policy(document)
    if policy.name != name:
        raise BadPolicy([Problem("/name", f"is not {name}, which is to be put", "put it under its own name")])
    if name in BUILT_IN:
        raise BadPolicy([Problem("/name", "is that of a policy that is always there", "choose another name")])
    size = len(write_json(policy))
    if size > MAX_DOCUMENT:
        raise Unfit(f"a policy has at most {MAX_DOCUMENT} bytes, and this has {size}", fix="split it")
    return policy


def _version(snapshot: Snapshot, name: str, number: int) -> PolicyVersion:
    found = snapshot.registry.policy_versions.get((name, number))
    if found is None:
        raise Missing(
            f"the policy {name!r} never had a version {number}", fix=f"coatcheck policy history {name}"
        )
    return found


def _numbers(snapshot: Snapshot, name: str) -> list[int]:
    return sorted(number for known, number in snapshot.registry.policy_versions if known == name)


def _version_view(one: PolicyVersion) -> VersionView:
    return VersionView(one.name, one.number, one.policy, one.at, one.by, one.because)


def _refuse_built_in(name: str) -> None:
    if name in BUILT_IN:
        raise Unfit(f"the policy {name!r} is always there", fix="it needs no removing where nothing uses it")


def _check_unused(snapshot: Snapshot, name: str) -> None:
    uses = uses_of(snapshot, name)
    if uses:
        told = [words_of(view) for view in use_views(snapshot, uses[:5])]
        more = f" and {len(uses) - 5} more" if len(uses) > 5 else ""
        raise Unfit(
            f"the policy {name!r} is used on {', '.join(told)}{more}",
            fix=f"take it off first: coatcheck policy unuse {name}",
        )


def _check_room(snapshot: Snapshot) -> None:
    live = sum(1 for one in snapshot.registry.policies.values() if one.ended_at is None)
    if live >= MAX_POLICIES:
        raise Unfit(f"there are {live} policies, and no more can be", fix="remove those that nothing uses")


def _check_versions(snapshot: Snapshot, name: str) -> None:
    kept = len(_numbers(snapshot, name))
    if kept >= MAX_VERSIONS:
        raise Unfit(
            f"the policy {name!r} has {kept} versions, and no more are kept", fix="go on under another name"
        )
