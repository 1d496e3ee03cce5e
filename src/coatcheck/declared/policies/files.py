"""Policies and their cases in files: `NAME.policy.yaml` or `.json`, and `NAME.cases.yaml` beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from coatcheck.core.policy.conditions.values import read_exact
from coatcheck.core.policy.reading.written import Written
from coatcheck.core.wire import strict
from coatcheck.declared.policies.yaml_text import read_yaml
from coatcheck.errors import AmbiguousJson, BadJson, ConfigError, Unfit

MAX_BYTES: Final = 256 * 1024
_ENDINGS: Final = (".yaml", ".yml", ".json")
POLICY: Final = ".policy"
CASES: Final = ".cases"


def read_file(path: Path) -> Written:
    """Return what a file says, as JSON if its name ends with `.json`, else as YAML.

    Raises:
        ConfigError: it cannot be read.
        Unfit: it is neither, or two readers could take it differently.
    """
    text = _text_of(path)
    try:
        return read_json(text) if path.suffix == ".json" else read_yaml(text)
    except Unfit as error:
        raise Unfit(f"{path}: {error.message}", fix=error.fix) from None


def cases_beside(path: Path) -> Path | None:
    """Return the file with the cases of a policy's file; None if there is none.

    Raises:
        ConfigError: there are several.
    """
    stem = path.name
    for ending in _ENDINGS:
        stem = stem.removesuffix(ending)
    stem = stem.removesuffix(POLICY)
    found = [beside for ending in _ENDINGS if (beside := path.with_name(f"{stem}{CASES}{ending}")).is_file()]
    if len(found) > 1:
        raise ConfigError(f"{found[0]} and {found[1]} are both there", fix="keep one of them")
    return found[0] if found else None


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", fix="name a file that is there"
        ) from None
    if len(raw) > MAX_BYTES:
        raise Unfit(f"{path} is larger than {MAX_BYTES} bytes", fix="split it")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Unfit(f"{path} is not in UTF-8", fix="save it as UTF-8") from None
    if text.startswith("\ufeff"):
        raise Unfit(f"{path} begins with a byte order mark", fix="save it as UTF-8 without one")
    return text


def read_json(text: str) -> Written:
    """Return what a text of JSON says; nobody knows the lines of it.

    Raises:
        Unfit: it is none, or two readers could take it differently.
    """
    raw = text.encode("utf-8")
    try:
        strict.read(raw)
        return Written(read_exact(raw), {})
    except (BadJson, AmbiguousJson) as error:
        raise Unfit(error.message, fix="write one JSON object") from None
