"""Drives the `mcp` SDK 1.x, all of it: see `conversing.py`. It asks what `open` says: url, way (http or sse), can."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import mcp.types as sdk_types
from conversing import Connection, plain, serve
from mcp import ClientSession
from mcp.client import sse, stdio, streamable_http

types: Any = sdk_types  # as they were in 1.x


@asynccontextmanager
async def transport(asked: dict[str, Any]) -> AsyncIterator[tuple[Any, Any]]:
    if asked["way"] == "stdio":
        parameters = stdio.StdioServerParameters(
            command=asked["command"], args=asked["args"], env=asked["env"]
        )
        with open(asked["words"], "w") as words:
            async with stdio.stdio_client(parameters, errlog=words) as streams:
                yield streams
    elif asked["way"] == "sse":
        async with sse.sse_client(asked["url"], headers=asked["headers"]) as streams:
            yield streams
    else:
        older_api: Any = streamable_http
        async with older_api.streamablehttp_client(asked["url"], headers=asked["headers"]) as streams:
            yield streams[0], streams[1]


class Older(Connection):
    async def live(self, opened: Callable[[dict[str, Any]], None], closing: asyncio.Event) -> None:
        async with transport(self.asked) as (reading, writing), self._session(reading, writing) as session:
            self.session = session
            types.LATEST_PROTOCOL_VERSION = self.asked.get("version") or LATEST
            opened(plain(await session.initialize()))
            await closing.wait()

    def _session(self, reading: Any, writing: Any) -> Any:
        callbacks: dict[str, Any] = {"logging_callback": self._log, "message_handler": self._message}
        if self.can("sampling"):
            callbacks["sampling_callback"] = self._sample
        if self.can("elicitation"):
            callbacks["elicitation_callback"] = self._elicit
        if self.can("roots"):
            callbacks["list_roots_callback"] = self._list_roots
        known = inspect.signature(ClientSession).parameters
        return ClientSession(
            reading, writing, **{name: one for name, one in callbacks.items() if name in known}
        )

    async def _log(self, params: Any) -> None:
        await self.heard.note("log", **plain(params))

    async def _message(self, message: Any) -> None:
        told = getattr(message, "root", None)
        if isinstance(told, types.ResourceUpdatedNotification):
            await self.heard.note("updated", uri=str(told.params.uri))
        elif told is not None and told.method.endswith("/list_changed"):
            await self.heard.note("changed", of=told.method)
        elif told is not None and told.method == "notifications/elicitation/complete":
            await self.heard.note("complete", **plain(told.params))

    async def _sample(self, _context: Any, params: Any) -> Any:
        await self.heard.note("sampling", params=plain(params))
        return types.CreateMessageResult(**self.answer_sampling(plain(params)))

    async def _elicit(self, _context: Any, params: Any) -> Any:
        await self.heard.note("elicitation", params=plain(params))
        return types.ElicitResult(**self.answer_elicitation(plain(params)))

    async def _list_roots(self, _context: Any) -> Any:
        await self.heard.note("roots")
        return types.ListRootsResult(roots=self.roots)

    async def do_list(self, asked: dict[str, Any]) -> list[Any]:
        calls = {
            "tools": self.session.list_tools,
            "prompts": self.session.list_prompts,
            "resources": self.session.list_resources,
            "resourceTemplates": self.session.list_resource_templates,
        }
        found = plain(await calls[asked["of"]]())
        assert "nextCursor" not in found
        return list(found[asked["of"]])

    async def do_call(self, asked: dict[str, Any]) -> dict[str, Any]:
        told: list[list[Any]] = []

        async def progress(progress: float, total: float | None, message: str | None) -> None:
            told.append([progress, total, message])

        number = self.session._request_id
        callback = progress if asked.get("progress") else None
        try:
            found = await self.session.call_tool(
                asked["tool"], asked.get("arguments", {}), progress_callback=callback
            )
        except asyncio.CancelledError:
            params = types.CancelledNotificationParams(requestId=number, reason="not needed")
            given_up = types.CancelledNotification(method="notifications/cancelled", params=params)
            await self.session.send_notification(types.ClientNotification(given_up))
            raise
        return {**plain(found), **({"progress": told} if callback else {})}

    async def do_read(self, asked: dict[str, Any]) -> Any:
        return plain(await self.session.read_resource(types.AnyUrl(asked["uri"])))

    async def do_prompt(self, asked: dict[str, Any]) -> Any:
        return plain(await self.session.get_prompt(asked["prompt"], asked.get("arguments")))

    async def do_complete(self, asked: dict[str, Any]) -> Any:
        resource = getattr(types, "ResourceTemplateReference", None) or types.ResourceReference
        kind = types.PromptReference if asked["ref"]["type"] == "ref/prompt" else resource
        more = [asked["known"]] if "known" in asked else []
        return plain(await self.session.complete(kind(**asked["ref"]), asked["argument"], *more))

    async def do_level(self, asked: dict[str, Any]) -> Any:
        return plain(await self.session.set_logging_level(asked["level"]))

    async def do_subscribe(self, asked: dict[str, Any]) -> Any:
        return plain(await self.session.subscribe_resource(types.AnyUrl(asked["uri"])))

    async def do_unsubscribe(self, asked: dict[str, Any]) -> Any:
        return plain(await self.session.unsubscribe_resource(types.AnyUrl(asked["uri"])))

    async def do_ping(self, asked: dict[str, Any]) -> Any:
        return plain(await self.session.send_ping())

    async def do_roots(self, asked: dict[str, Any]) -> None:
        self.roots = asked["roots"]
        await self.session.send_roots_list_changed()


LATEST = types.LATEST_PROTOCOL_VERSION

asyncio.run(serve(Older))
