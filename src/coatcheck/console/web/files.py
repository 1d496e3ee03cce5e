"""The files beside the pages: stylesheet, scripts, pictures. In memory, and each address has a print."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

PREFIX: Final = "/static/"
_MEDIA: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is sent."""

    body: bytes
    media: str


class Files:
    """The files of the package. `address` is what pages link to; it changes with what is in the file."""

    def __init__(self) -> None:
        self._by_path: dict[str, File] = {}
        self._addresses: dict[str, str] = {}
        for one in files("coatcheck.console").joinpath("static").iterdir():
            media = _MEDIA.get(one.name.rpartition(".")[2])
            if media is None or not one.is_file():
                continue
            body = one.read_bytes()
            path = f"{PREFIX}{hashlib.sha256(body).hexdigest()[:12]}/{one.name}"
            self._by_path[path] = File(body, media)
            self._addresses[one.name] = path

    def address(self, name: str) -> str:
        """Return the address of a file.

        Raises:
            KeyError: there is none of that name, which is a defect of a template.
        """
        return self._addresses[name]

    def find(self, path: str) -> File | None:
        """Return the file at a path, or None."""
        return self._by_path.get(path)
