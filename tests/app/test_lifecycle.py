"""How the gateway starts, says how it does, and ends without leaving anything behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import Gateway, free_port, new_grant
from journeys.peer import peer_serving
from journeys.running import Hall, hall_at
from journeys.wire import Wire, control, frame

STDIO = str(Path(__file__).parent.parent / "journeys" / "children" / "stdio_peer.py")
CHILD = {"command": sys.executable, "args": [STDIO], "idle_timeout": "never"}


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    with hall_at(tmp_path_factory.mktemp("life") / "data") as running:
        running.good()
        yield running


# --- health ------------------------------------------------------------------------------------------------------


def get(hall: Hall, path: str, verb: bytes = b"GET", /, **headers: str | None) -> Any:
    fields = {
        "Host": f"127.0.0.1:{hall.gateway.port}",
        "Content-Type": None,
        "Content-Length": None,
        **headers,
    }
    return hall.raw(frame(b"", verb=verb, path=path.encode(), headers=fields))[0]


def test_probes_answer_on_this_machine(hall: Hall) -> None:
    alive = get(hall, "/livez")
    assert (alive.status, alive.json()) == (200, {"status": "alive"})
    ready = get(hall, "/readyz")
    assert (ready.status, ready.json()) == (200, {"status": "ready"})
    health = get(hall, "/health").json()
    assert health["pid"] == hall.gateway.pid
    assert health["ledger"] == {"healthy": True, "error": ""}
    assert health["config"] == {"path": str(hall.gateway.config)}
    metrics = get(hall, "/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "\ncoatcheck_servers 1.0\n" in metrics.body.decode()
    assert 'coatcheck_calls_total{method="tools/call",outcome="ok"}' in metrics.body.decode()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:1", "localhost", "localhost:9", "[::1]", "[::1]:8080", "127.9.9.9"]
)
def test_details_are_for_callers_who_name_this_machine(hall: Hall, host: str) -> None:
    assert "pid" in get(hall, "/health", Host=host).json()
    assert get(hall, "/metrics", Host=host).status == 200


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Host": "gw"}, {"Host": "10.0.0.1"}, {"Host": "127.0.0.1.evil"}, {"Host": "::1"}, {"Host": ""}, {"Origin": "http://gw"},
     {"Origin": "null"}, {"Host": "localhost.evil:80"}, {"Host": "[::2]"}],
)  # fmt: skip
def test_details_are_for_nobody_else(hall: Hall, headers: dict[str, str]) -> None:
    for path, status in (("/livez", 200), ("/readyz", 200), ("/health", 200), ("/metrics", 404)):
        got = get(hall, path, **headers)
        assert got.status == status, path
        assert b"pid" not in got.body
        assert b"coatcheck_" not in got.body


@pytest.mark.parametrize("verb", [b"POST", b"DELETE", b"PUT", b"OPTIONS"])
def test_probes_are_read_only(hall: Hall, verb: bytes) -> None:
    for path in ("/livez", "/readyz", "/health", "/metrics"):
        assert get(hall, path, verb).status == 405


def test_a_probe_may_ask_for_the_head_alone(hall: Hall) -> None:
    with Wire(hall.gateway.port) as wire:
        wire.send(
            frame(b"", verb=b"HEAD", path=b"/readyz", headers={"Content-Type": None, "Content-Length": None})
        )
        assert wire.head() == 200
        wire.send(
            frame(b"", verb=b"GET", path=b"/livez", headers={"Content-Type": None, "Content-Length": None})
        )
        assert wire.read().json() == {"status": "alive"}  # nothing stood between the two answers


def test_a_probe_of_old_may_leave_the_host_out(hall: Hall) -> None:
    got, _ = hall.raw(b"GET /readyz HTTP/1.0\r\n\r\n")
    assert (got.status, got.json()) == (200, {"status": "ready"})


def test_counters_grow_with_what_they_count(hall: Hall) -> None:
    def counter(line: str) -> float:
        page = get(hall, "/metrics").body.decode()
        return sum(float(one.split()[-1]) for one in page.splitlines() if one.startswith(line))

    before = (
        counter('coatcheck_requests_total{status="200",surface="mcp"}'),
        counter('coatcheck_misframed_total{status="421"}'),
    )
    hall.good()
    hall.raw(frame(b"", host=b"evil"))
    after = (
        counter('coatcheck_requests_total{status="200",surface="mcp"}'),
        counter('coatcheck_misframed_total{status="421"}'),
    )
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


# --- the socket ------------------------------------------------------------------------------------------------------


def test_the_socket_is_for_our_account_alone(hall: Hall) -> None:
    path = hall.gateway.directory / "coatcheck.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_ISSOCK(path.stat().st_mode)
    for made in hall.gateway.directory.iterdir():
        if made.name not in {"servers.json", "stderr.log"}:  # those two are the test's own
            assert stat.S_IMODE(made.stat().st_mode) & 0o077 == 0, made


def test_a_long_path_and_a_dead_gateways_socket_are_no_trouble(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 60) / ("e" * 60)
    with hall_at(directory) as hall:
        assert len(str(directory / "coatcheck.sock")) > 108
        assert hall.gateway.logs() == []
        hall.good()
        hall.gateway.stop(signal.SIGKILL)
        assert (directory / "coatcheck.sock").exists()
        hall.gateway.start()
        assert len(hall.gateway.logs()) == 1
    assert not (directory / "coatcheck.sock").exists()


# --- starting ---------------------------------------------------------------------------------------------------------


def run(
    directory: Path, *arguments: str, config: str | None = "{}", **env: str
) -> subprocess.CompletedProcess[str]:
    """Run `serve` where it is to end by itself."""
    directory.mkdir(parents=True, exist_ok=True)
    if config is not None:
        (directory / "servers.json").write_text(config)
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("COATCHECK_", "MCP_"))}
    return subprocess.run(
        [sys.executable, "-m", "coatcheck", "serve", "--data", str(directory), *arguments],
        env={**kept, "HOME": str(directory), **env}, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_an_address_in_use_is_named_and_nothing_is_left(hall: Hall, tmp_path: Path) -> None:
    ended = run(tmp_path / "second", "--http", f"127.0.0.1:{hall.gateway.port}")
    assert ended.returncode == 78
    assert f"127.0.0.1:{hall.gateway.port}" in ended.stderr
    assert "--http" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "second" / "coatcheck.sock").exists()


def test_a_second_gateway_on_one_data_directory_is_refused(hall: Hall) -> None:
    ended = run(hall.gateway.directory, "--http", f"127.0.0.1:{free_port()}", config=None)
    assert ended.returncode != 0
    assert str(hall.gateway.directory) in ended.stderr
    assert "Traceback" not in ended.stderr
    assert hall.control("/api/v1/status")["pid"] == hall.gateway.pid  # the first keeps its socket
    hall.good()


REFUSED_STARTS: dict[str, tuple[tuple[str, ...], str, dict[str, str], str]] = {
    "a bad file": ((), '{"mcpServers": {"a": {}}}', {}, "mcpServers"),
    "an unknown key": ((), '{"mcpSevers": {}}', {}, "mcpServers"),
    "no JSON": ((), "mcpServers:", {}, "servers.json"),
    "beyond loopback": (("--http", "0.0.0.0:0"), "{}", {}, "--insecure"),
    "beyond loopback and anonymous": (("--http", "0.0.0.0:0", "--insecure"), "{}", {}, "serverAuth"),
    "behind a proxy and anonymous": (("--public-url", "https://gate.example"), "{}", {}, "serverAuth"),
    "an unknown setting": ((), "{}", {"COATCHECK_DRIAN_TIMEOUT": "1"}, "COATCHECK_DRAIN_TIMEOUT"),
    "a bad setting": ((), "{}", {"COATCHECK_BODY_LIMIT": "lots"}, "body_limit"),
    "an address that is none": (("--http", "nowhere"), "{}", {}, "nowhere"),
    "an address of another machine": (("--http", "192.0.2.1:80", "--insecure"), '{"serverAuth": {"provider": "bearer", "bearer": {"tokens": {"sha256:' + "0" * 64 + '": "a"}}}}', {}, "192.0.2.1"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_STARTS)
def test_a_start_that_would_be_wrong_is_refused_with_the_way_out(tmp_path: Path, name: str) -> None:
    arguments, config, env, word = REFUSED_STARTS[name]
    arguments = arguments if "--http" in arguments else (*arguments, "--http", "127.0.0.1:0")
    ended = run(tmp_path / "data", *arguments, config=config, **env)
    assert ended.returncode == 78, ended.stderr
    assert word in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_no_configuration_at_all_starts_and_says_how_to_begin(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "data", {})
    with (tmp_path / "words").open("wb") as words:
        child = subprocess.Popen(
            [sys.executable, "-m", "coatcheck", "serve", "--http", f"127.0.0.1:{gateway.port}", "--data", str(tmp_path / "data")],
            env=gateway._surroundings(), stderr=words, stdout=words, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        while not gateway._is_ready():
            assert child.poll() is None
            time.sleep(0.02)
        assert gateway.ask("tools/list", None, {}).json()["result"]["tools"] == []
        with peer_serving() as peer:
            gateway.write({"mcpServers": {"first": peer.declared()}})
            assert gateway.call(None, "first__echo", {}).status == 200  # read by itself
    finally:
        child.terminate()
        assert child.wait(20) == 0
    assert "no servers yet" in (tmp_path / "words").read_text()


# --- ending -----------------------------------------------------------------------------------------------------------


def busy_hall(place: Path, drain: str) -> Any:
    _, key = new_grant()
    audit = {"output": "stderr"}
    declared = {"mcpServers": {"child": CHILD}, "tokens": {key: {"subject": "bob"}}, "audit": audit}
    return hall_at(place / "data", declared, env={"COATCHECK_DRAIN_TIMEOUT": drain})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_calls_in_flight_finish_and_new_ones_are_refused(tmp_path: Path, number: int) -> None:
    with busy_hall(tmp_path, "20s") as hall:
        assert hall.ask("tools/call", {"name": "child__pid", "arguments": {}}).status == 200
        assert len(hall.gateway.children()) == 1
        with Wire(hall.gateway.port) as wire, Wire(hall.gateway.port) as late:
            wire.send(hall.request("tools/call", {"name": "srv__hang", "arguments": {}}))
            late.send(hall.request("tools/call", {"name": "srv__echo", "arguments": {}}))
            assert late.read().status == 200
            hall.peer.until(lambda: hall.peer.hanging == 1)
            os.kill(hall.gateway.pid, number)
            refused = late.read_after(
                hall.request("tools/call", {"name": "srv__echo", "arguments": {}}), status=503
            )
            assert refused.json()["error"] == "stopping"
            assert hall.gateway.request("GET", "/readyz", {}).status == 503
            assert hall.gateway.request("GET", "/livez", {}).status == 200
            hall.peer.release.set()
            assert wire.read().text == "released"
        hall.gateway.stop(signal.SIGCONT)  # it ends by itself; `stop` checks its code and its children
        hall.gateway.start()
        told = {entry["tool"]: entry["outcome"] for entry in hall.records()}
        assert told == {"pid": "ok", "hang": "ok", "echo": "ok"}
        assert hall.gateway.said().count('"tool":"hang"') == 1  # the copies hold the last row, too
        assert {entry["decision"] for entry in hall.records()} == {"allowed"}  # to stop is nobody's fault


def test_calls_that_take_too_long_are_told_and_recorded(tmp_path: Path) -> None:
    with busy_hall(tmp_path, "0.2s") as hall:
        session = hall.session()
        with (
            Wire(hall.gateway.port) as plain,
            Wire(hall.gateway.port) as stream,
            Wire(hall.gateway.port) as child,
        ):
            plain.send(hall.request("tools/call", {"name": "srv__hang", "arguments": {}}))
            progress = {
                "name": "srv__progress",
                "arguments": {"to": 1, "hang": True},
                "_meta": {"progressToken": 1},
            }
            stream.send(hall.request("tools/call", progress))
            stream.head()
            stream.event()
            child.send(
                session.frame(
                    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"child__hang"}}'
                )
            )
            hall.peer.until(lambda: hall.peer.hanging == 2)
            while len(hall.records()) < 3:
                threading.Event().wait(0.01)
            hall.gateway.stop()
            got = plain.read()
            assert (got.status, got.json()["error"]["message"]) == (503, "This gateway is stopping.")
            assert stream.event()["error"]["message"] == "This gateway is stopping."
            assert child.read().status == 503
        hall.gateway.start()
        assert [entry["outcome"] for entry in hall.records()] == ["cancelled"] * 3


def test_idle_connections_and_streams_do_not_hold_up_the_end(tmp_path: Path) -> None:
    with busy_hall(tmp_path, "20s") as hall:
        wires = [Wire(hall.gateway.port) for _ in range(50)]
        for wire in wires[:25]:
            wire.send(hall.request("tools/call", {"name": "srv__echo", "arguments": {}}))
            assert wire.read().status == 200
        wires[-1].send(b"POST /mcp HTTP/1.1\r\nHost: gw\r\n")
        hall.gateway.stop()
        assert all(wire.is_closed() for wire in wires)
        for wire in wires:
            wire.close()
        hall.gateway.start()


def test_killed_outright_the_gateway_takes_its_children_with_it(tmp_path: Path) -> None:
    with busy_hall(tmp_path, "20s") as hall:
        assert hall.ask("tools/call", {"name": "child__pid", "arguments": {}}).status == 200
        (child,) = hall.gateway.children()
        process = hall.gateway._child
        assert process is not None
        process.kill()
        process.wait()
        hall.gateway._child = None
        for _ in range(500):
            if (
                not Path(f"/proc/{child}").exists()
                or Path(f"/proc/{child}/stat").read_text().rsplit(")")[-1].split()[0] == "Z"
            ):
                break
            threading.Event().wait(0.01)
        else:
            raise AssertionError("the child lives on")
        hall.gateway._seen.clear()
        hall.gateway.start()


def test_the_operators_api_answers_while_mcp_is_busy(hall: Hall) -> None:
    status, body = control(hall.gateway.directory / "coatcheck.sock", "GET", "/api/v1/status")
    assert (status, body["ready"], body["servers"]) == (200, True, 1)


def test_a_gateway_beyond_loopback_serves_grants_under_any_host_and_hides_its_details(tmp_path: Path) -> None:
    grant, key = new_grant()
    auth = {"provider": "bearer", "bearer": {"tokens": {key: "alice"}}}
    gateway = Gateway(
        tmp_path / "data", {"mcpServers": {"child": CHILD}, "serverAuth": auth}, arguments=["--insecure"]
    )
    command = gateway.arguments
    gateway.arguments = [*command, "--http", f"0.0.0.0:{gateway.port}"]
    gateway.start()
    try:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
        for host in ("anything.example", "10.1.2.3:8080"):
            got = gateway.request(
                "POST",
                "/mcp",
                {"Host": host, "Authorization": f"Bearer {grant}", "Content-Type": "application/json"},
                body,
            )
            assert got.status == 400  # admitted: it lacks a session only
            assert (
                gateway.request(
                    "POST", "/mcp", {"Host": host, "Content-Type": "application/json"}, body
                ).status
                == 421
            )
            origin = {"Host": host, "Origin": f"http://{host}", "Authorization": f"Bearer {grant}"}
            assert gateway.request("POST", "/mcp", origin, body).status == 403
    finally:
        gateway.stop()


def test_ipv6_loopback_is_served(tmp_path: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("there is no IPv6 here")
    port = free_port()
    gateway = Gateway(tmp_path / "data", {}, arguments=["--http", f"[::1]:{port}"], port=port)
    gateway.write({})
    with (tmp_path / "words").open("wb") as words:
        command = [
            sys.executable,
            "-m",
            "coatcheck",
            "serve",
            "--http",
            f"[::1]:{port}",
            "--data",
            str(tmp_path / "data"),
        ]
        child = subprocess.Popen(
            command, env=gateway._surroundings(), stderr=words, stdout=words, stdin=subprocess.DEVNULL
        )
    try:
        for _ in range(500):
            try:
                connection = socket.create_connection(("::1", port))
                break
            except OSError:
                time.sleep(0.02)
        with connection:
            connection.sendall(
                f"GET /health HTTP/1.1\r\nHost: [::1]:{port}\r\nConnection: close\r\n\r\n".encode()
            )
            answer = b""
            while more := connection.recv(65536):
                answer += more
        assert b'"ready"' in answer
        assert f"[::1]:{port}".encode() in answer
    finally:
        child.terminate()
        assert child.wait(20) == 0


def test_no_core_of_the_process_is_ever_written(hall: Hall) -> None:
    limits = Path(f"/proc/{hall.gateway.pid}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]
