"""Browser sessions: proven by their tokens, over by themselves and at once, and never another's."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.tokens import Pepper
from coatcheck.errors import SignedOut, Unavailable
from coatcheck.model.browser import BrowserSession, Way, Whose
from coatcheck.model.grant import Grant
from coatcheck.model.operator import OperatorRole
from coatcheck.model.secret import Secret
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.registry.patches import NewSubject, SubjectPatch
from coatcheck.operations.signing_in import sessions as module
from coatcheck.store.browsers import StoredBrowsers
from coatcheck.store.engines.sqlite import SqliteDatabase
from doubles.browsers import AGENT, HERE, PASSWORD, Lobby
from doubles.callers import ALICE, PEPPER
from doubles.clock import START
from doubles.registries import ROOT

OPERATOR = Whose.OPERATOR


@pytest.fixture
async def lobby() -> Lobby:
    return await Lobby().open()


async def opened(lobby: Lobby, name: str = "ann") -> tuple[BrowserSession, Secret]:
    if lobby.entering.find(name) is None:
        await lobby.enter(name)
    return await lobby.sessions.open(OPERATOR, name, Way.PASSWORD, HERE, AGENT)


async def test_a_token_is_found_and_nothing_else(lobby: Lobby) -> None:
    session, token = await opened(lobby)
    text = token.reveal()
    assert lobby.sessions.find(text) == session
    assert text.startswith("ccks_")
    for bad in ("", "ccks_", text[:-1], text.replace("ccks_", "ccka_"), ALICE, text + "x", "\u00e9" * 70):
        assert lobby.sessions.find(bad) is None
    assert text not in repr((session, lobby.rows.rows, lobby.sessions.list()))


async def test_it_ends_when_it_is_idle_and_when_its_time_is_over(lobby: Lobby) -> None:
    session, token = await opened(lobby)
    lobby.clock.advance(3599)
    assert lobby.who(token) == "ann"
    lobby.sessions.note_seen(session)
    lobby.clock.advance(3599)
    assert lobby.who(token) == "ann"
    lobby.clock.advance(1)
    assert lobby.who(token) is None
    assert lobby.sessions.list() == []
    _, busy = await opened(lobby)
    for _ in range(24):
        found = lobby.sessions.find(busy.reveal())
        assert found is not None
        lobby.sessions.note_seen(found)
        lobby.clock.advance(1800)
    assert lobby.who(busy) is None, "however busy it is"
    await lobby.sessions.flush()
    assert lobby.rows.rows == {}, "rows of what is over are deleted"


async def test_it_outlives_a_restart_and_so_does_its_end() -> None:
    first = await Lobby().open()
    session, token = await opened(first)
    gone, void = await opened(first)
    await first.sessions.end(gone.id)
    first.clock.advance(120)
    first.sessions.note_seen(session)
    await first.sessions.close()
    again = Lobby(store=first.rows, registry=first.office.store)
    again.clock.advance(120)
    await again.open()
    found = again.sessions.find(token.reveal())
    assert (found.who if found else "", again.who(void)) == ("ann", None)
    lower = Lobby(store=first.rows, registry=first.office.store, longest=60)
    lower.clock.advance(120)
    await lower.open()
    assert (lower.who(token), first.rows.rows) == (None, {}), "a setting that was lowered holds for all"


IMMUTABLE: dict[str, Any] = {
    "whose": Whose.SUBJECT,
    "who": "root",
    "how": Way.LINK,
    "by": "x",
    "proof": "0" * 64,
    "created_at": START - timedelta(seconds=1),
    "until": START + timedelta(days=9),
    "verified_at": START + timedelta(hours=1),
}


@pytest.mark.parametrize("field", IMMUTABLE)
async def test_a_row_that_was_edited_lets_nobody_in(field: str) -> None:
    first = await Lobby().open()
    await first.enter("root")
    session, token = await opened(first)
    for row, who in ((session, "ann"), (dataclasses.replace(session, **{field: IMMUTABLE[field]}), None)):
        first.rows.rows[session.id] = row
        again = await Lobby(store=first.rows, registry=first.office.store, longest=10**7).open()
        assert again.who(token) == who
        listed = session.id in {one.id for one in again.sessions.list()}
        assert listed is (who is not None), "what fits no token is not shown as signed in either"


@pytest.mark.parametrize("proof", ["", "\u00e9", "\u00e9 \u00e9", "0" * 64, " ", "x y"])
async def test_a_proof_that_nobody_here_wrote_is_none(proof: str) -> None:
    first = await Lobby().open()
    session, token = await opened(first)
    first.rows.rows[session.id] = dataclasses.replace(session, proof=proof)
    again = await Lobby(store=first.rows, registry=first.office.store).open()
    assert (again.who(token), session.id in first.rows.rows) == (None, False)


@given(
    field=st.sampled_from([*IMMUTABLE, "token"]),
    text=st.text(max_size=20),
    micros=st.integers(-(10**15), 10**15),
    pick=st.integers(0, 3),
)
def test_no_other_session_has_the_same_text_to_prove(field: str, text: str, micros: int, pick: int) -> None:
    bare = BrowserSession("a" * 12, OPERATOR, "ann", Way.LINK, "", START, START, START, START, "", "")
    token, basis = "ccks_" + "x" * 61, "admin - -"
    kept = getattr(bare, field, token)
    choices: dict[str, list[Any]] = {"whose": list(Whose), "how": list(Way)}
    some = choices.get(field, [text])
    other: Any = some[pick % len(some)]
    if kept is START:
        other = START + timedelta(microseconds=micros)
    changed = (
        module._text(other, bare, basis)
        if field == "token"
        else module._text(token, dataclasses.replace(bare, **{field: other}), basis)
    )
    same = other == kept or field == "proof"
    assert (PEPPER.prove(changed) == PEPPER.prove(module._text(token, bare, basis))) == same


def test_what_is_proven_can_be_no_token_and_no_print() -> None:
    text = module._text("t", None, None)
    assert "\n" in text
    assert PEPPER.print_of(text) != PEPPER.prove(text)[:16]


async def test_another_pepper_proves_nothing() -> None:
    first = await Lobby().open()
    _, token = await opened(first)
    again = await Lobby(store=first.rows, registry=first.office.store, pepper=Pepper(bytes(32))).open()
    assert (first.who(token), again.who(token)) == ("ann", None)


# --- at once ------------------------------------------------------------------------------------------------


async def test_an_operator_that_ends_is_out_at_once_and_for_good(lobby: Lobby) -> None:
    _, token = await opened(lobby)
    _, other = await opened(lobby, "ben")
    assert [lobby.who(one) for one in (token, other)] == ["ann", "ben"]
    await lobby.office.operators.end(ROOT, "ann")
    assert [lobby.who(one) for one in (token, other)] == [None, "ben"]
    await lobby.enter("ann")
    assert lobby.who(token) is None, "nor does it come back with the name"
    await lobby.sessions.flush()
    assert {one.who for one in lobby.rows.rows.values()} == {"ann", "ben"}


async def test_one_that_is_invited_anew_is_out_at_once_and_for_good(lobby: Lobby) -> None:
    _, token = await opened(lobby)
    code = await lobby.invite("ann")
    assert lobby.who(token) is None
    assert (await lobby.signing.by_code(code, PASSWORD, HERE, AGENT)).operator.name == "ann"
    assert lobby.who(token) is None


async def test_one_whose_role_changes_is_out_at_once_and_for_good(lobby: Lobby) -> None:
    _, token = await opened(lobby)
    await lobby.enter("ben")
    assert lobby.who(token) == "ann"
    _, code = await lobby.office.operators.change_role(ROOT, "ann", OperatorRole.VIEWER)
    assert lobby.who(token) is None
    opened_again = await lobby.signing.by_code(code.reveal(), PASSWORD, HERE, AGENT)
    assert (lobby.who(opened_again.token), lobby.who(token)) == ("ann", None)


async def test_even_if_the_gateway_dies_before_it_is_stored() -> None:
    first = await Lobby().open()
    _, token = await opened(first)
    rows = dict(first.rows.rows)
    first.clock.advance(1)
    code = await first.invite("ann")
    await first.signing.by_code(code, PASSWORD, HERE, AGENT)
    first.rows.rows |= rows  # as if their end had never been written
    again = Lobby(store=first.rows, registry=first.office.store)
    again.clock.advance(1)
    assert (await again.open()).who(token) is None
    assert [(one.who, one.how) for one in again.sessions.list()] == [("ann", Way.LINK)], "nor is it listed"
    assert len(first.rows.rows) == 1


async def test_an_operator_whose_time_is_over_is_out(lobby: Lobby) -> None:
    until = START + timedelta(minutes=10)
    _, code = await lobby.office.operators.add(ROOT, "tim", OperatorRole.VIEWER, until)
    token = (await lobby.signing.by_code(code.reveal(), PASSWORD, HERE, AGENT)).token
    assert lobby.who(token) == "tim"
    lobby.clock.advance(600)
    assert lobby.who(token) is None


async def test_a_subject_that_is_disabled_is_out_and_stays_out(lobby: Lobby) -> None:
    token = (await lobby.signing.by_grant(Secret(ALICE), HERE, AGENT)).token
    assert lobby.who(token) == "alice"
    await lobby.office.subjects.disable(ROOT, "alice", "left")
    assert lobby.who(token) is None
    await lobby.office.subjects.enable(ROOT, "alice")
    assert lobby.who(token) is None


async def test_whom_the_provider_vouched_for_is_out_once_nobody_here_has_the_name(lobby: Lobby) -> None:
    _, token = await lobby.sessions.open(Whose.SUBJECT, "alice", Way.OIDC, HERE, AGENT, "issuer alice")
    assert lobby.who(token) == "alice"
    declared = lobby.office.file.read()
    rest = tuple(grant for grant in declared.identity.grants if grant.subject != "alice")
    identity = dataclasses.replace(declared.identity, grants=rest)
    await lobby.office.edit(dataclasses.replace(declared, identity=identity))
    assert lobby.who(token) is None
    await lobby.office.edit(declared)
    assert lobby.who(token) is None, "nor does it come back with the name"


async def test_whom_the_provider_vouched_for_is_out_as_an_automation(lobby: Lobby) -> None:
    view = await lobby.office.subjects.add(ROOT, NewSubject("zoe"))
    _, token = await lobby.sessions.open(Whose.SUBJECT, "zoe", Way.OIDC, HERE, AGENT, "issuer zoe")
    assert lobby.who(token) == "zoe"
    await lobby.office.subjects.change(ROOT, "zoe", SubjectPatch(kind=SubjectKind.AUTOMATION), view.version)
    assert lobby.who(token) is None


class _Counted(dict[str, Grant]):
    """The grants of the file; counts how often somebody goes through them."""

    gone_through = 0

    def values(self) -> Any:
        self.gone_through += 1
        return super().values()


async def test_the_grants_of_the_file_are_gone_through_once_and_not_at_each_request(lobby: Lobby) -> None:
    _, token = await lobby.sessions.open(Whose.SUBJECT, "alice", Way.OIDC, HERE, AGENT, "issuer alice")
    snapshot = lobby.office.directory.snapshot
    grants = _Counted(snapshot.declared.grants)
    declared = dataclasses.replace(snapshot.declared, grants=grants)
    lobby.office.directory._snapshot = dataclasses.replace(snapshot, declared=declared)
    assert lobby.office.directory.snapshot.declared.grants is grants
    assert [lobby.who(token) for _ in range(10)] == ["alice"] * 10
    assert lobby.standing.basis(Whose.SUBJECT, "nobody", Way.OIDC, "issuer nobody") is None
    assert grants.gone_through == 1


async def test_nobody_without_standing_is_let_in(lobby: Lobby) -> None:
    code = await lobby.invite("new")
    for whose, who in ((OPERATOR, "nobody"), (OPERATOR, "new")):
        with pytest.raises(SignedOut):
            await lobby.sessions.open(whose, who, Way.LINK, HERE, AGENT)
    await lobby.signing.by_code(code, None, HERE, AGENT)
    assert (await lobby.sessions.open(OPERATOR, "new", Way.LINK, HERE, AGENT))[0].who == "new"


# --- bounds, endings, renewals ------------------------------------------------------------------------------


async def test_the_oldest_of_too_many_end(lobby: Lobby, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = [(await opened(lobby))[1] for _ in range(module.MAX_OF_PERSON + 2)]
    assert [lobby.who(token) for token in tokens[:3]] == [None, None, "ann"]
    assert len(lobby.sessions.list(OPERATOR, "ann")) == len(lobby.rows.rows) == module.MAX_OF_PERSON
    monkeypatch.setattr(module, "MAX_OF_ALL", module.MAX_OF_PERSON)
    await lobby.enter("ben")
    assert len(lobby.sessions.list()) == len(lobby.rows.rows) == module.MAX_OF_PERSON
    assert lobby.who(tokens[2]) is None


async def test_all_but_one_of_somebody_end(lobby: Lobby) -> None:
    kept, token = await opened(lobby)
    _, void = await opened(lobby)
    _, other = await opened(lobby, "ben")
    ended = lobby.sessions.void_of(OPERATOR, "ann", but=kept.id)
    assert {one.who for one in ended} == {"ann"}
    assert [lobby.who(one) for one in (token, void, other)] == ["ann", None, "ben"]
    assert [view.id for view in lobby.sessions.list(OPERATOR, "ann")] == [kept.id]
    assert await lobby.sessions.end("nothing") is None


async def test_a_renewal_voids_the_token_of_before(lobby: Lobby) -> None:
    session, token = await opened(lobby)
    lobby.clock.advance(300)
    assert lobby.sessions.verified_recently(session)
    lobby.clock.advance(1)
    assert not lobby.sessions.verified_recently(session)
    renewed, other = await lobby.sessions.renew(session, Way.PASSWORD)
    assert (lobby.who(token), lobby.who(other)) == (None, "ann")
    assert lobby.sessions.verified_recently(renewed)
    assert session.id not in lobby.rows.rows
    with pytest.raises(SignedOut):
        await lobby.sessions.renew(session, Way.PASSWORD)


async def test_what_the_store_does_not_take_opens_nothing_and_ends_all_the_same(lobby: Lobby) -> None:
    session, token = await opened(lobby)
    lobby.rows.failing = Unavailable("the disk is full")
    with pytest.raises(Unavailable):
        await lobby.sessions.renew(session, Way.PASSWORD)
    assert lobby.who(token) == "ann"
    with pytest.raises(Unavailable):
        await lobby.sessions.end(session.id)
    assert lobby.who(token) is None
    lobby.rows.failing = None
    assert session.id in lobby.rows.rows
    await lobby.sessions.flush()
    assert session.id not in lobby.rows.rows


async def test_the_store_hears_of_uses_once_a_minute(lobby: Lobby) -> None:
    session, _ = await opened(lobby)
    for _ in range(125):
        lobby.clock.advance(1)
        lobby.sessions.note_seen(session)
        await lobby.sessions.flush()
    assert len([one for one in lobby.rows.noted if session.id in one]) == 2
    await lobby.sessions.close()
    assert lobby.rows.noted[-1] == {session.id: lobby.clock.now()}
    lobby.sessions.note_seen(dataclasses.replace(session, id="gone"))


@pytest.fixture
async def stored(tmp_path: Path) -> AsyncIterator[StoredBrowsers]:
    database = SqliteDatabase.open(tmp_path)
    yield StoredBrowsers(database)
    database.close()


async def test_the_same_over_a_real_store(stored: StoredBrowsers) -> None:
    first = await Lobby(store=stored).open()
    session, token = await opened(first)
    renewed, other = await first.sessions.renew(session, Way.PASSWORD)
    assert (first.who(token), first.who(other)) == (None, "ann")
    first.clock.advance(61)
    first.sessions.note_seen(renewed)
    await first.sessions.flush()
    again = Lobby(store=stored, registry=first.office.store)
    again.clock.advance(61)
    await again.open()
    assert again.sessions.find(other.reveal()) == first.sessions.find(other.reveal())
    await again.office.operators.end(ROOT, "ann")
    await again.sessions.close()
    assert await stored.list() == []
