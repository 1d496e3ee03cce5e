"""Real clients, one grant, real servers: list, call, what is hidden, revoked and rotated meanwhile."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import MakeGateway
from gateway import Gateway, new_grant
from real.drivers import KINDS, Kind, claude, codex, inspector
from real.model import Script, scripted_model
from real.servers import Orders, git_server, notes_server, orders_server, time_server

pytestmark = pytest.mark.real

HIDDEN = "git__git_reset"
HIDING = {"default": "allow", "rules": [{"tools": [HIDDEN], "policy": "deny"}]}


def guarded(servers: dict[str, Any], *grants: str, **auth: Any) -> dict[str, Any]:
    """Declare servers that the holders of these grants may use."""
    tokens = {grant: f"subject-{number}" for number, grant in enumerate(grants)}
    return {"mcpServers": servers, "serverAuth": {"provider": "bearer", "bearer": {"tokens": tokens}, **auth}}


def remote(orders: Orders, credential: str) -> dict[str, Any]:
    return {"type": "http", "url": orders.url, "headers": {"Authorization": f"Bearer {credential}"}}


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orders]:
    with orders_server(tmp_path_factory.mktemp("orders")) as running:
        yield running


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, orders: Orders) -> Iterator[tuple[Gateway, str]]:
    """One gateway in front of all four servers, and a grant for it."""
    place = tmp_path_factory.mktemp("house")
    grant, key = new_grant()
    servers = {
        "time": time_server(),
        "git": git_server(place),
        "notes": notes_server(place),
        "orders": remote(orders, orders.accept("house", "first")),
    }
    gateway = Gateway(place / "gateway", guarded(servers, key, acl=HIDING))
    gateway.start()
    yield gateway, grant
    gateway.stop()


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


def test_a_client_lists_and_calls_every_server(
    house: tuple[Gateway, str], kind: Kind, tmp_path: Path
) -> None:
    gateway, grant = house
    with kind.connect(gateway.url, grant, tmp_path) as client:
        assert client.connected() == kind.version
        tools = client.tools()
        assert {"time__get_current_time", "git__git_log", "notes__read_query"} < set(tools)
        assert len(tools) == len(set(tools))
        assert '"timezone": "UTC"' in client.call("time__get_current_time", {"timezone": "UTC"})
        repository = str(gateway.directory.parent / "repository")
        assert "Hang the first things" in client.call("git__git_log", {"repo_path": repository})
        assert "lost property" in client.call("notes__read_query", {"query": "SELECT title FROM notes"})
        # Datasette shows its database to the injected credential only; the client never had it.
        assert "orders" in client.call("orders__list_databases", {})


def test_one_server_keeps_its_own_names(house: tuple[Gateway, str], kind: Kind, tmp_path: Path) -> None:
    gateway, grant = house
    with kind.connect(gateway.route("time"), grant, tmp_path) as client:
        assert client.connected() == kind.version
        assert set(client.tools()) == {"get_current_time", "convert_time"}
        assert "UTC" in client.call("get_current_time", {"timezone": "UTC"})


def test_a_tool_error_arrives_as_one(house: tuple[Gateway, str], kind: Kind, tmp_path: Path) -> None:
    gateway, grant = house
    with kind.connect(gateway.url, grant, tmp_path) as client:
        client.connected()
        answer = client.ask_call("time__get_current_time", {"timezone": "Nowhere/Here"})
        assert answer["is_error"] is True
        assert "Nowhere/Here" in answer["text"]


def test_what_a_rule_hides_does_not_exist(house: tuple[Gateway, str], kind: Kind, tmp_path: Path) -> None:
    gateway, grant = house
    with kind.connect(gateway.url, grant, tmp_path) as client:
        client.connected()
        tools = client.tools()
        assert "git__git_status" in tools
        assert HIDDEN not in tools
        refused = client.ask_call(HIDDEN, {"repo_path": "."})
        unknown = client.ask_call("git__no_such_tool", {"repo_path": "."})
        assert f"Unknown tool: {HIDDEN}" in told(refused)
        assert told(unknown) == told(refused).replace(HIDDEN, "git__no_such_tool")


def test_a_foreign_token_does_not_connect(house: tuple[Gateway, str], kind: Kind, tmp_path: Path) -> None:
    gateway, grant = house
    stranger, _ = new_grant()
    assert gateway.ask("tools/list", grant, {}).status == 200
    assert gateway.ask("tools/list", stranger, {}).status == 401
    with kind.connect(gateway.url, stranger, tmp_path) as client:
        # One that never greets learns of it with its first request.
        first = client.ask_call("time__get_current_time", {"timezone": "UTC"})
        assert "failed" in first or first.get("connected") == kind.version
        if "connected" in first:
            assert "failed" in client.ask_call("time__get_current_time", {"timezone": "UTC"})


def test_revoked_while_connected(make_gateway: MakeGateway, kind: Kind, tmp_path: Path) -> None:
    (grant, key), (other, other_key) = new_grant(), new_grant()
    servers = {"time": time_server()}
    gateway = make_gateway(guarded(servers, key, other_key))
    with kind.connect(gateway.url, grant, tmp_path) as client:
        assert client.connected() == kind.version
        assert "UTC" in client.call("time__get_current_time", {"timezone": "UTC"})
        gateway.change(guarded(servers, other_key))
        assert "failed" in client.ask_call("time__get_current_time", {"timezone": "UTC"})
    assert gateway.ask("tools/list", grant, {}).status == 401
    with kind.connect(gateway.url, other, tmp_path) as client:
        client.connected()
        assert "UTC" in client.call("time__get_current_time", {"timezone": "UTC"})
    called = [entry for entry in gateway.logs() if entry.get("tool") == "get_current_time"]
    assert len(called) == 2, called


def test_the_credential_is_rotated_under_load(
    make_gateway: MakeGateway, orders: Orders, tmp_path: Path
) -> None:
    """Nothing fails, whichever client calls, and the old credential is needed no longer."""
    grant, key = new_grant()
    credential = tmp_path / "credential"
    credential.write_text(orders.accept("before", "one"))
    gateway = make_gateway(guarded({"orders": remote(orders, f"${{file:{credential}}}")}, key))

    def rotate() -> None:
        after = orders.accept("after", "two")
        epoch = gateway.epoch()
        replace(credential, after)
        gateway.await_epoch(epoch)

    def end_the_old_one() -> None:
        orders.refuse("before")

    texts = calls_meanwhile(gateway, grant, tmp_path, ("list_databases", {}), rotate, end_the_old_one)
    assert all("orders" in text for text in texts), texts


def test_a_stdio_server_is_replaced_under_load(make_gateway: MakeGateway, tmp_path: Path) -> None:
    """The new child is there before the old one goes."""
    grant, key = new_grant()
    gateway = make_gateway(guarded({"time": {**time_server(), "env": {"CREDENTIAL": "old"}}}, key))
    pids = [gateway.children()]

    def rotate() -> None:
        pids.append(gateway.children())
        gateway.change(guarded({"time": {**time_server(), "env": {"CREDENTIAL": "new"}}}, key))

    def await_the_end_of_the_old() -> None:
        limit = time.monotonic() + 30
        while gateway.children() & pids[-1]:
            assert time.monotonic() < limit, "the old child is still there"
            time.sleep(0.05)
        pids.append(gateway.children())

    call = ("get_current_time", {"timezone": "UTC"})
    texts = calls_meanwhile(gateway, grant, tmp_path, call, rotate, await_the_end_of_the_old)
    assert all("UTC" in text for text in texts), texts
    assert [len(some) for some in pids] == [0, 1, 1], pids


def test_the_inspector(house: tuple[Gateway, str], tmp_path: Path) -> None:
    gateway, grant = house
    call = ["--method", "tools/call", "--tool-name", "time__get_current_time", "--tool-arg", "timezone=UTC"]
    done = inspector(gateway.url, grant, tmp_path, *call)
    assert done.returncode == 0, done.stderr
    assert '"timezone": "UTC"' in json.loads(done.stdout)["content"][0]["text"]
    refused = inspector(gateway.url, new_grant()[0], tmp_path, *call)
    assert refused.returncode == 3
    assert json.loads(refused.stderr.splitlines()[-1])["error"]["code"] == "auth_required"


def test_claude_code_checks_its_servers(make_gateway: MakeGateway, tmp_path: Path) -> None:
    grant, key = new_grant()
    servers = {"time": time_server()}
    gateway = make_gateway(guarded(servers, key))
    add = ["mcp", "add", "--scope", "user", "--transport", "http", "coatcheck", gateway.url]
    assert claude([*add, "--header", f"Authorization: Bearer {grant}"], tmp_path).returncode == 0
    assert "✔ Connected" in claude(["mcp", "list"], tmp_path).stdout
    gateway.change(guarded(servers, new_grant()[1]))
    refused = claude(["mcp", "list"], tmp_path).stdout
    assert "Failed to connect" in refused
    assert "HTTP 401" in refused


def test_claude_code_calls_a_tool(make_gateway: MakeGateway, tmp_path: Path) -> None:
    grant, key = new_grant()
    gateway = make_gateway(guarded({"time": time_server()}, key))
    config = tmp_path / "mcp.json"
    headers = {"Authorization": "Bearer ${COATCHECK_GRANT}"}
    config.write_text(
        json.dumps({"mcpServers": {"coatcheck": {"type": "http", "url": gateway.url, "headers": headers}}})
    )
    tool = "mcp__coatcheck__time__get_current_time"
    ask = ["--print", "what time is it?", "--mcp-config", str(config), "--strict-mcp-config"]
    ask += ["--allowedTools", tool]

    def agent(model: str) -> str:
        keys = {"ANTHROPIC_BASE_URL": model, "ANTHROPIC_API_KEY": "none", "COATCHECK_GRANT": grant}
        return claude(ask, tmp_path / "home", **keys).stdout

    judge_agent(agent, gateway, tool)


def test_codex_calls_a_tool(make_gateway: MakeGateway, tmp_path: Path) -> None:
    grant, key = new_grant()
    gateway = make_gateway(guarded({"time": time_server()}, key))

    def agent(model: str) -> str:
        settings = tmp_path / "home" / ".codex" / "config.toml"
        # By default Codex gives a server one second, and then asks its model without that server's tools. A
        # server that it requires it waits for; once the grant is revoked, it would not begin at all.
        required = "false" if settings.exists() else "true"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(CODEX.format(model=model, url=gateway.url, required=required))
        ask = ["exec", "--skip-git-repo-check", "what time is it?"]
        return codex(ask, tmp_path / "home", COATCHECK_GRANT=grant, MODEL_KEY="none").stdout

    judge_agent(agent, gateway, "mcp__coatcheck/time__get_current_time")


CODEX = """
model = "scripted"
model_provider = "scripted"

[model_providers.scripted]
name = "scripted"
base_url = "{model}/v1"
wire_api = "responses"
env_key = "MODEL_KEY"

[mcp_servers.coatcheck]
url = "{url}"
bearer_token_env_var = "COATCHECK_GRANT"
default_tools_approval_mode = "approve"
required = {required}
startup_timeout_sec = 100
"""


def judge_agent(agent: Callable[[str], str], gateway: Gateway, tool: str) -> None:
    """The agent is offered the tool, calls it and tells its answer; once revoked, it sees no tool at all."""
    script = Script(tool, {"timezone": "UTC"})
    with scripted_model(script) as model:
        said = agent(model)
        assert tool in script.offered, script.offered
        assert "ANSWER" in said
        assert "UTC" in script.answers[-1]
        gateway.change(guarded({"time": time_server()}, new_grant()[1]))
        assert f"NO SUCH TOOL {tool}" in agent(model)
    tools = [entry["tool"] for entry in gateway.logs() if entry.get("method") == "tools/call"]
    assert tools == ["get_current_time"], tools


def calls_meanwhile(
    gateway: Gateway, grant: str, home: Path, call: tuple[str, dict[str, Any]], *steps: Callable[[], None]
) -> list[str]:
    """Let one client of each kind call without a pause while the steps are taken, each after some calls."""
    answers: list[str] = []
    done = threading.Event()
    answered = threading.Condition()
    path = next(iter(gateway.declaration["mcpServers"]))

    def keep_calling(kind: Kind) -> None:
        with kind.connect(gateway.route(path), grant, home / kind.name) as client:
            client.connected()
            while not done.is_set():
                answer = told(client.ask_call(*call))
                with answered:
                    answers.append(answer)
                    answered.notify_all()

    def await_calls() -> None:
        with answered:
            enough = len(answers) + 4 * len(KINDS)
            assert answered.wait_for(lambda: len(answers) >= enough, timeout=60), answers[-3:]

    callers = [threading.Thread(target=keep_calling, args=(kind,)) for kind in KINDS]
    for caller in callers:
        caller.start()
    try:
        for step in steps:
            await_calls()
            step()
        await_calls()
    finally:
        done.set()
        for caller in callers:
            caller.join()
    return answers


def told(answer: dict[str, Any]) -> str:
    """Return whatever the client was told: a text, an error text or the words of a failure."""
    return str(answer["text"] if "text" in answer else answer["failed"])


def replace(path: Path, text: str) -> None:
    unfinished = path.with_suffix(".new")
    unfinished.write_text(text)
    unfinished.rename(path)
