"""Passwords of operators: what one must be, and its Argon2id hash (RFC 9106), which alone is kept.

The parameters are the first choice of the OWASP Password Storage Cheat Sheet: 46 MiB, one pass, one lane. One
lane, since calls run on the same cores; RFC 9106's second recommended option (64 MiB, three passes, four
lanes) keeps four of them busy several times as long. What is hashed is keyed with the pepper before, so that
nobody can try passwords out who has the database and no key.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from coatcheck.core.tokens import Pepper
from coatcheck.errors import Unfit

MEMORY_KIB: Final = 47_104
PASSES: Final = 1
LANES: Final = 1
TAG_BYTES: Final = 32
SALT_BYTES: Final = 16
LEAST_CHARS: Final = 12
MOST_CHARS: Final = 256
LEAST_DIFFERENT: Final = 5
"""Different characters that a password has: fewer are one thing typed again and again."""

_REFUSED: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""General categories that RFC 8264's FreeformClass has no place for: controls, and what is not assigned."""

_VERY_COMMON: Final = """
    1234567890qwe 1q2w3e4r5t6y 1q2w3e4r5t6y7u 1qaz2wsx3edc 1qaz2wsx3edc4rfv abcdefghijkl abcdefghijklm
    correcthorsebatterystaple qwertyuiopasdf qwertyuiopasdfghjkl qwertyuiop[] qwertyasdfgh
    qwertyasdfzxcv qazwsxedcrfv zaq12wsxcde3 zxcvbnmasdfgh asdfghjklqwertyuiop q1w2e3r4t5y6 a1b2c3d4e5f6
    a1s2d3f4g5h6 0987654321qwe 012345678901 123456789012 1234567890123 123456789abc 12345678910
    1234567891011 987654321098 9876543210987 abc123abc123 123qweasdzxc passwordpassword iloveyouiloveyou
    trustno1trustno1 thisismypassword mypasswordis letmeinletmein
"""
"""Of long passwords those that lists of leaked ones have again and again."""

_COMMON_WORDS: Final = """
    password passwort passw0rd p@ssword p@ssw0rd contrasena motdepasse qwerty qwertz azerty qwertyuiop
    letmein welcome administrator admin administrateur iloveyou sunshine princess football baseball
    superman monkey dragon master shadow michael jordan charlie starwars whatever trustno1 trustno
    changeme changeit default secret login access hello abc abcd abcdef asdfghjkl zxcvbnm coatcheck
    gateway operator company winter spring summer autumn october november december january
"""
"""Words that no digits and signs around them make a password of."""


def prepared(text: str) -> str | None:
    """Return a password as it is compared: OpaqueString (RFC 8265 section 4.2); None if it cannot be one.

    Spaces of other scripts become plain ones, and what looks the same is made the same (NFC). Case stays.
    """
    if not 0 < len(text) <= MOST_CHARS:
        return None
    if any(unicodedata.category(char) in _REFUSED for char in text):
        return None
    spaced = "".join(" " if unicodedata.category(char) == "Zs" else char for char in text)
    return unicodedata.normalize("NFC", spaced)


def fit(text: str, name: str) -> str:
    """Return a new password of the operator `name` as it is compared.

    Raises:
        Unfit: it cannot be one; the message says why and never quotes it.
    """
    if len(text) > MOST_CHARS:
        raise Unfit(f"a password has at most {MOST_CHARS} characters", fix="choose a shorter one")
    password = prepared(text)
    if text and password is None:
        raise Unfit("a password holds visible characters and spaces only", fix="type it on one line")
    if password is None or len(password) < LEAST_CHARS:
        raise Unfit(f"a password has at least {LEAST_CHARS} characters", fix="take a few words, with spaces")
    folded = password.casefold()
    if len(set(folded)) < LEAST_DIFFERENT:
        raise Unfit("this password is a few characters again and again", fix="take a few words")
    core = _core(folded)
    if not core and folded.isdecimal():
        raise Unfit("this password is digits alone", fix="take a few words")
    if name.casefold() in {folded, core, folded[::-1]} or (core and _core(name.casefold()) == core):
        raise Unfit("this password is the operator's name", fix="take words that are not about you")
    if folded.replace(" ", "") in _VERY_COMMON.split() or core in _COMMON_WORDS.split():
        raise Unfit("this password is among those that are tried first", fix="take a few words of your own")
    return password


def hash_of(password: str, name: str, pepper: Pepper, salt: bytes) -> str:
    """Return the hash of a prepared password in PHC form; it takes about 0.1 s and 46 MiB.

    `name` is whose it is: the hash of one operator is no other's. `salt` has 16 random bytes.
    """
    from argon2.low_level import Type, hash_secret  # at the first password: most starts need none

    secret = _keyed(password, name, pepper)
    return hash_secret(secret, salt, PASSES, MEMORY_KIB, LANES, TAG_BYTES, Type.ID).decode("ascii")


def fits(password: str, name: str, pepper: Pepper, kept: str) -> bool:
    """Tell whether a hash is a prepared password's; where none is kept, False after as much work."""
    from argon2.exceptions import InvalidHashError, VerificationError
    from argon2.low_level import Type, verify_secret

    try:
        verify_secret((kept or nobodys()).encode("ascii"), _keyed(password, name, pepper), Type.ID)
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False
    return bool(kept)


def needs_rehash(kept: str) -> bool:
    """Tell whether a hash was made with other parameters than those of today."""
    return not kept.startswith(_form())


def nobodys() -> str:
    """Return a hash that no password has, which costs as much to compare as any."""
    return f"{_form()}{'A' * 22}${'A' * 43}"


def _form() -> str:
    return f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$"


def _keyed(password: str, name: str, pepper: Pepper) -> bytes:
    """Return what is hashed. No token has a newline, so this proves none; neither has a name."""
    return pepper.prove(f"coatcheck password\n{name}\n{password}").encode("ascii")


def _core(folded: str) -> str:
    """Return what is left of a password without the digits and signs before and after it."""
    return folded.strip("".join(char for char in folded if not char.isalpha()))
