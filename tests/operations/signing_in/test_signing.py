"""Every way in and out: what each proves, what it leaves on record, and that failures all look alike."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from coatcheck.core import passwords
from coatcheck.errors import (
    AuthorizationRefused,
    Busy,
    CoatcheckError,
    ConfirmFirst,
    LedgerUnavailable,
    Missing,
    OpenIdRefused,
    SignedOut,
    SignInRefused,
    SlowDown,
    Stale,
    Unavailable,
    Unfit,
    UpstreamTimeout,
)
from coatcheck.model.browser import Way, Whose
from coatcheck.model.openid import Arrived, Vouched
from coatcheck.model.operator import OperatorRole
from coatcheck.model.secret import Secret
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.registry.patches import NewGrant, NewSubject
from coatcheck.operations.registry.views import OperatorState
from coatcheck.operations.signing_in import hashing
from coatcheck.operations.signing_in.brake import FIRST_SECONDS, OF_NETWORK
from coatcheck.operations.signing_in.vouching import Entrant
from doubles.browsers import AGENT, HERE, PASSWORD, Lobby
from doubles.callers import ALICE, BOB, UNHEARD
from doubles.registries import ROOT

OTHER = Secret("seven green lanterns")
WRONG = Secret("not the one at all")
AWAY = "198.51.100.9"


@pytest.fixture
async def lobby() -> Lobby:
    return await Lobby().open()


# --- by a link ----------------------------------------------------------------------------------------------


async def test_a_link_is_looked_at_often_and_used_once(lobby: Lobby) -> None:
    code = await lobby.invite("ann", OperatorRole.AUDITOR)
    commits = lobby.office.store.commits
    for _ in range(3):
        view = await lobby.signing.look(code, HERE)
        assert view is not None
        assert (view.name, view.state, view.has_password) == ("ann", OperatorState.INVITED, False)
    assert (lobby.office.store.commits, lobby.office.operators.has_login) == (commits, False)
    with pytest.raises(Unfit, match="at least 12"):
        await lobby.signing.by_code(code, Secret("short"), HERE, AGENT)
    tries = [lobby.signing.by_code(code, PASSWORD, HERE, AGENT) for _ in range(4)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    (welcomed,) = [one for one in done if not isinstance(one, BaseException)]
    assert sum(isinstance(one, Missing) for one in done) == 3
    assert lobby.who(welcomed.token) == "ann"
    assert (welcomed.session.how, welcomed.session.agent, welcomed.session.address) == (Way.LINK, AGENT, HERE)
    view = welcomed.operator
    assert (view.state, view.has_password, view.has_token) == (OperatorState.ACTIVE, True, False)
    with pytest.raises(Missing):
        lobby.signing.waiting(code)
    assert lobby.office.operators.has_login
    actor = lobby.signing.actor_of(welcomed.session, AWAY)
    assert actor is not None
    assert (actor.name, actor.role, actor.origin) == ("ann", OperatorRole.AUDITOR, AWAY)


async def test_a_link_without_a_password_lets_in_as_well(lobby: Lobby) -> None:
    token = await lobby.enter("ann", None)
    assert lobby.who(token) == "ann"
    (view,) = lobby.office.operators.list()
    assert (view.state, view.has_password) == (OperatorState.ACTIVE, False)
    with pytest.raises(SignInRefused):
        await lobby.signing.by_password("ann", PASSWORD, HERE, AGENT)
    await lobby.office.operators.end(ROOT, "ann")
    assert lobby.office.operators.has_login, "that somebody did once is not forgotten"


async def test_a_wrong_link_is_on_record_and_braked(lobby: Lobby) -> None:
    code = await lobby.invite()
    for _ in range(OF_NETWORK):
        assert (await lobby.signing.look(code, HERE)).name == "ann"
        with pytest.raises(Missing):
            await lobby.signing.by_code("cckb_wrong", PASSWORD, HERE, AGENT)
    with pytest.raises(SlowDown):
        await lobby.signing.by_code(code, PASSWORD, HERE, AGENT)
    assert (await lobby.signing.by_code(code, PASSWORD, AWAY, AGENT)).operator.name == "ann"
    ((reason, trace, address),) = lobby.refused()
    assert (reason, trace[:6], address) == ("sign_in", "print:", HERE)


async def test_who_only_looks_at_wrong_links_keeps_nobody_from_signing_in(lobby: Lobby) -> None:
    """Any site can have a browser look at made-up links, as pictures; it can send no form of ours."""
    await lobby.enter("ben")
    code = await lobby.invite()
    assert (await lobby.signing.look(code, HERE)).name == "ann"
    for _ in range(OF_NETWORK):
        with pytest.raises(Missing):
            await lobby.signing.look("cckb_wrong", HERE)
    with pytest.raises(SlowDown):
        await lobby.signing.look("cckb_wrong", HERE)
    ((reason, trace, address),) = lobby.refused()
    assert (reason, trace[:6], address) == ("sign_in", "print:", HERE)
    await lobby.signing.by_grant(Secret(ALICE), HERE, AGENT)
    await lobby.signing.by_password("ben", PASSWORD, HERE, AGENT)
    assert (await lobby.signing.by_code(code, PASSWORD, HERE, AGENT)).operator.name == "ann"
    for _ in range(3):
        lobby.clock.advance(FIRST_SECONDS)
        with pytest.raises(Missing):
            await lobby.signing.look("cckb_wrong", HERE)
    lobby.clock.advance(FIRST_SECONDS)
    other = await lobby.invite("zoe")
    assert (await lobby.signing.look(other, HERE)).name == "zoe", "it never waits longer"


# --- by a password ------------------------------------------------------------------------------------------


async def test_a_password_lets_its_operator_in(lobby: Lobby) -> None:
    await lobby.enter("ann")
    session, token = await lobby.signing.by_password(" Ann ", PASSWORD, HERE, AGENT)
    assert (lobby.who(token), session.how, session.whose) == ("ann", Way.PASSWORD, Whose.OPERATOR)
    assert lobby.changes.told == [("ann", "operator.sign_in")] * 2
    assert session.id in lobby.changes.changes[-1].after


async def failing(lobby: Lobby, name: str, password: Secret, address: str) -> CoatcheckError:
    with pytest.raises(CoatcheckError) as caught:
        await lobby.signing.by_password(name, password, address, AGENT)
    return caught.value


async def test_all_failures_are_one(lobby: Lobby, monkeypatch: pytest.MonkeyPatch) -> None:
    await lobby.enter("ann")
    await lobby.enter("linked", None)
    await lobby.enter("gone")
    await lobby.invite("invited")
    await lobby.enter("again")
    await lobby.invite("again")
    await lobby.office.operators.end(ROOT, "gone")
    compared: list[tuple[str, str]] = []
    real = passwords.fits

    def fits(password: str, name: str, pepper: Any, kept: str) -> bool:
        compared.append((name, kept or passwords.nobodys()))
        return real(password, name, pepper, kept)

    monkeypatch.setattr(passwords, "fits", fits)
    assert (await lobby.signing.by_password("ann", PASSWORD, HERE, AGENT)).session.who == "ann"
    tries = [("ann", WRONG), ("ann", Secret("")), ("ann", Secret("x" * 10_000)), ("ann", Secret("\x00" * 20)), ("nobody", PASSWORD), ("", PASSWORD)]  # fmt: skip
    tries += [(name, PASSWORD) for name in ("linked", "gone", "invited", "again", "n" * 10_000)]
    told = {str(await failing(lobby, *one, f"192.0.2.{at}")) for at, one in enumerate(tries, 20)}
    assert len(told) == 1
    assert len(compared) == len(tries) + 1, "a hash is compared whatever is wrong"
    forms = {kept.rpartition("$")[0].rpartition("$")[0] for _, kept in compared}
    assert len(forms) == 1, "of the same cost"
    known = {trace for _, trace, _ in lobby.refused() if trace.startswith("operator:")}
    assert known == {"operator:ann", "operator:linked"}
    assert all(PASSWORD.reveal() not in repr(one) for one in (lobby.ledger.entries, lobby.changes.changes))


async def test_guessing_is_slowed_and_does_not_keep_the_owner_out(lobby: Lobby) -> None:
    await lobby.enter("ann")
    for _ in range(5):
        assert isinstance(await failing(lobby, "ann", WRONG, AWAY), SignInRefused)
    slow = await failing(lobby, "ann", PASSWORD, AWAY)
    assert isinstance(slow, SlowDown)
    assert slow.seconds == 30
    assert (await lobby.signing.by_password("ann", PASSWORD, HERE, AGENT)).session.who == "ann"
    lobby.clock.advance(30)
    assert (await lobby.signing.by_password("ann", PASSWORD, AWAY, AGENT)).session.who == "ann"
    await lobby.refusals.flush(everything=True)
    assert sum(entry.record.repeats for entry in lobby.ledger.entries) == 5


async def test_names_that_nobody_has_are_slowed_alike(lobby: Lobby) -> None:
    for _ in range(5):
        assert isinstance(await failing(lobby, "nobody", WRONG, AWAY), SignInRefused)
    assert isinstance(await failing(lobby, "nobody", WRONG, AWAY), SlowDown)


async def test_two_are_hashed_at_once_and_few_wait(lobby: Lobby, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, lock, now, most = threading.Event(), threading.Lock(), 0, 0

    def fits(*_: object) -> bool:
        nonlocal now, most
        with lock:
            now, most = now + 1, max(most, now + 1)
        gate.wait(60)
        with lock:
            now -= 1
        return False

    monkeypatch.setattr(passwords, "fits", fits)
    room = hashing.AT_ONCE + hashing.MOST_WAITING
    tries = [
        asyncio.ensure_future(lobby.signing.by_password("x", WRONG, f"192.0.2.{number}", AGENT))
        for number in range(room)
    ]
    async with asyncio.timeout(30):
        while now < hashing.AT_ONCE:
            await asyncio.sleep(0.005)
    for leaving in tries[:4]:
        leaving.cancel()
    await asyncio.sleep(0)
    assert isinstance(await failing(lobby, "x", WRONG, AWAY), Busy), (
        "who leaves makes no room before it is done"
    )
    gate.set()
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, SignInRefused) for one in done) == room - 4
    assert most == hashing.AT_ONCE


async def test_where_somebody_came_in_by_a_link_an_attack_on_the_name_does_not_keep_them_out(
    lobby: Lobby,
) -> None:
    await lobby.enter("ann")
    for number in range(50):
        assert isinstance(await failing(lobby, "ann", WRONG, f"198.51.100.{number}"), SignInRefused)
    assert isinstance(await failing(lobby, "ann", PASSWORD, "203.0.113.7"), SlowDown)
    assert (await lobby.signing.by_password("ann", PASSWORD, HERE, AGENT)).session.who == "ann"


async def test_who_was_not_judged_for_want_of_room_was_not_wrong(
    lobby: Lobby, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever keeps all turns busy has the brake hold those who only try again."""
    await lobby.enter("ann")
    gate, judge = threading.Event(), passwords.fits

    def slow(*given: Any) -> bool:
        gate.wait(20)
        return judge(*given)

    monkeypatch.setattr(passwords, "fits", slow)
    room = hashing.AT_ONCE + hashing.MOST_WAITING
    tries = [asyncio.ensure_future(failing(lobby, f"n{n}", WRONG, f"198.51.100.{n}")) for n in range(room)]
    await asyncio.sleep(0)
    told = [await failing(lobby, "ann", PASSWORD, HERE) for _ in range(60)]
    gate.set()
    await asyncio.gather(*tries)
    assert {type(one) for one in told} == {Busy}
    assert lobby.who((await lobby.signing.by_password("ann", PASSWORD, HERE, AGENT)).token) == "ann"
    assert lobby.who((await lobby.signing.by_password("ann", PASSWORD, AWAY, AGENT)).token) == "ann"


async def test_a_hash_of_other_parameters_is_made_anew_in_passing(
    lobby: Lobby, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await lobby.enter("ann")
    before = lobby.office.store.registry.operators["ann"]
    memory = passwords.MEMORY_KIB
    monkeypatch.setattr(passwords, "MEMORY_KIB", 72)
    await lobby.signing.by_password("ann", PASSWORD, HERE, AGENT)
    after = lobby.office.store.registry.operators["ann"]
    used = [one.password.split("$")[3].split(",")[0] for one in (before, after)]
    assert used == [f"m={memory}", "m=72"]
    assert (before.password_at, lobby.who(token)) == (after.password_at, "ann")
    await lobby.signing.by_password("ann", PASSWORD, HERE, AGENT)
    assert lobby.office.store.registry.operators["ann"].password == after.password
    assert [one.action for one in lobby.office.store.changes].count("operator.rehash") == 1


async def test_a_password_that_was_changed_meanwhile_opens_nothing(
    lobby: Lobby, monkeypatch: pytest.MonkeyPatch
) -> None:
    await lobby.enter("ann")
    real = lobby.hashing.fits

    async def late(password: str, name: str, kept: str) -> bool:
        fits = await real(password, name, kept)
        lobby.clock.advance(1)
        await lobby.entering.set_password("ann", kept, "$argon2id$other", ROOT)
        return fits

    monkeypatch.setattr(lobby.hashing, "fits", late)
    with pytest.raises(SignInRefused):
        await lobby.signing.by_password("ann", PASSWORD, HERE, AGENT)
    assert lobby.sessions.list() == []
    with pytest.raises(Stale):
        await lobby.entering.set_password("ann", "another hash", "x", ROOT)


# --- by a grant, and by a provider --------------------------------------------------------------------------


async def test_a_grant_lets_its_owner_see_the_own_page_as_long_as_it_is_good(lobby: Lobby) -> None:
    office = lobby.office
    await office.subjects.add(ROOT, NewSubject("robot", SubjectKind.AUTOMATION, frozenset(), ""))
    issued = await office.grants.issue(ROOT, NewGrant("bot", "robot", None))
    assert issued.token is not None
    session, token = await lobby.signing.by_grant(issued.token, HERE, AGENT)
    _, of_file = await lobby.signing.by_grant(Secret(f" {ALICE}\n"), HERE, AGENT)
    assert (lobby.who(token), lobby.who(of_file)) == ("robot", "alice")
    assert (session.whose, lobby.signing.actor_of(session, HERE)) == (Whose.SUBJECT, None)
    assert lobby.changes.told == [("robot", "subject.sign_in"), ("alice", "subject.sign_in")]
    for bad in (UNHEARD, "", "x y", "\u00e9", issued.token.reveal()[:-1] + "x"):
        with pytest.raises(SignInRefused):
            await lobby.signing.by_grant(Secret(bad), AWAY, AGENT)
    rotated = await office.grants.rotate(ROOT, "bot", 60.0)
    assert rotated.token is not None
    _, other = await lobby.signing.by_grant(rotated.token, HERE, AGENT)
    assert (lobby.who(token), lobby.who(other)) == ("robot", "robot")
    lobby.clock.advance(60)
    assert (lobby.who(token), lobby.who(other)) == (None, "robot"), "the token that it rests on was replaced"
    await office.grants.revoke(ROOT, ["bot"], "")
    assert (lobby.who(other), lobby.who(of_file)) == (None, "alice")
    with pytest.raises(SignInRefused):
        await lobby.signing.confirm(session, PASSWORD, HERE)


async def test_whom_a_provider_vouches_for_is_let_in(lobby: Lobby) -> None:
    await lobby.enter("ann")
    lobby.link("ann", "https://id.example#7")
    entrant = Entrant(Whose.OPERATOR, "ann", "https://id.example#7")
    session, token = await lobby.signing.by_provider(entrant, HERE, AGENT)
    assert (lobby.who(token), session.how) == ("ann", Way.OIDC)
    renewed = await lobby.signing.confirm_by_provider(session, entrant, HERE)
    assert (lobby.who(token), lobby.who(renewed.token)) == (None, "ann")
    stranger = Entrant(Whose.OPERATOR, "ben", entrant.by)
    with pytest.raises(SignInRefused):
        await lobby.signing.confirm_by_provider(renewed.session, stranger, HERE)
    with pytest.raises(SignedOut):
        await lobby.signing.by_provider(Entrant(Whose.OPERATOR, "ann", "https://id.example#8"), HERE, AGENT)
    await lobby.signing.refused_by_provider("https://id.example#9", HERE)
    assert [reason for reason, _, _ in lobby.refused()] == ["sign_in", "sign_in"]
    assert lobby.sessions.verified_recently(renewed.session)
    _, by_subject = await lobby.signing.by_provider(Entrant(Whose.SUBJECT, "bob", "i#b"), HERE, AGENT)
    assert lobby.who(by_subject) == "bob"
    await lobby.invite("ann")
    assert lobby.who(renewed.token) is None


class _Provider:
    """Stands for `OpenIdSignIn.finish`."""

    def __init__(self) -> None:
        self.fails: Exception | None = None
        self.asked = 0

    async def finish(self) -> Arrived:
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        return Arrived(Vouched("https://id.example", "7", "ann", "", None, ""), "/")


@pytest.mark.parametrize("refusal", [OpenIdRefused("no"), AuthorizationRefused("no")])
async def test_what_is_brought_back_from_the_provider_and_refused_is_on_record_and_braked(
    lobby: Lobby, refusal: CoatcheckError
) -> None:
    provider, signing = _Provider(), lobby.signing
    for _ in range(30):
        assert (await signing.back(provider.finish, HERE)).vouched.name == "ann"
    for provider.fails in (UpstreamTimeout("late"), ConfirmFirst("the provider did not ask again")):
        for _ in range(30):
            with pytest.raises(type(provider.fails)):
                await signing.back(provider.finish, HERE)
    assert lobby.refused() == [], "nobody has judged them, or they were right"
    provider.fails, provider.asked = refusal, 0
    for _ in range(OF_NETWORK):
        with pytest.raises(type(refusal)):
            await signing.back(provider.finish, HERE)
    with pytest.raises(SlowDown):
        await signing.back(provider.finish, HERE)
    assert provider.asked == OF_NETWORK
    ((reason, _, address),) = lobby.refused()
    assert (reason, address) == ("sign_in", HERE)
    provider.fails = None
    assert (await signing.back(provider.finish, AWAY)).vouched.name == "ann"
    for _ in range(3):
        lobby.clock.advance(FIRST_SECONDS)
        provider.fails = refusal
        with pytest.raises(type(refusal)):
            await signing.back(provider.finish, HERE)
    lobby.clock.advance(FIRST_SECONDS)
    provider.fails = None
    assert (await signing.back(provider.finish, HERE)).vouched.name == "ann", "it never waits longer"
    await lobby.enter("ben")
    await signing.by_password("ben", PASSWORD, HERE, AGENT)


@pytest.mark.parametrize("fresh", [False, True])
async def test_whom_the_provider_only_remembers_has_proven_nothing_here(lobby: Lobby, *, fresh: bool) -> None:
    """Else whoever finds a browser signs out and in again, without being asked, and is taken for its owner."""
    await lobby.enter("ann", None)
    link = "https://id.example#7"
    lobby.link("ann", link)
    entrant = Entrant(Whose.OPERATOR, "ann", link)
    session, token = await lobby.signing.by_provider(entrant, HERE, AGENT, fresh=fresh)
    assert lobby.who(token) == "ann"
    assert lobby.sessions.verified_recently(session) is fresh
    if fresh:
        await lobby.signing.set_password(session, None, OTHER, HERE)
        return
    with pytest.raises(ConfirmFirst):
        await lobby.signing.set_password(session, None, OTHER, HERE)
    renewed = await lobby.signing.confirm_by_provider(session, entrant, HERE)
    assert lobby.sessions.verified_recently(renewed.session)


# --- while in, and out --------------------------------------------------------------------------------------


async def test_confirming_gives_another_token(lobby: Lobby) -> None:
    await lobby.enter("ann")
    session, token = await lobby.signing.by_password("ann", PASSWORD, HERE, AGENT)
    lobby.clock.advance(600)
    with pytest.raises(SignInRefused):
        await lobby.signing.confirm(session, WRONG, HERE)
    assert lobby.who(token) == "ann"
    confirmed, other = await lobby.signing.confirm(session, PASSWORD, HERE)
    assert (lobby.who(token), lobby.who(other)) == (None, "ann")
    assert lobby.sessions.verified_recently(confirmed)
    assert lobby.changes.told[-1] == ("ann", "operator.confirm")
    await lobby.signing.sign_out(confirmed, HERE)
    with pytest.raises(SignedOut):
        await lobby.signing.confirm(confirmed, PASSWORD, HERE)


async def test_another_password_ends_all_other_sessions(lobby: Lobby) -> None:
    other = await lobby.enter("ann")
    ben = await lobby.enter("ben")
    session, token = await lobby.signing.by_password("ann", PASSWORD, HERE, AGENT)
    for old, new, error in ((WRONG, OTHER, SignInRefused), (PASSWORD, Secret("x"), Unfit), (None, OTHER, SignInRefused)):  # fmt: skip
        with pytest.raises(error):
            await lobby.signing.set_password(session, old, new, HERE)
    assert [lobby.who(one) for one in (other, token)] == ["ann", "ann"]
    lobby.clock.advance(1)
    mine = await lobby.signing.set_password(session, PASSWORD, OTHER, HERE)
    assert [lobby.who(one) for one in (other, token, mine.token, ben)] == [None, None, "ann", "ben"]
    assert [view.id for view in lobby.sessions.list(Whose.OPERATOR, "ann")] == [mine.session.id]
    with pytest.raises(SignInRefused):
        await lobby.signing.by_password("ann", PASSWORD, HERE, AGENT)
    await lobby.signing.by_password("ann", OTHER, HERE, AGENT)
    change = next(one for one in lobby.office.store.changes if one.action == "operator.password")
    assert '"password":true' in change.after
    assert "argon2" not in repr(lobby.office.store.changes)
    with pytest.raises(SignedOut):
        await lobby.signing.set_password(session, OTHER, PASSWORD, HERE)


async def test_a_first_password_needs_a_fresh_sign_in(lobby: Lobby) -> None:
    token = await lobby.enter("ann", None)
    session = lobby.sessions.find(token.reveal())
    assert session is not None
    lobby.clock.advance(301)
    with pytest.raises(ConfirmFirst):
        await lobby.signing.set_password(session, None, PASSWORD, HERE)
    code = await lobby.invite("ann")
    fresh = await lobby.signing.by_code(code, None, HERE, AGENT)
    mine = await lobby.signing.set_password(fresh.session, None, PASSWORD, HERE)
    assert lobby.who(mine.token) == "ann"


async def test_signing_out_and_ending_others_is_on_record(lobby: Lobby) -> None:
    tokens = [await lobby.enter("ann")]
    opened = [await lobby.signing.by_password("ann", PASSWORD, HERE, AGENT) for _ in range(3)]
    tokens += [one.token for one in opened]
    first, second, third, last = [lobby.sessions.find(token.reveal()) for token in tokens]
    assert first is not None
    assert second is not None
    assert last is not None
    await lobby.signing.sign_out(first, HERE)
    await lobby.signing.sign_out(first, HERE)
    await lobby.signing.end_session(ROOT, second.id)
    with pytest.raises(Missing):
        await lobby.signing.end_session(ROOT, second.id)
    (ended,) = await lobby.signing.end_sessions(ROOT, Whose.OPERATOR, "ann", but=last.id)
    assert third is not None
    assert ended.id == third.id
    assert [lobby.who(token) for token in tokens] == [None, None, None, "ann"]
    expected = [
        ("ann", "operator.sign_out"),
        ("root", "operator.end_session"),
        ("root", "operator.end_session"),
    ]
    assert lobby.changes.told[4:] == expected


async def test_an_ending_is_on_record_though_the_store_does_not_know_yet(lobby: Lobby) -> None:
    tokens = [await lobby.enter("ann")]
    opened = [await lobby.signing.by_password("ann", PASSWORD, HERE, AGENT) for _ in range(3)]
    tokens += [one.token for one in opened]
    first, second, _, _ = [lobby.sessions.find(token.reveal()) for token in tokens]
    assert first is not None
    assert second is not None
    lobby.rows.failing = Unavailable("the store is away")
    with pytest.raises(Unavailable, match="the store is away"):
        await lobby.signing.sign_out(first, HERE)
    with pytest.raises(Unavailable, match="the store is away"):
        await lobby.signing.end_session(ROOT, second.id)
    with pytest.raises(Unavailable, match="the store is away"):
        await lobby.signing.end_sessions(ROOT, Whose.OPERATOR, "ann")
    assert [lobby.who(token) for token in tokens] == [None] * 4
    ended = [("ann", "operator.sign_out"), *[("root", "operator.end_session")] * 3]
    assert lobby.changes.told[4:] == ended
    assert len(lobby.rows.rows) == 4
    lobby.rows.failing = None
    await lobby.sessions.flush()
    assert lobby.rows.rows == {}
    assert lobby.changes.told[4:] == ended, "once"


async def test_an_ending_that_cannot_be_recorded_ends_it_all_the_same_and_says_so(lobby: Lobby) -> None:
    tokens = [await lobby.enter("ann")]
    tokens += [(await lobby.signing.by_password("ann", PASSWORD, HERE, AGENT)).token for _ in range(2)]
    mine = lobby.sessions.find((await lobby.enter("ben")).reveal())
    assert mine is not None
    told = len(lobby.changes.changes)
    lobby.changes.fails_at = {told, told + 2}
    with pytest.raises(LedgerUnavailable):
        await lobby.signing.end_sessions(ROOT, Whose.OPERATOR, "ann")
    assert [lobby.who(token) for token in tokens] == [None] * 3
    assert list(lobby.rows.rows) == [mine.id], "the store knows"
    assert lobby.changes.told[told:] == [("root", "operator.end_session")], "what can be recorded is"


async def test_a_new_password_counts_though_the_store_does_not_know_of_the_old_sessions(lobby: Lobby) -> None:
    other = await lobby.enter("ann")
    session, _ = await lobby.signing.by_password("ann", PASSWORD, HERE, AGENT)
    lobby.rows.ends_nothing = Unavailable("the store is away")
    mine = await lobby.signing.set_password(session, PASSWORD, OTHER, HERE)
    assert [lobby.who(other), lobby.who(mine.token)] == [None, "ann"]
    lobby.rows.ends_nothing = None
    await lobby.sessions.flush()
    assert list(lobby.rows.rows) == [mine.session.id]


async def test_what_cannot_be_recorded_lets_nobody_in_and_everybody_out(lobby: Lobby) -> None:
    token = await lobby.enter("ann")
    session = lobby.sessions.find(token.reveal())
    assert session is not None
    lobby.changes.failing = True
    with pytest.raises(LedgerUnavailable):
        await lobby.signing.by_password("ann", PASSWORD, HERE, AGENT)
    assert len(lobby.sessions.list()) == 1
    with pytest.raises(LedgerUnavailable):
        await lobby.signing.sign_out(session, HERE)
    assert lobby.who(token) is None
    lobby.ledger.failing = True
    assert isinstance(await failing(lobby, "ann", WRONG, HERE), LedgerUnavailable)
    assert BOB not in repr(lobby.ledger.entries)
