"""Public servers from the registries, each as it is installed: what a client sees of one, it sees through the gateway."""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from gateway import Gateway, new_grant
from real.beside import Fronted, of_any_era
from real.everything import tried
from real.servers import (
    fetch_server,
    filesystem_server,
    git_server,
    memory_server,
    notes_server,
    thinking_server,
    time_server,
)
from real.whole import MODERN, PYTHON_MODERN, TYPESCRIPT_2, Drivers, Failed, Kind, Party, Way

pytestmark = pytest.mark.real

LISTS: Final = {
    "tools": "tools",
    "prompts": "prompts",
    "resources": "resources",
    "resourceTemplates": "resources",
}
"""Each list with the capability that it belongs to."""

METHOD_NOT_FOUND: Final = -32601

Call = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Public:
    """One server: how it is declared for the gateway and for a client of its own, and what it is asked."""

    declared: dict[str, Any]
    alone: dict[str, Any]
    calls: tuple[Call, ...]
    prompts: tuple[Call, ...] = ()
    read: tuple[str, ...] = ()


class Page(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and says nothing about it."""

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder over HTTP and yield its URL."""
    page = functools.partial(Page, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def public_servers(place: Path, page: str) -> dict[str, Public]:
    """Declare every server; those that remember get two places, one for each way."""
    folder = str(place / "folder")
    entity = {"name": "coat", "entityType": "thing", "observations": ["blue", "hangs on 7"]}
    relation = {"from": "coat", "to": "hook", "relationType": "hangs on"}
    repository = {"repo_path": str(place / "repository")}
    clock = {"source_timezone": "Asia/Tokyo", "time": "12:30", "target_timezone": "UTC"}
    thought = {
        "thought": "Count the hooks.",
        "thoughtNumber": 1,
        "totalThoughts": 2,
        "nextThoughtNeeded": True,
    }

    def both(declared: dict[str, Any], *calls: Call, **more: Any) -> Public:
        return Public(declared, declared, calls, **more)

    return {
        "memory": Public(
            memory_server(place / "through.jsonl"),
            memory_server(place / "direct.jsonl"),
            (
                ("create_entities", {"entities": [entity, {**entity, "name": "hook"}]}),
                ("create_relations", {"relations": [relation]}),
                ("search_nodes", {"query": "blue"}),
                ("open_nodes", {"names": ["coat"]}),
                ("read_graph", {}),
                ("delete_entities", {"entityNames": ["coat", "hook"]}),
                ("create_entities", {"entities": "none"}),
            ),
        ),
        "filesystem": both(
            filesystem_server(place / "folder"),
            ("list_allowed_directories", {}),
            ("write_file", {"path": f"{folder}/new.txt", "content": "ü \u2028 coat"}),
            ("read_text_file", {"path": f"{folder}/new.txt"}),
            ("list_directory", {"path": folder}),
            ("read_media_file", {"path": f"{folder}/picture.png"}),
            ("read_text_file", {"path": "/etc/hostname"}),
        ),
        "thinking": both(thinking_server(), ("sequentialthinking", thought), ("sequentialthinking", {})),
        "git": both(
            git_server(place),
            ("git_log", repository),
            ("git_status", repository),
            ("git_show", {**repository, "revision": "HEAD"}),
            ("git_show", {**repository, "revision": "no-such-revision"}),
        ),
        "fetch": both(
            fetch_server(),
            ("fetch", {"url": f"{page}/page.html"}),
            ("fetch", {"url": f"{page}/nowhere"}),
            prompts=(("fetch", {"url": f"{page}/page.html"}),),
        ),
        "time": both(
            time_server(), ("convert_time", clock), ("get_current_time", {"timezone": "Nowhere/Here"})
        ),
        "notes": both(
            notes_server(place),
            ("list_tables", {}),
            ("read_query", {"query": "SELECT * FROM notes ORDER BY 1"}),
            ("read_query", {"query": "DROP TABLE notes"}),
            read=("memo://insights",),
        ),
    }


NAMES: Final = ("memory", "filesystem", "thinking", "git", "fetch", "time", "notes")


@dataclass(frozen=True)
class House(Fronted):
    """One gateway before all of them, and a grant."""

    servers: Mapping[str, Public]

    def direct(self, name: str) -> Way:
        """The way that has no gateway: the client starts the server itself."""
        alone = self.servers[name].alone
        env = {"PATH": os.environ["PATH"], "HOME": str(self.place), **alone.get("env", {})}
        return Way.by([alone["command"], *alone["args"]], env, self.place / f"{name}.log")

    def through(self, name: str) -> Way:
        """The way through the gateway."""
        return Way.to(self.gateway.route(name), self.grant)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("public")
    folder = place / "folder"
    folder.mkdir()
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "page.html").write_text(
        "<html><body><h1>Cloakroom</h1><p>Open until <b>ten</b>.</p></body></html>"
    )
    grant, key = new_grant()
    drivers = Drivers(place / "drivers")
    with serving(folder) as page:
        servers = public_servers(place, page)
        assert tuple(servers) == NAMES
        declared = {name: one.declared for name, one in servers.items()}
        auth = {"provider": "bearer", "bearer": {"tokens": {key: {"subject": "ada"}}}}
        gateway = Gateway(place / "gateway", {"mcpServers": declared, "serverAuth": auth})
        gateway.start()
        try:
            yield House(gateway, grant, drivers, place, servers)
        finally:
            drivers.close()
            gateway.stop()


def visit(party: Party, public: Public) -> dict[str, Any]:
    """List all that the server has and ask it what is to be asked."""
    capabilities = party.greeting["capabilities"]
    seen: dict[str, Any] = {of: listed(party, of) for of, needed in LISTS.items() if needed in capabilities}
    seen["instructions"] = party.greeting.get("instructions")
    seen["calls"] = [tried(party, "call", tool=name, arguments=given) for name, given in public.calls]
    seen["prompts got"] = [
        tried(party, "prompt", prompt=name, arguments=given) for name, given in public.prompts
    ]
    seen["read"] = [tried(party, "read", uri=uri) for uri in public.read]
    return seen


def listed(party: Party, of: str) -> Any:
    """Return one list; one that a server forgot to have is an empty one."""
    try:
        return party.list(of)
    except Failed as failure:
        if failure.code != METHOD_NOT_FOUND:
            raise
        return []


def comparable(seen: dict[str, Any]) -> Any:
    """Return what was seen without what differs where clients share a server, or where its era is another.

    The gateway speaks to a server in the newest era that it has: only then does a result name the server.
    """
    text = json.dumps(of_any_era(seen))
    text = re.sub(r"(thoughtHistoryLength\W+)\d+", r"\g<1>0", text)
    text = re.sub(r'"_meta": {"io.modelcontextprotocol/serverInfo": {[^{}]*}}, ', "", text)
    return json.loads(text)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [TYPESCRIPT_2, PYTHON_MODERN], ids=lambda kind: kind.name)
def test_a_public_server(house: House, kind: Kind, name: str) -> None:
    public = house.servers[name]
    with house.drivers.connect(kind, house.direct(name), ()) as party:
        expected = comparable(visit(party, public))
    with house.drivers.connect(kind, house.through(name), ()) as party:
        assert (party.greeting["protocolVersion"] == MODERN) == (kind is PYTHON_MODERN)
        seen = comparable(visit(party, public))
    assert seen.keys() == expected.keys()
    assert len(seen["tools"]) >= 1
    assert not seen["calls"][0].get("isError")
    for one in expected:
        assert seen[one] == expected[one], one
