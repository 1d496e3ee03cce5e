"""Drives real clients, each a program of its own, in one way: tools, call, what they say of a failure."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from real.installed import node, npm_clients, npm_command, older_sdk, surroundings

SCRIPTS: Final = Path(__file__).parent / "clients"
ANSWER_SECONDS: Final = 60.0


class Client:
    """A client that is connected and stays so: one request a line on its standard input."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        self._child = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
        )
        self._pending = b""

    def connected(self) -> str:
        """Return the protocol version that was agreed on, once it is."""
        return str(self._read()["connected"])

    def refused(self) -> str:
        """Return what the client says of a connection that was refused."""
        return str(self._read()["failed"])

    def tools(self) -> list[str]:
        """Return the names of the tools that the client sees."""
        return list(self._ask({"do": "tools"})["tools"])

    def call(self, tool: str, arguments: dict[str, Any]) -> str:
        """Return the text of a call that succeeds."""
        answer = self.ask_call(tool, arguments)
        assert answer.get("is_error") is False, answer
        return str(answer["text"])

    def ask_call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return what came of a call: text and is_error, or failed."""
        return self._ask({"do": "call", "tool": tool, "arguments": arguments})

    def close(self) -> None:
        """Let the client go."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        try:
            self._child.wait(10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child.stdout.close()

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(asked).encode() + b"\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            return {"failed": "the client has ended"}
        return self._read()

    def _read(self) -> dict[str, Any]:
        output = self._child.stdout
        assert output is not None
        with selectors.DefaultSelector() as ready:
            ready.register(output, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                assert ready.select(ANSWER_SECONDS), "the client does not answer"
                part = output.read1(1 << 16)  # type: ignore[attr-defined]
                if not part:
                    return {"failed": "the client has ended"}
                self._pending += part
        line, self._pending = self._pending.split(b"\n", 1)
        found: dict[str, Any] = json.loads(line)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Kind:
    """One sort of client: how to start it on a URL, and the protocol version it agrees on with us."""

    name: str
    version: str
    command: Callable[[str], Sequence[str]]

    def connect(self, url: str, grant: str, home: Path) -> Client:
        """Start the client."""
        home.mkdir(parents=True, exist_ok=True)
        is_node = self.name == "typescript"
        env = surroundings(home, GRANT=grant) if is_node else {"HOME": str(home), "GRANT": grant}
        return Client(self.command(url), env, npm_clients() if is_node else home)


def _python(script: str, url: str, *mode: str) -> list[str]:
    python = str(older_sdk() / "python") if mode and mode[0].startswith("1.x") else sys.executable
    return [python, str(SCRIPTS / script), url, *mode]


KINDS: Final = (
    Kind("mcp-2-modern", "2026-07-28", lambda url: _python("python_sdk.py", url, "2026-07-28")),
    Kind("mcp-2-auto", "2026-07-28", lambda url: _python("python_sdk.py", url, "auto")),
    Kind("mcp-2-legacy", "2025-11-25", lambda url: _python("python_sdk.py", url, "legacy")),
    Kind("mcp-1", "2025-03-26", lambda url: _python("python_sdk.py", url, "1.x")),
    Kind("fastmcp", "fastmcp", lambda url: _python("fastmcp_client.py", url)),
    Kind(
        "typescript",
        "2025-11-25",
        lambda url: [str(node() / "node"), str(SCRIPTS / "typescript_sdk.mjs"), url],
    ),
)
"""Every client library, in each era that it speaks."""

OLDEST: Final = Kind("mcp-1-sse", "2025-03-26", lambda url: _python("python_sdk.py", url, "1.x-sse"))
"""A client of the deprecated HTTP+SSE transport, to be connected to a URL that ends in `/sse`."""


def inspector(
    url: str, grant: str, home: Path, *arguments: str, transport: str = "http"
) -> subprocess.CompletedProcess[str]:
    """Run the Inspector's command line once, over `http` or the older `sse`; with a grant where one is given."""
    command = [npm_command("mcp-inspector"), "--cli", url, "--transport", transport]
    command += [*(["--header", f"Authorization: Bearer {grant}"] if grant else []), *arguments]
    return _once(command, surroundings(home), home)


def claude(arguments: Sequence[str], home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run Claude Code once, in a home of its own and without calling anyone but the given model."""
    quiet = {"DISABLE_TELEMETRY": "1", "DISABLE_AUTOUPDATER": "1", "ENABLE_TOOL_SEARCH": "false"}
    quiet["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] = "1"
    return _once([npm_command("claude"), *arguments], surroundings(home, **quiet, **more), home)


def codex(arguments: Sequence[str], home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run Codex once, in a home of its own."""
    return _once([npm_command("codex"), *arguments], surroundings(home, **more), home)


def _once(command: Sequence[str], env: Mapping[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(command),
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
