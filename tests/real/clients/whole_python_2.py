"""Drives the `mcp` SDK 2.x in either era, all of it: see `conversing.py`. `open` says era (legacy, auto or a version)."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
import mcp.client.session as sdk_session
import mcp_types as types
from conversing import Connection, plain, serve
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import ResourceUpdated

warnings.simplefilter("ignore")  # deprecated features are features
LATEST = sdk_session.LATEST_HANDSHAKE_VERSION


@asynccontextmanager
async def transport(asked: dict[str, Any]) -> AsyncIterator[Any]:
    if asked["way"] == "stdio":
        parameters = StdioServerParameters(command=asked["command"], args=asked["args"], env=asked["env"])
        with open(asked["words"], "w") as words:
            async with stdio_client(parameters, errlog=words) as streams:
                yield streams
    elif asked["way"] == "sse":
        async with sse_client(asked["url"], headers=asked["headers"]) as streams:
            yield streams
    else:
        async with httpx2.AsyncClient(headers=asked["headers"], timeout=30) as http:  # noqa: SIM117
            async with streamable_http_client(asked["url"], http_client=http) as streams:
                yield streams


class Newer(Connection):
    async def live(self, opened: Callable[[dict[str, Any]], None], closing: asyncio.Event) -> None:
        sdk_session.LATEST_HANDSHAKE_VERSION = self.asked.get("version") or LATEST
        self.listening: AbstractAsyncContextManager[Any] | None = None
        async with self._client() as client:
            self.client = client
            opened(self._greeting())
            await closing.wait()

    def _client(self) -> Client:
        return Client(
            transport(self.asked),
            mode=self.asked["era"],
            cache=None,
            log_level=self.asked.get("level"),
            client_info=types.Implementation(name=self.voice, version="1"),
            sampling_callback=self._sample if self.can("sampling") else None,
            elicitation_callback=self._elicit if self.can("elicitation") else None,
            list_roots_callback=self._list_roots if self.can("roots") else None,
            logging_callback=self._log,
            message_handler=self._message,
        )

    def _greeting(self) -> dict[str, Any]:
        client = self.client
        greeting = {
            "protocolVersion": client.protocol_version,
            "capabilities": plain(client.server_capabilities),
            "instructions": client.instructions,
            "serverInfo": plain(client.server_info) if client.server_info else None,
        }
        return {name: one for name, one in greeting.items() if one is not None}

    async def _log(self, params: Any) -> None:
        await self.heard.note("log", **plain(params))

    async def _message(self, message: Any) -> None:
        method = getattr(message, "method", "")
        if method == "notifications/resources/updated":
            await self.heard.note("updated", uri=str(message.params.uri))
        elif method.endswith("/list_changed"):
            await self.heard.note("changed", of=method)

    async def _sample(self, _context: Any, params: Any) -> Any:
        await self.heard.note("sampling", params=plain(params))
        return types.CreateMessageResult(**self.answer_sampling(plain(params)))

    async def _elicit(self, _context: Any, params: Any) -> Any:
        await self.heard.note("elicitation", params=plain(params))
        return types.ElicitResult(**self.answer_elicitation(plain(params)))

    async def _list_roots(self, _context: Any) -> Any:
        await self.heard.note("roots")
        return types.ListRootsResult(roots=[types.Root(**root) for root in self.roots])

    async def do_list(self, asked: dict[str, Any]) -> list[Any]:
        calls: dict[str, Any] = {
            "tools": self.client.list_tools,
            "prompts": self.client.list_prompts,
            "resources": self.client.list_resources,
            "resourceTemplates": self.client.list_resource_templates,
        }
        found = plain(await calls[asked["of"]]())
        assert "nextCursor" not in found
        return list(found[asked["of"]])

    async def do_call(self, asked: dict[str, Any]) -> dict[str, Any]:
        told: list[list[Any]] = []

        async def progress(progress: float, total: float | None, message: str | None) -> None:
            told.append([progress, total, message])

        callback = progress if asked.get("progress") else None
        found = await self.client.call_tool(
            asked["tool"], asked.get("arguments", {}), progress_callback=callback
        )
        return {**plain(found), **({"progress": told} if callback else {})}

    async def do_read(self, asked: dict[str, Any]) -> Any:
        return plain(await self.client.read_resource(asked["uri"]))

    async def do_prompt(self, asked: dict[str, Any]) -> Any:
        return plain(await self.client.get_prompt(asked["prompt"], asked.get("arguments")))

    async def do_complete(self, asked: dict[str, Any]) -> Any:
        kind = (
            types.PromptReference if asked["ref"]["type"] == "ref/prompt" else types.ResourceTemplateReference
        )
        return plain(await self.client.complete(kind(**asked["ref"]), asked["argument"], asked.get("known")))

    async def do_level(self, asked: dict[str, Any]) -> Any:
        return plain(await self.client.set_logging_level(asked["level"]))

    async def do_subscribe(self, asked: dict[str, Any]) -> Any:
        return plain(await self.client.subscribe_resource(asked["uri"]))

    async def do_unsubscribe(self, asked: dict[str, Any]) -> Any:
        return plain(await self.client.unsubscribe_resource(asked["uri"]))

    async def do_ping(self, asked: dict[str, Any]) -> Any:
        return plain(await self.client.send_ping())

    async def do_discover(self, asked: dict[str, Any]) -> Any:
        return plain(await self.client.session.discover())

    async def do_roots(self, asked: dict[str, Any]) -> None:
        self.roots = asked["roots"]
        await self.client.send_roots_list_changed()

    async def do_listen(self, asked: dict[str, Any]) -> Any:
        """Listen in a task of its own until `unlisten` or the end; return what the server agreed to send."""
        agreed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.listener = asyncio.create_task(self._listen(asked, agreed))
        return await agreed

    async def _listen(self, asked: dict[str, Any], agreed: asyncio.Future[Any]) -> None:
        try:
            async with self.client.listen(**asked["filter"]) as subscription:
                agreed.set_result(plain(subscription.honored))
                async for event in subscription:
                    more = {"uri": str(event.uri)} if isinstance(event, ResourceUpdated) else {}
                    await self.heard.note("listened", event=type(event).__name__, **more)
        except Exception as failure:  # noqa: BLE001
            if not agreed.done():
                agreed.set_exception(failure)
            await self.heard.note("lost")

    async def do_unlisten(self, asked: dict[str, Any]) -> None:
        self.listener.cancel()
        await asyncio.wait([self.listener])


asyncio.run(serve(Newer))
