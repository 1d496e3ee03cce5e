"""Grants: known by the digest of their token; every refusal says what helps its holder and nothing more."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.core.tokens import checksum, digest
from coatcheck.identity.grants import UNKNOWN, GrantIdentifier
from coatcheck.model.grant import Principal, Voucher
from coatcheck.ports import NotMine, Refused
from doubles.callers import ALICE, BOB, ENDED, GONE, GRANTS, PLAIN, SERVER, UNHEARD, request

IDENTIFIER = GrantIdentifier({grant.digest: grant for grant in GRANTS}, ENDED)


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
        assert digest(token)[:12] in found.trace
        if len(token) > 12:
            assert token not in repr(found)


def test_no_token_is_in_anything_that_can_be_printed() -> None:
    for token in (ALICE, BOB, PLAIN, GONE, UNHEARD, "ghp_" + "secret" * 6, ALICE[:-1]):
        found = IDENTIFIER.identify(request(f"Bearer {token}"))
        assert token not in f"{found!r} {found} {IDENTIFIER!r}"
        assert token[5:] not in repr(found)
