"""A model endpoint that follows a script: real agents ask it what to do, and it makes them call one tool.

It speaks as much of the Messages API and of the Responses API as `claude -p` and `codex exec` need. Asked
for the first time it answers with a call of the wanted tool; once the tool has answered, with that answer's
text, so that the agent prints what the server said.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Event = tuple[str, dict[str, Any]]


@dataclass
class Script:
    """The tool that the agent shall call, and what agents have told of tools so far."""

    tool: str
    arguments: dict[str, Any]
    offered: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)


@contextmanager
def scripted_model(script: Script) -> Iterator[str]:
    """Serve the script on a free port of the loopback and yield the base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Endpoint,), {"script": script}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Endpoint(BaseHTTPRequestHandler):
    script: Script
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        path = self.path.split("?")[0]
        if path.endswith("/messages"):
            self._stream(messages(self.script, asked))
        elif path.endswith("/responses"):
            self._stream(responses(self.script, asked))
        else:
            self._whole({"input_tokens": 1})

    def do_GET(self) -> None:
        self._whole({"data": [], "models": [], "object": "list"})

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""

    def _whole(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, events: Sequence[Event]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for name, event in events:
            self.wfile.write(f"event: {name}\ndata: {json.dumps(event)}\n\n".encode())
        self.close_connection = True


def messages(script: Script, asked: dict[str, Any]) -> Sequence[Event]:
    """Answer as the Messages API does when streaming."""
    tools = [tool["name"] for tool in asked.get("tools", [])]
    script.offered = tools or script.offered
    told = [
        block
        for message in asked.get("messages", [])
        if isinstance(message.get("content"), list)
        for block in message["content"]
        if block.get("type") == "tool_result"
    ]
    if told:
        script.answers.append(json.dumps(told[-1]["content"]))
        return _message({"type": "text", "text": f"ANSWER {json.dumps(told[-1]['content'])}"}, script)
    if script.tool in tools:
        return _message({"type": "tool_use", "id": "toolu_01", "name": script.tool, "input": {}}, script)
    return _message({"type": "text", "text": f"NO SUCH TOOL {script.tool}"}, script)


def _message(block: dict[str, Any], script: Script) -> Sequence[Event]:
    is_call = block["type"] == "tool_use"
    empty = block if is_call else {"type": "text", "text": ""}
    delta = (
        {"type": "input_json_delta", "partial_json": json.dumps(script.arguments)}
        if is_call
        else {"type": "text_delta", "text": block["text"]}
    )
    usage = {"input_tokens": 1, "output_tokens": 1}
    message: dict[str, Any] = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": "scripted",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    end = {"stop_reason": "tool_use" if is_call else "end_turn", "stop_sequence": None}
    return [
        ("message_start", {"type": "message_start", "message": message}),
        ("content_block_start", {"type": "content_block_start", "index": 0, "content_block": empty}),
        ("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta}),
        ("content_block_stop", {"type": "content_block_stop", "index": 0}),
        ("message_delta", {"type": "message_delta", "delta": end, "usage": usage}),
        ("message_stop", {"type": "message_stop"}),
    ]


def responses(script: Script, asked: dict[str, Any]) -> Sequence[Event]:
    """Answer as the Responses API does when streaming."""
    namespaced = {
        f"{tool['name']}/{inner['name']}": (tool["name"], inner["name"])
        for tool in asked.get("tools", [])
        if tool.get("type") == "namespace"
        for inner in tool.get("tools", [])
    }
    plain = {
        tool["name"]: (None, tool["name"])
        for tool in asked.get("tools", [])
        if tool.get("type") == "function"
    }
    known = {**plain, **namespaced}
    script.offered = list(known) or script.offered
    told = [item for item in asked.get("input", []) if item.get("type") == "function_call_output"]
    if told:
        script.answers.append(json.dumps(told[-1]["output"]))
        return _response(_text(f"ANSWER {json.dumps(told[-1]['output'])}"))
    if script.tool in known:
        namespace, name = known[script.tool]
        call = {
            "type": "function_call",
            "id": "fc_01",
            "call_id": "call_01",
            "name": name,
            "status": "completed",
        }
        call["arguments"] = json.dumps(script.arguments)
        return _response({**call, **({"namespace": namespace} if namespace else {})})
    return _response(_text(f"NO SUCH TOOL {script.tool}"))


def _text(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "msg_01", "role": "assistant", "status": "completed", "content": content}


def _response(item: dict[str, Any]) -> Sequence[Event]:
    usage = {
        "input_tokens": 1,
        "output_tokens": 1,
        "total_tokens": 2,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    response = {
        "id": "resp_01",
        "object": "response",
        "status": "completed",
        "output": [item],
        "usage": usage,
    }
    begun = {**response, "status": "in_progress", "output": []}
    return [
        ("response.created", {"type": "response.created", "response": begun}),
        (
            "response.output_item.added",
            {"type": "response.output_item.added", "output_index": 0, "item": item},
        ),
        ("response.output_item.done", {"type": "response.output_item.done", "output_index": 0, "item": item}),
        ("response.completed", {"type": "response.completed", "response": response}),
    ]
