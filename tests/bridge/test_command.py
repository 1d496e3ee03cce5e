"""The command as a client starts it: its pipes, its signals, its exit codes, and what stands on which stream."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.conversation import GRANT, META, OPENING, PATIENCE, until
from bridge.scripted import OPEN_STREAM, framed, scripted
from upstream.raw_servers import Request, result, text_result

INITIALIZE = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": OPENING}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x"}}
NOTE = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x" * 1000}}
URL = "http://127.0.0.1:1/mcp"


def surroundings(**more: str) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("COATCHECK_") and not name.upper().endswith("_PROXY")}  # fmt: skip
    return {**kept, "COATCHECK_GRANT": GRANT, **more}


def lines(*messages: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


@asynccontextmanager
async def started(*arguments: str, **more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "coatcheck", "bridge", *arguments, env=surroundings(**more), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PATIENCE):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def ran(*arguments: str, before: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys\n{before}\nfrom coatcheck.cli import main\nsys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-c", code, "bridge", *arguments], env=surroundings(**more), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
        check=False,
    )  # fmt: skip


# --- the pipes ------------------------------------------------------------------------------------------------


async def test_a_script_may_close_its_side_before_the_answers_are_there() -> None:
    async def slow(request: Request, out: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        out.write(text_result(request, "slow"))

    async with scripted(tools_call=slow) as gateway, started(gateway.server.url) as process:
        out, err = await process.communicate(lines(INITIALIZE, INITIALIZED, CALL))
        assert process.returncode == 0, err
        assert err == b""
        greeting, answer = map(json.loads, out.splitlines())
        assert (greeting["id"], answer["result"]["content"][0]["text"]) == (0, "slow")
        assert gateway.server.methods()[-1] == "DELETE"
        assert GRANT.encode() not in out + err


async def test_listening_does_not_keep_it_alive() -> None:
    async def listen(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(OPEN_STREAM + framed(NOTE))
        await out.drain()
        await asyncio.sleep(60)

    message = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": {"_meta": META}}
    async with scripted(subscriptions_listen=listen) as gateway, started(gateway.server.url) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(lines(message))
        assert json.loads(await process.stdout.readline()) == NOTE
        process.stdin.close()
        assert await process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_at_once_and_the_session_with_it(number: int) -> None:
    async def never(request: Request, out: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with scripted(tools_call=never) as gateway, started(gateway.server.url) as process:
        assert process.stdin
        process.stdin.write(lines(INITIALIZE, INITIALIZED, CALL))
        await until(lambda: gateway.server.sent("tools/call"))
        process.send_signal(number)
        assert await process.wait() == 0
        assert len(gateway.server.sent("DELETE")) == 1


async def test_a_client_that_is_gone_ends_it() -> None:
    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(OPEN_STREAM)
        while not out.transport.is_closing():
            out.write(framed(NOTE))
            await out.drain()

    async with scripted(tools_call=call) as gateway, started(gateway.server.url) as process:
        assert process.stdin
        process.stdin.write(lines(INITIALIZE, INITIALIZED, CALL))
        await until(lambda: gateway.server.sent("tools/call"))
        transport = process._transport.get_pipe_transport(1)  # type: ignore[attr-defined]
        transport.close()
        assert await process.wait() == 0
        assert len(gateway.server.sent("DELETE")) == 1


async def test_a_client_that_does_not_read_slows_the_gateway_down() -> None:
    written = 0

    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        nonlocal written
        out.write(OPEN_STREAM)
        while not out.transport.is_closing() and written < 200_000_000:
            written += out.write(piece) or len(piece)  # type: ignore[func-returns-value]
            await out.drain()

    piece = framed(NOTE) * 100
    async with scripted(tools_call=call) as gateway:
        command = [sys.executable, "-m", "coatcheck", "bridge", gateway.server.url]
        with subprocess.Popen(
            command, env=surroundings(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdin
            process.stdin.write(lines(INITIALIZE, INITIALIZED, CALL))
            process.stdin.flush()
            await until(lambda: written > 0)
            before = -1
            while before != written:
                before = written
                await asyncio.sleep(0.3)
            assert written < 50_000_000
            process.terminate()
            await until(lambda: process.poll() is not None)
            assert process.returncode == 0


async def test_a_line_without_end_is_refused_and_the_next_is_read() -> None:
    async def ping(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(result(request, {}))

    async with scripted(ping=ping) as gateway:
        async with started(gateway.server.url, "--body-limit", "64KiB") as process:
            ping_line = lines({"jsonrpc": "2.0", "id": 2, "method": "ping"})
            out, _ = await process.communicate(b"x" * 5_000_000 + b"\n" + ping_line)
        first, second = map(json.loads, out.splitlines())
        assert "longer than 65536 bytes" in first["error"]["message"]
        assert second["result"] == {}


# --- the command line ---------------------------------------------------------------------------------------


def test_help_explains() -> None:
    ended = ran("--help")
    assert ended.returncode == 0
    for word in ("COATCHECK_GRANT", "--grant-file", "--keyring", "SSL_CERT_FILE", "restart"):
        assert word in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "URL"), ((URL, "--grant-file", "a", "--keyring", "b"), 2, "exclude each other"), ((URL, "--wait", "soon"), 2, "not a duration"), ((URL, "--requests", "0"), 2, "between"),
        (("http://gw.example/mcp",), 78, "--insecure"), (("gw.example",), 78, "no http or https URL"), ((URL, "--grant-file", "/nonexistent/grant"), 78, "No such file"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_ends_it_with_a_reason(arguments: tuple[str, ...], code: int, words: str) -> None:
    ended = ran(*arguments)
    assert ended.returncode == code
    assert words in ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr


def test_a_grant_that_cannot_be_one_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    ended = ran(URL, COATCHECK_GRANT="Bearer x-secret")
    assert (ended.returncode, "without `Bearer`" in ended.stderr, "x-secret" in ended.stderr) == (
        78,
        True,
        False,
    )
    file = tmp_path / "grant"
    file.write_text("cckg_x")
    file.chmod(0o644)
    ended = ran(URL, "--grant-file", str(file))
    assert ended.returncode == 0
    assert f"chmod 600 {file}" in ended.stderr


def test_a_missing_extra_is_named() -> None:
    ended = ran(URL, "--keyring", "team", before="sys.modules['keyring'] = None")
    assert ended.returncode == 78
    assert "pip install 'coatcheck[keyring]'" in ended.stderr


def test_only_the_keyring_that_is_asked_for_is_loaded() -> None:
    before = "import atexit; atexit.register(lambda: print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr))"
    loaded = ran(URL, before=before).stderr.split()
    assert "httpx2" in loaded
    assert {"keyring", "sqlalchemy", "starlette", "uvicorn", "rich", "uvloop", "mcp"}.isdisjoint(loaded)
    assert "httpx2" not in ran("--help", before=before).stderr.split()
