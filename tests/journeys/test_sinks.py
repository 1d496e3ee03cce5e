"""Sinks of a running gateway: real receivers that hang, die and come back, and a gateway that is killed."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from coatcheck.core.copies.signing import is_signed
from coatcheck.model.secret import Secret
from doubles.receivers import HttpReceiver, SyslogReceiver
from journeys.running import Hall, hall_at

SECRET = "canary-of-the-signature"
PATIENCE = 20.0


def until(condition: Callable[[], bool], told: Callable[[], object] = str) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, told()
        time.sleep(0.01)


@contextmanager
def hall_with(directory: Path, sinks: str, env: dict[str, str] | None = None) -> Iterator[Hall]:
    directory.mkdir(parents=True)
    (directory / "coatcheck.toml").write_text(sinks)
    with hall_at(directory, env=env or {}) as hall:
        yield hall


def webhook(receiver: HttpReceiver, more: str = "") -> str:
    return f'[[sinks]]\nname = "hook"\nkind = "webhook"\nurl = "{receiver.url}"\nsecret = "${{HOOK_SECRET}}"\n{more}\n'


def actions(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["action"] for entry in entries if entry["kind"] == "change"]


def marks(entries: list[dict[str, Any]]) -> list[str]:
    return [
        next(iter(entry["arguments"]))
        for entry in entries
        if entry["kind"] == "record" and entry["arguments"]
    ]


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    made = HttpReceiver()
    yield made
    made.stop()


def test_calls_and_changes_reach_a_signed_webhook_a_file_and_a_syslog_receiver(
    receiver: HttpReceiver, tmp_path: Path
) -> None:
    syslog, collector = SyslogReceiver(), HttpReceiver(body=b"{}")
    sinks = (
        webhook(receiver)
        + f'[[sinks]]\nname = "otel"\nkind = "otlp"\nurl = "{collector.url}"\nheaders = {{ Api-Key = "${{HOOK_SECRET}}" }}\n'
        + '[[sinks]]\nname = "archive"\nkind = "file"\nformat = "cef"\npath = "out/audit.cef"\n'
        + f'[[sinks]]\nname = "siem"\nkind = "syslog"\ntransport = "tcp"\naddress = "127.0.0.1:{syslog.port}"\n'
    )
    with hall_with(tmp_path / "data", sinks, {"HOOK_SECRET": SECRET}) as hall:
        hall.call("echo", {"mark-1": 1})
        issued = hall.gateway.command("grant", "issue", "second", "--to", "bob", "--all")
        assert issued.returncode == 0, issued.stderr
        hall.call("echo", {"mark-2": 1})
        recorded = hall.records()  # which is on record itself, once
        until(lambda: "record.read" in actions(receiver.entries()))
        entries = receiver.entries()
        assert marks(entries) == ["mark-1", "mark-2"]
        assert "grant.issue" in actions(entries)
        seqs = [entry["seq"] for entry in entries]
        assert seqs == sorted(set(seqs))
        records = {entry["id"]: entry for entry in entries if entry["kind"] == "record"}
        for told in recorded:
            found = records[told["id"]]
            assert {name: found[name] for name in told} == told
        for headers, body in receiver.posts:
            stamp = int(headers["coatcheck-timestamp"])
            assert is_signed(Secret(SECRET), stamp, body, headers["coatcheck-signature"])
        archive = tmp_path / "data" / "out" / "audit.cef"
        until(lambda: len(syslog.messages) == len(entries), lambda: syslog.messages)
        until(lambda: archive.read_text().count("\n") == len(entries))
        assert [json.loads(message[message.index(b"{") :])["seq"] for message in syslog.messages] == seqs
        until(lambda: len(collector.logs()) == len(entries))
        assert {headers["api-key"] for headers, _ in collector.posts} == {SECRET}
        until(lambda: all(item["lag"] == 0 for item in hall.control("/api/v1/sinks")["items"]))
        listed = json.loads(hall.gateway.command("sink", "list", "--json").stdout)["items"]
        assert [(item["name"], item["kind"], item["lag"], item["error"]) for item in listed] == [("hook", "webhook", 0, ""), ("otel", "otlp", 0, ""), ("archive", "file", 0, ""), ("siem", "syslog", 0, "")]  # fmt: skip
        everywhere = hall.gateway.said() + json.dumps(listed) + hall.gateway.command("config", "show").stdout
        assert SECRET not in everywhere
        assert "canary-of-the-url" not in everywhere
    syslog.stop()
    collector.stop()


def test_a_copy_on_standard_output_goes_on_after_a_restart(tmp_path: Path) -> None:
    with hall_at(tmp_path / "data", {"audit": {"output": "stdout"}}) as hall:
        hall.call("echo", {"mark-0": 1})
        hall.gateway.restart()
        hall.call("echo", {"mark-1": 1})
        lines = (tmp_path / "data" / "stderr.log").read_text
        until(lambda: "mark-1" in lines())
        told = [json.loads(line) for line in lines().splitlines() if line.startswith('{"kind"')]
        assert marks(told) == ["mark-0", "mark-1"]
        (sink,) = hall.control("/api/v1/sinks")["items"]
        assert (sink["name"], sink["kind"]) == ("audit.output", "stdout")


def test_an_address_that_no_server_may_have_is_not_dialled(tmp_path: Path) -> None:
    sinks = (
        f'[[sinks]]\nname = "hook"\nkind = "webhook"\nurl = "https://10.255.255.1/in"\nsecret = "{SECRET}"\n'
    )
    with hall_with(tmp_path / "data", sinks) as hall:
        tried = hall.gateway.command("sink", "test", "hook")
        assert tried.returncode == 1
        assert "has an address that is not dialled" in tried.stderr
        assert "--allow-private" in tried.stderr
        assert "10.255.255.1" not in tried.stderr


def test_a_sink_can_be_tried(receiver: HttpReceiver, tmp_path: Path) -> None:
    nobody = '[[sinks]]\nname = "siem"\nkind = "syslog"\ntransport = "tcp"\naddress = "127.0.0.1:1"\n'
    with hall_with(tmp_path / "data", webhook(receiver) + nobody, {"HOOK_SECRET": SECRET}) as hall:
        good = hall.gateway.command("sink", "test", "hook")
        assert (good.returncode, good.stdout) == (0, '{"delivered": true, "error": ""}\n'), good.stderr
        assert receiver.entries()[-1]["kind"] == "test"
        bad = hall.gateway.command("sink", "test", "siem")
        assert bad.returncode == 1
        assert "127.0.0.1:1: Connection refused" in bad.stderr
        unknown = hall.gateway.command("sink", "test", "other")
        assert unknown.returncode == 1
        assert "no sink other" in unknown.stderr


def test_a_hung_receiver_costs_no_call_and_is_told_of_and_gets_everything_later(tmp_path: Path) -> None:
    free = Event()
    hung = HttpReceiver(lambda number, body: 200 if free.wait(PATIENCE) else 500)
    with hall_with(tmp_path / "data", webhook(hung, 'timeout = "60s"'), {"HOOK_SECRET": SECRET}) as hall:
        for number in range(20):
            assert hall.call("echo", {f"mark-{number}": 1}).status == 200
        until(lambda: hall.control("/api/v1/sinks")["items"][0]["lag"] >= 20)
        page = hall.gateway.request("GET", "/metrics", {}).body.decode()
        lag = next(line for line in page.splitlines() if line.startswith('coatcheck_sink_lag{sink="hook"}'))
        assert float(lag.split()[1]) >= 20
        (told,) = hall.control("/api/v1/status")["sinks"]
        assert told["name"] == "hook"
        assert told["behind_since"]
        assert hall.gateway.request("GET", "/readyz", {}).status == 200
        free.set()
        until(lambda: len(marks(hung.entries())) == 20)
        assert marks(hung.entries()) == [f"mark-{number}" for number in range(20)]
    hung.stop()


def test_a_receiver_that_is_away_is_a_warning_of_doctor_and_misses_nothing(tmp_path: Path) -> None:
    up = Event()
    receiver = HttpReceiver(lambda number, body: 200 if up.is_set() else 503)
    with hall_with(tmp_path / "data", webhook(receiver), {"HOOK_SECRET": SECRET}) as hall:
        hall.call("echo", {"mark-0": 1})
        until(lambda: hall.control("/api/v1/sinks")["items"][0]["error"] == "the receiver answered 503")
        looked = hall.gateway.command("doctor", "--json")
        (found,) = [item for item in json.loads(looked.stdout)["items"] if item["check"] == "sink hook"]
        assert found["status"] == "warn"
        assert "the receiver answered 503" in found["message"]
        hall.call("echo", {"mark-1": 1})
        hall.gateway.stop()
        up.set()
        hall.gateway.start()
        hall.call("echo", {"mark-2": 1})
        until(lambda: "mark-2" in marks(receiver.entries()))
        assert marks(receiver.entries()) == ["mark-0", "mark-1", "mark-2"]
    receiver.stop()


def test_killed_between_delivery_and_cursor_it_repeats_and_loses_nothing(tmp_path: Path) -> None:
    killed = Event()
    hall_now: list[Hall] = []

    def kill_at_the_second(number: int, body: bytes) -> int:
        if number == 2 and not killed.is_set():
            hall_now[0].gateway.stop(signal.SIGKILL)  # it has delivered; it can keep nothing of that
            killed.set()
        return 200

    receiver = HttpReceiver(kill_at_the_second)
    with hall_with(tmp_path / "data", webhook(receiver), {"HOOK_SECRET": SECRET}) as hall:
        hall_now.append(hall)
        sent = 0
        hall.call("echo", {"mark-0": 1})
        until(lambda: len(receiver.posts) >= 1)
        while not killed.is_set() and sent < 500:
            sent += 1
            try:
                hall.call("echo", {f"mark-{sent}": 1})
            except (OSError, AssertionError, EOFError):
                break
        until(killed.is_set)
        hall.gateway.start()
        hall.call("echo", {"mark-last": 1})
        until(lambda: "mark-last" in marks(receiver.entries()))
        got = [entry["seq"] for entry in receiver.entries()]
        wanted = {told["id"] for told in hall.records()}
        assert wanted == {entry["id"] for entry in receiver.entries() if entry["kind"] == "record"}
        assert len(got) > len(set(got)), "what was delivered before the kill comes again"
    receiver.stop()


def test_a_secret_that_is_missing_keeps_the_gateway_from_starting(
    receiver: HttpReceiver, tmp_path: Path
) -> None:
    with hall_with(tmp_path / "data", webhook(receiver), {"HOOK_SECRET": SECRET}) as hall:
        hall.good()
        assert hall.gateway.command("config", "check").returncode == 0
        hall.gateway.stop()
        hall.gateway.env = {}
        checked = hall.gateway.command("config", "check", "--json")
        assert checked.returncode == 78
        assert "the variable HOOK_SECRET is not set" in checked.stdout
        assert hall.gateway.command("sink", "list").returncode != 78
        started = hall.gateway.command("serve", "--http", f"127.0.0.1:{hall.gateway.port}")
        assert started.returncode == 78
        assert "sinks: hook: secret: the variable HOOK_SECRET is not set" in started.stderr
