"""What the suite runs as the client in its scenarios of authorization: a whole gateway, connected and called.

The suite starts an MCP server with an authorization server of its own and runs this with its URL. The server
is registered with a gateway in a directory of its own, a browser follows the link that the gateway gives out,
and a client without a token of its own lists the tools and calls the first, through the gateway. Where that
says that the server must be connected anew, the browser is sent once more, and again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx2

from coatcheck.app.compose import Gateway
from coatcheck.app.listening import bind, http_on
from coatcheck.app.run import background, door_of
from coatcheck.config import load_config
from coatcheck.errors import CoatcheckError
from coatcheck.front.protocol import GuardedProtocol
from coatcheck.model.operator import LOCAL_ACTOR
from coatcheck.model.policy import Default
from coatcheck.model.secret import Secret
from coatcheck.operations.registry.patches import NewServer, OauthWanted

NAME: Final = "suite"
CREDENTIAL: Final = f"{NAME}-oauth"
TIMES: Final = 3
"""How often a call is made, with a browser sent in between: a scenario counts how often we ask for more."""
ANEW: Final = "must be connected anew"
DOCUMENT: Final = "https://conformance-test.local/client-metadata.json"
"""The client id that the suite expects where a client's metadata are a document of its own."""


class NotConnected(Exception):
    """The gateway did not let itself be connected."""


def wanted(scenario: str, told: Mapping[str, Any]) -> OauthWanted:
    """Return the terms that a scenario is about."""
    secret = told.get("client_secret") or told.get("private_key_pem")
    return OauthWanted(
        grant_type="client_credentials" if "client-credentials" in scenario else "authorization_code",
        client_id=DOCUMENT if scenario.endswith("basic-cimd") else told.get("client_id", ""),
        client_secret=Secret(secret) if secret else None,
    )


@asynccontextmanager
async def a_gateway(folder: Path) -> AsyncIterator[Gateway]:
    """Run a gateway on a free port of the loopback."""
    config = load_config({"http": "127.0.0.1:0", "data": str(folder)}, {})
    with contextlib.closing(bind(config.http)) as listening:
        gateway = await Gateway.open(config, {})
        gateway.address = f"127.0.0.1:{listening.getsockname()[1]}"
        door = door_of(gateway, listening, mcp=True)
        async with background(gateway), http_on(door, listening, GuardedProtocol):
            try:
                yield gateway
            finally:
                await gateway.close()


class Client:
    """A client of the gateway, and the browser of whoever looks after it."""

    def __init__(self, gateway: Gateway, http: httpx2.AsyncClient) -> None:
        self._gateway = gateway
        self._http = http
        self._route = f"http://{gateway.address}/mcp/{NAME}/"
        self._session: dict[str, str] = {}

    async def connect(self) -> None:
        """Do what a person does with the link."""
        begun = await self._gateway.oauth.connecting.begin(
            LOCAL_ACTOR, CREDENTIAL, f"http://{self._gateway.address}"
        )
        if not begun.url:
            return
        page = await self._http.get(begun.url, follow_redirects=True)
        print(page.status_code, page.url.path, file=sys.stderr)
        if page.status_code != 200:
            raise NotConnected(page.text)

    async def open(self) -> None:
        """Open a session with the gateway."""
        client = {"name": "conformance", "version": "1"}
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
        answer = await self._insist({"id": 0, "method": "initialize", "params": params})
        self._session = {
            "Mcp-Session-Id": answer.headers["mcp-session-id"],
            "MCP-Protocol-Version": "2025-11-25",
        }
        await self._post({"method": "notifications/initialized"})

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make a request and return the answer."""
        found: Mapping[str, Any] = (await self._insist({"id": 1, "method": method, "params": params})).json()
        return found

    async def _insist(self, message: Mapping[str, Any]) -> httpx2.Response:
        """Send a request, and again after a connection where that is what it lacks."""
        for _ in range(TIMES - 1):
            answer = await self._post(message)
            print(answer.text[:300], file=sys.stderr)
            if ANEW not in answer.text:
                return answer
            await self.connect()
        return await self._post(message)

    async def _post(self, message: Mapping[str, Any]) -> httpx2.Response:
        return await self._http.post(
            self._route,
            json={"jsonrpc": "2.0", **message},
            headers={"Accept": "application/json, text/event-stream", **self._session},
        )


async def main(url: str) -> int:
    scenario = os.environ["MCP_CONFORMANCE_SCENARIO"]
    told = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    with tempfile.TemporaryDirectory() as folder:
        async with a_gateway(Path(folder)) as gateway, httpx2.AsyncClient(timeout=20) as http:
            new = NewServer(NAME, Secret(url), oauth=wanted(scenario, told), default=Default.ALLOW_ALL)
            await gateway.registered.servers.add(LOCAL_ACTOR, new)
            client = Client(gateway, http)
            await client.connect()
            await client.open()
            listed = await client.ask("tools/list", {})
            called: Mapping[str, Any] = {}
            for tool in listed["result"]["tools"][:1]:
                called = await client.ask("tools/call", {"name": tool["name"], "arguments": {}})
            return 1 if "error" in called or called.get("result", {}).get("isError") else 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(sys.argv[-1])))
    except (CoatcheckError, NotConnected) as failed:
        print(f"{type(failed).__name__}: {failed}", file=sys.stderr)
        sys.exit(1)
