"""What it takes to start the child of one server, and what each of its children is told and kept for."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from coatcheck.core import surroundings
from coatcheck.core.redact import Redactor, material_secrets
from coatcheck.core.wire.lines import Tail
from coatcheck.errors import UpstreamUnreachable
from coatcheck.model.server import StdioReach
from coatcheck.ports import Client
from coatcheck.upstream.duplex.exchange import Exchange
from coatcheck.upstream.duplex.lasting import Attention, restore
from coatcheck.upstream.stdio.spawn import Launch
from coatcheck.upstream.stdio.talk import Gone, Talk


class Recipe:
    """Makes child after child alike: environment, home, the client that it is greeted for.

    All children of a server share one home, also those that a single session has to itself: it holds
    what the server keeps on disk for whoever asks, and none of them deletes it.
    """

    def __init__(
        self,
        name: str,
        reach: StdioReach,
        client: Client,
        home: Path,
        ambient: Mapping[str, str],
        stderr_bytes: int,
    ) -> None:
        self.name = name
        self.client = client
        self.tail = Tail(stderr_bytes)
        self.attention = Attention(client)
        self._reach = reach
        self._home = home
        self._ambient = ambient
        hush = (part for one in reach.hush for part in material_secrets(one.reveal()))
        self.redactor = Redactor(chain(surroundings.env_secrets(self._own_env()), hush))

    def _own_env(self) -> dict[str, str]:
        return {name: secret.reveal() for name, secret in self._reach.env.items()}

    def launch(self) -> Launch:
        """Make the child's home and collect what it is given.

        Raises:
            UpstreamUnreachable: the home cannot be made.
        """
        try:
            self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._home.chmod(0o700)
        except OSError as error:
            raise UpstreamUnreachable(
                f"{self.name} could not be started: its home directory cannot be made",
                detail=f"{self._home}: {error.strerror}",
                fix="make the data directory writable",
            ) from None
        return Launch(
            self.name,
            self._reach.command,
            tuple(secret.reveal() for secret in self._reach.args),
            surroundings.environment(self._ambient, str(self._home), self._own_env()),
            self._reach.cwd,
        )

    def talk(self, gone: Gone) -> Talk:
        """Make what listens to a child."""
        return Talk(self.name, self.client, self.redactor, self.tail, gone)

    async def restore(self, exchange: Exchange) -> None:
        """Tell a child that was just greeted what the last one was told to keep.

        Raises:
            UpstreamError: it is gone.
        """
        await restore(exchange, self.client.standing)

    def change(self, talk: Talk | None) -> None:
        """Turn to the child that is ready now, or to none."""
        self.attention.follow(None if talk is None else talk.exchange)

    def needs(self, talk: Talk) -> bool:
        """Tell whether a child must run on though nobody calls: it was asked to watch, or asks itself."""
        return self.client.standing.watching or len(talk.exchange.questions) > 0
