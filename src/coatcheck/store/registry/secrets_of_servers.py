"""How a registered server is reached, as JSON in which every secret is sealed for that server's row alone.

The same for the texts around the credentials in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from coatcheck.core.sealing.keys import Keys, Purpose
from coatcheck.core.sealing.sealed_values import ValueSeal
from coatcheck.core.sealing.states import NONCE_BYTES
from coatcheck.model.credential import NO_BLANKS, Blank
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, StdioReach, Transport
from coatcheck.ports import Entropy

_TABLE: Final = "server"


class ReachSeal:
    """Seals and opens what is secret in a reach. A value is bound to row, field, version and key."""

    def __init__(self, keys: Keys, entropy: Entropy) -> None:
        self._seal = ValueSeal(keys.of(Purpose.SECRET_SEAL))
        self._key_id = keys.id
        self._entropy = entropy

    def close(self, reach: HttpReach | StdioReach, id: UUID, version: int) -> str:
        """Return the JSON of a reach for a row of this id and version. Every value has its own nonce."""

        def seal(field: str, secret: Secret) -> str:
            return self._close(secret, self._place(id, field, version))

        if isinstance(reach, HttpReach):
            form: dict[str, Any] = {
                "transport": reach.transport.value,
                "url": seal("url", reach.url),
                "shown_url": reach.shown_url,
                "headers": {name: seal(f"headers/{name}", text) for name, text in reach.headers.items()},
            }
        else:
            form = {
                "transport": Transport.STDIO.value,
                "command": reach.command,
                "args": [seal(f"args/{place}", text) for place, text in enumerate(reach.args)],
                "env": {name: seal(f"env/{name}", text) for name, text in reach.env.items()},
                "cwd": reach.cwd,
            }
        return json.dumps(form, ensure_ascii=True, separators=(",", ":"))

    def open(self, text: str, id: UUID, version: int) -> HttpReach | StdioReach:
        """Return the reach that was closed for this row.

        Raises:
            BrokenSeal: a value was sealed for another place, or with another key.
            ValueError, KeyError: it is no JSON of a reach.
        """

        def opened(field: str, sealed: str) -> Secret:
            return self._open(sealed, self._place(id, field, version))

        def all_of(field: str, values: Mapping[str, str]) -> dict[str, Secret]:
            return {name: opened(f"{field}/{name}", sealed) for name, sealed in values.items()}

        form = json.loads(text)
        transport = Transport(form["transport"])
        if transport is not Transport.STDIO:
            url = opened("url", form["url"])
            return HttpReach(url, form["shown_url"], all_of("headers", form["headers"]), transport)
        args = tuple(opened(f"args/{place}", sealed) for place, sealed in enumerate(form["args"]))
        return StdioReach(form["command"], args, all_of("env", form["env"]), form["cwd"])

    def close_blanks(self, blanks: Mapping[str, Blank], id: UUID, version: int) -> str:
        """Return the JSON of blanks for a row of this id and version; the names stay to be read."""

        def seal(field: str, number: int, text: Secret) -> str:
            return self._close(text, self._place(id, f"blanks/{number}/{field}", version))

        form = {
            place: [
                [seal(place, number, text) for number, text in enumerate(blank.texts)],
                list(blank.names),
            ]
            for place, blank in blanks.items()
        }
        return json.dumps(form, ensure_ascii=True, separators=(",", ":"))

    def open_blanks(self, text: str | None, id: UUID, version: int) -> Mapping[str, Blank]:
        """Return the blanks that were closed for this row; none for a row of before there were any.

        Raises:
            BrokenSeal: a text was sealed for another place, or with another key.
            ValueError, TypeError: it is no JSON of blanks.
        """
        if text is None:
            return NO_BLANKS

        def opened(field: str, number: int, sealed: str) -> Secret:
            return self._open(sealed, self._place(id, f"blanks/{number}/{field}", version))

        return {
            place: Blank(
                tuple(opened(place, number, sealed) for number, sealed in enumerate(texts)), tuple(names)
            )
            for place, (texts, names) in json.loads(text).items()
        }

    def _close(self, secret: Secret, place: Sequence[str]) -> str:
        return self._seal.seal(secret.reveal(), place, self._entropy.token(NONCE_BYTES))

    def _open(self, sealed: str, place: Sequence[str]) -> Secret:
        return Secret(self._seal.open(sealed, place))

    def _place(self, id: UUID, field: str, version: int) -> tuple[str, ...]:
        return (_TABLE, str(id), field, str(version), self._key_id)
