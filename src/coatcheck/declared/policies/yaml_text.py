"""Reads the part of YAML that every reader takes alike: objects, lists, texts, and JSON's words and numbers.

What YAML 1.1 and 1.2 read differently (`yes`, `012`, `1_000`, dates) must be put in quotes; anchors, tags,
merge keys, directives, several documents and keys that are there twice are refused.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

from coatcheck.core.policy.conditions.paths import escaped
from coatcheck.core.policy.conditions.values import read_exact
from coatcheck.core.policy.reading.written import Written
from coatcheck.errors import Unfit

MAX_DEPTH: Final = 64
MAX_CHARS: Final = 256 * 1024
_JSON: Final = re.compile(r"(?:true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)\Z")
_OTHERS: Final = re.compile(
    r"(?:|~|[yYnN]|[-+]?[0-9][0-9_]*(?::[0-9_]*)*(?:\.[0-9_]*)?|0[xob][0-9a-fA-F_]+|[-+]?[0-9_]*\.[0-9_]*"
    r"(?:[eE][-+]?[0-9]+)?|[-+][0-9.eE]+|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+)\Z"
)
"""What YAML 1.2, or an old reader, takes for no text, beyond what PyYAML takes so."""
_RESOLVERS: Final = yaml.SafeLoader.yaml_implicit_resolvers
_QUOTES: Final = "put it in quotes; a number is written as in JSON, and true, false and null are the words"


def read_yaml(text: str) -> Written:
    """Return what a text says.

    Raises:
        Unfit: it is no YAML, or has what two readers could take differently; the message names the line.
    """
    if len(text) > MAX_CHARS:
        raise Unfit(f"the text is longer than {MAX_CHARS} characters", fix="split it")
    reader = _Reader(text)
    try:
        value = reader.document()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 1
        raise _unfit(line, f"it is no YAML: {_words(error)}", _fix_of(error)) from None
    except yaml.YAMLError:
        raise Unfit(
            "it has characters that YAML does not have", fix="write it as plain text in UTF-8"
        ) from None
    return Written(value, reader.lines)


class _Reader:
    """Makes a value of the events of a parser."""

    def __init__(self, text: str) -> None:
        self._events = yaml.parse(text, Loader=yaml.BaseLoader)
        self.lines: dict[str, int] = {}

    def document(self) -> Any:
        """Return the value of the one document."""
        next(self._events)  # the stream begins
        start = next(self._events)
        if isinstance(start, yaml.StreamEndEvent):
            raise Unfit("there is nothing in it", fix="write a document as docs/reference/policies.md says")
        if start.version is not None or start.tags:
            raise _unfit(_line(start), "it has a directive", "leave out what begins with %")
        value = self._value(next(self._events), "", 0)
        next(self._events)  # the document ends
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise _unfit(_line(after), "a second document begins", "write one document to a file")
        return value

    def _value(self, event: Any, where: str, depth: int) -> Any:
        self.lines[where] = line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            raise _unfit(line, "it has an alias, which begins with *", _STAR)
        if event.anchor is not None:
            raise _unfit(
                line, "it has an anchor, which begins with &", "leave it out, or put the text in quotes"
            )
        if event.tag not in {None, "!"} or (event.tag == "!" and not isinstance(event, yaml.ScalarEvent)):
            raise _unfit(line, "it has a tag, which begins with !", "leave it out, or put the text in quotes")
        if depth > MAX_DEPTH:
            raise _unfit(line, f"it is nested more than {MAX_DEPTH} deep", "write it flatter")
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(where, depth)
        return self._object(where, depth)

    def _list(self, where: str, depth: int) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value(event, f"{where}/{len(found)}", depth + 1))
        return found

    def _object(self, where: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                star = isinstance(event, yaml.AliasEvent)
                raise _unfit(_line(event), "a key must be text", _STAR if star else "write a text as the key")
            key = self._value(event, f"{where}/", depth)
            if not isinstance(key, str):
                raise _unfit(_line(event), "a key must be text", "put it in quotes")
            if key in found:
                raise _unfit(_line(event), f"the key {key[:64]!r} is there twice", "write it once")
            found[key] = self._value(next(self._events), f"{where}/{escaped(key)}", depth + 1)
        return found


_STAR: Final = "put what begins with * in quotes, as in '*'"


def _scalar(event: yaml.ScalarEvent) -> Any:
    text: str = event.value
    if event.style is not None:
        return text
    if _JSON.match(text):
        return read_exact(text.encode("ascii"))
    candidates = [*_RESOLVERS.get(text[:1], ()), *_RESOLVERS.get(None, ())]
    if _OTHERS.match(text) or any(pattern.match(text) for _, pattern in candidates):
        shown = f"{text[:64]!r}" if text else "nothing"
        raise _unfit(_line(event), f"{shown} is not read alike by all readers of YAML", _QUOTES)
    return text


def _line(event: Any) -> int:
    line: int = event.start_mark.line
    return line + 1


def _words(error: yaml.MarkedYAMLError) -> str:
    """Return what the parser says, less what it quotes."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", "...", str(error.problem or "it cannot be read"))[:200]


def _fix_of(error: yaml.MarkedYAMLError) -> str:
    odd = "alias" in str(error.context or "") or "alias" in str(error.problem or "")
    return _STAR if odd else "see the indentation there, and put texts with : # * & ! % @ in quotes"


def _unfit(line: int, message: str, fix: str) -> Unfit:
    return Unfit(f"line {line}: {message}", fix=fix)
