"""Planted credentials and grants come back nowhere, although the servers give them away in every way they can."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from gateway import Gateway, new_grant
from journeys.peer import Exchange, Peer, peer_serving, text
from journeys.running import Hall, Session
from journeys.wire import Got, Wire, message

CHILD = str(Path(__file__).parent / "children" / "stdio_peer.py")
PLANTED = {
    "HEADER": 'cnry-header-7Qp2+/Zk=%3"x9vL',
    "SCHEME": "cnry-scheme-Vb8+/mN4=tRw0",
    "BASIC": "user:cnry-basic-Hj5+/dS1",
    "QUERY": "cnry-query-Yt6Gf3Kc8Wq",
    "ENV": 'cnry-env-Lm9+/Xz2="\\Bv7 Pq',
    "ARG": "cnry-arg-Nc4Jh8Ru1Ds6",
    "FILE": "cnry-file-Ew3+/Ok7=Ty5",
}


def spellings(secret: str) -> set[bytes]:
    """Return what a secret looks like in the encodings that it could come back in."""
    raw = secret.encode()
    found = {
        raw,
        raw.hex().encode(),
        raw.hex().upper().encode(),
        quote(secret, safe="").encode(),
        quote(secret).encode(),
    }
    found |= {json.dumps(secret)[1:-1].encode(), json.dumps(json.dumps(secret)[1:-1])[1:-1].encode()}
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw)
        core = encoded[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6]
        found |= {core, core.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


def parts(secret: str) -> set[str]:
    return {secret, secret.partition(":")[2] or secret, base64.b64encode(secret.encode()).decode()}


def disguises(secret: str) -> list[str]:
    """Return the ways in which the hostile servers give a secret away."""
    raw = secret.encode()
    return [
        secret,
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(b"x" + raw).decode(),
        raw.hex(),
        quote(secret, safe=""),
        f"a{secret}b",
    ]


def loot(exchange: Exchange) -> str:
    """Return everything secret that the server heard, in every disguise."""
    heard = [
        value
        for name, value in exchange.headers.items()
        if name.lower() not in {"host", "accept", "content-type"}
    ]
    heard += [value.partition(" ")[2] for value in heard if " " in value] + [exchange.path.partition("=")[2]]
    return " ".join(disguise for value in heard if value for disguise in disguises(value))


def in_a_result(exchange: Exchange) -> dict[str, Any]:
    told = loot(exchange)
    return {**text(told), "structuredContent": {told: [told], "deep": {"k": told}}, "_meta": {"x": told}}


def in_an_error(exchange: Exchange) -> None:
    told = loot(exchange)
    error = {"code": -32000, "message": told, "data": {"why": told}}
    exchange.answer(
        200, exchange._envelope(error=error), X_Leak=told.replace("\\", ""), Mcp_Session_Id=told[:200]
    )


def in_a_page(exchange: Exchange) -> None:
    exchange.answer(500, f"<pre>{loot(exchange)}</pre>".encode(), "text/html")


def in_a_challenge(exchange: Exchange) -> None:
    exchange.answer(401, loot(exchange).encode(), WWW_Authenticate=f'Bearer error="{quote(loot(exchange))}"')


def in_a_redirect(exchange: Exchange) -> None:
    exchange.answer(307, b"", Location=f"http://127.0.0.1:1/{quote(loot(exchange))}")


def in_no_json(exchange: Exchange) -> None:
    exchange.answer(200, loot(exchange).encode())


def in_notices(exchange: Exchange) -> None:
    told = loot(exchange)
    exchange.stream()
    token = exchange.params.get("_meta", {}).get("progressToken")
    exchange.event(
        {
            "method": "notifications/progress",
            "params": {"progressToken": token, "progress": 1, "message": told},
        }
    )
    exchange.event({"id": exchange.message["id"], "result": {"resultType": "complete", **text(told)}})


HOSTILE = {
    one.__name__: one
    for one in (in_a_result, in_an_error, in_a_page, in_a_challenge, in_a_redirect, in_no_json, in_notices)
}


@dataclass
class Den:
    gateway: Gateway
    peer: Peer
    grants: list[str]
    place: Path
    heard: list[tuple[str, bytes]] = field(default_factory=list)

    def keep(self, where: str, data: bytes | str) -> None:
        self.heard.append((where, data.encode() if isinstance(data, str) else data))

    def keep_answer(self, where: str, got: Got) -> Got:
        self.keep(where, str(got.status) + json.dumps(dict(got.headers)))
        self.keep(where, got.body)
        return got


@pytest.fixture(scope="module")
def den(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Den]:
    place = tmp_path_factory.mktemp("den")
    (place / "material").write_text(PLANTED["FILE"] + "\n")
    pairs = [new_grant(), new_grant()]
    with peer_serving(tools=dict(HOSTILE)) as peer:
        basic = base64.b64encode(PLANTED["BASIC"].encode()).decode()
        headers = {
            "X-Api-Key": "${HEADER}", "Authorization": "Bearer ${SCHEME}", "X-Basic": "Basic ${BASIC64}", "X-File": f"${{file:{place / 'material'}}}",
        }  # fmt: skip
        declaration = {
            "mcpServers": {
                "srv": {"url": peer.url + "?key=${QUERY}", "headers": headers},
                "child": {"command": sys.executable, "args": [CHILD, "--token", "${ARG}"], "env": {"TOKEN": "${ENV}", "FROM_FILE": f"${{file:{place / 'material'}}}"}},
            },
            "serverAuth": {"providers": ["bearer"], "bearer": {"tokens": {key: {"subject": f"s{n}"} for n, (_, key) in enumerate(pairs)}}},
            "audit": {"output": "stderr"},
        }  # fmt: skip
        gateway = Gateway(
            place / "data", declaration, arguments=["--public-url", "http://gw", "--log-level", "debug"], env={**PLANTED, "BASIC64": basic},
        )  # fmt: skip
        gateway.start()
        yield Den(gateway, peer, [grant for grant, _ in pairs], place)
        gateway.stop()


def visit(den: Den) -> None:
    """Do everything that could give something away, and keep all that is said."""
    hall = Hall(den.gateway, den.peer, den.grants[0])
    sessions = {path: hall.session(path) for path in ("/mcp", "/mcp/srv", "/mcp/child")}
    for path, session in sessions.items():
        den.keep_answer(f"initialize {path}", session.opened)
        for method in ("tools/list", "prompts/list", "resources/list", "resources/templates/list"):
            den.keep_answer(f"{method} {path}", hall.ask(method, path=path))
            den.keep_answer(f"{method} {path}", session.ask(method))
        den.keep_answer(f"discover {path}", hall.ask("server/discover", path=path))
    provoke(den, hall, sessions["/mcp"])
    mistake(den, hall)
    look(den, hall)


def provoke(den: Den, hall: Hall, session: Session) -> None:
    """Call every tool that gives something away, in both eras, with and without a stream."""
    for tool in (*HOSTILE, "leak"):
        for meta in ({}, {"progressToken": 1}):
            params = {"name": f"srv__{tool}", "arguments": {}, "_meta": meta}
            den.keep_answer(tool, hall.ask("tools/call", params))
            den.keep_answer(tool, session.post(message("tools/call", params)))
    for tool in ("leak", "env", "die"):
        params = {"name": f"child__{tool}", "arguments": {"name": "TOKEN"}}
        den.keep_answer(tool, hall.ask("tools/call", params))


def mistake(den: Den, hall: Hall) -> None:
    """Present a grant in every wrong way."""
    for bad in (
        f"{den.grants[1]}x",
        den.grants[1][:-1],
        den.grants[1].lower(),
        f"{den.grants[1]} {den.grants[0]}",
    ):
        den.keep_answer("401", hall.ask("tools/list", grant=bad))
    den.keep_answer(
        "url",
        hall.ask("tools/list", path=f"/mcp?access_token={den.grants[1]}", headers={"Authorization": None}),
    )
    with Wire(den.gateway.port) as wire:
        wire.send(
            f"GET /mcp HTTP/1.1\r\nHost: {den.grants[0]}\r\nAuthorization: Bearer {den.grants[0]}\r\n\r\n".encode()
        )
        den.keep_answer("host", wire.read())
        wire.send(f"BAD {den.grants[0]}\r\n\r\n".encode())
        den.keep_answer("frame", wire.read())


def look(den: Den, hall: Hall) -> None:
    """Ask for everything that operators are shown."""
    for path in ("/health", "/metrics", "/readyz"):
        den.keep(path, den.gateway.request("GET", path, {}).body)
    for path in ("/api/v1/status", "/api/v1/servers", "/api/v1/tools", "/api/v1/records"):
        den.keep(path, json.dumps(hall.control(path)))
    for command in (["list"], ["tools"], ["logs"], ["doctor"], ["config", "show"], ["config", "check"], ["call", "srv", "in_a_result", "{}"], ["call", "srv", "in_an_error", "{}"],
                    ["call", "child", "leak", "{}"]):  # fmt: skip
        told = den.gateway.command(*command)
        den.keep(" ".join(command), told.stdout + told.stderr)


def break_the_file(den: Den) -> None:
    """Make the errors of bad edits, with the credentials in reach of their messages."""
    good = den.gateway.config.read_text()
    for edit in (
        good.replace('"X-Api-Key"', '"X Api Key"'), good.replace("${SCHEME}", "${SCHEME}\\n"), good.replace('"url"', '"urll"'), good[:-30],
        good.replace("http://127.0.0.1", "htp://127.0.0.1"), good.replace("${ARG}", "${ARG"),
    ):  # fmt: skip
        den.gateway.config.write_text(edit)
        den.keep("readyz", den.gateway.request("GET", "/readyz", {}).body)
        Hall(den.gateway, den.peer, den.grants[0]).call("echo")
        told = den.gateway.command("config", "check", str(den.gateway.config))
        den.keep("config check", told.stdout + told.stderr)
        den.keep("readyz", den.gateway.request("GET", "/readyz", {}).body)
    den.gateway.config.write_text(good)


def test_nothing_planted_comes_back(den: Den) -> None:
    visit(den)
    break_the_file(den)
    den.gateway.restart()
    visit(den)
    # The positive path: the servers did get what was planted, and did give it away.
    sent = den.peer.forwarded[-1].headers
    assert sent["x-api-key"] == PLANTED["HEADER"]
    assert sent["authorization"] == f"Bearer {PLANTED['SCHEME']}"
    assert sent["x-file"] == PLANTED["FILE"]
    assert any(b"[redacted" in data for _, data in den.heard)
    den.gateway.command("list")
    for path in (den.place / "data").rglob("*"):
        if path.is_file() and not path.is_socket():
            den.keep(str(path.relative_to(den.place)), path.read_bytes())
    assert len(den.heard) > 150
    found = [
        (name, where)
        for name, secret in {**PLANTED, **{f"grant {n}": grant for n, grant in enumerate(den.grants)}}.items()
        for part in parts(secret)
        for spelling in spellings(part)
        for where, data in den.heard
        if spelling in data
    ]
    assert sorted(set(found)) == []


def test_the_grant_is_never_sent_to_a_server(den: Den) -> None:
    for one in den.peer.asked:
        said = json.dumps(one.headers).encode() + one.raw
        assert not any(grant.encode() in said for grant in den.grants)


def test_no_process_shows_what_was_planted(den: Den) -> None:
    hall = Hall(den.gateway, den.peer, den.grants[0])
    assert hall.ask("tools/call", {"name": "child__pid", "arguments": {}}).status == 200
    line = Path(f"/proc/{den.gateway.pid}/cmdline").read_bytes()
    assert not any(secret.encode() in line for secret in (*PLANTED.values(), *den.grants))
    (child,) = den.gateway.children()
    environment = Path(f"/proc/{child}/environ").read_bytes()
    assert PLANTED["ENV"].encode() in environment
    for other in ("HEADER", "SCHEME", "QUERY", "BASIC"):
        assert PLANTED[other].encode() not in environment
