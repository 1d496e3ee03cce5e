"""Grants of both sources: what is issued works at once, what is revoked never again, and all of it is written."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from coatcheck.core.tokens import is_well_formed
from coatcheck.errors import CoatcheckError, ConfigError, Missing, Stale, Taken, Unavailable, Unfit
from coatcheck.model.declaration import IdentityRules, Provider
from coatcheck.model.server import Source
from coatcheck.operations.registry.patches import UNSAID, GrantFilter, GrantPatch, NewGrant
from coatcheck.operations.registry.views import GrantState, Issued
from doubles.callers import ALICE, GRANTS
from doubles.clock import START
from doubles.registries import KEEPER, ROOT, Office, a_file


def a_new(label: str = "laptop", subject: str = "dora", **more: Any) -> NewGrant:
    return NewGrant(label, subject, **{"servers": None, **more})


async def an_office(**more: Any) -> Office:
    return await Office(**more).open()


def token_of(issued: Issued) -> str:
    assert issued.token is not None
    return issued.token.reveal()


async def test_an_issued_grant_works_at_once_and_is_told_once() -> None:
    office = await an_office()
    issued = await office.grants.issue(ROOT, a_new(servers=frozenset({"git"}), tools=("git__*",)))
    token = token_of(issued)
    assert is_well_formed(token)
    assert issued.grant.id == token[5:17]
    who = office.principal(token)
    assert (who.subject, who.grant_label, who.tools) == ("dora", "laptop", ("git__*",))
    assert who.servers == frozenset({office.ids.ids["git"]})
    view = await office.grants.get("laptop")
    assert (view.servers, view.state, view.source) == (("git",), GrantState.LIVE, Source.STORE)
    assert view.expires_at == START + timedelta(days=90)
    assert token not in repr((view, office.store.registry, office.store.changes))
    assert [change.action for change in office.store.changes[-2:]] == ["subject.add", "grant.issue"]
    assert json.loads(office.store.changes[-1].after)["label"] == "laptop"


@pytest.mark.parametrize(
    ("new", "error"),
    [
        (a_new(""), Unfit),
        (a_new(" x"), Unfit),
        (a_new("x" * 101), Unfit),
        (a_new("file-x"), Unfit),
        (a_new("a\nb"), Unfit),
        (a_new("ghp_" + "a" * 36), Unfit),
        (a_new(ALICE), Unfit),
        (a_new("alice's"), Taken),
        (a_new(subject="anonymous"), Unfit),
        (a_new(subject=""), Unfit),
        (a_new(servers=frozenset()), Unfit),
        (a_new(servers=frozenset({"nowhere"})), Missing),
        (a_new(tools=()), Unfit),
        (a_new(tools=("find",)), Unfit),
        (a_new(expires_at=START), Unfit),
        (a_new(expires_at=START.replace(tzinfo=None) + timedelta(days=1)), Unfit),
        (a_new(note="look: " + ALICE), Unfit),
    ],
)
async def test_what_cannot_be_issued_changes_nothing(new: NewGrant, error: type[CoatcheckError]) -> None:
    office = await an_office()
    with pytest.raises(error):
        await office.grants.issue(ROOT, new)
    assert office.store.commits == 0
    await office.grants.issue(ROOT, a_new())
    assert office.store.commits == 1


async def test_many_are_issued_in_one_edit_or_none() -> None:
    office = await an_office()
    with pytest.raises(Taken, match="grant 3"):
        await office.grants.issue_many(ROOT, [a_new("a"), a_new("b"), a_new("a")])
    assert office.store.commits == 0
    made = await office.grants.issue_many(ROOT, [a_new(f"n{number}") for number in range(50)])
    assert office.store.commits == 1
    assert len({token_of(one) for one in made}) == 50
    assert all(office.who(token_of(one)) == "dora" for one in made)
    with pytest.raises(Unfit):
        await office.grants.issue_many(ROOT, [])


async def test_a_store_that_cannot_write_leaves_all_as_it_was() -> None:
    office = await an_office()
    token = token_of(await office.grants.issue(ROOT, a_new()))
    epoch = office.directory.snapshot.epoch
    office.store.failing = Unavailable("the disk is full")
    with pytest.raises(Unavailable):
        await office.grants.revoke(ROOT, ["laptop"], "left")
    assert (office.who(token), office.directory.snapshot.epoch) == ("dora", epoch)


# --- revoking -------------------------------------------------------------------------------------------------


async def test_revoked_is_revoked_for_either_source_and_after_every_edit_and_restart() -> None:
    office = await an_office()
    token = token_of(await office.grants.issue(ROOT, a_new()))
    assert (office.who(token), office.who(ALICE)) == ("dora", "alice")
    ended = await office.grants.revoke(ROOT, ["laptop", "alice's"], "left")
    assert [view.state for view in ended.grants] == [GrantState.REVOKED] * 2
    assert {view.because for view in ended.grants} == {"left"}
    assert (office.who(token), office.who(ALICE)) == ("<revoked>", "<revoked>")
    await office.edit(a_file("git"))
    assert office.who(ALICE) == "<revoked>"
    await office.edit(a_file("git", identity=IdentityRules((Provider.BEARER,), ())))
    await office.edit(a_file("git"))
    assert office.who(ALICE) == "<revoked>"
    again = await an_office(store=office.store)
    assert (again.who(token), again.who(ALICE)) == ("<revoked>", "<revoked>")
    assert office.store.commits == 5  # each of the three edits of the file is on record as well


async def test_revoking_ends_what_is_under_way_and_counts_it() -> None:
    office = await an_office()
    issued = await office.grants.issue(ROOT, a_new())

    async def request(*, lasting: bool) -> None:
        task: asyncio.Task[Any] = asyncio.current_task()  # type: ignore[assignment]
        entry = office.inflight.enter(issued.grant.id, task, lasting=lasting)
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # as settling takes
        finally:
            office.inflight.leave(entry)

    tasks = [asyncio.create_task(request(lasting=number == 0)) for number in range(3)]
    await asyncio.sleep(0)
    ended = await office.grants.revoke(ROOT, ["laptop"], "")
    assert (ended.calls, ended.streams, ended.left) == (2, 1, 0)
    assert (office.inflight.count, office.inflight.lasting) == (0, 0)
    assert office.sessions.ended == [issued.grant.id]
    await asyncio.gather(*tasks)


async def test_revoking_several_is_all_or_nothing_and_again_is_nothing() -> None:
    office = await an_office()
    await office.grants.issue(ROOT, a_new())
    with pytest.raises(Missing):
        await office.grants.revoke(ROOT, ["laptop", "nobody's"], "")
    assert (await office.grants.get("laptop")).state is GrantState.LIVE
    await office.grants.revoke(ROOT, ["laptop"], "left")
    commits = office.store.commits
    assert (await office.grants.revoke(ROOT, ["laptop"], "again")).grants[0].because == "left"
    assert office.store.commits == commits


async def test_a_grant_of_the_file_is_restored_and_an_issued_one_never() -> None:
    office = await an_office()
    await office.grants.issue(ROOT, a_new())
    await office.grants.revoke(ROOT, ["laptop", "alice's"], "")
    assert (await office.grants.restore(ROOT, "alice's")).state is GrantState.LIVE
    assert office.who(ALICE) == "alice"
    for ref in ("laptop", "alice's"):
        with pytest.raises(Unfit):
            await office.grants.restore(ROOT, ref)


async def test_a_label_is_free_again_when_its_grant_is_over() -> None:
    office = await an_office()
    first = await office.grants.issue(ROOT, a_new(expires_at=START + timedelta(hours=1)))
    with pytest.raises(Taken):
        await office.grants.issue(ROOT, a_new())
    office.clock.advance(3600)
    second = await office.grants.issue(ROOT, a_new())
    assert office.who(token_of(first)) == "<expired>"
    assert (await office.grants.get("laptop")).id == second.grant.id
    assert (await office.grants.get(first.grant.id)).state is GrantState.EXPIRED


async def test_a_file_that_takes_a_label_or_a_name_is_a_bad_edit() -> None:
    office = await an_office(declaration=a_file(identity=IdentityRules((Provider.BEARER,), GRANTS[1:])))
    await office.grants.issue(ROOT, a_new("alice's"))
    before = office.directory.snapshot
    await office.edit(a_file())
    assert office.directory.snapshot is before
    assert "alice's" in office.directory.edit.error
    assert "coatcheck grant revoke" in office.directory.edit.error
    await office.grants.revoke(ROOT, ["alice's"], "")
    await office.directory.reread()
    assert (office.directory.edit.error, office.who(ALICE)) == ("", "alice")
    await office.edit(a_file(identity=IdentityRules((Provider.BEARER,), GRANTS[1:])))
    await office.grants.issue(ROOT, a_new("alice's"))
    with pytest.raises(ConfigError, match="alice's"):
        await an_office(store=office.store)


# --- changing and rotating ------------------------------------------------------------------------------------


async def test_a_change_asks_for_the_version_and_ends_streams_only_if_the_scope_changed() -> None:
    office = await an_office()
    issued = await office.grants.issue(ROOT, a_new())
    with pytest.raises(Stale):
        await office.grants.change(ROOT, "laptop", GrantPatch(note="x"), 7)
    view = await office.grants.change(ROOT, "laptop", GrantPatch(note="x", label="desk"), 1)
    assert (view.note, view.label, view.version, office.sessions.ended) == ("x", "desk", 2, [])
    view = await office.grants.change(ROOT, "desk", GrantPatch(servers=frozenset({"git"})), None)
    assert (view.servers, office.sessions.ended) == (("git",), [issued.grant.id])
    assert office.principal(token_of(issued)).servers == frozenset({office.ids.ids["git"]})
    view = await office.grants.change(ROOT, "desk", GrantPatch(expires_at=None), None)
    assert (view.expires_at, view.servers) == (None, ("git",))
    for patch in (GrantPatch(label="alice's"), GrantPatch(tools=()), GrantPatch(servers=frozenset({"x"}))):
        with pytest.raises(CoatcheckError):
            await office.grants.change(ROOT, "desk", patch, None)
    with pytest.raises(Unfit, match="declared in the file"):
        await office.grants.change(ROOT, "alice's", GrantPatch(note="x"), None)
    assert GrantPatch().label is UNSAID


async def test_rotating_with_an_overlap_keeps_both_tokens_for_that_long() -> None:
    office = await an_office()
    first = await office.grants.issue(ROOT, a_new())
    second = await office.grants.rotate(ROOT, "laptop", 60)
    assert second.grant.id == first.grant.id
    assert second.grant.overlap_until == START + timedelta(seconds=60)
    assert [office.who(token_of(one)) for one in (first, second)] == ["dora", "dora"]
    office.clock.advance(60)
    assert [office.who(token_of(one)) for one in (first, second)] == ["<rotated>", "dora"]
    third = await office.grants.rotate(ROOT, "laptop")
    assert [office.who(token_of(one)) for one in (second, third)] == ["<rotated>", "dora"]
    assert office.sessions.ended == [first.grant.id]
    for bad in (-1, 86_401, float("nan")):
        with pytest.raises(Unfit):
            await office.grants.rotate(ROOT, "laptop", bad)


async def test_what_expires_is_cut_off_when_it_does() -> None:
    office = await an_office()
    one = await office.grants.issue(ROOT, a_new("one", expires_at=START + timedelta(seconds=10)))
    two = await office.grants.issue(ROOT, a_new("two"))
    await office.grants.rotate(ROOT, "two", 20)
    assert office.expiring.next_in() == 10
    office.clock.advance(9.9)
    assert office.expiring.end_due() is None
    office.clock.advance(0.1)
    assert office.expiring.end_due() is not None
    assert office.sessions.ended == [one.grant.id]
    assert (office.expiring.end_due(), office.expiring.next_in()) == (None, 10)
    office.clock.advance(10)
    office.expiring.end_due()
    assert office.sessions.ended == [one.grant.id, two.grant.id]


async def test_an_end_that_was_put_off_or_is_behind_a_revocation_cuts_nothing_off() -> None:
    office = await an_office()
    one = await office.grants.issue(ROOT, a_new("one", expires_at=START + timedelta(seconds=10)))
    await office.grants.issue(ROOT, a_new("two", expires_at=START + timedelta(seconds=10)))
    assert office.expiring.next_in() == 10
    await office.grants.change(ROOT, "one", GrantPatch(expires_at=START + timedelta(seconds=20)), None)
    ended = await office.grants.revoke(ROOT, ["two"], "gone")
    office.sessions.ended.clear()
    assert office.expiring.next_in() == 20
    office.clock.advance(10)
    assert (office.expiring.end_due(), office.sessions.ended) == (None, [])
    office.clock.advance(10)
    assert office.expiring.end_due() is not None
    assert office.sessions.ended == [one.grant.id] != [grant.id for grant in ended.grants]


async def test_a_clock_that_was_set_back_comes_by_the_same_end_again() -> None:
    office = await an_office()
    issued = await office.grants.issue(ROOT, a_new(expires_at=START + timedelta(seconds=10)))
    office.clock.advance(10)
    assert office.expiring.end_due() is not None
    assert office.who(token_of(issued)) == "<expired>"
    office.clock.advance(-5)
    assert office.who(token_of(issued)) == "dora"
    assert (office.expiring.end_due(), office.expiring.next_in()) == (None, 5)
    office.clock.advance(5)
    assert office.expiring.end_due() is not None
    assert office.sessions.ended == [issued.grant.id] * 2


async def test_ends_of_former_versions_are_not_kept_for_ever() -> None:
    office = await an_office()
    await office.grants.issue(ROOT, a_new())
    for days in range(1, 1_500):
        await office.grants.change(ROOT, "laptop", GrantPatch(expires_at=START + timedelta(days=days)), None)
        office.expiring.next_in()
    await office.grants.change(ROOT, "laptop", GrantPatch(expires_at=START + timedelta(seconds=10)), None)
    assert office.expiring.next_in() == 10
    office.clock.advance(10)
    assert office.expiring.end_due() is not None


# --- claiming -------------------------------------------------------------------------------------------------


async def test_a_claim_link_gives_the_token_once_and_looking_gives_nothing() -> None:
    office = await an_office()
    issued = await office.grants.issue(ROOT, a_new(by_claim=True))
    assert issued.token is None
    assert issued.claim_code is not None
    code = issued.claim_code.reveal()
    assert office.grants.claimable(code).state is GrantState.UNCLAIMED
    assert office.grants.claimable(code).label == "laptop"
    claims = [office.grants.claim(code, "192.0.2.1") for _ in range(5)]
    found = await asyncio.gather(*claims, return_exceptions=True)
    good = [one for one in found if isinstance(one, Issued)]
    assert len(good) == 1
    assert all(isinstance(one, Missing | Issued) for one in found)
    assert office.who(token_of(good[0])) == "dora"
    assert good[0].grant.id == issued.grant.id
    with pytest.raises(Missing):
        office.grants.claimable(code)


@pytest.mark.parametrize("how", ["late", "revoked", "wrong", "short"])
async def test_a_claim_code_that_is_not_good_has_one_sentence(how: str) -> None:
    office = await an_office()
    issued = await office.grants.issue(ROOT, a_new(by_claim=True))
    assert issued.claim_code is not None
    code = issued.claim_code.reveal()
    if how == "late":
        office.clock.advance(72 * 3600)
    elif how == "revoked":
        await office.grants.revoke(ROOT, ["laptop"], "")
    elif how == "wrong":
        code = "cckb_" + ALICE[5:]
    else:
        code = code[:20]
    with pytest.raises(
        Missing, match=r"^This link is not good: it was used, is too old, or was never given out\.$"
    ):
        await office.grants.claim(code, "192.0.2.1")


# --- listing --------------------------------------------------------------------------------------------------


async def test_lists_are_filtered_and_paged_over_both_sources() -> None:
    office = await an_office()
    await office.grants.issue_many(ROOT, [a_new(f"g{number:02}", f"s{number % 2}") for number in range(25)])
    await office.grants.issue(ROOT, a_new("narrow", servers=frozenset({"time"})))
    found: list[str] = []
    after: str | None = None
    while True:
        page = await office.grants.list(GrantFilter(label="g*", limit=10, after=after))
        found += [view.label for view in page.items]
        after = page.next
        if after is None:
            break
    assert found == [f"g{number:02}" for number in range(25)]
    assert len((await office.grants.list(GrantFilter(subject="s1"))).items) == 12
    assert {v.source for v in (await office.grants.list(GrantFilter(source="file"))).items} == {Source.FILE}
    on_git = await office.grants.list(GrantFilter(server="git"))
    assert "narrow" not in {view.label for view in on_git.items}
    await office.grants.revoke(ROOT, ["g00"], "")
    assert [v.label for v in (await office.grants.list(GrantFilter(state=GrantState.REVOKED))).items] == [
        "g00"
    ]
    for bad in (GrantFilter(limit=0), GrantFilter(limit=1_001), GrantFilter(after="!")):
        with pytest.raises(Unfit):
            await office.grants.list(bad)


async def test_the_last_use_is_shown_before_and_after_it_is_kept() -> None:
    office = await an_office()
    issued = await office.grants.issue(ROOT, a_new())
    for number in range(30):
        office.clock.advance(1)
        office.seen.note(issued.grant.id, "192.0.2.7", f"claude-code {number}")
    view = await office.grants.get("laptop")
    assert view.last_used is not None
    assert (view.last_used.client, view.last_used.address, len(view.clients)) == (
        "claude-code 29",
        "192.0.2.7",
        20,
    )
    office.store.failing = Unavailable("full")
    with pytest.raises(Unavailable):
        await office.seen.flush()
    office.store.failing = None
    await office.seen.flush()
    assert await office.grants.get("laptop") == view


async def test_an_edit_goes_on_when_its_caller_goes_away() -> None:
    office = await an_office()
    asking = asyncio.create_task(office.grants.issue(KEEPER, a_new()))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    for _ in range(5):
        await asyncio.sleep(0)
    assert office.store.registry.grants.keys() == office.directory.snapshot.registry.grants.keys()
    assert (await office.grants.get("laptop")).issued_by == "keeper"
