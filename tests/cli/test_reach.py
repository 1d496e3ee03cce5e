"""HTTP over a real unix socket, and each way in which it can fail."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.fake_api import Canned, FakeApi, refusal, serving
from coatcheck.admin.api.reading import read_name
from coatcheck.cli.exits import Exit, Stop, exit_of
from coatcheck.cli.reaching.answers import ApiRefusal
from coatcheck.cli.reaching.dialling import NoGateway
from coatcheck.cli.reaching.reach import MAX_LINE, Reach, at


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeApi]:
    with serving(tmp_path / "s", FakeApi()) as api:
        yield api


@pytest.fixture
def reach(tmp_path: Path) -> Reach:
    return Reach(tmp_path / "s")


def test_get_and_post(fake: FakeApi, reach: Reach) -> None:
    fake.answers["GET /servers/a b"] = Canned({"n": 1})
    fake.answers["POST /calls"] = Canned(raw=b'{"n": 1.10}')
    assert reach.get("/servers/a b", {"q": "é &="}) == {"n": 1}
    assert reach.post("/calls", b"{}") == b'{"n": 1.10}'
    assert fake.asked[0].query == {"q": "é &="}
    assert fake.asked[1].body == b"{}"


def test_words_that_a_path_cannot_hold_are_coded() -> None:
    assert at("subjects", "a b?\u00e9", "enable") == "/subjects/a%20b%3F%C3%A9/enable"
    for word in ("group/alice", "..", ".", "50%", "a\\b", "~x"):
        last = at("subjects", word).rpartition("/")[2]
        assert last.startswith("~")
        assert read_name(last) == word


@pytest.mark.parametrize("length", [90, 99, 100, 101, 107, 108, 109, 180])
def test_socket_paths_of_any_length(tmp_path: Path, length: int) -> None:
    directory = tmp_path / ("d" * (length - len(os.fsencode(tmp_path)) - len("/") - len("/coatcheck.sock")))
    directory.mkdir()
    path = directory / "coatcheck.sock"
    assert len(os.fsencode(path)) == length
    with pytest.raises(NoGateway):
        Reach(path).get("/status")
    fake = FakeApi({"GET /status": Canned("here")})
    with serving(path, fake):
        assert Reach(path).get("/status") == "here"
    with pytest.raises(NoGateway):
        Reach(path).get("/status")


def test_nobody_there(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path / "no" / "directory", Path(__file__) / "below-a-file"):
        with pytest.raises(NoGateway, match="nobody answers"):
            Reach(path).get("/status")


def test_a_socket_left_by_a_killed_gateway(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "s"))
    with pytest.raises(NoGateway) as caught:
        Reach(tmp_path / "s").get("/status")
    assert exit_of(caught.value) == Exit.UNREACHABLE


@contextmanager
def as_another_account(path: Path) -> Iterator[None]:
    """Make `path` what it is to another account; root, whom no mode stops, becomes another account."""
    mode = path.stat().st_mode
    path.chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(os.getuid())
        path.chmod(mode)


def test_a_socket_of_another_account(fake: FakeApi, reach: Reach) -> None:
    fake.answers["GET /status"] = Canned(1)
    assert reach.get("/status") == 1
    assert isinstance(reach.place, Path)
    with as_another_account(reach.place), pytest.raises(Stop) as caught:
        reach.get("/status")
    assert exit_of(caught.value) == Exit.NOT_PERMITTED


def test_an_error_answer(fake: FakeApi, reach: Reach) -> None:
    fake.answers["GET /tools"] = refusal(404, "unknown_server", "no such server", "see the list")
    with pytest.raises(ApiRefusal) as caught:
        reach.get("/tools")
    refused = caught.value
    assert (refused.status, refused.code, refused.message, refused.fix) == (
        404,
        "unknown_server",
        "no such server",
        "see the list",
    )


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, Exit.USAGE),
        (401, Exit.NOT_PERMITTED),
        (403, Exit.NOT_PERMITTED),
        (404, Exit.NO),
        (409, Exit.NO),
        (429, Exit.UNREACHABLE),
        (500, Exit.UNFORESEEN),
        (502, Exit.UNREACHABLE),
        (503, Exit.UNREACHABLE),
        (504, Exit.UNREACHABLE),
    ],
)
@pytest.mark.parametrize("bare", [True, False])
def test_each_status_has_its_exit_code(
    fake: FakeApi, reach: Reach, status: int, code: Exit, bare: bool
) -> None:
    fake.answers["GET /x"] = Canned(raw=b"oops", status=status) if bare else refusal(status, "c", "m")
    with pytest.raises((Stop, ApiRefusal)) as caught:
        reach.get("/x")
    assert exit_of(caught.value) == code


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": ', b"\xff", b"[" * 100_000])
def test_an_answer_that_is_not_json(fake: FakeApi, reach: Reach, body: bytes) -> None:
    fake.answers["GET /x"] = Canned(raw=body)
    with pytest.raises(Stop, match="cannot be read") as caught:
        reach.get("/x")
    assert exit_of(caught.value) == Exit.UNREACHABLE


def test_an_answer_cut_short(fake: FakeApi, reach: Reach) -> None:
    fake.answers["GET /x"] = Canned(raw=b"[1, 2", length=100)
    with pytest.raises(Stop, match="ended before it answered"):
        reach.get("/x")


def test_a_gateway_that_says_nothing(fake: FakeApi, reach: Reach) -> None:
    fake.answers["GET /x"] = Canned(stall=True)
    with pytest.raises(Stop, match="did not answer in time") as caught:
        reach.get("/x", within=0.05)
    assert exit_of(caught.value) == Exit.UNREACHABLE


def test_something_else_behind_the_socket(tmp_path: Path) -> None:
    import threading

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        def answer() -> None:
            peer, _ = listener.accept()
            peer.recv(4096)
            peer.sendall(b"220 mail.example ESMTP\r\n")
            peer.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Stop, match="cannot be read"):
            Reach(tmp_path / "s").get("/status")
        thread.join()


def test_follow_yields_line_by_line(fake: FakeApi, reach: Reach) -> None:
    fake.answers["GET /records"] = Canned(lines=[{"n": 1}, b"", {"n": 2, "long": "x" * 100_000}])
    lines = list(reach.follow("/records", {"follow": "true"}))
    assert [line["n"] for line in lines] == [1, 2]


@pytest.mark.parametrize("line", [b"not json", b'"' + b"x" * MAX_LINE + b'"'])
def test_follow_refuses_what_is_not_a_line(fake: FakeApi, reach: Reach, line: bytes) -> None:
    fake.answers["GET /records"] = Canned(lines=[{"n": 1}, line])
    followed = reach.follow("/records", {})
    assert next(followed) == {"n": 1}
    with pytest.raises(Stop, match="cannot be read"):
        next(followed)
