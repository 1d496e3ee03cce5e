"""The chain: who vouches first wins, a token that nobody vouches for is refused, nobody is someone by default."""

from __future__ import annotations

import itertools
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.identity.chain import MISSING, Chain, chain_for
from coatcheck.identity.grants import UNKNOWN
from coatcheck.model.declaration import ForwardedRules, IdentityRules, Provider
from coatcheck.model.grant import ANONYMOUS, Principal, Voucher
from coatcheck.model.known import Known
from coatcheck.model.subject import Subject
from coatcheck.ports import Presented, Refused
from doubles.callers import ALICE, ENDED, GONE, GRANTS, PEPPER, UNHEARD, forwarded, issued, request
from doubles.clock import HandClock

B, F, N = Provider.BEARER, Provider.FORWARDED, Provider.NONE
BASIC = "Basic YTpi"
GITHUB = "Bearer ghp_" + "a" * 36


def chain(rules: IdentityRules, **more: Any) -> Chain:
    live = {grant.digest: grant for grant in rules.grants}
    return chain_for(Known(rules, live, ENDED, **more), PEPPER, HandClock())


def who(presented: Presented, *providers: Provider, rules: ForwardedRules | None = None) -> str:
    """Return the subject, or the reason of the refusal in angle brackets."""
    found = chain(IdentityRules(providers, GRANTS, rules or ForwardedRules())).identify(presented)
    return found.subject if isinstance(found, Principal) else f"<{found.reason}>"


@pytest.mark.parametrize(
    ("providers", "presented", "expected"),
    [
        # bearer alone
        ((B,), request(f"Bearer {ALICE}"), "alice"),
        ((B,), request(ALICE), "alice"),
        ((B,), request(), "<missing>"),
        ((B,), request(""), "<empty>"),
        ((B,), request("Bearer "), "<empty>"),
        ((B,), request(BASIC), "<malformed>"),
        ((B,), request(GITHUB), "<foreign>"),
        ((B,), request(f"Bearer {UNHEARD}"), "<unknown>"),
        ((B,), request(f"Bearer {GONE}"), "<revoked>"),
        ((B,), forwarded("eve"), "<missing>"),
        ((B,), forwarded("eve", authorization=f"Bearer {ALICE}"), "alice"),
        # nothing, or `none` alone: anonymous, but never with a token that nobody knows
        ((), request(), "anonymous"),
        ((N,), request(), "anonymous"),
        ((N,), request(f"Bearer {UNHEARD}"), "<unknown>"),
        ((N,), request(f"Bearer {ALICE}"), "<unknown>"),
        ((N,), request(""), "<empty>"),
        ((N,), request(BASIC), "<malformed>"),
        ((), request(f"Bearer {ALICE}"), "<unknown>"),
        ((N,), forwarded("eve"), "anonymous"),
        # bearer, then none
        ((B, N), request(f"Bearer {ALICE}"), "alice"),
        ((B, N), request(), "anonymous"),
        ((B, N), request(f"Bearer {UNHEARD}"), "<unknown>"),
        ((B, N), request(f"Bearer {GONE}"), "<revoked>"),
        ((B, N), request("Bearer "), "<empty>"),
        ((B, N), request(BASIC), "<malformed>"),
        ((N, B), request(f"Bearer {ALICE}"), "alice"),
        ((N, B), request(), "anonymous"),
        ((N, B), request(f"Bearer {UNHEARD}"), "<unknown>"),
        # forwarded
        ((F,), forwarded("carol"), "carol"),
        ((F,), forwarded("carol", authorization=f"Bearer {UNHEARD}"), "carol"),
        ((F,), forwarded("carol", authorization=BASIC), "carol"),
        ((F,), forwarded("carol", peer="192.0.2.1"), "<missing>"),
        ((F,), forwarded("carol", peer="192.0.2.1", authorization=f"Bearer {ALICE}"), "<unknown>"),
        ((F,), forwarded(""), "<bad_forwarded_subject>"),
        ((F,), request(), "<missing>"),
        ((F,), request(f"Bearer {ALICE}"), "<unknown>"),
        # chains of both, in their order
        ((B, F), forwarded("carol"), "carol"),
        ((B, F), forwarded("carol", authorization=f"Bearer {ALICE}"), "alice"),
        ((F, B), forwarded("carol", authorization=f"Bearer {ALICE}"), "carol"),
        ((F, B), request(f"Bearer {ALICE}"), "alice"),
        ((B, F), forwarded("carol", authorization=f"Bearer {UNHEARD}"), "carol"),
        ((B, F), forwarded("carol", authorization=GITHUB), "carol"),
        ((B, F), forwarded("carol", authorization=f"Bearer {GONE}"), "<revoked>"),
        ((B, F), forwarded("carol", peer="192.0.2.1", authorization=f"Bearer {UNHEARD}"), "<unknown>"),
        ((B, F), forwarded("carol", peer="192.0.2.1", authorization=GITHUB), "<foreign>"),
        ((B, F), forwarded("carol", peer="192.0.2.1", authorization=f"Bearer {ALICE}"), "alice"),
        ((B, F), forwarded("carol", peer="192.0.2.1"), "<missing>"),
        ((F, N), forwarded("carol", peer="192.0.2.1"), "<missing>"),
        ((F, N), request(), "anonymous"),
        ((F, N), forwarded("a", "b"), "<bad_forwarded_subject>"),
        ((F, B, N), forwarded("*", authorization=f"Bearer {ALICE}"), "<bad_forwarded_subject>"),
        ((B, F, N), request(f"Bearer {UNHEARD}"), "<unknown>"),
        ((B, F, N), request(), "anonymous"),
    ],
)  # fmt: skip
def test_who_is_calling(providers: tuple[Provider, ...], presented: Presented, expected: str) -> None:
    assert who(presented, *providers) == expected


CHAINS = [chain for size in (1, 2, 3) for chain in itertools.permutations((B, F, N), size)]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(CHAINS),
    st.none()
    | st.sampled_from(
        ("", "Bearer", BASIC, GITHUB, f"Bearer {UNHEARD}", f"Bearer {GONE}", f"Bearer {ALICE}", ALICE, "x")
    ),
    st.lists(st.sampled_from(("carol", "", "anonymous")), max_size=2),
    st.sampled_from(("10.0.0.1", "127.0.0.1", "192.0.2.1", "")),
)
def test_nobody_is_someone_without_a_voucher(
    providers: tuple[Provider, ...], authorization: str | None, users: list[str], peer: str
) -> None:
    rules = ForwardedRules(trusted=(ip_network("10.0.0.0/8"),))
    presented = forwarded(*users, peer=peer, authorization=authorization)
    found = chain(IdentityRules(providers, GRANTS, rules)).identify(presented)
    if not isinstance(found, Principal):
        assert found.sentence
        return
    if found.voucher is Voucher.GRANT:
        assert B in providers
        assert authorization in {ALICE, f"Bearer {ALICE}"}
    elif found.voucher is Voucher.FORWARDED:
        assert F in providers
        assert (users, peer) == (["carol"], "10.0.0.1")
    else:
        assert found == ANONYMOUS
        assert N in providers
        assert authorization is None


def test_an_empty_chain_refuses_everyone() -> None:
    for presented in (request(), request(f"Bearer {ALICE}"), request(""), forwarded("carol")):
        assert isinstance(Chain(()).identify(presented), Refused)


def test_only_unknown_tokens_are_guesses_and_each_reason_has_one_sentence() -> None:
    sentences: dict[str, set[str]] = {}
    for providers in CHAINS:
        asked = chain(IdentityRules(providers, GRANTS))
        for presented in (
            request(),
            request("Bearer "),
            request(f"Bearer {UNHEARD}"),
            request("Bearer x"),
            request(f"Bearer {GONE}"),
        ):
            found = asked.identify(presented)
            if isinstance(found, Refused):
                assert found.guess is (found.reason == "unknown")
                sentences.setdefault(found.reason, set()).add(found.sentence)
    assert sentences.keys() == {"missing", "empty", "unknown", "revoked"}
    assert all(len(found) == 1 for found in sentences.values())
    assert (sentences["missing"], sentences["unknown"]) == ({MISSING}, {UNKNOWN})


def test_no_token_is_in_anything_that_can_be_printed() -> None:
    asked = chain(IdentityRules((B, F, N), GRANTS))
    for token in (ALICE, GONE, UNHEARD, GITHUB[7:]):
        presented = forwarded(authorization=f"Bearer {token}", peer="192.0.2.1")
        assert token not in f"{asked!r} {asked.identify(presented)!r} {GRANTS!r}"


# --- subjects that are stored, and grants that operators issued -------------------------------------------------


@pytest.mark.parametrize(
    ("presented", "subject"),
    [(request(f"Bearer {ALICE}"), "alice"), (forwarded("carol"), "carol"), (request("its own"), "dora")],
)
def test_a_disabled_subject_is_refused_whoever_vouches(presented: Presented, subject: str) -> None:
    token, grant = issued("dora")
    if subject == "dora":
        presented = request(f"Bearer {token}")
    known = {grant.proofs[0].token_id: grant}
    rules = IdentityRules((B, F), GRANTS)
    found = chain(rules, issued=known).identify(presented)
    assert isinstance(found, Principal)
    assert found.subject == subject
    refused = chain(rules, issued=known, subjects={subject: Subject(subject, disabled=True)}).identify(
        presented
    )
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.guess) == ("disabled", False)


def test_a_stored_subject_adds_its_roles_to_those_of_whatever_vouches() -> None:
    subjects = {"alice": Subject("alice", roles=frozenset({"ops"}))}
    found = chain(IdentityRules((B,), GRANTS), subjects=subjects).identify(request(f"Bearer {ALICE}"))
    assert isinstance(found, Principal)
    assert found.roles == frozenset({"dev", "ops"})


@pytest.mark.parametrize("providers", [(), (B,), (F,), (N,), (B, F, N)])
def test_issued_grants_are_known_whatever_the_file_asks_for(providers: tuple[Provider, ...]) -> None:
    token, grant = issued("dora")
    asked = chain(IdentityRules(providers, GRANTS), issued={grant.proofs[0].token_id: grant})
    found = asked.identify(request(f"Bearer {token}"))
    assert isinstance(found, Principal)
    assert (found.subject, found.voucher) == ("dora", Voucher.GRANT)


def test_without_a_provider_nobody_is_anonymous_unless_that_is_said() -> None:
    assert chain(IdentityRules()).identify(request()) == ANONYMOUS
    refused = chain(IdentityRules(), anonymous=False).identify(request())
    assert isinstance(refused, Refused)
    assert refused.reason == "missing"
    assert chain(IdentityRules((N,)), anonymous=False).identify(request()) == ANONYMOUS


@pytest.mark.parametrize("providers", [(), (N,), (B, N)])
def test_nobody_from_another_machine_is_anonymous(providers: tuple[Provider, ...]) -> None:
    assert who(Presented({}, "127.0.0.1", "127.0.0.1"), *providers) == "anonymous"
    assert who(Presented({}, "::1", "::ffff:127.0.0.1"), *providers) == "anonymous"
    assert who(Presented({}, "127.0.0.1", "203.0.113.9"), *providers) == "<missing>"
    assert who(Presented({}, "203.0.113.9", "203.0.113.9"), *providers) == "<missing>"
