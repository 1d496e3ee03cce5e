"""Real MCP servers from the package registry, of both eras."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from coatcheck.model.call import Result
from coatcheck.model.era import Era
from coatcheck.ports import Ask
from coatcheck.upstream.stdio.upstream import StdioUpstream
from real.installed import server as commands
from upstream.stdio_permits import CHILDREN, QUICK, command_server, opened

pytestmark = pytest.mark.real


async def tool_names(upstream: StdioUpstream) -> set[str]:
    reply = await upstream.ask(Ask.TOOLS)
    assert isinstance(reply, Result)
    return {tool["name"] for tool in json.loads(reply.raw)["tools"]}


async def test_the_time_server(tmp_path: Path) -> None:
    server = command_server(str(commands("time") / "mcp-server-time"), "--local-timezone", "UTC")
    async with opened(server, tmp_path / "home") as box:
        assert await tool_names(box.upstream) == {"get_current_time", "convert_time"}
        assert "Asia/Tokyo" in await box.text("get_current_time", {"timezone": "Asia/Tokyo"})


async def test_the_git_server(tmp_path: Path) -> None:
    repository = tmp_path / "sample"
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    server = command_server(str(commands("git") / "mcp-server-git"), "--repository", str(repository))
    async with opened(server, tmp_path / "home") as box:
        assert "git_status" in await tool_names(box.upstream)
        assert "No commits yet" in await box.text("git_status", {"repo_path": str(repository)})


async def test_the_sqlite_server(tmp_path: Path) -> None:
    # The last release needs `mcp<2`, and so is a server of the legacy era with the official SDK.
    server = command_server(
        str(commands("sqlite") / "mcp-server-sqlite"), "--db-path", str(tmp_path / "sample.db")
    )
    async with opened(server, tmp_path / "home") as box:
        assert "write_query" in await tool_names(box.upstream)
        await box.call("create_table", {"query": "CREATE TABLE t (a TEXT)"})
        await box.call("write_query", {"query": "INSERT INTO t VALUES ('kept')"})
        assert (await box.upstream.greet()).era is Era.LEGACY
        assert "kept" in await box.text("read_query", {"query": "SELECT a FROM t"})


async def test_the_official_sdk_in_the_modern_era(tmp_path: Path) -> None:
    pytest.importorskip("mcp.server.mcpserver")
    server = command_server(sys.executable, str(CHILDREN / "sdk_server.py"))
    async with opened(server, tmp_path / "home", QUICK) as box:
        greeting = await box.upstream.greet()
        assert (greeting.era, greeting.instructions) == (Era.MODERN, "count")
        assert await tool_names(box.upstream) == {"count"}
        assert "counted to 3" in (await box.text("count", {"to": 3}))
        await box.call("count", {"to": 3}, token='"mine"')
        assert [json.loads(notice.params)["progressToken"] for notice in box.notices] == ["mine"] * 3
