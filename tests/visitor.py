"""Visits the console as a browser without script does: keeps cookies, follows 303, sends the forms it sees."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

MAX_REDIRECTS: Final = 5


@dataclass
class Sheet:
    """One page as it came: `text` is what can be read on it, `forms` its forms in order."""

    status: int
    path: str
    headers: Sequence[tuple[str, str]]
    html: str
    text: str = ""
    title: str = ""
    forms: list[Form] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def header(self, name: str) -> str:
        """Return the value of a header; the empty text if there is none."""
        return next((value for given, value in self.headers if given.lower() == name.lower()), "")

    def form(self, action: str) -> Form:
        """Return the form that is sent to a path."""
        found = [one for one in self.forms if (one.action or self.path) == action]
        assert found, (
            f"no form for {action} on {self.path}: {[one.action for one in self.forms]}\n{self.text[:2000]}"
        )
        return found[0]


@dataclass
class Form:
    """One form: where it goes, how, and its fields as they stand."""

    action: str
    method: str
    fields: dict[str, list[str]] = field(default_factory=dict)


class Visitor:
    """One browser at a gateway, which has `origin` and `port`; `name` is its operator's, if a house let it in."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.port = port
        self.host = host
        self.name = ""
        self.cookies: dict[str, str] = {}
        self.page = Sheet(0, "", (), "")

    @property
    def origin(self) -> str:
        """Where this browser's pages come from."""
        return f"http://{self.host}:{self.port}"

    def get(self, path: str, headers: Mapping[str, str] | None = None, *, follow: bool = True) -> Sheet:
        """Open a page."""
        return self._send("GET", path, None, headers or {}, follow=follow)

    def send(self, action: str, *, follow: bool = True, **fields: Any) -> Sheet:
        """Send the form of the present page that goes to `action`, with these fields typed into it.

        A list chooses several; None leaves a field out.
        """
        form = self.page.form(action)
        assert form.method == "post", f"the form for {action} is not sent by POST"
        whole: dict[str, Any] = {**form.fields, **fields}
        return self.post(
            action, {name: value for name, value in whole.items() if value is not None}, follow=follow
        )

    def post(
        self,
        path: str,
        fields: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        *,
        follow: bool = True,
    ) -> Sheet:
        """Send fields to a path, whatever the present page is; `csrf` is not added."""
        given = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin", **(headers or {})}
        given = {name: value for name, value in given.items() if value}
        given.setdefault("Content-Type", "application/x-www-form-urlencoded")
        body = urlencode(fields, doseq=True).encode()
        return self._send("POST", path, body, given, follow=follow)

    @property
    def csrf(self) -> str:
        """What the forms of the present page send along."""
        return next(one.fields["csrf"][0] for one in self.page.forms if "csrf" in one.fields)

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], *, follow: bool
    ) -> Sheet:
        for _ in range(MAX_REDIRECTS):
            sheet = self._once(method, path, body, headers)
            if sheet.status != 303 or not follow:
                break
            method, body, headers, path = "GET", None, {}, sheet.header("location")
        self.page = sheet
        return sheet

    def _once(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Sheet:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            given = {**({"Cookie": cookie} if cookie else {}), "User-Agent": "Visitor/1.0", **headers}
            connection.request(method, path, body=body, headers=given)
            answer = connection.getresponse()
            told = answer.getheaders()
            raw = answer.read()
        finally:
            connection.close()
        for name, value in told:
            if name.lower() == "set-cookie":
                self._keep(value)
        return read_sheet(answer.status, urlsplit(path).path, told, raw.decode("utf-8", "replace"))

    def _keep(self, line: str) -> None:
        pair, *marks = line.split(";")
        name, _, value = pair.partition("=")
        gone = any(mark.strip().lower() == "max-age=0" for mark in marks)
        if gone:
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value


def counted(visitor: Visitor, path: str) -> Sheet:
    """Return a page about what something touched once that has been counted, as a page does by itself."""
    until = time.monotonic() + 20
    sheet = visitor.get(path)
    while "eing counted" in sheet.text:
        assert time.monotonic() < until, sheet.text
        time.sleep(0.05)
        sheet = visitor.get(path)
    return sheet


def read_sheet(status: int, path: str, headers: Sequence[tuple[str, str]], html: str) -> Sheet:
    """Return a page with its text and forms."""
    sheet = Sheet(status, path, headers, html)
    reader = _Reader(sheet)
    reader.feed(html)
    sheet.text = " ".join("".join(reader.words).split())
    return sheet


_SILENT: Final = frozenset({"script", "style", "template"})


class _Reader(HTMLParser):
    def __init__(self, sheet: Sheet) -> None:
        super().__init__()
        self.sheet = sheet
        self.words: list[str] = []
        self._form: Form | None = None
        self._silent = 0
        self._in_title = False
        self._select: str | None = None
        self._area: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._silent += tag in _SILENT
        self._in_title = self._in_title or tag == "title"
        self.words.append(" ")
        if tag == "a" and "href" in given:
            self.sheet.links.append(given["href"])
        if tag == "form":
            self._form = Form(given.get("action", ""), given.get("method", "get").lower())
            self.sheet.forms.append(self._form)
        elif self._form is not None:
            self._field(tag, given)

    def _field(self, tag: str, given: Mapping[str, str]) -> None:
        assert self._form is not None
        name = given.get("name", "")
        kind = given.get("type", "text")
        if tag == "input" and name and "disabled" not in given:
            if kind not in {"checkbox", "radio", "submit"} or "checked" in given:
                self._form.fields.setdefault(name, []).append(given.get("value", ""))
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and "selected" in given:
            self._form.fields.setdefault(self._select, []).append(given.get("value", ""))
        elif tag == "textarea" and name:
            self._area = name
            self._form.fields[name] = [""]

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in _SILENT
        self.words.append(" ")
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = None
        elif tag == "textarea":
            self._area = None
        elif tag == "title":
            self._in_title = False

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.sheet.title += data
        elif self._area and self._form is not None:
            self._form.fields[self._area][0] += data
        elif not self._silent:
            self.words.append(data)
