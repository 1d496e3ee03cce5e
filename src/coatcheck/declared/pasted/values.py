"""Reads the values of one pasted server: what they refer to, and what of them looks like a credential."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import unquote, urlsplit

from coatcheck.core import filling
from coatcheck.core.credentials.looks import (
    has_known_form,
    is_credential,
    is_dense,
    named_as_credential,
)
from coatcheck.core.credentials.naming import credential_name, free_name
from coatcheck.core.pasted import Gap, Piece, Value
from coatcheck.core.redact import header_secrets
from coatcheck.declared.reading.addresses import MAX_URL
from coatcheck.declared.reading.problems import Unfit
from coatcheck.model.secret import Secret

_REFERENCE: Final = re.compile(
    r"\$\{(?P<inner>[^{}\s][^{}]{0,200})\}"
    r"|\{env:(?P<open>[A-Za-z_][A-Za-z0-9_]{0,99})\}"
    r"|(?<![\w$\\])\$(?P<bare>[A-Z_][A-Z0-9_]{2,99})(?![\w{])"
    r"|(?P<words><[A-Za-z][A-Za-z0-9 ._-]{1,60}>|\b(?:YOUR|MY)[_-][A-Z0-9_-]{2,60}\b"
    r"|\byour[_-][a-z0-9_-]{2,60}\b"
    r"|\A(?:x{3,}|X{3,}|\*{3,}|\.{3}|…|changeme|change-me)\Z)"
)
_VARIABLE: Final = re.compile(
    r"(?:env:)?(?P<name>[A-Za-z_][A-Za-z0-9_]{0,99})(?::-(?P<default>.*))?", re.DOTALL
)
_KNOWN: Final = re.compile(r"(?:input|file|config|command):[\w./~ -]{1,100}")
_OF_PLACE: Final = frozenset(
    {"workspaceFolder", "workspaceFolderBasename", "userHome", "pathSeparator", "cwd"}
    | {"HOME", "USER", "PATH", "PWD", "TMPDIR", "LANG"}
)
_BREAKS: Final = re.compile(r"[\s,;:/?&=@<>{}()$\"']+")
_URL: Final = re.compile(
    r"(?P<scheme>[^/?#@]*://)(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?P<fragment>#.*)?",
    re.DOTALL,
)
_OPTION: Final = re.compile(
    r"(?P<head>(?P<name>-{0,2}[A-Za-z][A-Za-z0-9_.-]{0,60})=)(?P<value>.+)", re.DOTALL
)
_HEADER: Final = re.compile(
    r"(?P<head>(?P<name>[A-Za-z][A-Za-z0-9-]{0,60}):\s*(?:(?:Bearer|Basic|Token)\s+)?)(?P<value>\S.*)",
    re.DOTALL,
)
_MODE: Final = re.compile(r"(?:type|mode|method|scheme|provider)$", re.IGNORECASE)
_PATH: Final = re.compile(r"(?:~|\.{1,2})?/[^:]*")


class Values:
    """The values of one server; `gaps` are those found so far.

    `inputs` are what a paste says of its inputs, by name.
    """

    def __init__(self, server: str, inputs: Mapping[str, Gap]) -> None:
        self.gaps: dict[str, Gap] = {}
        self._server = server
        self._inputs = inputs
        self._made: set[str] = set()

    # --- by place ----------------------------------------------------------------------------------------

    def header(self, name: str, text: str) -> Value:
        """Return a header; it is a credential as a whole, or not at all."""
        pieces = self.pieces(text)
        is_public = not any(header_secrets(name, "-"))
        if is_public or not self._is_secret(name, text, pieces):
            return Value(pieces)
        return Value(self._for(f"headers/{name}", pieces))

    def variable(self, name: str, text: str) -> Value:
        """Return a variable; it is a credential as a whole, or not at all."""
        pieces = self.pieces(text)
        if not self._is_secret(name, text, pieces) and not _has_password(text):
            return Value(pieces)
        return Value(self._for(f"env/{name}", pieces))

    def argument(self, number: int, text: str, before: str) -> Value:
        """Return an argument; `before` is the one before it, which may be the option that it belongs to."""
        place = f"args/{number}"
        head, secret = _split_argument(text, before)
        return Value((*self._named(place, head), *self._for(place, self.pieces(secret))))

    def url(self, text: str) -> tuple[Value, Value | None, bool]:
        """Return a URL, the Authorization header for its user information, and whether it has a fragment.

        Raises:
            Unfit: it is too long, or has user information that is to be filled in.
        """
        if len(text) > MAX_URL:
            raise Unfit(f"the URL is longer than {MAX_URL} characters")
        match = _URL.fullmatch(text)
        if match is None:
            return Value(self.pieces(text)), None, False
        info, at, host = match["authority"].rpartition("@")
        pieces = [*self.pieces(match["scheme"] + host), *self._path(match["path"])]
        pieces += self._query(match["query"] or "")
        return Value(tuple(pieces)), self._basic(info) if at else None, match["fragment"] is not None

    def plain(self, text: str) -> Value:
        """Return a value that is no credential, such as a directory."""
        return Value(self.pieces(text))

    # --- references --------------------------------------------------------------------------------------

    def pieces(self, text: str) -> tuple[Piece, ...]:
        """Return a text as pieces, noting the gaps in it.

        Raises:
            Unfit: it names a credential of this gateway, which no paste may.
        """
        if filling.OPENING in text:
            fix = "add the server by hand, and name the credential there"
            raise Unfit("it names a credential of this gateway, and a paste may be of another's making", fix)
        pieces, done = [], 0
        for match in _REFERENCE.finditer(text):
            gap = self._gap(match)
            if gap is None:
                continue
            pieces.append(Piece(Secret(text[done : match.start()])))
            pieces.append(Piece(gap=gap.name))
            self.gaps.setdefault(gap.name, gap)
            done = match.end()
        pieces.append(Piece(Secret(text[done:])))
        return tuple(piece for piece in pieces if piece.gap or piece.text.reveal())

    def _gap(self, match: re.Match[str]) -> Gap | None:
        if any(has_known_form(word) or is_dense(word) for word in re.split(r"[^\w.+=~-]+", match[0])):
            return None  # a credential in braces is one, and no name
        if words := match["words"]:
            return Gap(words.strip("<>"), words)
        inner = match["inner"] or match["open"] or match["bare"]
        if inner in self._inputs:
            return self._inputs[inner]
        if variable := _VARIABLE.fullmatch(inner):
            name, default = variable["name"], variable["default"]
            kept = None if default is None else Secret(default)
            return Gap(name, f"${{{name}}}" if default else match[0], "", name not in _OF_PLACE, kept)
        return Gap(inner, match[0], "", inner.startswith("input:")) if _KNOWN.fullmatch(inner) else None

    # --- credentials -------------------------------------------------------------------------------------

    def _for(self, place: str, pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
        """Return pieces as those of one credential, under a name that this server has only once."""
        if not pieces:
            return ()
        made = free_name(credential_name(self._server, place), self._made)
        self._made.add(made)
        return tuple(replace(piece, credential=made) for piece in pieces)

    def _is_secret(self, name: str, text: str, pieces: tuple[Piece, ...]) -> bool:
        if named_as_credential(name) and text:
            return True
        return _looks_secret(text) or any(self._holds_secret(piece) for piece in pieces if piece.gap)

    def _holds_secret(self, piece: Piece, *, by_name: bool = False) -> bool:
        gap = self.gaps[piece.gap]
        return gap.is_secret and (not by_name or named_as_credential(gap.name) or gap.name in self._inputs)

    def _path(self, path: str) -> tuple[Piece, ...]:
        """Return a path. A whole part of it may be a key, as some services hand out."""
        pieces: list[Piece] = []
        plain = ""
        for part in re.split(r"(/)", path):
            if len(part) >= 12 and (has_known_form(part) or is_dense(part)):
                pieces += (*self.pieces(plain), *self._for(filling.URL, self.pieces(part)))
                plain = ""
            else:
                plain += part
        return (*pieces, *self._named(filling.URL, plain))

    def _query(self, query: str) -> tuple[Piece, ...]:
        pieces: list[Piece] = []
        for part in re.split(r"([?&])", query):
            name, equals, value = part.partition("=")
            if equals and value and (is_credential(unquote(name), value) or _looks_secret(value)):
                pieces += (
                    *self.pieces(name + equals),
                    *self._for(f"{filling.URL}/{name}", self.pieces(value)),
                )
            else:
                pieces += self._named(filling.URL, part)
        return tuple(pieces)

    def _named(self, place: str, text: str) -> tuple[Piece, ...]:
        """Return a text in which gaps with the name of a credential are one."""
        made: list[Piece] = []
        for piece in self.pieces(text):
            is_secret = bool(piece.gap) and self._holds_secret(piece, by_name=True)
            made += self._for(place, (piece,)) if is_secret else (piece,)
        return tuple(made)

    def _basic(self, info: str) -> Value:
        pieces = self.pieces(info)
        if any(piece.gap for piece in pieces):
            raise Unfit(
                "the URL has user information that is to be filled in", "write an Authorization header"
            )
        pair = unquote(info if ":" in info else f"{info}:").encode("utf-8")
        header = Secret(f"Basic {base64.b64encode(pair).decode('ascii')}")
        return Value(self._for("headers/Authorization", (Piece(header),)))


def _split_argument(text: str, before: str) -> tuple[str, str]:
    """Return the part of an argument that may be shown, and the rest, which looks like a credential."""
    if before in {"--header", "-H"} or text.lower().startswith("authorization:"):
        match = _HEADER.fullmatch(text)
        if match is not None and (
            is_credential(match["name"], match["value"]) or _looks_secret(match["value"])
        ):
            return match["head"], match["value"]
    match = _OPTION.fullmatch(text)
    if match is not None and _is_value(match["name"], match["value"]):
        return match["head"], match["value"]
    is_value = before.startswith("-") and "=" not in before and not text.startswith("-")
    if (is_value and _is_value(before, text)) or _looks_secret(text) or _has_password(text):
        return "", text
    return text, ""


def _is_value(name: str, value: str) -> bool:
    """Tell whether an option, or what goes by a name, has a credential as its value."""
    if _looks_secret(value) or _has_password(value):
        return True
    return named_as_credential(name) and _MODE.search(name) is None and _PATH.fullmatch(value) is None


def _looks_secret(text: str) -> bool:
    return any(
        is_dense(word) or (len(word) >= 12 and has_known_form(word)) for word in _BREAKS.split(text) if word
    )


def _has_password(text: str) -> bool:
    if "://" not in text:
        return False
    try:
        return urlsplit(text).password is not None
    except ValueError:
        return "@" in text
