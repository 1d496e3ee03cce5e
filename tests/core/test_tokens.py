"""Tokens: a form that scanners find, and a checksum that finds every damaged character."""

from __future__ import annotations

import hashlib
import os
import re
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.core import tokens
from coatcheck.core.tokens import (
    ALPHABET,
    checksum,
    digest,
    foreign_kind,
    is_well_formed,
    looks_like_ours,
    mint,
)

BRIEF = settings(max_examples=200, deadline=None)


def from_seed(seed: int) -> str:
    """Mint from bytes that a hash makes of a number and of how often it was asked."""
    asked = 0

    def random(size: int) -> bytes:
        nonlocal asked
        asked += 1
        return hashlib.shake_256(b"%d %d" % (seed, asked)).digest(size)

    return mint(random)


TOKENS = st.integers(0, 2**64).map(from_seed)
TOKEN = from_seed(1)


@BRIEF
@given(TOKENS)
def test_a_minted_token_has_its_form(token: str) -> None:
    assert re.fullmatch(r"cckg_[0-9A-Za-z]{61}", token)
    assert is_well_formed(token)
    assert looks_like_ours(token)
    assert foreign_kind(token) is None
    assert token[-6:] == checksum(token[:-6])


@pytest.mark.parametrize("prefix", ["cckg_", "ccka_", "cckb_", "ccks_"])
def test_every_kind_of_ours_is_known(prefix: str) -> None:
    token = mint(lambda size: b"\xa5" * size, prefix)
    assert token.startswith(prefix)
    assert is_well_formed(token)
    assert looks_like_ours(token)


def test_the_secret_has_256_bits_whatever_the_bytes() -> None:
    assert mint(bytes)[:-6] == "cckg_" + "0" * 55
    assert len({from_seed(seed) for seed in range(2_000)}) == 2_000
    sizes: list[int] = []

    def counted(size: int) -> bytes:
        sizes.append(size)
        return bytes(size)

    mint(counted)
    assert sum(sizes) * 8 >= 256 + 71
    assert 62**43 > 2**256


def test_the_checksum_is_the_crc_in_base_62() -> None:
    number = zlib.crc32(TOKEN[:-6].encode())
    for char in TOKEN[-6:]:
        assert number // 62**5 == ALPHABET.index(char)
        number = number % 62**5 * 62


@BRIEF
@given(TOKENS, st.integers(0, 65), st.characters())
def test_one_changed_character_is_always_found(token: str, at: int, char: str) -> None:
    if char != token[at]:
        assert not is_well_formed(token[:at] + char + token[at + 1 :])


@BRIEF
@given(TOKENS, st.integers(0, 64))
def test_two_swapped_neighbours_are_always_found(token: str, at: int) -> None:
    swapped = token[:at] + token[at + 1] + token[at] + token[at + 2 :]
    assert is_well_formed(swapped) is (swapped == token)


@BRIEF
@given(TOKENS, st.integers(0, 66), st.text(ALPHABET, min_size=1, max_size=3))
def test_lost_and_added_characters_are_always_found(token: str, at: int, added: str) -> None:
    assert not is_well_formed(token[:at] + added + token[at:])
    assert not is_well_formed(token[:at] + token[at + len(added) :] + "") or at == 66


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cckg_",
        "cckg",
        TOKEN + "\n",
        " " + TOKEN,
        TOKEN.upper(),
        "cckx_" + TOKEN[5:],
        TOKEN[5:],
        "cckg_" + "\u0660" * 61,
        "CCKG_" + TOKEN[5:],
    ],
)
def test_what_is_no_token_of_ours_is_not_well_formed(text: str) -> None:
    assert not is_well_formed(text)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ghp_abc", "GitHub token"), ("gho_a", "GitHub token"), ("ghu_a", "GitHub token"), ("ghs_a", "GitHub token"), ("ghr_a", "GitHub token"), ("github_pat_11A", "GitHub token"),
        ("glpat-a", "GitLab token"), ("xoxb-1", "Slack token"), ("xoxp-1", "Slack token"), ("xapp-1", "Slack token"), ("sk-ant-api03-x", "Anthropic key"), ("sk-proj-x", "secret API key"),
        ("sk_live_x", "secret API key"), ("sntrys_x", "Sentry token"), ("sntryu_x", "Sentry token"), ("AKIAIOSFODNN7EXAMPLE", "AWS access key"), ("AIzaSyA", "Google API key"), ("npm_x", "npm token"),
        ("pypi-x", "PyPI token"), ("dop_v1_x", "DigitalOcean token"), ("hvs.x", "Vault token"), ("lin_api_x", "Linear key"), ("ntn_x", "Notion token"), ("secret_x", "Notion token"),
        ("eyJhbGciOiJub25lIn0.e30.", "JSON Web Token"),
        ("", None), ("null", None), ("x ghp_abc", None), ("mgw_abc", None), ("eyJ", None), ("SK-x", None), ("Bearer", None), ("undefined", None), ("${TOKEN}", None),
    ],
)  # fmt: skip
def test_tokens_of_other_services_are_named(text: str, kind: str | None) -> None:
    assert foreign_kind(text) == kind
    assert not looks_like_ours(text)


def test_a_digest_is_sha_256_in_hexadecimal() -> None:
    assert digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert digest("é") == hashlib.sha256("é".encode()).hexdigest()


# --- what is kept of a token ----------------------------------------------------------------------------------


def test_a_proof_fits_its_token_under_its_key_and_nothing_else() -> None:
    token, other = tokens.mint(os.urandom), tokens.mint(os.urandom)
    pepper = tokens.Pepper(bytes(range(32)))
    proof = pepper.prove(token)
    assert pepper.fits(token, proof)
    assert not pepper.fits(other, proof)
    assert not tokens.Pepper(bytes(32)).fits(token, proof)
    assert not pepper.fits(token, "")
    assert not pepper.fits(token, tokens.NO_PROOF)
    assert token not in proof
    assert repr(pepper) == "Pepper(...)"
    with pytest.raises(ValueError, match="32 bytes"):
        tokens.Pepper(b"short")


def test_a_token_can_be_given_the_public_id_of_its_code() -> None:
    code = tokens.mint(os.urandom, tokens.CODE_PREFIX)
    token = tokens.mint(os.urandom, public=tokens.public_id(code))
    assert tokens.public_id(token) == tokens.public_id(code)
    assert tokens.is_well_formed(token)
    assert token[17:] != code[17:]
