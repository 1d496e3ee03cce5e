"""Who somebody is whom the provider vouches for: every case, and what is on record of it."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from coatcheck.errors import OpenIdRefused, Unfit
from coatcheck.model.browser import Whose
from coatcheck.model.openid import OpenIdRules, RoleRule, Vouched
from coatcheck.model.operator import OperatorRole
from coatcheck.model.subject import SubjectKind
from coatcheck.operations.registry.patches import NewSubject
from coatcheck.operations.signing_in.vouching import Vouching
from doubles.registries import ROOT, Office

ADMIN, AUDITOR, VIEWER = OperatorRole.ADMIN, OperatorRole.AUDITOR, OperatorRole.VIEWER
ISSUER = "https://id.example.com"
INVITING = OpenIdRules(ISSUER, "coatcheck")
MAPPED = dataclasses.replace(INVITING, operators=(RoleRule(ADMIN, "platform"),))
ANN = Vouched(ISSUER, "u-1", "ann@example.com", "ann@example.com", None, "the claim groups gives no role")
BOSS = dataclasses.replace(ANN, role=ADMIN, because="the claim groups gives the role admin")


async def office_of(rules: OpenIdRules) -> tuple[Office, Vouching]:
    office = await Office().open()
    return office, Vouching(office.desk, rules)


def log_of(office: Office) -> list[tuple[str, str, str]]:
    return [(one.action, one.actor, one.object_id) for one in office.store.changes]


async def refused(vouching: Vouching, vouched: Vouched) -> OpenIdRefused:
    with pytest.raises(OpenIdRefused) as error:
        await vouching.admit(vouched)
    return error.value


# --- invited ------------------------------------------------------------------------------------------------


async def test_an_invited_operator_is_linked_at_first_and_known_by_that_from_then_on() -> None:
    office, vouching = await office_of(INVITING)
    _, code = await office.operators.add(ROOT, "ann@example.com", AUDITOR)
    entrant = await vouching.admit(dataclasses.replace(ANN, name="Ann@Example.com"))
    assert (entrant.whose, entrant.who) == (Whose.OPERATOR, "ann@example.com")
    assert entrant.by == f"{ISSUER}#u-1"
    kept = office.book.registry.operators["ann@example.com"]
    assert (kept.role, kept.vouched, kept.code_hmac) == (AUDITOR, entrant.by, "")
    commits = office.store.commits
    assert await vouching.admit(dataclasses.replace(ANN, name="ann.married@example.com")) == entrant
    assert office.store.commits == commits
    assert log_of(office) == [
        ("operator.add", "root", "ann@example.com"),
        ("operator.link", "openid", "ann@example.com"),
    ]
    assert office.store.changes[-1].origin == ISSUER
    with pytest.raises(Exception, match="not good"):
        await office.operators.login(code.reveal(), "192.0.2.1")


async def test_an_invitation_that_has_lapsed_links_nobody() -> None:
    office, vouching = await office_of(INVITING)
    await office.operators.add(ROOT, "ann@example.com", AUDITOR)
    office.clock.advance(timedelta(hours=24).total_seconds())
    assert "has lapsed" in (await refused(vouching, ANN)).because
    await office.operators.add(ROOT, "ann@example.com", AUDITOR)
    assert (await vouching.admit(ANN)).who == "ann@example.com"


async def test_another_subject_of_the_same_name_is_somebody_else() -> None:
    office, vouching = await office_of(INVITING)
    await office.operators.add(ROOT, "ann@example.com", AUDITOR)
    await vouching.admit(ANN)
    error = await refused(vouching, dataclasses.replace(ANN, subject="u-2"))
    assert "signs in otherwise" in error.because
    elsewhere = dataclasses.replace(ANN, issuer="https://id.example.org")
    assert "signs in otherwise" in (await refused(vouching, elsewhere)).because


async def test_operators_who_sign_in_otherwise_are_not_taken_over() -> None:
    office, vouching = await office_of(INVITING)
    _, code = await office.operators.add(ROOT, "ann@example.com", ADMIN)
    await office.operators.login(code.reveal(), "192.0.2.1")
    assert "signs in otherwise" in (await refused(vouching, ANN)).because
    await office.operators.add(ROOT, "ann@example.com", ADMIN)  # invited anew
    assert (await vouching.admit(ANN)).who == "ann@example.com"


@pytest.mark.parametrize("rules", [INVITING, MAPPED])
async def test_whom_an_admin_removed_stays_removed(rules: OpenIdRules) -> None:
    office, vouching = await office_of(rules)
    await office.operators.add(ROOT, "ann@example.com", ADMIN)
    vouched = BOSS if rules is MAPPED else ANN
    await vouching.admit(vouched)
    await office.operators.end(ROOT, "ann@example.com")
    assert "an admin removed" in (await refused(vouching, vouched)).because
    assert office.book.registry.operators["ann@example.com"].ended_at is not None
    await office.operators.add(ROOT, "ann@example.com", ADMIN)
    assert (await vouching.admit(vouched)).who == "ann@example.com"


@pytest.mark.parametrize("linked", [False, True])
async def test_whose_time_is_over(linked: bool) -> None:
    office, vouching = await office_of(INVITING)
    until = office.clock.now() + timedelta(hours=1)
    await office.operators.add(ROOT, "ann@example.com", ADMIN, until)
    if linked:
        await vouching.admit(ANN)
    office.clock.advance(3601)
    assert "is over" in (await refused(vouching, ANN)).because


async def test_strangers_are_told_what_to_ask_for() -> None:
    for rules, words in ((INVITING, "an invitation"), (MAPPED, "a group")):
        office, vouching = await office_of(rules)
        error = await refused(vouching, ANN)
        assert "ann@example.com" in str(error)
        assert words in error.fix
        assert not office.store.changes


# --- roles by claim -----------------------------------------------------------------------------------------


async def test_a_claim_makes_changes_ends_and_brings_back_an_operator() -> None:
    office, vouching = await office_of(MAPPED)
    assert (await vouching.admit(BOSS)).who == "ann@example.com"
    assert (await vouching.admit(dataclasses.replace(BOSS, role=VIEWER))).who == "ann@example.com"
    assert office.book.registry.operators["ann@example.com"].role is VIEWER
    await refused(vouching, ANN)
    ended = office.book.registry.operators["ann@example.com"]
    assert ended.ended_at is not None
    await refused(vouching, ANN)
    assert (await vouching.admit(BOSS)).who == "ann@example.com"
    back = office.book.registry.operators["ann@example.com"]
    assert (back.role, back.ended_at, back.token_hmac) == (ADMIN, None, "")
    assert log_of(office) == [
        (f"operator.{verb}", "openid", "ann@example.com") for verb in ("add", "change", "end", "restore")
    ]
    assert office.store.changes[0].because == BOSS.because


async def test_losing_the_role_ends_what_else_let_one_in() -> None:
    office, vouching = await office_of(MAPPED)
    await vouching.admit(BOSS)
    kept = office.book.registry.operators["ann@example.com"]
    with_more = dataclasses.replace(kept, token_id="t", token_hmac="ab" * 32, password="$argon2id$")
    office.store.registry = dataclasses.replace(
        office.store.registry, operators={"ann@example.com": with_more}
    )
    office.book.directory.renew(office.store.registry)
    await refused(vouching, ANN)
    ended = office.book.registry.operators["ann@example.com"]
    assert (ended.token_hmac, ended.password, ended.code_hmac) == ("", "", "")


async def test_an_invitation_is_not_enough_where_claims_give_roles() -> None:
    office, vouching = await office_of(MAPPED)
    await office.operators.add(ROOT, "ann@example.com", AUDITOR)
    await refused(vouching, ANN)
    assert (await vouching.admit(BOSS)).who == "ann@example.com"
    assert office.book.registry.operators["ann@example.com"].role is ADMIN


@pytest.mark.parametrize(
    "name", ["ann+x@example.com", "\u00e4nn@example.com", "a" * 65, "gateway", "openid", "-"]
)
async def test_names_that_no_operator_can_have(name: str) -> None:
    office, vouching = await office_of(MAPPED)
    assert (
        "cannot be that of an operator"
        in (await refused(vouching, dataclasses.replace(BOSS, name=name))).because
    )
    assert not office.store.changes
    with pytest.raises(Unfit):
        await office.operators.add(ROOT, "openid", ADMIN)


# --- owners of grants ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rules", [INVITING, MAPPED])
async def test_a_person_of_that_name_gets_a_page_of_their_own(rules: OpenIdRules) -> None:
    office, vouching = await office_of(rules)
    await office.subjects.add(ROOT, NewSubject("ann@example.com"))
    entrant = await vouching.admit(dataclasses.replace(ANN, name="ANN@example.com"))
    assert (entrant.whose, entrant.who) == (Whose.SUBJECT, "ann@example.com")
    await office.subjects.disable(ROOT, "ann@example.com", "left")
    assert "disabled" in (await refused(vouching, ANN)).because


async def test_names_that_are_no_addresses_have_a_case() -> None:
    office, vouching = await office_of(dataclasses.replace(INVITING, name_claim="preferred_username"))
    await office.subjects.add(ROOT, NewSubject("ann"))
    assert (await vouching.admit(dataclasses.replace(ANN, name="ann"))).who == "ann"
    await refused(vouching, dataclasses.replace(ANN, name="Ann"))


async def test_automations_have_no_page() -> None:
    office, vouching = await office_of(INVITING)
    await office.subjects.add(ROOT, NewSubject("ann@example.com", SubjectKind.AUTOMATION))
    assert "no person" in (await refused(vouching, ANN)).because


async def test_an_operator_who_lost_the_role_may_still_own_grants() -> None:
    office, vouching = await office_of(MAPPED)
    await office.subjects.add(ROOT, NewSubject("ann@example.com"))
    assert (await vouching.admit(BOSS)).whose is Whose.OPERATOR
    assert (await vouching.admit(ANN)).whose is Whose.SUBJECT
    assert office.book.registry.operators["ann@example.com"].ended_at is not None
