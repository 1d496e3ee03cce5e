"""Makes what a gateway has after years at a large company: many people, grants, servers, policies and calls.

All is registered through the API of a gateway that runs; the calls are put into its store when it has ended.
"""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from bench.local import Local
from bench.programs import raw_upstream
from bench.records import Made, pour
from bench.registry import BATCH, _request, running
from bench.soak import Client
from demo.servers import write_private

TOOLS: Final = 20
"""Of each server that answers."""
SILENT: Final = 4
"""One server of so many takes connections and never answers, once it is looked at."""
POLICIES: Final = 20
VERSIONS: Final = 30
"""Of the first policy; the others have one."""
FIRST: Final = "server000"
"""It answers, and all may call it."""
MUTE: Final = "server003"
"""It never answers."""
CLIENTS: Final = ("claude-code 2.1.0", "cursor 1.4")


@dataclass(frozen=True)
class Company:
    """How much there is, and what is needed to go on with it."""

    servers: int
    people: int
    grants: int
    calls: int
    upstream: int
    silent: int
    credential: str
    token: str
    """Of a grant that reaches every server."""

    def server(self, number: int = 0) -> str:
        """Return the name of a server."""
        return f"server{number:03}"

    def answers(self, number: int) -> bool:
        """Tell whether a server does."""
        return number % SILENT != SILENT - 1

    @property
    def rows(self) -> Made:
        """What the calls are of: all grants, servers and tools alike, and until now."""
        return Made(
            subject=f"printf('person-%04d', r % {self.grants} % {self.people})",
            grant=f"(select id from holder where number = r % {self.grants})",
            label=f"printf('laptop-%05d', r % {self.grants})",
            server=f"printf('server%03d', r / {self.grants} % {self.servers})",
            tool=f"'tool' || (r / {self.grants * self.servers} % {TOOLS})",
            credential=f"printf('server%03d-authorization', r / {self.grants} % {self.servers})",
            version="1",
            first="create temp table holder(number integer primary key, id);"
            'insert into holder select cast(substr(label, 8) as integer), id from "grant"'
            " where label like 'laptop-%';",
            began=int(time.time()) - self.calls,
        )


@contextmanager
def standing(company: Company) -> Iterator[None]:
    """Run the servers of a company."""
    with raw_upstream(company.upstream, company.credential, TOOLS), socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        silent.bind(("127.0.0.1", company.silent))
        silent.listen(1_000)
        yield


def make(state: Path, company: Company) -> Company:
    """Register all of it in a new data directory, and put the calls there.

    Servers are asked at once when they are registered, so those that will be silent are not there yet.
    """
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True, mode=0o700)
    with (
        raw_upstream(company.upstream, company.credential, TOOLS),
        running(state) as (_, port),
        closing(Local(state / "coatcheck.sock")) as api,
    ):
        for number in range(company.people):
            name, roles = f"person-{number:04}", [f"team-{number % 40}"]
            api.ask("POST", "/subjects", {"name": name, "roles": roles})
        for number in range(company.servers):
            api.ask("POST", "/servers", server_of(company, number))
        token = issue(api, company)
        put_policies(api, company)
        ask_all(company, port, token)
    note_uses(state / "coatcheck.sqlite3", company)
    pour(state, company.calls, company.rows)
    made = Company(**{**asdict(company), "token": token})
    write_private(state / "company.json", json.dumps(asdict(made)))
    return made


def again(state: Path) -> Company | None:
    """Return what an earlier run left in a data directory; None if it left nothing."""
    path = state / "company.json"
    return Company(**json.loads(path.read_text())) if path.exists() else None


def server_of(company: Company, number: int) -> dict[str, Any]:
    """Return a server as it is registered."""
    port = company.upstream if company.answers(number) else company.silent
    headers = {"Authorization": f"Bearer {company.credential}"}
    url = f"http://127.0.0.1:{port}/mcp"
    return {"name": company.server(number), "url": url, "headers": headers, "default": "allow-all"}


def issue(api: Local, company: Company) -> str:
    """Issue all grants, a third of them for some servers only, and return the token of the first."""
    tokens = []
    for start in range(0, company.grants, BATCH):
        many = [
            {
                "label": f"laptop-{number:05}",
                "subject": f"person-{number % company.people:04}",
                "servers": None if number % 3 else [company.server(one) for one in _some(company, number)],
            }
            for number in range(start, min(start + BATCH, company.grants))
        ]
        many[0]["servers"] = None
        tokens += [one["token"] for one in api.ask("POST", "/grants/batch", {"grants": many})["items"]]
    return str(tokens[0])


def _some(company: Company, number: int) -> list[int]:
    return sorted({(number * 7 + step * 31) % company.servers for step in range(5)})


def put_policies(api: Local, company: Company) -> None:
    """Put policies with their histories; each is used on a server and a grant, the first on a role, too."""
    for number in range(min(POLICIES, company.servers // 5)):
        name = f"policy-{number:02}"
        for version in range(VERSIONS if number == 0 else 1):
            tools = {f"tool{one}": {"outcome": "allow"} for one in range(TOOLS)} | {"tool1": limited(version)}
            document = {"coatcheck": 1, "name": name, "default": "deny-all", "tools": tools}
            put(api, f"/policies/{name}", {"document": document, "because": "tried out"}, version)
        api.ask("POST", f"/policies/{name}/use", {"kind": "server", "of": company.server(number * 5 + 1)})
        api.ask("POST", f"/policies/{name}/use", {"kind": "grant", "of": f"laptop-{number * 7 + 1:05}"})
    api.ask("POST", "/policies/policy-00/use", {"kind": "role", "of": "team-3"})


def put(api: Local, path: str, body: Any, version: int) -> None:
    """Put the next version of something; 0: there is none yet."""
    headers = {"Content-Type": "application/json"} | ({"If-Match": f'"{version}"'} if version else {})
    api.request("PUT", f"/api/v1{path}", json.dumps(body), headers)
    answer = api.getresponse()
    if (told := answer.read()) and answer.status not in {200, 201}:
        raise SystemExit(f"PUT {path} was answered {answer.status}: {told[:300]!r}")


def limited(calls: int) -> dict[str, Any]:
    """Return what allows a tool, so often."""
    return {"outcome": "allow", "limits": [{"calls": calls + 1, "per": "minute", "each": "grant"}]}


def ask_all(company: Company, port: int, token: str) -> None:
    """Have each server that answers tell its tools."""
    client = Client(port, token)
    with closing(client.connection):
        for number in range(company.servers):
            if company.answers(number):
                answer = _request(client, "tools/list", f"/mcp/{company.server(number)}", {})
                if b'"tool3"' not in answer.read():
                    raise SystemExit(f"{company.server(number)} does not tell its tools")


def note_uses(file: Path, company: Company) -> None:
    """Have nine of ten grants used, from two clients each, in the last weeks."""
    writing = sqlite3.connect(file)
    grants = [id for (id,) in writing.execute('select id from "grant"')]
    now = int(time.time()) * 1_000_000
    rows = [
        (id, client, now - number * 500_000_000, f"10.0.{number % 200}.7")
        for number, id in enumerate(grants[: company.grants * 9 // 10])
        for client in CLIENTS
    ]
    writing.executemany(
        'insert or replace into seen(grant_id, client, "at", address) values (?, ?, ?, ?)', rows
    )
    writing.commit()
    writing.close()
