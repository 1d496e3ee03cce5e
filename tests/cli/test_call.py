"""`coatcheck call` against a gateway that runs: arguments in, result out, exit codes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.fake_api import Asked, Canned, FakeApi, items, refusal
from cli.ran import Run
from cli.test_servers import server, tool

RESULT = {"content": [{"type": "text", "text": "noon"}], "isError": False}


@pytest.fixture(autouse=True)
def _nothing_on_standard_input(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        yield


@pytest.fixture
def time_server(api: FakeApi) -> FakeApi:
    api.answers["GET /servers"] = items(server("time"))
    api.answers["GET /tools"] = items(tool("time", "now"), tool("time", "convert"), failing=[])
    api.answers["POST /calls"] = Canned({"server": "time", "tool": "now", "result": RESULT})
    return api


def sent(api: FakeApi) -> Any:
    return json.loads(api.asked[-1].body)


def test_the_result_as_json(time_server: FakeApi, run: Run) -> None:
    ran = run("call", "time", "now", '{"zone": "UTC"}')
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == RESULT
    assert sent(time_server) == {"server": "time", "tool": "now", "arguments": {"zone": "UTC"}}


def test_no_arguments_are_an_empty_object(time_server: FakeApi, run: Run) -> None:
    for given in ([], ["-"], [""], ["{}"]):
        assert run("call", "time", "now", *given).code == 0
        assert sent(time_server)["arguments"] == {}


def test_arguments_from_standard_input(
    time_server: FakeApi, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "arguments").write_text('{"zone": "ÖST"}\n', encoding="utf-8")
    for given in ([], ["-"]):
        with open(tmp_path / "arguments") as source:
            monkeypatch.setattr(sys, "stdin", source)
            assert run("call", "time", "now", *given).code == 0
        assert sent(time_server)["arguments"] == {"zone": "ÖST"}
    assert run("call", "time", "now", '{"a": 1}').code == 0
    assert sent(time_server)["arguments"] == {"a": 1}


def test_closed_standard_input_is_empty(
    time_server: FakeApi, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert run("call", "time", "now").code == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a": 2}')))
    assert run("call", "time", "now").code == 0
    assert sent(time_server)["arguments"] == {"a": 2}


@pytest.mark.parametrize("number", ["1.10", "1e300", "123456789012345678901234567890", "-0.0"])
def test_numbers_are_the_same_there_and_back(time_server: FakeApi, run: Run, number: str) -> None:
    def echo(asked: Asked) -> Canned:
        arguments = asked.body.partition(b'"arguments": ')[2][:-1]
        return Canned(raw=b'{"server":"time","tool":"now","result":{"structuredContent":%s}}' % arguments)

    time_server.answers["POST /calls"] = echo
    ran = run("call", "time", "now", f'{{"n": {number}}}')
    assert ran.out == f'{{"structuredContent": {{"n": {number}}}}}\n'


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("{", "the arguments are not JSON"),
        ("{'a': 1}", "the arguments are not JSON"),
        ("[1]", "the arguments are not a JSON object"),
        ('"text"', "the arguments are not a JSON object"),
        ('{"a": 1, "a": 2}', "two equal members"),
        ('{"a": NaN}', "NaN"),
        ("{} {}", "the arguments are not JSON"),
        (os.fsdecode(b'{"a": "\xff"}'), "not UTF-8"),
    ],
)
def test_bad_arguments_are_a_usage_error(time_server: FakeApi, run: Run, given: str, says: str) -> None:
    assert run("call", "time", "now", "{}").code == 0
    before = len(time_server.asked)
    ran = run("call", "time", "now", given)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert "fix: " in ran.err
    assert len(time_server.asked) == before


def test_a_tool_error_is_a_no(time_server: FakeApi, run: Run) -> None:
    failed = {"content": [{"type": "text", "text": "bad zone"}], "isError": True}
    time_server.answers["POST /calls"] = Canned({"server": "time", "tool": "now", "result": failed})
    ran = run("call", "time", "now", "{}")
    assert ran.code == 1
    assert json.loads(ran.out) == failed
    assert ran.err == "coatcheck: the tool reports an error\n"


def test_an_error_of_the_server_is_a_no(time_server: FakeApi, run: Run) -> None:
    error = {"code": -32602, "message": "bad \x1b[31mparams"}
    time_server.answers["POST /calls"] = Canned({"server": "time", "tool": "now", "error": error})
    ran = run("call", "time", "now", "{}")
    assert ran.code == 1
    assert json.loads(ran.out) == {"error": error}
    assert ran.err == "coatcheck: server 'time' answered with error -32602: bad [31mparams\n"


@pytest.mark.parametrize(
    ("status", "code"), [(400, 2), (403, 77), (429, 69), (500, 70), (502, 69), (503, 69), (504, 69)]
)
def test_refusals_of_the_gateway(time_server: FakeApi, run: Run, status: int, code: int) -> None:
    time_server.answers["POST /calls"] = refusal(status, "some_code", "what is wrong", "what to do")
    ran = run("call", "time", "now", "{}")
    assert (ran.code, ran.out) == (code, "")
    assert ran.err == "coatcheck: what is wrong\nfix: what to do\n"


def test_a_server_that_failed(time_server: FakeApi, run: Run) -> None:
    time_server.answers["POST /calls"] = refusal(502, "call_failed", "server 'time' did not start")
    ran = run("call", "time", "now", "{}")
    assert ran.code == 69
    assert ran.err.startswith("coatcheck: server 'time' did not start\nfix: ")


def test_unknown_names_come_with_near_ones(time_server: FakeApi, run: Run) -> None:
    assert run("call", "time", "now", "{}").code == 0
    time_server.answers["POST /calls"] = refusal(404, "not_found", "no")
    ran = run("call", "tme", "now", "{}")
    assert (ran.code, ran.err) == (1, "coatcheck: there is no server 'tme'\nfix: did you mean time?\n")
    ran = run("call", "time", "convrt", "{}")
    assert (ran.code, ran.err) == (
        1,
        "coatcheck: server 'time' has no tool 'convrt'\nfix: did you mean convert?\n",
    )
    ran = run("call", "time", "now", "{}")
    assert (ran.code, ran.err) == (1, "coatcheck: no\n")


@pytest.mark.parametrize(
    "raw",
    [b"", b"[]", b"{}", b'{"error": "text"}', b'{"result": ', b'{"error": {"code": 1}}', b'{"result": null}'],
)
def test_answers_of_any_shape_are_survived(time_server: FakeApi, run: Run, raw: bytes) -> None:
    time_server.answers["POST /calls"] = Canned(raw=raw)
    ran = run("call", "time", "now", "{}")
    assert ran.code in {0, 1, 69}
    assert "Traceback" not in ran.err


def test_an_input_that_never_ends_is_told_of(time_server: FakeApi, data: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "coatcheck", "call", "time", "now"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    assert "reading the arguments from standard input" in child.stderr.readline()
    out, _ = child.communicate('{"zone": "UTC"}', timeout=10)
    assert child.returncode == 0
    assert json.loads(out) == RESULT
    assert sent(time_server)["arguments"] == {"zone": "UTC"}
