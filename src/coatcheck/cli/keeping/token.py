"""`coatcheck token check`: tells offline what a token is and if it was copied whole; never prints it."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict, dataclass
from typing import Final

import click

from coatcheck.cli import options, show
from coatcheck.cli.exits import Exit, Stop
from coatcheck.core.tokens import (
    ALPHABET,
    CHECK_CHARS,
    ID_CHARS,
    SECRET_CHARS,
    foreign_kind,
    is_well_formed,
    looks_like_ours,
)

KINDS: Final = {
    "cckg_": "grant",
    "ccka_": "operator token",
    "cckb_": "one-time code",
    "ccks_": "session token",
}
_PREFIX_CHARS: Final = 5
_WHOLE: Final = _PREFIX_CHARS + ID_CHARS + SECRET_CHARS + CHECK_CHARS
_MOST_BYTES: Final = 64 * 1024
_FOREIGN: Final = re.compile(f"[^{ALPHABET}]")
_HOW: Final = "pipe it in, as in: coatcheck token check < grant"


@dataclass(frozen=True, slots=True)
class Judged:
    """What can be told of a text. `checksum` is None where there is no telling; `public_id` may be shown."""

    kind: str | None
    ours: bool
    public_id: str | None
    checksum: bool | None
    message: str

    @property
    def is_good(self) -> bool:
        """Whether it is one of our tokens, whole and unchanged."""
        return self.ours and self.checksum is True


@click.command(
    "check",
    short_help="Tell what a token is, without a gateway.",
    epilog=options.example("coatcheck token check < grant", "pbpaste | coatcheck token check"),
)
@click.argument("token", required=False)
@options.as_json
def check(token: str | None, as_json: bool) -> int:
    """Tell what TOKEN is, and whether it was copied whole. Its secret part is never printed.

    Without TOKEN, or with -, it is read from standard input, which is better: other accounts can read a
    command line. Whether a gateway takes the token, only that gateway can tell. Exit code 1 if it is none
    of ours, or damaged.
    """
    if token not in {None, "-"}:
        show.say("coatcheck: a token on the command line can be read by other accounts; pipe it in instead")
        text = token
    else:
        text = _standard_input()
    judged = judge(text)
    if as_json:
        show.put_json({**asdict(judged), "good": judged.is_good})
    else:
        show.put_status("ok" if judged.is_good else "fail", judged.message)
        if judged.public_id:
            show.put(f"public id: {judged.public_id}")
    return Exit.DONE if judged.is_good else Exit.NO


def _standard_input() -> str:
    if sys.stdin is None or sys.stdin.isatty():
        raise Stop("standard input is a terminal, which would show the token", exit_code=Exit.USAGE, fix=_HOW)
    raw = sys.stdin.buffer.read(_MOST_BYTES + 1)
    if not raw.strip() or len(raw) > _MOST_BYTES:
        raise Stop("standard input holds no token", exit_code=Exit.USAGE, fix=_HOW)
    return raw.decode("utf-8", "replace")


def judge(text: str) -> Judged:
    """Return what a text is, by its form alone; blanks around it and `Bearer` before it do not matter."""
    words = text.split()
    token = words[-1] if words else ""
    if len(words) > 2 or (len(words) == 2 and words[0].lower() != "bearer"):
        return Judged(None, False, None, None, "this is no token: it has several words")
    if not looks_like_ours(token):
        return _judge_foreign(token)
    kind = KINDS[token[:_PREFIX_CHARS]]
    body = token[_PREFIX_CHARS:]
    if len(token) != _WHOLE:
        return _damaged(kind, f"it has {len(token)} characters and not {_WHOLE}: it was not copied whole")
    if _FOREIGN.search(body):
        return _damaged(kind, "it has characters that no token has: it was changed on the way")
    if not is_well_formed(token):
        return _damaged(kind, "its checksum does not fit: a character was changed", False)
    public = body[:ID_CHARS]
    return Judged(kind, True, public, True, f"this is a Coatcheck {kind}, whole and unchanged")


def _damaged(kind: str, reason: str, checksum: bool | None = None) -> Judged:
    return Judged(kind, True, None, checksum, f"this is a Coatcheck {kind}, but {reason}")


def _judge_foreign(token: str) -> Judged:
    kind = foreign_kind(token)
    if kind is None:
        return Judged(
            None, False, None, None, "this is none of our tokens, nor of a kind that is known by its form"
        )
    article = "an" if kind[0] in "AEIOU" else "a"
    return Judged(kind, False, None, None, f"this is {article} {kind}, and no token of Coatcheck's")
