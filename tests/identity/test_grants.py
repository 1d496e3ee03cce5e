"""Grants: known by the digest of their token; every refusal says what helps its holder and nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from coatcheck.core.tokens import Pepper, checksum, digest
from coatcheck.identity.grants import UNKNOWN, FileGrants, GrantIdentifier, IssuedGrants
from coatcheck.model.grant import IssuedGrant, Principal, Proof, Voucher
from coatcheck.ports import Clock, NotMine, Refused
from doubles.callers import (
    ALICE,
    BOB,
    ENDED,
    GONE,
    GRANTS,
    PEPPER,
    PLAIN,
    SERVER,
    UNHEARD,
    issued,
    request,
)
from doubles.clock import START, HandClock

CLOCK = HandClock()
DORA, DORAS = issued("dora", tools=("git__*",))


class Counted(dict[str, IssuedGrant]):
    """A mapping that counts look-ups and cannot be walked through."""

    looked_up = 0

    def get(self, key: str, default: object = None) -> object:  # type: ignore[override]
        self.looked_up += 1
        return super().get(key, default)

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("nobody walks through all grants for one call")

    values = items = keys = __iter__  # type: ignore[assignment]


def identifier(*grants: IssuedGrant, clock: Clock = CLOCK) -> GrantIdentifier:
    known = {proof.token_id: grant for grant in grants for proof in grant.proofs}
    of_file = FileGrants({grant.digest: grant for grant in GRANTS}, ENDED)
    return GrantIdentifier(of_file, IssuedGrants(known, PEPPER, clock))


IDENTIFIER = identifier(DORAS)


def refusal_of(token: str) -> Refused:
    found = IDENTIFIER.identify(request(f"Bearer {token}"))
    assert isinstance(found, Refused)
    return found


def test_a_grant_makes_its_principal() -> None:
    alice = Principal(
        "alice", frozenset({"dev"}), f"file-{digest(ALICE)[:12]}", "alice's", Voucher.GRANT, None
    )
    for authorization in (f"Bearer {ALICE}", f"bearer {ALICE}", ALICE):
        assert IDENTIFIER.identify(request(authorization)) == alice
    bob = IDENTIFIER.identify(request(f"Bearer {BOB}"))
    assert isinstance(bob, Principal)
    assert (bob.subject, bob.servers) == ("bob", frozenset({SERVER}))
    carol = IDENTIFIER.identify(request(f"Bearer {PLAIN}"))
    assert isinstance(carol, Principal)
    assert carol.subject == "carol"


def test_without_a_token_a_request_is_not_its_business() -> None:
    assert IDENTIFIER.identify(request()) == NotMine()
    assert IDENTIFIER.identify(request(headers={"cookie": (ALICE,), "x-api-key": (ALICE,)})) == NotMine()


def test_only_the_whole_token_of_an_ended_grant_is_told_so() -> None:
    revoked = refusal_of(GONE)
    assert (revoked.reason, revoked.trace, revoked.guess) == ("revoked", ENDED[digest(GONE)].id, False)
    for partial in (GONE[:-1], GONE[:17], GONE + "a", GONE[:40] + UNHEARD[40:]):
        assert refusal_of(partial).reason == "malformed"
    assert refusal_of(GONE.swapcase()).reason == "unknown"


@pytest.mark.parametrize(
    "token",
    [
        "cckg_",
        ALICE[:-1],
        ALICE + "A",
        ALICE[:-1] + ("a" if ALICE[-1] != "a" else "b"),
        "ccka_" + "a" * 61,
        "cckg_null",
    ],
)
def test_a_damaged_token_of_ours_is_named_and_no_guess(token: str) -> None:
    found = refusal_of(token)
    assert (found.reason, found.guess) == ("malformed", False)
    assert "checksum" in found.sentence


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        ("ghp_" + "a" * 36, "GitHub token"),
        ("sk-ant-api03-x", "Anthropic key"),
        ("xoxb-1-2", "Slack token"),
        ("eyJhbGciOiJub25lIn0.e30.", "JSON Web Token"),
    ],
)
def test_a_token_of_another_service_is_named_and_no_guess(token: str, kind: str) -> None:
    found = refusal_of(token)
    assert (found.reason, found.guess) == ("foreign", False)
    assert kind in found.sentence
    assert "rotate" in found.sentence


def test_unknown_ids_and_wrong_secrets_share_one_sentence() -> None:
    """A well-formed token with another's public id is told the same as one that nobody ever had."""
    wrong_secret = ALICE[:17] + UNHEARD[17:60]
    wrong_secret += checksum(wrong_secret)
    for token in (
        UNHEARD,
        wrong_secret,
        "x",
        "null",
        "' OR '1'='1".replace(" ", ""),
        "mgw_" + "A" * 46,
        "../../x",
        PLAIN + "x",
        ALICE.lower().replace("cckg_", "x"),
    ):
        found = refusal_of(token)
        assert (found.reason, found.sentence, found.guess) == ("unknown", UNKNOWN, True)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=80))
def test_no_other_token_is_let_in_and_none_is_told_back(token: str) -> None:
    if token not in {ALICE, BOB, PLAIN}:
        found = refusal_of(token)
        assert found.trace == f"print:{PEPPER.print_of(token)}"
        if len(token) > 12:
            assert token not in repr(found)


def test_nobody_can_try_out_from_the_record_what_was_presented() -> None:
    for token in ("hunter2", "ghp_" + "secret" * 6, ALICE[:-1], UNHEARD):
        found = refusal_of(token)
        print = found.trace.removeprefix("print:")
        assert len(print) == 16
        assert print == refusal_of(token).trace.removeprefix("print:")
        assert print not in {digest(token)[:16], PEPPER.prove(token)[:16], Pepper(b"x" * 32).print_of(token)}
    assert len({refusal_of(f"guess{number}").trace for number in range(100)}) == 100


def test_no_token_is_in_anything_that_can_be_printed() -> None:
    for token in (ALICE, BOB, PLAIN, GONE, UNHEARD, "ghp_" + "secret" * 6, ALICE[:-1]):
        found = IDENTIFIER.identify(request(f"Bearer {token}"))
        assert token not in f"{found!r} {found} {IDENTIFIER!r}"
        assert token[5:] not in repr(found)


# --- grants that operators issued -------------------------------------------------------------------------------


def test_an_issued_grant_makes_its_principal() -> None:
    found = IDENTIFIER.identify(request(f"Bearer {DORA}"))
    assert found == Principal("dora", frozenset(), DORAS.id, "dora's", Voucher.GRANT, None, tools=("git__*",))


def test_a_wrong_secret_under_a_known_id_is_told_what_an_unknown_id_is() -> None:
    wrong = DORA[:17] + UNHEARD[17:60]
    wrong += checksum(wrong)
    assert structs.replace(refusal_of(wrong), trace="") == structs.replace(refusal_of(UNHEARD), trace="")
    assert refusal_of(wrong).guess


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"revoked_at": START}, "revoked"),
        ({"expires_at": START}, "expired"),
        ({"expires_at": START - timedelta(days=1), "revoked_at": START}, "expired"),
        ({"expires_at": START + timedelta(seconds=1)}, None),
    ],
)
def test_a_grant_that_is_over_says_why_to_whoever_has_the_whole_token(
    changed: dict[str, object], reason: str | None
) -> None:
    found = identifier(replace(DORAS, **changed)).identify(request(f"Bearer {DORA}"))  # type: ignore[arg-type]
    if reason is None:
        assert isinstance(found, Principal)
        return
    assert isinstance(found, Refused)
    assert (found.reason, found.trace, found.guess) == (reason, DORAS.id, False)
    assert "Ask whoever runs this gateway" in found.sentence


def test_a_grant_expires_with_the_clock_and_no_edit() -> None:
    clock = HandClock()
    asked = identifier(replace(DORAS, expires_at=START + timedelta(seconds=60)), clock=clock)
    assert isinstance(asked.identify(request(f"Bearer {DORA}")), Principal)
    clock.advance(60)
    found = asked.identify(request(f"Bearer {DORA}"))
    assert isinstance(found, Refused)
    assert found.reason == "expired"


def test_both_tokens_of_a_rotated_grant_are_good_until_the_overlap_ends() -> None:
    clock = HandClock()
    newer, other = issued("dora anew")
    former = replace(DORAS.proofs[0], until=START + timedelta(seconds=30))
    asked = identifier(replace(DORAS, proofs=(other.proofs[0], former)), clock=clock)
    for token in (DORA, newer):
        found = asked.identify(request(f"Bearer {token}"))
        assert isinstance(found, Principal)
        assert found.grant_id == DORAS.id
    clock.advance(30)
    assert isinstance(asked.identify(request(f"Bearer {newer}")), Principal)
    found = asked.identify(request(f"Bearer {DORA}"))
    assert isinstance(found, Refused)
    assert (found.reason, found.guess) == ("rotated", False)


def test_an_unclaimed_grant_lets_nobody_in() -> None:
    found = identifier(replace(DORAS, proofs=())).identify(request(f"Bearer {DORA}"))
    assert isinstance(found, Refused)
    assert found.reason == "unknown"
    empty = identifier(replace(DORAS, proofs=(Proof(DORAS.id, ""),)))
    assert isinstance(empty.identify(request(f"Bearer {DORA}")), Refused)


@pytest.mark.parametrize("many", [10, 10_000])
def test_one_look_up_for_each_call_however_many_grants_there_are(many: int) -> None:
    known = Counted({f"{number:012}": DORAS for number in range(many)})
    dict.__setitem__(known, DORAS.id, DORAS)
    asked = GrantIdentifier(FileGrants({}, {}), IssuedGrants(known, PEPPER, CLOCK))
    assert isinstance(asked.identify(request(f"Bearer {DORA}")), Principal)
    assert isinstance(asked.identify(request(f"Bearer {UNHEARD}")), Refused)
    assert known.looked_up == 2
