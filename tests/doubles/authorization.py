"""An authorization server and an MCP server behind it, by script, on one real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from coatcheck.core.oauth import code_challenge
from coatcheck.ports import Clock
from upstream.raw_servers import Peer, RawServer, Request, message, plain, result, text_result

ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


@dataclass
class World:
    """Both servers. Change a field to have them behave in another way; `tokens` are by text, with their end."""

    clock: Clock
    life: float | None = 2.0
    rotates: bool = True
    gives_refresh: bool = True
    repeats_refresh: bool = True
    path: str = ""
    """Of the issuer."""
    former: str = ""
    """An issuer that is still there."""
    metadata: dict[str, Any] = field(default_factory=dict)
    resource: dict[str, Any] = field(default_factory=dict)
    challenge: str = 'Bearer resource_metadata="{origin}/meta"'
    trouble: list[bytes] = field(default_factory=list)
    """What the token endpoint answers first, instead of anything else."""
    refuses: bool = False
    """The MCP server takes no token at all."""
    wants_scope: str = ""
    tokens: dict[str, float] = field(default_factory=dict)
    refresh: dict[str, bool] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    clients: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    """Forms that came to the token endpoint."""
    authorizations: list[str] = field(default_factory=list)
    """The Authorization headers of those."""
    seen: list[str] = field(default_factory=list)
    """The Authorization headers at the MCP server."""
    paths: list[str] = field(default_factory=list)
    delay: float = 0.0
    echo: Callable[[Request], str] = lambda request: "good"
    made: int = 0
    era: str = "legacy"

    async def __aenter__(self) -> World:
        self.server = await RawServer(self.answer).__aenter__()
        self.peer = Peer(self._call, self.era)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.server.__aexit__(*exc)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/mcp"

    @property
    def issuer(self) -> str:
        return self.origin + self.path

    def grants(self, kind: str) -> list[dict[str, str]]:
        return [form for form in self.asked if form["grant_type"] == kind]

    # --- what comes ----------------------------------------------------------------------------------------

    async def answer(self, request: Request, out: asyncio.StreamWriter) -> None:
        path = request.line.split()[1]
        self.paths.append(path)
        if path == "/mcp":
            await self._mcp(request, out)
        elif path == "/token":
            await asyncio.sleep(self.delay)
            out.write(self._token(request))
        else:
            out.write(self._page(path, request))

    def _page(self, path: str, request: Request) -> bytes:
        if path == "/meta" and "authorization_servers" not in self.resource.get("without", ()):
            said = {"resource": self.url, "authorization_servers": [self.issuer], **self.resource}
            return plain(message(said))
        known = {urlsplit(one).path: one for one in (self.issuer, self.former or self.issuer)}
        issuer = known.get(path.removeprefix("/.well-known/oauth-authorization-server"))
        if issuer is not None and path.startswith("/.well-known/oauth-authorization-server"):
            said = {
                "issuer": issuer,
                "authorization_endpoint": f"{self.origin}/authorize",
                "token_endpoint": f"{self.origin}/token",
                "registration_endpoint": f"{self.origin}/register",
                "code_challenge_methods_supported": ["S256"],
                **self.metadata,
            }
            return plain(message({key: value for key, value in said.items() if value is not None}))
        if path == "/register":
            self.made += 1
            id = f"client-{self.made}"
            self.clients[id] = json.loads(request.body)
            return plain(
                message({"client_id": id, "client_secret": f"planted-secret-{id}"}), status="201 Created"
            )
        return plain(b"{}", status="404 Not Found")

    def authorize(self, url: str, **more: str) -> list[tuple[str, str]]:
        """Do what a browser does with a link, and return the query that it comes back with."""
        asked = dict(parse_qsl(urlsplit(url).query))
        assert asked["code_challenge_method"] == "S256"
        self.made += 1
        code = f"code-{self.made}"
        self.codes[code] = asked
        return list({"code": code, "state": asked["state"], **more}.items())

    # --- tokens --------------------------------------------------------------------------------------------

    def _token(self, request: Request) -> bytes:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        self.asked.append(form)
        self.authorizations.append(request.headers.get("authorization", ""))
        if self.trouble:
            return self.trouble.pop(0)
        kind = form["grant_type"]
        if kind == "authorization_code":
            asked = self.codes.pop(form["code"], None)
            if asked is None or code_challenge(form["code_verifier"]) != asked["code_challenge"]:
                return error("invalid_grant")
            if (asked["redirect_uri"], asked["resource"]) != (form["redirect_uri"], form["resource"]):
                return error("invalid_target")
        elif kind == "refresh_token":
            if not self.refresh.get(form["refresh_token"]):
                return error("invalid_grant")
            if self.rotates:
                self.refresh[form["refresh_token"]] = False
        return self._give(first=kind == "authorization_code")

    def _give(self, *, first: bool) -> bytes:
        self.made += 1
        access, refresh = f"planted-access-{self.made}", f"planted-refresh-{self.made}"
        self.tokens[access] = self.clock.monotonic() + (1e9 if self.life is None else self.life)
        said: dict[str, Any] = {"access_token": access, "token_type": "Bearer"}
        if self.life is not None:
            said["expires_in"] = self.life if self.life % 1 else int(self.life)
        if self.gives_refresh and (first or self.repeats_refresh):
            self.refresh[refresh] = True
            said["refresh_token"] = refresh
        return plain(message(said))

    # --- the MCP server ------------------------------------------------------------------------------------

    async def _mcp(self, request: Request, out: asyncio.StreamWriter) -> None:
        header = request.headers.get("authorization", "")
        self.seen.append(header)
        token = header.removeprefix("Bearer ")
        if self.refuses or self.tokens.get(token, 0.0) <= self.clock.monotonic():
            lines = (
                [f"WWW-Authenticate: {self.challenge.format(origin=self.origin)}"] if self.challenge else []
            )
            out.write(plain(b"{}", "application/json", "401 Unauthorized", *lines))
        elif self.wants_scope and request.body and request.method == "tools/call":
            line = f'WWW-Authenticate: Bearer error="insufficient_scope", scope="{self.wants_scope}"'
            out.write(plain(b"{}", "application/json", "403 Forbidden", line))
        elif not request.body:
            out.write(plain(b"{}", status="405 Method Not Allowed"))
        else:
            await self.peer(request, out)

    async def _call(self, request: Request, out: asyncio.StreamWriter) -> None:
        if "id" not in request.message:
            out.write(ACCEPTED)
        elif request.method == "tools/list":
            out.write(result(request, {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}))
        else:
            out.write(text_result(request, self.echo(request)))


def error(word: str, status: str = "400 Bad Request") -> bytes:
    return plain(message({"error": word, "error_description": "planted-description"}), status=status)
