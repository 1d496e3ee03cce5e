"""What the drivers of the Python SDKs share: the lines they read and write, and the answers they give to a server.

A driver holds any number of connections by name. It reads `{"id", "on", "do", ...}` and writes `{"id", "result"}`
or `{"id", "failed"}`; requests run side by side, `cancel` gives one up. What servers send unasked is kept until
`heard` fetches it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

WAIT_SECONDS = 20.0
VALUES = {"string": "Ada", "boolean": True, "integer": 7, "number": 7.5}


def fill_in(schema: dict[str, Any], voice: str) -> dict[str, Any]:
    """Fill in what a form requires, and nothing else."""
    required = {name: schema["properties"][name] for name in schema.get("required", [])}
    return {
        name: f"{voice}@example.org" if name == "email" else VALUES[field["type"]]
        for name, field in required.items()
    }


class Heard:
    """What a server said unasked."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []
        self._more = asyncio.Condition()

    async def note(self, kind: str, **more: Any) -> None:
        async with self._more:
            self._events.append({"kind": kind, **more})
            self._more.notify_all()

    def count(self, kind: str) -> int:
        return sum(event["kind"] == kind for event in self._events)

    async def wait(self, kind: str, count: int) -> None:
        async with self._more, asyncio.timeout(WAIT_SECONDS):
            await self._more.wait_for(lambda: self.count(kind) >= count)

    def take(self) -> list[dict[str, Any]]:
        taken, self._events = self._events, []
        return taken


class Connection:
    """One connection; a subclass says how it is made and what each request does."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.voice = asked.get("voice", "Ada")
        self.heard = Heard()
        self.roots: list[dict[str, Any]] = [{"uri": f"file:///{self.voice}", "name": self.voice}]
        self._opened: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._closing = asyncio.Event()
        self._life = asyncio.create_task(self._live())

    def can(self, what: str) -> bool:
        return what in self.asked.get("can", ())

    async def live(self, opened: Callable[[dict[str, Any]], None], closing: asyncio.Event) -> None:
        """Connect, call `opened`, and stay until `closing`."""
        raise NotImplementedError

    async def _live(self) -> None:
        try:
            await self.live(self._opened.set_result, self._closing)
        except BaseException as failure:
            if not self._opened.done():
                self._opened.set_exception(innermost(failure))
            else:
                raise

    async def open(self) -> dict[str, Any]:
        return await asyncio.shield(self._opened)

    async def do_close(self, asked: dict[str, Any]) -> None:
        self._closing.set()
        await asyncio.wait([self._life], timeout=WAIT_SECONDS)

    async def do_heard(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        if "kind" in asked:
            await self.heard.wait(asked["kind"], asked.get("count", 1))
        return self.heard.take()

    def answer_sampling(self, params: Any) -> dict[str, Any]:
        said = params["messages"][-1]["content"]["text"]
        content = {"type": "text", "text": f"{self.voice} to: {said}"}
        return {"role": "assistant", "model": "scripted", "stopReason": "endTurn", "content": content}

    def answer_elicitation(self, params: dict[str, Any]) -> dict[str, Any]:
        if params.get("mode") == "url":
            return {"action": "accept"}
        return {"action": "accept", "content": fill_in(params["requestedSchema"], self.voice)}


def plain(model: Any) -> Any:
    """Return a model of the SDK as the JSON that it was read from."""
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


def innermost(failure: BaseException) -> BaseException:
    while found := getattr(failure, "exceptions", None):
        failure = found[0]
    return failure


def failed(failure: BaseException) -> dict[str, Any]:
    error = getattr(innermost(failure), "error", innermost(failure))
    if hasattr(error, "code"):
        return {"code": error.code, "message": error.message, "data": getattr(error, "data", None)}
    return {"code": None, "message": f"{type(error).__name__}: {error}", "data": None}


async def serve(connect: Callable[[dict[str, Any]], Connection]) -> None:  # noqa: C901
    """Do what the lines on standard input say until they end."""
    connections: dict[str, Connection] = {}
    running: dict[int, asyncio.Task[None]] = {}

    async def result_of(asked: dict[str, Any]) -> Any:
        name = asked["on"]
        if asked["do"] == "open":
            connections[name] = connect(asked)
            return await connections[name].open()
        if asked["do"] == "cancel":
            return running[asked["of"]].cancel()
        return await getattr(connections[name], f"do_{asked['do']}")(asked)

    async def answer(asked: dict[str, Any]) -> None:
        try:
            said = {"result": await result_of(asked)}
        except asyncio.CancelledError:
            said = {"failed": {"code": None, "message": "cancelled", "data": None}}
        except BaseException as failure:  # noqa: BLE001 (whatever it is, the test hears of it)
            said = {"failed": failed(failure)}
        print(json.dumps({"id": asked["id"], **said}), flush=True)

    while line := await asyncio.to_thread(sys.stdin.readline):
        asked = json.loads(line)
        running[asked["id"]] = asyncio.create_task(answer(asked))
    for connection in connections.values():
        await connection.do_close({})
