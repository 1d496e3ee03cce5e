"""Ways around policies that other gateways let through, byte by byte over HTTP: none reaches the server.

Each begins with a call that is let through, so that a refusal is one of the policy and not of the test.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from coatcheck.model.secret import Secret
from coatcheck.model.server import AccessMarks, HttpReach, Transport
from coatcheck.model.stored_policy import PolicyUse, UseKind
from gateway import new_grant
from journeys.peer import Exchange, Peer, peer_serving, text
from journeys.policing import keep, on_roles
from journeys.running import Hall, Session, hall_at
from journeys.wire import META, Got, Wire, frame, modern_headers
from ledgers import START
from registered import a_server

ERAS = pytest.mark.parametrize("era", ["modern", "legacy"])
CHARGE: Final = "create_charge"
DOCUMENTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "guard": {
        "tools": {
            CHARGE: {
                "allow_if": [{"path": "/amount", "op": "gt", "value": 0}, {"path": "/amount", "op": "le", "value": 5000}],
                "deny_if": [{"path": "/to", "op": "eq", "value": "acct_bad", "if_present": True}, {"path": "/account", "op": "eq", "value": 1234, "if_present": True}],
            },
            "delete_repository": {"outcome": "deny", "message": "Nothing is deleted."},
            "purge": {"outcome": "hide"},
        },
        "prompts": {"greet": {"allow_if": [{"path": "/to", "op": "in", "value": ["ann"]}]}, "denied": {"outcome": "hide"}},
        "resources": {"peer://item/secret*": {"outcome": "hide"}},
    },
    "reads": {"default": "read-only"},
    "sums": {"tools": {CHARGE: {"limits": [{"sum": "/amount", "most": 10, "per": "day", "each": "subject"}]}}},
    "lists": {"tools": {"mail": {"allow_if": [{"path": "/to/*", "op": "matches", "value": "[a-z]+@example\\.com"}, {"path": "/subject", "op": "matches", "value": "[A-Za-z ]+"}]}}},
    "ten": {"tools": {CHARGE: {"limits": [{"calls": 10, "per": "day", "each": "grant"}]}}},
    "few": {"tools": {"slow": {"limits": [{"at_once": 3, "each": "grant"}]}}},
    "rounds": {"tools": {"transfer": {"limits": [{"sum": "/amount", "most": 10, "per": "day", "each": "subject"}]}}},
    "second": {"tools": {CHARGE: {"limits": [{"calls": 3, "per": "second", "each": "grant"}]}}},
    "killed": {"tools": {CHARGE: {"limits": [{"sum": "/amount", "most": 10, "per": "day", "each": "subject"}]}}},
    "changed": {"tools": {"later": {"outcome": "hide"}}},
    "hasty": {"tools": {CHARGE: {"limits": [{"calls": 4, "per": "day", "each": "grant"}]}}},
}  # fmt: skip
OWN: Final = (CHARGE, "delete_repository", "purge", "mail", "later")
LYING: Final = {"readOnlyHint": True, "destructiveHint": False}


def took(exchange: Exchange) -> dict[str, Any]:
    return text("took it")


def slow(exchange: Exchange) -> dict[str, Any]:
    exchange.peer.release.wait(10)
    return text("took it")


def transfer(exchange: Exchange) -> dict[str, Any]:
    """Ask to go on, and keep the amount in the state, as a server may that has no memory."""
    if "requestState" in exchange.params:
        return text("took it")
    asks = {"ok": {"method": "elicitation/create", "params": {"message": "Sure?", "requestedSchema": {"type": "object", "properties": {}}}}}  # fmt: skip
    state = json.dumps(exchange.arguments)
    return {"resultType": "input_required", "inputRequests": asks, "requestState": state}


@dataclass
class Ring:
    """The gateway, the servers behind it, and a caller for each policy: its role has the policy's name."""

    hall: Hall
    vault: Peer
    grants: dict[str, str]
    sessions: dict[tuple[str, str, str], Session] = field(default_factory=dict)

    def send(
        self,
        role: str,
        era: str,
        params: str,
        *,
        method: str = "tools/call",
        name: str = f"srv__{CHARGE}",
        path: str = "/mcp",
        members: str = "",
    ) -> Got:
        """Send a request as it is written: `params` are the members of the params, `members` stand beside."""
        if era == "legacy":
            body = f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}{members}}}'
            return self.post(role, era, body.encode(), path=path)
        meta = f',"_meta":{json.dumps(META)}' if '"_meta"' not in params else ""
        body = f'{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{meta}}}{members}}}'
        return self.post(role, era, body.encode(), path=path, headers=modern_headers(method, name))

    def post(
        self,
        role: str,
        era: str,
        body: bytes,
        *,
        path: str = "/mcp",
        headers: Mapping[str, str] | None = None,
    ) -> Got:
        """Send a body as it is; an old client in a session of its own for each path."""
        fields: dict[str, str | bytes | None] = {
            "Authorization": f"Bearer {self.grants[role]}",
            **(headers or {}),
        }
        if era != "modern":
            version = "2025-11-25" if era == "legacy" else era
            key = (role, path, version)
            if key not in self.sessions:
                self.sessions[key] = self.hall.session(path, self.grants[role], version)
            return self.sessions[key].post(body)
        with Wire(self.hall.gateway.port) as wire:
            wire.send(frame(body, path=path.encode(), headers=fields))
            return wire.read()

    def call(self, role: str, era: str, tool: str, arguments: str = "{}", **how: Any) -> Got:
        """Call a tool of the server, through the route to all servers."""
        name = f"srv__{tool}"
        return self.send(role, era, f'"name":{json.dumps(name)},"arguments":{arguments}', name=name, **how)

    def read(self, role: str, era: str, uri: str, method: str = "resources/read", path: str = "/mcp") -> Got:
        """Ask for a resource."""
        if era == "modern":
            return self.hall.ask(method, {"uri": uri}, grant=self.grants[role], path=path)
        return self.send(role, era, f'"uri":{json.dumps(uri)}', method=method, path=path)

    def listed(self, role: str, era: str, method: str, member: str, key: str) -> list[str]:
        found = (
            self.send(role, era, "", method=method)
            if era == "legacy"
            else self.hall.ask(method, grant=self.grants[role])
        )
        return [one[key] for one in found.result[member]]

    @property
    def reached(self) -> int:
        """How many requests of callers came to any server."""
        return len(self.hall.peer.forwarded) + len(self.vault.forwarded)

    @contextmanager
    def none(self) -> Iterator[None]:
        """Show that nothing reaches a server meanwhile."""
        before = self.reached
        yield
        assert self.reached == before, [one.message for one in self.hall.peer.forwarded[before:]]


def refused(got: Got) -> bool:
    """Tell whether an answer is no result of a server."""
    if got.status >= 400:
        return True
    found = got.json()
    return "error" in found or bool(found["result"].get("isError"))


def allowed(got: Got) -> bool:
    return not refused(got) and got.text == "took it"


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ring]:
    folder = tmp_path_factory.mktemp("ring") / "data"
    pairs = {role: new_grant() for role in (*DOCUMENTS, "free")}
    declared = {"tokens": {key: {"subject": role, "roles": [role]} for role, (_, key) in pairs.items()}}
    peer = {
        "tools": {**dict.fromkeys(OWN, took), "slow": slow, "transfer": transfer},
        "extra": [{"name": "get_wiped", "inputSchema": {"type": "object"}, "annotations": {"destructiveHint": True}}, {"name": "remove_all", "inputSchema": {"type": "object"}, "annotations": LYING}],
    }  # fmt: skip
    with peer_serving(tools={CHARGE: took}) as vault:
        reach = HttpReach(Secret(vault.url), vault.url, {}, Transport.HTTP)
        shut = a_server("vault", reach=reach, blanks={}, marks=AccessMarks(), plain=frozenset())
        use = PolicyUse("deny-all", UseKind.SERVER, str(shut.id), START, "ann")
        keep(folder, shut, use, *on_roles(DOCUMENTS))
        with hall_at(folder, declared, peer=peer) as hall:
            yield Ring(hall, vault, {role: grant for role, (grant, _) in pairs.items()})


# --- what is sent ---------------------------------------------------------------------------------------------


@ERAS
def test_batches(ring: Ring, era: str) -> None:
    good = f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"srv__{CHARGE}","arguments":{{"amount":1}}}}}}'
    bad = good.replace('"amount":1', '"amount":9999').replace('"id":1', '"id":2')
    assert allowed(ring.call("guard", era, CHARGE, '{"amount":1}'))
    headers = modern_headers("tools/call", f"srv__{CHARGE}")
    eras = ("modern",) if era == "modern" else ("legacy", "2025-03-26")
    with ring.none():
        for body in (f"[{bad}]", f"[{good},{bad}]", f"[{good}]", "[]", f"[[{good}]]", f"{good}{bad}", f"{good}\n{bad}", f"{good},{bad}", f"\ufeff{bad}"):  # fmt: skip
            for one in eras:
                for path in ("/mcp", "/mcp/srv/"):
                    assert refused(ring.post("guard", one, body.encode(), path=path, headers=headers)), body


@ERAS
def test_bodies_in_another_encoding(ring: Ring, era: str) -> None:
    """What one reader takes for other characters than the next is not read at all."""
    params = f'"name":"srv__{CHARGE}","arguments":{{"amount":%s}}'
    meta = f',"_meta":{json.dumps(META)}' if era == "modern" else ""
    body = f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{params}{meta}}}}}'
    headers = modern_headers("tools/call", f"srv__{CHARGE}") if era == "modern" else None
    assert allowed(ring.post("guard", era, (body % "1").encode(), headers=headers))
    with ring.none():
        for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7"):
            assert refused(ring.post("guard", era, (body % 9999).encode(encoding), headers=headers)), encoding
        for odd in (b'"\xff"', b'1,"x":"\xc0\xaf"', b'1,"x":"\xed\xa0\x80"', b"1\x00", b'1,"x":"\x00"', b"1/**/", b"1,", b"1}}//"):  # fmt: skip
            raw = (body % "@@").encode().replace(b"@@", odd)
            assert refused(ring.post("guard", era, raw, headers=headers)), odd


NO_OBJECTS = ['[{"amount":1}]', '"amount"', '"{\\"amount\\":1}"', "1", "true", "null", "[]", '[["amount",1]]', '""', "-0", "1e400"]  # fmt: skip


@ERAS
@pytest.mark.parametrize("arguments", NO_OBJECTS)
def test_arguments_that_are_no_object(ring: Ring, era: str, arguments: str) -> None:
    assert allowed(ring.call("guard", era, CHARGE, '{"amount":1}'))
    with ring.none():
        assert refused(ring.call("guard", era, CHARGE, arguments))


TWINS = [
    '{"amount":1,"amount":9999}', '{"amount":9999,"amount":1}', '{"amount":1,"\\u0061mount":9999}', '{"\\u0061mount":9999,"amount":1}',
    '{"amount":1,"Amount":9999}', '{"AMOUNT":9999,"amount":1}', '{"amount":1,"\\uff41mount":9999}', '{"amount":1,"amo\\u200bunt":9999}', '{"amount":1,"amount\\u0000":9999}', '{"amount":1,"amo\\u00adunt":9999}',
    '{"amount":1,"x":{"a":1,"a":2}}', '{"amount":1,"x":[[{"a":1,"\\u0061":2}]]}', '{"amount":1,"to":"ok","TO":"acct_bad"}', '{"amount":1,"To":"acct_bad"}', '{"amount":1,"\\ud835\\udc61o":"acct_bad"}',
    '{"amount":1,"amount":1}',
]  # fmt: skip


@ERAS
@pytest.mark.parametrize("arguments", TWINS)
def test_keys_that_are_there_twice_or_look_alike(ring: Ring, era: str, arguments: str) -> None:
    assert allowed(ring.call("guard", era, CHARGE, '{"amount":1,"note":"x","to":"acct_good"}'))
    assert allowed(ring.call("guard", era, CHARGE, '{"\\u0061mount":1}'))
    with ring.none():
        assert refused(ring.call("guard", era, CHARGE, arguments))
        params = f'"name":"{CHARGE}","arguments":{arguments}'
        assert refused(ring.send("guard", era, params, name=CHARGE, path="/mcp/srv/"))


NUMBERS = [
    "5000.01", "5001", "5e3000", "1e400", "-1e400", "50000000000000000000000000", "5000.00000000000000000001", "1e99999999999999999999", "1e-99999999999999999999", "-0", "0", "-1", "-5000", "-0.0001", "0e99",
    '"1"', '"1e3"', "true", "false", "null", "[1]", "[]", "{}", '{"$gt":0}', '{"amount":1}', "[[1]]", "01", "+1", "1.", ".5", "0x10", "NaN", "Infinity", "1_000", "1e",
]  # fmt: skip


@ERAS
@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_that_are_none_or_another(ring: Ring, era: str, number: str) -> None:
    for fine in ("1", "5000", "5e3", "5E+3", "0.1", "4999.99"):
        assert allowed(ring.call("guard", era, CHARGE, f'{{"amount":{fine}}}')), fine
    with ring.none():
        assert refused(ring.call("guard", era, CHARGE, f'{{"amount":{number}}}'))


@ERAS
@pytest.mark.parametrize("account", ["1234", "1234.0", "12.34e2", "1234.00000000000000000001", "1233.99999999999999999999", '"1234"', "[1234]"])  # fmt: skip
def test_a_number_that_a_server_reads_as_the_one_that_is_denied(ring: Ring, era: str, account: str) -> None:
    assert allowed(ring.call("guard", era, CHARGE, '{"amount":1,"account":1235}'))
    with ring.none():
        assert refused(ring.call("guard", era, CHARGE, f'{{"amount":1,"account":{account}}}'))


@ERAS
def test_sums_with_numbers_that_are_negative_or_none(ring: Ring, era: str) -> None:
    wrong = ("-1", "-100", "-0.5", '"1"', "[1]", "[-5,5]", "{}", "null", "true", "1e400", "1e-400", "1e99999999999999999999", "-1e-9")  # fmt: skip
    with ring.none():
        for number in wrong:
            assert refused(ring.call("sums", era, CHARGE, f'{{"amount":{number}}}')), number
        for arguments in ("{}", '{"Amount":-5}', '{"amount":1,"AMOUNT":-9}', "null", "[]"):
            assert refused(ring.call("sums", era, CHARGE, arguments)), arguments


def test_a_sum_over_both_eras_and_all_routes_is_one(ring: Ring) -> None:
    amounts = ["0.1", "0.2", "3", "3.7", "2.9", "0.1"]
    for number, amount in enumerate(amounts):
        era, path = ("modern", "legacy")[number % 2], ("/mcp", "/mcp/srv/")[number // 2 % 2]
        name = f"srv__{CHARGE}" if path == "/mcp" else CHARGE
        params = f'"name":"{name}","arguments":{{"amount":{amount}}}'
        assert allowed(ring.send("sums", era, params, name=name, path=path)), amount
    with ring.none():
        for era in ("modern", "legacy"):
            assert refused(ring.call("sums", era, CHARGE, '{"amount":0.00000001}'))
    assert allowed(ring.call("sums", "modern", CHARGE, '{"amount":0}'))


LISTS = ['"ann@example.com"', '["eve@example.org"]', '["ann@example.com","eve@example.org"]', '[["ann@example.com"]]', '{"x":{"y":"ann@example.com"}}', "[]", "{}", "null", '["ann@example.com",null]', '["ann@example.com\\n"]', '["ann@example.com,eve@example.org"]', '["\\uff41nn@example.com"]', '["ann@ex\\u0430mple.com"]']  # fmt: skip


@ERAS
@pytest.mark.parametrize("to", LISTS)
def test_a_list_for_one_and_one_for_a_list(ring: Ring, era: str, to: str) -> None:
    assert allowed(
        ring.call("lists", era, "mail", '{"to":["ann@example.com","bob@example.com"],"subject":"Hi"}')
    )
    with ring.none():
        assert refused(ring.call("lists", era, "mail", f'{{"to":{to},"subject":"Hi"}}'))
        assert refused(ring.call("lists", era, "mail", '{"to":["ann@example.com"],"subject":["Hi"]}'))


@ERAS
def test_arguments_that_are_absent(ring: Ring, era: str) -> None:
    assert allowed(ring.call("guard", era, CHARGE, '{"amount":1}'))
    name = f'"name":"srv__{CHARGE}"'
    absent = (
        name, f'{name},"arguments":{{}}', f'{name},"arguments":{{"x":{{"amount":1}}}}', f'{name},"arguments":{{"amount":null}}', f'{name},"Arguments":{{"amount":1}}', f'{name},"arguments ":{{"amount":1}}',
        f'{name},"amount":1', f'{name},"arguments":{{"":1}}', f'{name},"arguments":{{"/amount":1}}', f'{name},"arguments":{{"amount ":1}}',
    )  # fmt: skip
    with ring.none():
        for params in absent:
            assert refused(ring.send("guard", era, params)), params


@ERAS
@pytest.mark.parametrize("to", ["acct_bad", "\uff41cct_bad", "acct\u200b_bad", "acct_bad\u00ad", " acct_bad", "acct_bad ", "acct_bad\n", "\u00a0acct_bad", "acct\uff3fbad", "\u2060acct_bad"])  # fmt: skip
def test_look_alikes_in_text(ring: Ring, era: str, to: str) -> None:
    assert allowed(ring.call("guard", era, CHARGE, '{"amount":1,"to":"acct_good"}'))
    with ring.none():
        for ascii in (True, False):
            arguments = json.dumps({"amount": 1, "to": to}, ensure_ascii=ascii)
            assert refused(ring.call("guard", era, CHARGE, arguments))


# --- names ----------------------------------------------------------------------------------------------------

NAMES = ["delete_repository", "Delete_Repository", "DELETE_REPOSITORY", "delete_repository ", " delete_repository", "delete_repositor\uff59", "delete\u200b_repository", "delete_repository\u0000", "srv__delete_repository", "srv__srv__delete_repository", "delete_repository/", "./delete_repository", "delete%5Frepository", "delete_re\u0301pository", "*", "delete_*", ""]  # fmt: skip


@ERAS
@pytest.mark.parametrize("name", NAMES)
def test_other_names_for_a_tool_that_is_denied(ring: Ring, era: str, name: str) -> None:
    assert allowed(ring.call("guard", era, CHARGE, '{"amount":1}'))
    assert allowed(ring.call("free", era, "delete_repository"))
    with ring.none():
        for path, shown in (("/mcp", f"srv__{name}"), ("/mcp", f"Srv__{name}"), ("/mcp", name), ("/mcp/srv/", name), ("/mcp/srv/", f"srv__{name}")):  # fmt: skip
            header = "delete_repository" if not shown.isascii() or not shown.isprintable() else shown
            got = ring.send(
                "guard", era, f'"name":{json.dumps(shown)},"arguments":{{}}', name=header, path=path
            )
            assert refused(got), shown
            if shown.isascii() and shown.strip() == shown and shown.isprintable():
                continue
            encoded = ring.hall.ask("tools/call", {"name": shown}, path=path, grant=ring.grants["guard"])
            assert refused(encoded), shown


def test_a_header_that_names_another_tool(ring: Ring) -> None:
    good = f'"name":"srv__{CHARGE}","arguments":{{"amount":1}}'
    bad = '"name":"srv__delete_repository","arguments":{}'
    assert allowed(ring.send("guard", "modern", good))
    with ring.none():
        assert refused(ring.send("guard", "modern", bad))
        assert refused(ring.send("guard", "modern", good, name="srv__delete_repository"))
        assert refused(ring.send("guard", "modern", f'{bad},"name":"srv__{CHARGE}"'))
        assert refused(ring.send("guard", "modern", f'{bad},"n\\u0061me":"srv__{CHARGE}"'))
        assert refused(ring.send("guard", "modern", f'{good},"Name":"srv__delete_repository"', name="srv__delete_repository"))  # fmt: skip
        assert refused(ring.send("guard", "modern", good, members=f',"params":{{{bad}}}'))
        assert refused(ring.send("guard", "modern", good, members=f',"Params":{{{bad}}}'))
        assert refused(ring.send("guard", "modern", good, members=',"Method":"tools/list"'))


@ERAS
def test_arguments_elsewhere_are_not_those_that_are_judged(ring: Ring, era: str) -> None:
    """What is beside the arguments neither helps a call that is denied, nor reaches the server as arguments."""
    name = f'"name":"srv__{CHARGE}"'
    own = META if era == "modern" else {}
    meta = {
        **own,
        "arguments": {"amount": 1},
        "amount": 1,
        "roles": ["free"],
        "grant": "free",
        "subject": "free",
    }
    with ring.none():
        for params in (f'{name},"arguments":{{"amount":9999}},"_meta":{json.dumps(meta)}', f'{name},"_meta":{json.dumps(meta)}', f'{name},"arguments":{{"amount":9999}},"input":{{"amount":1}}', f'{name},"arguments":{{"amount":9999}},"task":{{"arguments":{{"amount":1}}}}'):  # fmt: skip
            assert refused(ring.send("guard", era, params)), params
    before = len(ring.hall.peer.forwarded)
    more = f'{name},"arguments":{{"amount":1}},"_meta":{json.dumps({**own, "arguments": {"amount": 9999}})}'
    assert allowed(ring.send("guard", era, more))
    (one,) = ring.hall.peer.forwarded[before:]
    assert one.message["params"]["arguments"] == {"amount": 1}


@ERAS
def test_what_was_judged_is_what_is_sent(ring: Ring, era: str) -> None:
    for lexeme in ("5000", "5e3", "0.10", "4999.9999999999999", "1E-7"):
        assert allowed(ring.call("guard", era, CHARGE, f'{{"amount":{lexeme}}}'))
        assert f'"amount":{lexeme}'.encode() in ring.hall.peer.forwarded[-1].raw.replace(b" ", b"")


@ERAS
def test_annotations_that_lie(ring: Ring, era: str) -> None:
    """A policy that lets read believes no server of the file that its tool only reads."""
    listed = ring.listed("reads", era, "tools/list", "tools", "name")
    everything = ring.listed("free", era, "tools/list", "tools", "name")
    assert {"srv__remove_all", "srv__get_wiped"} <= set(everything)
    assert not {"srv__remove_all", "srv__get_wiped", f"srv__{CHARGE}"} & set(listed)
    with ring.none():
        for tool in ("remove_all", "get_wiped", CHARGE, "delete_repository"):
            got = ring.call("reads", era, tool)
            assert got.json()["error"]["message"] == f"Unknown tool: srv__{tool}"


# --- prompts, resources and what tells of them ------------------------------------------------------------------


@ERAS
def test_prompts(ring: Ring, era: str) -> None:
    def get(name: str, arguments: str) -> Got:
        params = f'"name":{json.dumps(name)},"arguments":{arguments}'
        return ring.send("guard", era, params, method="prompts/get", name=name)

    assert not refused(get("srv__greet", '{"to":"ann"}'))
    with ring.none():
        for arguments in ("{}", "null", "[]", '{"to":"eve"}', '{"to":["ann"]}', '{"To":"ann"}', '{"to":"ann","TO":"eve"}', '{"to":"ann","to":"eve"}', '{"to":"\\uff41nn"}', '{"to":" ann"}', '"ann"'):  # fmt: skip
            assert refused(get("srv__greet", arguments)), arguments
        for name in ("srv__denied", "srv__Denied", "srv__srv__denied", "srv__denied "):
            assert refused(get(name, '{"to":"ann"}'))


URIS = ["peer://item/secret", "peer://item/secret1", "PEER://item/secret", "Peer://item/secret", "peer://item/%73ecret", "peer://item/x/../secret", "peer://item/./secret", "peer://item//secret", "peer://item/secre%74", "peer://ITEM/secret", "peer://item/SECRET", "peer://item/\uff53ecret", "peer://item/secret#x", "peer://item/secret?x", " peer://item/secret", "peer://item\\secret", "peer://item/s\tecret", "peer://item/%2573ecret", "peer://item/x//../secret", "peer://item/%2Fsecret", "peer:///item/../item/secret"]  # fmt: skip


@ERAS
@pytest.mark.parametrize("uri", URIS)
def test_a_resource_however_it_is_spelt(ring: Ring, era: str, uri: str) -> None:
    assert not refused(ring.read("guard", era, "peer://item/public"))
    asked = ring.hall.peer.count("resources/subscribe")
    with ring.none():
        for path in ("/mcp", "/mcp/srv/"):
            assert refused(ring.read("guard", era, uri, path=path))
            assert refused(ring.read("guard", era, uri, "resources/subscribe", path))
    assert ring.hall.peer.count("resources/subscribe") == asked


@ERAS
def test_a_server_that_is_denied_as_a_whole(ring: Ring, era: str) -> None:
    """Its tools, prompts, resources and completions are not there, by any route, for nobody."""
    assert allowed(ring.call("free", era, CHARGE, '{"amount":1}'))
    for path, name in (("/mcp", f"vault__{CHARGE}"), ("/mcp/vault/", CHARGE)):
        with ring.none():
            got = ring.send("free", era, f'"name":"{name}","arguments":{{}}', name=name, path=path)
            assert got.json()["error"]["message"] == f"Unknown tool: {name}"
            prompt = name.replace(CHARGE, "greet")
            assert refused(
                ring.send("free", era, f'"name":"{prompt}"', method="prompts/get", name=prompt, path=path)
            )
    for uri in ("peer://one", "peer://item/1", "PEER://one", "peer://x/../one"):
        with ring.none():
            assert refused(ring.read("free", era, uri, path="/mcp/vault/"))
    for method, member, key in (("tools/list", "tools", "name"), ("prompts/list", "prompts", "name")):
        assert not [name for name in ring.listed("free", era, method, member, key) if "vault" in name]
    # On the route to all servers the same URI belongs to the one that may be read.
    before = len(ring.vault.forwarded)
    assert not refused(ring.read("free", era, "peer://one"))
    assert len(ring.vault.forwarded) == before


@ERAS
def test_completions_tell_nothing_of_what_is_hidden(ring: Ring, era: str) -> None:
    def complete(ref: str, path: str = "/mcp") -> Got:
        params = f'"ref":{ref},"argument":{{"name":"to","value":"a"}}'
        headers = modern_headers("completion/complete")
        meta = f',"_meta":{json.dumps(META)}' if era == "modern" else ""
        body = f'{{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{{{params}{meta}}}}}'
        return ring.post("guard", era, body.encode(), path=path, headers=headers if era == "modern" else None)

    shown = complete('{"type":"ref/resource","uri":"peer://item/{id}"}')
    assert not refused(shown)
    with ring.none():
        unknown = complete('{"type":"ref/prompt","name":"srv__nothin"}')
        hidden = complete('{"type":"ref/prompt","name":"srv__denied"}')
        assert refused(unknown)
        assert hidden.body.replace(b"denied", b"nothin") == unknown.body
        for uri in ("peer://item/secret", "PEER://item/secret", "peer://item/x/../secret"):
            assert refused(complete(f'{{"type":"ref/resource","uri":"{uri}"}}')), uri
        for path in ("/mcp/srv/", "/mcp/vault/"):
            assert refused(complete('{"type":"ref/prompt","name":"denied"}', path))


# --- limits, time and change ----------------------------------------------------------------------------------


def test_calls_at_one_time_get_as_many_as_there_are(ring: Ring) -> None:
    before = len(ring.hall.peer.forwarded)
    eras = [("modern", "legacy")[number % 2] for number in range(50)]
    ring.listed("ten", "legacy", "tools/list", "tools", "name")  # opens the session once
    with ThreadPoolExecutor(25) as pool:
        got = list(pool.map(lambda era: ring.call("ten", era, CHARGE, '{"amount":1}'), eras))
    assert sum(map(allowed, got)) == 10
    assert len(ring.hall.peer.forwarded) - before == 10
    with ring.none():
        assert refused(ring.call("ten", "modern", CHARGE))
        assert refused(ring.call("ten", "legacy", CHARGE))


def test_a_state_of_one_round_is_not_good_for_another_amount(ring: Ring) -> None:
    name = "srv__transfer"

    def ask(amount: str, state: str = "") -> Got:
        meta = {**META, "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}
        more = (
            f',"requestState":{json.dumps(state)},"inputResponses":{{"ok":{{"action":"accept"}}}}'
            if state
            else ""
        )
        params = f'"name":"{name}","arguments":{{"amount":{amount}}}{more},"_meta":{json.dumps(meta)}'
        return ring.send("rounds", "modern", params, name=name)

    state = ask("4").result["requestState"]
    with ring.none():
        for amount in ("0", "0.01", "-4", "9999", '"4"'):
            assert refused(ask(amount, state)), amount
    assert allowed(ask("4", state))
    with ring.none():
        assert refused(ask("4", state))


def test_who_hangs_up_at_once_has_used_what_was_sent(ring: Ring) -> None:
    before = len(ring.hall.peer.forwarded)
    data = ring.hall.request(
        "tools/call", {"name": f"srv__{CHARGE}", "arguments": {}}, grant=ring.grants["hasty"]
    )
    for _ in range(20):
        with Wire(ring.hall.gateway.port) as wire:
            wire.send(data)
    limit = time.monotonic() + 10
    while not refused(ring.call("hasty", "modern", CHARGE)) and time.monotonic() < limit:
        pass
    assert refused(ring.call("hasty", "modern", CHARGE))
    assert len(ring.hall.peer.forwarded) - before <= 4


def test_calls_under_way_are_as_many_as_there_may_be(ring: Ring) -> None:
    before = len(ring.hall.peer.forwarded)
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(ring.call, "few", "modern", "slow") for _ in range(12)]
        limit = time.monotonic() + 20
        while sum(one.done() for one in asked) < 9 and time.monotonic() < limit:
            time.sleep(0.01)
        assert len(ring.hall.peer.forwarded) - before == 3
        ring.hall.peer.release.set()
        assert sum(allowed(one.result()) for one in asked) == 3
    assert allowed(ring.call("few", "modern", "slow"))


def test_the_edge_of_a_window_is_no_place_for_more(ring: Ring) -> None:
    """Whatever the seconds begin with: in so much time there are no more than as many windows hold."""
    before, began, tried = len(ring.hall.peer.forwarded), time.monotonic(), 0
    while time.monotonic() < began + 2.3:
        ring.call("second", "modern", CHARGE)
        tried += 1
    through = len(ring.hall.peer.forwarded) - before
    assert through <= 3 * math.ceil(time.monotonic() - began)
    assert tried > through >= 3


def test_a_policy_that_changes_between_list_and_call(ring: Ring) -> None:
    def put(tools: dict[str, Any], version: int) -> None:
        document = {"coatcheck": 1, "name": "changed", "default": "allow-all", "tools": tools}
        assert ring.hall.control("/api/v1/policies/changed")["policy"]["version"] == version
        file = ring.hall.gateway.directory / "changed.policy.json"
        file.write_text(json.dumps(document), encoding="utf-8")
        said = ring.hall.gateway.command("policy", "put", str(file))
        assert said.returncode == 0, said.stderr

    for era in ("modern", "legacy"):
        assert "srv__later" not in ring.listed("changed", era, "tools/list", "tools", "name")
    put({}, 1)
    for era in ("modern", "legacy"):
        assert "srv__later" in ring.listed("changed", era, "tools/list", "tools", "name")
        assert allowed(ring.call("changed", era, "later"))
    put({"later": {"outcome": "deny", "message": "Not now."}}, 2)
    with ring.none():
        for era in ("modern", "legacy"):
            assert ring.call("changed", era, "later").text == "Not now."
    put({"later": {"outcome": "hide"}}, 3)
    with ring.none():
        for era in ("modern", "legacy"):
            assert ring.call("changed", era, "later").code == -32602
            assert "srv__later" not in ring.listed("changed", era, "tools/list", "tools", "name")


def test_a_sum_outlasts_a_kill_in_the_middle_of_its_window(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    keep(folder, *on_roles({"killed": DOCUMENTS["killed"]}))
    grant, key = new_grant()
    declared = {"tokens": {key: {"subject": "eve", "roles": ["killed"]}}}
    with hall_at(folder, declared, peer={"tools": {CHARGE: took}}) as hall, peer_serving() as vault:
        ring = Ring(hall, vault, {"killed": grant})
        assert allowed(ring.call("killed", "modern", CHARGE, '{"amount":6.5}'))
        for number in (signal.SIGKILL, signal.SIGTERM):
            hall.gateway.stop(number)
            hall.gateway.start()
            with ring.none():
                assert refused(ring.call("killed", "modern", CHARGE, '{"amount":3.50000001}'))
                assert refused(ring.call("killed", "modern", CHARGE, '{"amount":-3}'))
        assert allowed(ring.call("killed", "modern", CHARGE, '{"amount":3.5}'))
