"""How a registered server is reached, as JSON in which every secret is sealed for that server's row alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from coatcheck.core.keys import Keys, Purpose
from coatcheck.core.sealed_values import ValueSeal
from coatcheck.core.sealing import NONCE_BYTES
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
            nonce = self._entropy.token(NONCE_BYTES)
            return self._seal.seal(secret.reveal(), self._place(id, field, version), nonce)

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
            return Secret(self._seal.open(sealed, self._place(id, field, version)))

        def all_of(field: str, values: Mapping[str, str]) -> dict[str, Secret]:
            return {name: opened(f"{field}/{name}", sealed) for name, sealed in values.items()}

        form = json.loads(text)
        transport = Transport(form["transport"])
        if transport is not Transport.STDIO:
            url = opened("url", form["url"])
            return HttpReach(url, form["shown_url"], all_of("headers", form["headers"]), transport)
        args = tuple(opened(f"args/{place}", sealed) for place, sealed in enumerate(form["args"]))
        return StdioReach(form["command"], args, all_of("env", form["env"]), form["cwd"])

    def _place(self, id: UUID, field: str, version: int) -> tuple[str, ...]:
        return (_TABLE, str(id), field, str(version), self._key_id)
