"""HTTP to a gateway's API, wherever the gateway is."""

from __future__ import annotations

import base64
import http.client
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from coatcheck.cli.reaching.answers import garbled, json_of, lost, read_all, refusal, silent
from coatcheck.cli.reaching.dialling import Remote, connection_to

MAX_LINE: Final = 4 * 1024 * 1024
ANSWER_SECONDS: Final = 10.0
PATIENT_SECONDS: Final = 300.0
"""For answers that wait on servers: above the gateway's own limits, so that its error is the one told."""
WHOLE_SECONDS: Final = 24 * 3600.0
"""For answers that come once the whole record was read, or written to a file."""
PAGE: Final = 500
"""Objects to ask for at once, where more may be wanted."""
_AMBIGUOUS: Final = re.compile(r"[/\\%\x00\r\n]")
"""What a path cannot hold in a word, in any spelling."""


class Reach:
    """One gateway: the path of its socket, or a `Remote`. Every request has a connection of its own.

    Raises `NoGateway` if nobody listens, `ApiRefusal` for an error answer, `Stop` for trouble on the way.
    """

    def __init__(self, place: Path | Remote) -> None:
        self.place = place

    @property
    def url(self) -> str | None:
        """The URL of a gateway that is reached by one."""
        return self.place.url if isinstance(self.place, Remote) else None

    def get(
        self, path: str, query: Mapping[str, str] | None = None, *, within: float = ANSWER_SECONDS
    ) -> Any:
        """Return the JSON answer to a GET below `/api/v1`. `within` is seconds of silence at most."""
        with self._answer("GET", _url(path, query), None, within) as response:
            return json_of(read_all(response))

    def raw(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """Return the raw JSON answer to a GET below `/api/v1`, so that numbers in it stay as written."""
        with self._answer("GET", _url(path, query), None, ANSWER_SECONDS) as response:
            return read_all(response)

    def post(self, path: str, body: bytes, *, within: float = PATIENT_SECONDS) -> bytes:
        """Return the raw JSON answer to a POST below `/api/v1`, so that numbers in it stay as written."""
        with self._answer("POST", _url(path, None), body, within) as response:
            return read_all(response)

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None = None,
        *,
        query: Mapping[str, str] | None = None,
        version: int | None = None,
        within: float = PATIENT_SECONDS,
    ) -> Any:
        """Return the JSON answer to a request that changes something, None where it is empty.

        `version` is the one that the change is meant for (`If-Match`). A body of bytes is sent as it is.
        """
        more = {} if version is None else {"If-Match": f'"{version}"'}
        plain = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        written = None if method == "DELETE" else plain
        with self._answer(method, _url(path, query), written, within, more) as response:
            answer = read_all(response)
        return json_of(answer) if answer else None

    def pages(
        self, path: str, query: Mapping[str, str], most: int, *, within: float = ANSWER_SECONDS
    ) -> tuple[list[Any], str | None]:
        """Return the first `most` items of a list, page by page, and the cursor of what is left, if any."""
        found: list[Any] = []
        cursor = query.get("after")
        while len(found) < most:
            wanted = {**query, "limit": str(min(PAGE, most - len(found)))}
            cursors = {} if cursor is None else {"after": cursor}
            answer = self.get(path, wanted | cursors, within=within)
            found += answer["items"]
            cursor = answer["next"]
            if cursor is None:
                break
        return found, cursor

    def follow(self, path: str, query: Mapping[str, str]) -> Iterator[Any]:
        """Yield each line of an endless JSON Lines answer; ends when the gateway ends it."""
        with self._answer("GET", _url(path, query), None, None) as response:
            while line := response.readline(MAX_LINE + 1):
                if len(line) > MAX_LINE:
                    raise garbled()
                if line.strip():
                    yield json_of(line)

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        within: float = PATIENT_SECONDS,
    ) -> Iterator[http.client.HTTPResponse]:
        """Give a large answer to be read piece by piece. `within` is seconds of silence at most."""
        body = None if method == "GET" else b"{}"
        with self._answer(method, _url(path, query), body, within) as response:
            yield response

    @contextmanager
    def _answer(
        self,
        method: str,
        url: str,
        body: bytes | None,
        within: float | None,
        more: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        connection = connection_to(self.place, within)
        try:
            connection.request(method, url, body, {**self._headers(body), **(more or {})})
            response = connection.getresponse()
            if not 200 <= response.status < 300:
                raise refusal(response)
            yield response
        except TimeoutError:
            raise silent(str(self.url or self.place)) from None
        except (ConnectionError, http.client.IncompleteRead):
            raise lost() from None
        except http.client.HTTPException:
            raise garbled() from None
        finally:
            connection.close()

    def _headers(self, body: bytes | None) -> dict[str, str]:
        headers = {"Accept": "application/json, application/jsonl"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if isinstance(self.place, Remote) and self.place.token is not None:
            headers["Authorization"] = f"Bearer {self.place.token.reveal()}"
        return headers


def at(*words: str) -> str:
    """Return a path below `/api/v1` whose words may hold any character."""
    return "".join(f"/{_word(word)}" for word in words)


def _word(word: str) -> str:
    """Return a word of a path: one that could be read in two ways as `~` and base64url."""
    if word not in {".", ".."} and not word.startswith("~") and not _AMBIGUOUS.search(word):
        return quote(word, safe="")
    return "~" + base64.urlsafe_b64encode(word.encode("utf-8", "replace")).decode().rstrip("=")


def _url(path: str, query: Mapping[str, str] | None) -> str:
    url = "/api/v1" + quote(path, safe="/%")
    return f"{url}?{urlencode(query)}" if query else url
