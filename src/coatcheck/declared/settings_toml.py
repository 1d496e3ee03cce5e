"""Reads `coatcheck.toml`, the file of Coatcheck's own settings: a flat table of names and values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coatcheck.errors import ConfigError

NAME: Final = "coatcheck.toml"
_MAX_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Written:
    """A value and the line it stands on; line 0 if that cannot be told."""

    value: Any
    line: int


def read_settings(path: Path) -> dict[str, Written]:
    """Return the settings of a file by name, unjudged; none if there is no such file.

    Raises:
        ConfigError: the file cannot be read, or is not UTF-8 or not TOML 1.0.
    """
    import tomllib  # most commands run without this file

    try:
        raw = path.read_bytes() if path.stat().st_size <= _MAX_BYTES else None
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})", fix="check its permissions") from None
    if raw is None:
        raise ConfigError(f"{path} is larger than {_MAX_BYTES // 1024} KiB")
    try:
        text = raw.decode("utf-8")
        values = tomllib.loads(text)
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8", fix="save it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    return {name: Written(value, _line_of(name, text)) for name, value in values.items()}


def _line_of(name: str, text: str) -> int:
    key = re.escape(name)
    match = re.search(rf"^[ \t]*(?:\[+[ \t]*)?[\"']?{key}[\"']?[ \t]*[=.\]]", text, re.MULTILINE)
    return text.count("\n", 0, match.start()) + 1 if match else 0
