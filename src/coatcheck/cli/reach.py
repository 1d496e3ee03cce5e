"""HTTP to a gateway over the unix socket in its data directory."""

from __future__ import annotations

import errno
import http.client
import json
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from coatcheck.cli.exits import Exit, Stop, exit_of_status

SOCKET_NAME: Final = "coatcheck.sock"
MAX_ANSWER: Final = 64 * 1024 * 1024
MAX_LINE: Final = 4 * 1024 * 1024
MAX_SOCKET_PATH: Final = 100
"""A path in `sockaddr_un` has 108 bytes on Linux and 104 elsewhere."""
CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 10.0
PATIENT_SECONDS: Final = 300.0
"""For answers that wait on servers: above the gateway's own limits, so that its error is the one told."""

_NOBODY: Final = frozenset({errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR})


class NoGateway(Stop):
    """No socket, or nobody behind it."""

    code = "no_gateway"


class ApiRefusal(Stop):
    """The gateway answered, and the answer is an error. `status` is the HTTP status."""

    def __init__(self, status: int, code: str, message: str, fix: str = "") -> None:
        super().__init__(message, exit_code=exit_of_status(status), fix=fix)
        self.status = status
        self.code = code


class Reach:
    """One gateway, reachable at a unix socket. Every request has a connection of its own.

    Raises `NoGateway` if nobody listens, `ApiRefusal` for an error answer, `Stop` for trouble on the way.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(
        self, path: str, query: Mapping[str, str] | None = None, *, within: float = ANSWER_SECONDS
    ) -> Any:
        """Return the JSON answer to a GET below `/api/v1`. `within` is seconds of silence at most."""
        with self._answer("GET", _url(path, query), None, within) as response:
            return _json_of(_read_all(response))

    def post(self, path: str, body: bytes, *, within: float = PATIENT_SECONDS) -> bytes:
        """Return the raw JSON answer to a POST below `/api/v1`, so that numbers in it stay as written."""
        with self._answer("POST", _url(path, None), body, within) as response:
            return _read_all(response)

    def follow(self, path: str, query: Mapping[str, str]) -> Iterator[Any]:
        """Yield each line of an endless JSON Lines answer; ends when the gateway ends it."""
        with self._answer("GET", _url(path, query), None, None) as response:
            while line := response.readline(MAX_LINE + 1):
                if len(line) > MAX_LINE:
                    raise garbled()
                if line.strip():
                    yield _json_of(line)

    @contextmanager
    def _answer(
        self, method: str, url: str, body: bytes | None, within: float | None
    ) -> Iterator[http.client.HTTPResponse]:
        connection = _UnixConnection(self.path, within)
        headers = {"Accept": "application/json, application/jsonl"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, url, body, headers)
            response = connection.getresponse()
            if response.status != 200:
                raise _refusal(response)
            yield response
        except TimeoutError:
            raise _silent(self.path) from None
        except (ConnectionError, http.client.IncompleteRead):
            raise _lost() from None
        except http.client.HTTPException:
            raise garbled() from None
        finally:
            connection.close()


class _UnixConnection(http.client.HTTPConnection):
    """`HTTPConnection` over a unix socket; the host name is only what the Host header says."""

    def __init__(self, path: Path, within: float | None) -> None:
        super().__init__("localhost")
        self._path = path
        self._within = within

    def connect(self) -> None:
        """Connect, telling an absent gateway from one that we may not talk to."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECT_SECONDS)
        try:
            _dial(self.sock, self._path)
        except PermissionError:
            raise Stop(
                f"you may not talk to the gateway at {self._path}",
                exit_code=Exit.NOT_PERMITTED,
                fix="run the command as the account that runs the gateway",
            ) from None
        except OSError as error:
            if error.errno in _NOBODY:
                raise no_gateway(self._path) from None
            raise
        self.sock.settimeout(self._within)


def no_gateway(path: Path) -> NoGateway:
    """Return the failure of a command that needs a running gateway and found none at `path`."""
    return NoGateway(
        f"no gateway is running: nobody answers at {path}",
        exit_code=Exit.UNREACHABLE,
        fix="start one with `coatcheck serve`, or name its data directory with --data",
    )


def _dial(sock: socket.socket, path: Path) -> None:
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        sock.connect(str(path))
        return
    if not sys.platform.startswith("linux"):
        raise Stop(
            f"the path of the gateway's socket is longer than {MAX_SOCKET_PATH} bytes: {path}",
            exit_code=Exit.CONFIG,
            fix="choose a data directory with a shorter path (--data or COATCHECK_DATA)",
        )
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        sock.connect(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)


def _url(path: str, query: Mapping[str, str] | None) -> str:
    url = "/api/v1" + quote(path)
    return f"{url}?{urlencode(query)}" if query else url


def _read_all(response: http.client.HTTPResponse) -> bytes:
    body = response.read(MAX_ANSWER + 1)
    if len(body) > MAX_ANSWER:
        raise Stop(
            f"the gateway's answer is larger than {MAX_ANSWER // 1024 // 1024} MiB",
            exit_code=Exit.NO,
            fix="ask for less at once",
        )
    if response.length:
        raise _lost()  # the connection ended before the announced length
    return body


def _json_of(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise garbled() from None


def _refusal(response: http.client.HTTPResponse) -> Stop:
    """Read `{"error": {"code", "message", "fix"}}`; anything else is not our gateway's answer."""
    try:
        error = json.loads(_read_all(response))["error"]
        return ApiRefusal(
            response.status, str(error["code"]), str(error["message"]), str(error.get("fix") or "")
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Stop(
            f"the gateway answered with HTTP status {response.status} and no reason",
            exit_code=exit_of_status(response.status),
            fix=_VERSIONS,
        )


_VERSIONS: Final = "`coatcheck doctor` tells whether the gateway is of the same version as this command"


def garbled() -> Stop:
    """Return the failure to tell for an answer that our gateway cannot have given."""
    return Stop("the gateway's answer cannot be read", exit_code=Exit.UNREACHABLE, fix=_VERSIONS)


def _silent(path: Path) -> Stop:
    return Stop(
        f"the gateway at {path} did not answer in time",
        exit_code=Exit.UNREACHABLE,
        fix="`coatcheck doctor` tells how it does; restart it if it hangs",
    )


def _lost() -> Stop:
    return Stop(
        "the gateway ended before it answered",
        exit_code=Exit.UNREACHABLE,
        fix="see what the gateway printed, and start it again with `coatcheck serve`",
    )
