"""What may be written in a table of `[[sinks]]`, and how each value is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coatcheck.core.oauth import url_problem
from coatcheck.declared.reading.problems import Unfit
from coatcheck.declared.reading.units import bytes_of, count_of, seconds_of
from coatcheck.model.secret import Secret
from coatcheck.model.sink import Format, Fsync, SinkKind, Transport

LEAST_SECRET: Final = 16

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
_WORD: Final = re.compile(r"[!-~]{1,48}")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_FACILITIES: Final = {"user": 1, "daemon": 3, "auth": 4, "syslog": 5, "authpriv": 10, "audit": 13} | {
    f"local{number}": 16 + number for number in range(8)
}
_KIB, _GIB = 1024, 1024**3


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a kind: how its value is read, and its default as written; None: there is none."""

    read: Callable[[Any], Any]
    default: Any = None
    required: bool = False
    secret: bool = False


# --- readers ------------------------------------------------------------------------------------------------


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unfit("is neither true nor false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or "\x00" in value:
        raise Unfit("is not a text")
    return value


def _one_of(*words: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in words:
            raise Unfit(f"is not one of {', '.join(words)}")
        return str(value)

    return read


def _word(value: Any) -> str:
    if not _WORD.fullmatch(_text(value)):
        raise Unfit("is no word of at most 48 visible ASCII characters")
    return str(value)


def _facility(value: Any) -> int:
    if isinstance(value, str) and value in _FACILITIES:
        return _FACILITIES[value]
    try:
        return count_of(value, 0, 23)
    except Unfit:
        raise Unfit(f"is no facility: write a number from 0 to 23, or {', '.join(_FACILITIES)}") from None


def _path(value: Any) -> Path:
    return Path(_text(value))


def url_of(value: Any) -> Secret:
    """Return a URL that may be posted to, or one with something to be filled in. Raises `Unfit`."""
    text = _text(value)
    if "${" not in text and (problem := url_problem(text)):
        fix = "write the whole URL; plain http is for this machine only"
        raise Unfit(f"cannot be used: {problem}", fix)
    return Secret(text)


def signing_of(value: Any) -> Secret:
    """Return what posts are signed with, or what it is to be filled in from. Raises `Unfit`."""
    text = _text(value)
    if "${" not in text and len(text) < LEAST_SECRET:
        raise Unfit(f"is shorter than {LEAST_SECRET} characters", "make one: openssl rand -hex 32")
    return Secret(text)


def _headers(value: Any) -> dict[str, Secret]:
    if not isinstance(value, dict) or len(value) > 16:
        raise Unfit("is not a table of at most 16 headers")
    for name, text in value.items():
        if not _HEADER.fullmatch(name):
            raise Unfit("has a name that is no header name")
        if "${" not in _text(text):
            check_header(text)
    return {name: Secret(text) for name, text in value.items()}


def check_header(text: str) -> None:
    """Refuse a value that no header can have. Raises `Unfit`."""
    if not text.isascii() or not text.isprintable():
        raise Unfit("has a value that is not plain ASCII")


COMMON: Final[Mapping[str, Option]] = {
    "name": Option(_text, required=True),
    "kind": Option(_text, required=True),
    "from_start": Option(_flag, False),
}
_LINES: Final = Option(_one_of(Format.JSON, Format.CEF), "json")
_POSTED: Final[Mapping[str, Option]] = {
    "batch": Option(lambda value: count_of(value, 1, 200), 200),
    "timeout": Option(lambda value: seconds_of(value, 0.1, 300.0), "10s"),
}

OPTIONS: Final[Mapping[SinkKind, Mapping[str, Option]]] = {
    SinkKind.FILE: {
        "path": Option(_path, "audit.jsonl"),
        "format": _LINES,
        "rotate_size": Option(lambda value: bytes_of(value, _KIB, 1024 * _GIB), "100MiB"),
        "rotate_daily": Option(_flag, True),
        "keep": Option(lambda value: count_of(value, 0, 100_000), 30),
        "fsync": Option(_one_of(*Fsync), "batch"),
    },
    SinkKind.STDOUT: {"format": _LINES},
    SinkKind.STDERR: {"format": _LINES},
    SinkKind.SYSLOG: {
        "transport": Option(_one_of(*Transport), "unix"),
        "address": Option(_text),
        "format": Option(_one_of(*Format), "json"),
        "facility": Option(_facility, "audit"),
        "app_name": Option(_word, "coatcheck"),
        "size_limit": Option(lambda value: bytes_of(value, 480, 60 * _KIB)),
        "ca": Option(_path),
        "certificate": Option(_path),
        "key": Option(_path),
    },
    SinkKind.WEBHOOK: {
        "url": Option(url_of, required=True, secret=True),
        "secret": Option(signing_of, required=True, secret=True),
        **_POSTED,
    },
    SinkKind.OTLP: {
        "url": Option(url_of, required=True, secret=True),
        "headers": Option(_headers, secret=True),
        **_POSTED,
    },
}
"""What may be written for each kind, beside `name`, `kind` and `from_start`."""


def options_of(kind: SinkKind) -> Mapping[str, Option]:
    """Return everything that may be written in a table of this kind."""
    return {**COMMON, **OPTIONS[kind]}
