"""`servers.json` whole: what loads, what is refused and how it is told."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.declared.reading.expand import Sources
from coatcheck.declared.reading.problems import DeclarationError, sentence
from coatcheck.declared.servers_json import known_keys, load
from coatcheck.model.access import OPEN, AccessList, AccessRule
from coatcheck.model.declaration import (
    AuditRules,
    Declaration,
    ForwardedRules,
    IdentityRules,
    Output,
    Problem,
    Provider,
)
from coatcheck.model.server import AccessMarks, HttpReach, IdlePolicy, StdioReach, Transport
from coatcheck.secrets.env import EnvSource
from coatcheck.secrets.file import FileSource

ENVIRONMENT = {
    "TOKEN": "canary-token",
    "GRANT": "canary-grant-0123456789",
    "BAD": "a\r\nX: y",
    "NIL": "",
    "NUL": "a\x00",
    "RAW": "\udcff",
}
SOURCES = Sources(EnvSource(ENVIRONMENT), FileSource())
TEAM = """{
  // what a team has
  "mcpServers": {
    "sentry": {
      "url": "https://mcp.sentry.example/mcp",
      "headers": {"Authorization": "Bearer ${TOKEN}"} /* never on a laptop */
    },
    "time": {"command": "uvx", "args": ["mcp-server-time"], "env": {"TZ": "${ZONE:-UTC}", "T": "${TOKEN}"}}
  },
  "serverAuth": {
    "providers": ["bearer"],
    "bearer": {
      "tokens": {
        "tok-alice": "alice",
        "tok-bob": {"subject": "bob", "roles": ["dev", "oncall"]},
        "tok-carol": "carol"
      }
    },
    "acl": {
      "default": "allow",
      "rules": [{"subjects": ["bob"], "tools": ["sentry__*"], "policy": "deny"}]
    }
  },
  "audit": {"enabled": true, "output": "stdout"}
}"""


def read(value: Any, **options: Any) -> Declaration:
    text = value if isinstance(value, str) else json.dumps(value)
    return load(text, options.get("path"), options.get("sources", SOURCES))


def problems_of(value: Any, **options: Any) -> tuple[Problem, ...]:
    with pytest.raises(DeclarationError) as caught:
        read(value, **options)
    return caught.value.problems


def the_problem(value: Any, **options: Any) -> Problem:
    (problem,) = problems_of(value, **options)
    return problem


def server(**keys: Any) -> dict[str, Any]:
    return {"mcpServers": {"s": keys}}


def reach_of(**keys: Any) -> Any:
    return read(server(**keys)).servers[0].reach


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


# --- whole files -----------------------------------------------------------------------------------------


def test_the_file_of_a_team() -> None:
    declaration = read(TEAM, path=Path("/etc/coatcheck/servers.json"))
    sentry, time = declaration.servers
    assert sentry.name == "sentry"
    assert isinstance(sentry.reach, HttpReach)
    assert sentry.reach.url.reveal() == sentry.reach.shown_url == "https://mcp.sentry.example/mcp"
    assert sentry.reach.headers["Authorization"].reveal() == "Bearer canary-token"
    assert sentry.reach.transport is Transport.AUTO
    assert sentry.idle == IdlePolicy()
    assert isinstance(time.reach, StdioReach)
    assert time.reach.command == "uvx"
    assert [arg.reveal() for arg in time.reach.args] == ["mcp-server-time"]
    assert {name: value.reveal() for name, value in time.reach.env.items()} == {
        "TZ": "UTC",
        "T": "canary-token",
    }
    alice, bob, carol = declaration.identity.grants
    assert (alice.subject, bob.subject, carol.subject) == ("alice", "bob", "carol")
    assert bob.roles == {"dev", "oncall"}
    assert alice.digest == digest("tok-alice")
    assert alice.id == alice.label == f"file-{digest('tok-alice')[:12]}"
    assert declaration.identity.providers == (Provider.BEARER,)
    assert declaration.access == AccessList((AccessRule(("sentry__*",), False, frozenset({"bob"})),), True)
    assert declaration.audit == AuditRules(Output.STDOUT, False)
    assert declaration.path == Path("/etc/coatcheck/servers.json")
    assert declaration.files == (declaration.path,)


def test_an_empty_object_declares_nothing() -> None:
    declaration = read("{}")
    assert declaration.servers == ()
    assert declaration.identity == IdentityRules()
    assert declaration.access == OPEN
    assert declaration.files == ()


def test_every_problem_is_told_at_once_with_its_line() -> None:
    text = TEAM.replace("${TOKEN}", "${NOPE}").replace('"uvx"', "7").replace('"deny"', '"refuse"')
    text = text.replace('"output"', '"outptu"').replace('"alice"', '"anonymous"')
    found = problems_of(text, path=Path("/etc/coatcheck/servers.json"))
    assert [(p.line, p.where) for p in found] == [
        (6, "/mcpServers/sentry/headers/Authorization"),
        (8, "/mcpServers/time/command"),
        (8, "/mcpServers/time/env/T"),
        (14, "/serverAuth/bearer/tokens/#1"),
        (21, "/serverAuth/acl/rules/0/policy"),
        (24, "/audit/outptu"),
    ]
    assert all(problem.message for problem in found)
    assert "did you mean 'output'?" in found[-1].fix


def test_the_error_names_file_lines_and_fixes() -> None:
    with pytest.raises(DeclarationError) as caught:
        read('{\n"mcpServers": {"s": {"url": "${NOPE}"}}}', path=Path("/x/servers.json"))
    assert str(caught.value).startswith(
        "/x/servers.json has 1 problem:\n  line 2 /mcpServers/s/url: the variable NOPE"
    )
    assert "set NOPE" in str(caught.value)
    assert caught.value.files == (Path("/x/servers.json"),)


def test_what_is_no_json_is_one_problem_with_its_line() -> None:
    problem = the_problem('{\n"mcpServers": {},\n}', path=Path("/x/servers.json"))
    assert problem.line == 2
    assert "comma" in problem.message
    assert problem.fix == "remove the comma"


def test_equal_keys_are_refused_wherever_they_are() -> None:
    text = TEAM.replace('"tok-carol": "carol"', '"tok-alice": "carol"')
    problem = the_problem(text)
    assert (problem.line, "line 14" in problem.message) == (16, True)
    assert "tok" not in sentence(problem)


@pytest.mark.parametrize("value", ["[]", "null", '"x"', "7", "true"])
def test_the_file_is_an_object(value: Any) -> None:
    assert "an object" in the_problem(value).message


def test_files_that_values_come_from_are_named_even_if_missing(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("canary\n")
    text = json.dumps(server(command="x", env={"A": "${file:t}", "B": f"${{file:{tmp_path}/none}}"}))
    (tmp_path / "servers.json").write_text(text)
    with pytest.raises(DeclarationError) as caught:
        read(text, path=tmp_path / "servers.json")
    assert caught.value.files == (tmp_path / "servers.json", tmp_path / "t", tmp_path / "none")
    (tmp_path / "none").write_text("b")
    declaration = read(text, path=tmp_path / "servers.json")
    assert declaration.files == caught.value.files
    reach = declaration.servers[0].reach
    assert isinstance(reach, StdioReach)
    assert reach.env["A"].reveal() == "canary"


def test_vs_codes_spelling_and_its_extras() -> None:
    declaration = read({"servers": {"s": {"command": "x", "type": "stdio"}}, "inputs": [], "$schema": "x"})
    assert [s.name for s in declaration.servers] == ["s"]
    assert {notice.where for notice in declaration.notices} == {"/inputs", "/$schema"}
    assert "both" in the_problem({"servers": {}, "mcpServers": {}}).message


@pytest.mark.parametrize(
    ("key", "fix"),
    [
        ("mcpservers", "'mcpServers'"),
        ("server", "'servers'"),
        ("serverauth", "'serverAuth'"),
        ("zzz", "known here"),
    ],
)
def test_unknown_keys_at_the_top(key: str, fix: str) -> None:
    assert read({"mcpServers": {}})
    assert fix in the_problem({key: {}}).fix


# --- names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "A-b_c9", "9", "-", "_a", "a" * 40, "ssee", "messages"])
def test_names(name: str) -> None:
    assert read({"mcpServers": {name: {"command": "x"}}}).servers[0].name == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "a" * 41, "a.b", "a b", "a/b", "ü", "a__b", "a_", "_", "__", "sse", "SSE", "message"),
        *("0123456789abcdef0123456789abcdef", "01234567-89ab-cdef-0123-456789ABCDEF"),
    ],
)
def test_no_names(name: str) -> None:
    assert "name" in the_problem({"mcpServers": {name: {"command": "x"}}}).message


def test_names_differ_in_more_than_case() -> None:
    problem = the_problem({"mcpServers": {"Sentry": {"command": "x"}, "sentry": {"command": "x"}}})
    assert "'Sentry'" in problem.message
    assert problem.where == "/mcpServers/sentry"


# --- servers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "transport"),
    [
        ("http", Transport.HTTP),
        ("streamable-http", Transport.HTTP),
        ("sse", Transport.SSE),
        (None, Transport.AUTO),
    ],
)
def test_types_of_remote_servers(kind: str | None, transport: Transport) -> None:
    keys = {"url": "https://h/mcp"} | ({"type": kind} if kind else {})
    assert reach_of(**keys).transport is transport


def test_what_is_shown_of_a_url() -> None:
    reach = reach_of(url="https://H/${TOKEN}/x?key=${TOKEN}&k=canary")
    assert isinstance(reach, HttpReach)
    assert reach.url.reveal() == "https://h/canary-token/x?key=canary-token&k=canary"
    assert reach.shown_url == "https://H/${TOKEN}/x"


@pytest.mark.parametrize(
    ("keys", "where", "word"),
    [
        ({}, "", "neither command nor url"),
        ({"command": "x", "url": "https://h"}, "", "both command and url"),
        ({"command": ""}, "/command", "empty"),
        ({"command": 7}, "/command", "a string"),
        ({"command": None}, "/command", "not null"),
        ({"command": ["x"]}, "/command", "not a list"),
        ({"command": "${NUL}"}, "/command", "NUL"),
        ({"command": "x", "args": "y"}, "/args", "a list"),
        ({"command": "x", "args": [1]}, "/args/0", "a string"),
        ({"command": "x", "env": []}, "/env", "an object"),
        ({"command": "x", "env": {"A": 1}}, "/env/A", "a string"),
        ({"command": "x", "env": {"A": "${NUL}"}}, "/env/A", "NUL"),
        ({"command": "x", "env": {"A": "${RAW}"}}, "/env/A", "not UTF-8"),
        ({"command": "x", "args": ["${RAW}"]}, "/args/0", "not UTF-8"),
        ({"command": "x", "env": {"A=canary": "1"}}, "/env", "variable name"),
        ({"command": "x", "env": {"": "1"}}, "/env", "variable name"),
        ({"command": "x", "cwd": "~/x"}, "/cwd", "starts with ~"),
        ({"command": "x", "cwd": ""}, "/cwd", "empty"),
        ({"command": "x", "headers": {}}, "/headers", "no meaning"),
        ({"command": "x", "type": "http"}, "/type", "not known"),
        ({"url": "https://h", "args": []}, "/args", "no meaning"),
        ({"url": "https://h", "env": {}}, "/env", "no meaning"),
        ({"url": "https://h", "type": "stdio"}, "/type", "not known"),
        ({"url": "https://h", "type": "streamableHttp"}, "/type", "not known"),
        ({"url": "ftp://h"}, "/url", "https://"),
        ({"url": "https://canary@h"}, "/url", "user information"),
        ({"url": "https://h/${BAD}"}, "/url", "control character"),
        ({"url": 7}, "/url", "a string"),
        ({"url": "https://h", "headers": []}, "/headers", "an object"),
        ({"url": "https://h", "headers": {"A": 1}}, "/headers/A", "a string"),
        ({"url": "https://h", "headers": {"A": "${BAD}"}}, "/headers/A", "line break"),
        ({"url": "https://h", "headers": {"A": "Bearer ${NIL}"}}, "/headers/A", "ends with a space"),
        ({"url": "https://h", "headers": {"A": "${NIL}"}}, "/headers/A", "empty"),
        ({"url": "https://h", "headers": {"A: canary": "x"}}, "/headers", "header name"),
        ({"url": "https://h", "headers": {"Host": "x"}}, "/headers", "Host"),
        ({"url": "https://h", "headers": {"content-length": "1"}}, "/headers", "content-length"),
        ({"url": "https://h", "headers": {"a": "x", "A": "y"}}, "/headers/A", "twice"),
        ({"command": "x", "idle_timeout": "3 weeks"}, "/idle_timeout", "not a duration"),
        ({"command": "x", "idle_timeout": 0}, "/idle_timeout", "between"),
        ({"command": "x", "idle_timeout": True}, "/idle_timeout", "not a duration"),
        ({"command": "x", "idle_timeout": "8d"}, "/idle_timeout", "between"),
        ({"command": "x", "min_idle_timeout": "6m"}, "/min_idle_timeout", "longer than"),
        ({"command": "x", "max_idle_timeout": "30s"}, "/max_idle_timeout", "longer than"),
        ({"command": "x", "tool_acl": {"read": ["a"], "write": ["a"]}}, "/tool_acl", "both read and write"),
        ({"command": "x", "tool_acl": {"reed": []}}, "/tool_acl/reed", "unknown key"),
        ({"command": "x", "tool_acl": {"read": [""]}}, "/tool_acl/read/0", "1 to 256"),
        ({"command": "x", "tool_acl": {"read": "a"}}, "/tool_acl/read", "a list"),
        ({"command": "x", "disabled": "no"}, "/disabled", "true or false"),
        ({"command": "x", "enabled": True}, "/enabled", "unknown key"),
        ({"command": "x", "cli": True}, "/cli", "not supported"),
        ({"command": "x", "cli_only": []}, "/cli_only", "not supported"),
        ({"command": "x", "cliAnything": []}, "/cliAnything", "not supported"),
        ({"command": "x", "tools": []}, "/tools", "not supported"),
        ({"url": "https://h", "forward_identity": {}}, "/forward_identity", "not supported"),
        ({"command": "x", "envFile": ".env"}, "/envFile", "not supported"),
        ({"url": "https://h", "transport": "sse"}, "/transport", "not supported"),
    ],
)
def test_refused_servers(keys: Any, where: str, word: str) -> None:
    assert read(server(command="x"))
    problem = the_problem(server(**keys))
    assert problem.where == f"/mcpServers/s{where}"
    assert word in problem.message
    assert "canary" not in sentence(problem)


@pytest.mark.parametrize(
    "key", ["autoApprove", "alwaysAllow", "disabledTools", "timeout", "description", "name"]
)
def test_clients_own_keys_are_set_aside(key: str) -> None:
    declaration = read(server(command="x", **{key: []}))
    assert [notice.where for notice in declaration.notices] == [f"/mcpServers/s/{key}"]


def test_headers_that_the_gateway_writes_are_set_aside() -> None:
    declaration = read(server(url="https://h", headers={"Accept": "*/*", "content-type": "x", "X-A": "1"}))
    reach = declaration.servers[0].reach
    assert isinstance(reach, HttpReach)
    assert list(reach.headers) == ["X-A"]
    assert len(declaration.notices) == 2


@pytest.mark.parametrize(
    ("url", "count"), [("http://h", 1), ("https://h", 0), ("http://127.0.0.1:1", 0), ("http://[::1]", 0)]
)
def test_headers_in_the_clear_are_noticed(url: str, count: int) -> None:
    assert len(read(server(url=url, headers={"X-A": "1"})).notices) == count
    assert read(server(url=url)).notices == ()


def test_a_disabled_server_is_left_out_and_needs_no_variables() -> None:
    assert read(server(command="${NOPE}", disabled=True)).servers == ()
    assert "NOPE" in the_problem(server(command="${NOPE}", disabled=False)).message
    assert "unknown key" in the_problem(server(comand="x", disabled=True)).message


@pytest.mark.parametrize(
    ("keys", "idle"),
    [
        ({}, IdlePolicy(True, None, 60, 300)),
        ({"idle_timeout": "adaptive", "min_idle_timeout": "30s"}, IdlePolicy(True, None, 30, 300)),
        ({"idle_timeout": "never"}, IdlePolicy(False, None, 60, 300)),
        ({"idle_timeout": "30s"}, IdlePolicy(False, 30, 60, 300)),
        ({"idle_timeout": "3m"}, IdlePolicy(False, 180, 60, 300)),
        ({"idle_timeout": "1h", "max_idle_timeout": 120}, IdlePolicy(False, 3600, 60, 120)),
        ({"idle_timeout": 90}, IdlePolicy(False, 90, 60, 300)),
        ({"idle_timeout": "90"}, IdlePolicy(False, 90, 60, 300)),
        ({"idle_timeout": "${IDLE:-45s}"}, IdlePolicy(False, 45, 60, 300)),
    ],
)
def test_idle_timeouts(keys: Any, idle: Any) -> None:
    assert read(server(command="x", **keys)).servers[0].idle == idle


def test_tool_marks() -> None:
    marks = read(server(command="x", tool_acl={"read": ["get_*"], "write": ["*"]})).servers[0].marks
    assert marks == AccessMarks(("get_*",), ("*",))


# --- serverAuth --------------------------------------------------------------------------------------------


def auth(**keys: Any) -> dict[str, Any]:
    return {"serverAuth": keys}


def identity_of(**keys: Any) -> IdentityRules:
    return read(auth(**keys)).identity


TOKENS = {"tokens": {"canary-0123456789": "alice"}}


@pytest.mark.parametrize(
    ("keys", "providers"),
    [
        ({}, ()),
        ({"providers": []}, ()),
        ({"providers": ["none"]}, (Provider.NONE,)),
        ({"provider": "none"}, (Provider.NONE,)),
        ({"provider": "bearer", "bearer": TOKENS}, (Provider.BEARER,)),
        ({"providers": ["bearer", "none"], "bearer": TOKENS}, (Provider.BEARER, Provider.NONE)),
        ({"providers": ["forwarded", "bearer"]}, (Provider.FORWARDED, Provider.BEARER)),
    ],
)
def test_chains(keys: Any, providers: Any) -> None:
    assert identity_of(**keys).providers == providers


@pytest.mark.parametrize(
    ("keys", "where", "word"),
    [
        ({"provider": "none", "providers": []}, "/provider", "both"),
        ({"provider": "Bearer"}, "/provider", "not known"),
        ({"provider": ["bearer"]}, "/provider", "a string"),
        ({"providers": "bearer"}, "/providers", "a list"),
        ({"providers": ["bearer", "bearer"]}, "/providers/1", "already"),
        ({"providers": ["oauth_as"]}, "/providers/0", "oauth_as is not supported"),
        ({"provider": "oauth_as"}, "/provider", "oauth_as is not supported"),
        ({"oauthAs": {}}, "/oauthAs", "not supported"),
        ({"bearer": TOKENS}, "", "anonymous"),
        ({"providers": [], "bearer": TOKENS}, "", "anonymous"),
        ({"forwarded": {}}, "", "anonymous"),
        ({"provider": "bearer", "bearer": []}, "/bearer", "an object"),
        ({"provider": "bearer", "bearer": {"token": {}}}, "/bearer/token", "unknown key 'token'"),
        ({"provider": "bearer", "bearer": {"canary": "alice"}}, "/bearer", "unknown key here"),
        ({"provider": "bearer", "canary-1": "alice"}, "", "unknown key here"),
        ({"provider": "bearer", "bearer": {"tokens": []}}, "/bearer/tokens", "an object"),
    ],
)
def test_refused_chains(keys: Any, where: str, word: str) -> None:
    problem = the_problem(auth(**keys))
    assert problem.where == f"/serverAuth{where}"
    assert word in problem.message
    assert "canary" not in sentence(problem)


@pytest.mark.parametrize(
    ("key", "held"),
    [
        ("canary-0123456789", "canary-0123456789"),
        ("${GRANT}", "canary-grant-0123456789"),
        (f"sha256:{digest('canary-0123456789')}", "canary-0123456789"),
        (f"sha256:{digest('canary-0123456789').upper()}", "canary-0123456789"),
        ("sha256:${HASH:-" + digest("x") + "}", "x"),
    ],
)
def test_tokens(key: str, held: str) -> None:
    declaration = read(auth(provider="bearer", bearer={"tokens": {key: "alice"}}))
    (grant,) = declaration.identity.grants
    assert grant.digest == digest(held)
    assert grant.id == f"file-{digest(held)[:12]}"
    assert grant.servers is None
    assert declaration.notices == ()


@pytest.mark.parametrize(
    ("tokens", "where", "word"),
    [
        ({"": "alice"}, "#1", "visible ASCII"),
        ({"Bearer canary-123": "alice"}, "#1", "visible ASCII"),
        ({"canary-ü": "alice"}, "#1", "visible ASCII"),
        ({"canary\n": "alice"}, "#1", "visible ASCII"),
        ({"${NIL}": "alice"}, "#1", "visible ASCII"),
        ({"${BAD}": "alice"}, "#1", "visible ASCII"),
        ({"${NOPE}": "alice"}, "#1", "NOPE is not set"),
        ({"sha256:canary": "alice"}, "#1", "64 hexadecimal"),
        ({"SHA256:" + "0" * 64: "alice"}, "#1", "64 hexadecimal"),
        ({"canary": ""}, "#1", "a name has"),
        ({"canary": " alice"}, "#1", "a name has"),
        ({"canary": "al\u200bice"}, "#1", "a name has"),
        ({"canary": "a" * 257}, "#1", "a name has"),
        ({"canary": "anonymous"}, "#1", "stand for nobody"),
        ({"canary": "Anonymous"}, "#1", "stand for nobody"),
        ({"canary": "*"}, "#1", "stand for nobody"),
        ({"canary": 7}, "#1", "the subject as a string"),
        ({"canary": None}, "#1", "the subject as a string"),
        ({"canary": {}}, "#1", "no subject"),
        ({"canary": {"subject": "*"}}, "#1/subject", "stand for nobody"),
        ({"canary": {"subject": "a", "roles": "dev"}}, "#1/roles", "a list"),
        ({"canary": {"subject": "a", "roles": [""]}}, "#1/roles/0", "a name has"),
        ({"canary": {"subject": "a", "role": []}}, "#1/role", "unknown key"),
        ({"canary/~x": "a", "${CANARY:-canary/~x}": "b"}, "#2", "already"),
        ({"canary": "a", f"sha256:{digest('canary')}": "b"}, "#2", "already"),
    ],
)
def test_refused_tokens(tokens: Any, where: str, word: str) -> None:
    problem = the_problem(auth(provider="bearer", bearer={"tokens": tokens}))
    assert problem.where == f"/serverAuth/bearer/tokens/{where}"
    assert word in problem.message
    assert "canary" not in sentence(problem)


def test_a_key_twice_inside_a_holder_does_not_show_the_token() -> None:
    holder = '{"subject": "a", "subject": "b"}'
    text = f'{{"serverAuth": {{"provider": "bearer", "bearer": {{"tokens": {{"canary": {holder}}}}}}}}}'
    assert "canary" not in sentence(the_problem(text))


@pytest.mark.parametrize(
    ("token", "count"), [("tok-dev", 1), ("change-me-alice-0123", 1), ("0123456789abcdef", 0)]
)
def test_weak_tokens_are_noticed(token: str, count: int) -> None:
    notices = read(auth(provider="bearer", bearer={"tokens": {token: "alice"}})).notices
    assert len(notices) == count
    assert token not in repr(notices)


def test_what_no_provider_uses_is_noticed() -> None:
    declaration = read(auth(providers=["none"], bearer=TOKENS, forwarded={}))
    assert {notice.where for notice in declaration.notices} == {"/serverAuth/bearer", "/serverAuth/forwarded"}


def test_forwarded() -> None:
    assert identity_of(provider="forwarded").forwarded == ForwardedRules()
    rules = identity_of(
        provider="forwarded",
        forwarded={
            "header": "X-User",
            "groups_header": "X-Groups",
            "trusted_proxies": ["10.0.0.0/8", "::1"],
            "secret_header": "X-Proof",
            "secret": "${TOKEN}",
        },
    ).forwarded
    assert (rules.header, rules.groups_header, rules.secret_header) == ("x-user", "x-groups", "x-proof")
    assert rules.trusted is not None
    assert [str(network) for network in rules.trusted] == ["10.0.0.0/8", "::1/128"]
    assert rules.secret is not None
    assert rules.secret.reveal() == "canary-token"
    assert identity_of(provider="forwarded", forwarded={"trusted_proxies": []}).forwarded.trusted == ()


@pytest.mark.parametrize(
    ("keys", "where", "word"),
    [
        ({"header": "a b"}, "/header", "header name"),
        ({"header": "Authorization"}, "/header", "another meaning"),
        ({"header": "x", "groups_header": "X"}, "", "the same"),
        ({"secret_header": "x"}, "", "belong together"),
        ({"secret": "x"}, "", "belong together"),
        ({"secret_header": "x", "secret": "${BAD}"}, "/secret", "line break"),
        ({"secret_header": "x-forwarded-user", "secret": "s"}, "", "the same"),
        ({"trusted_proxies": "10.0.0.0/8"}, "/trusted_proxies", "a list"),
        ({"trusted_proxies": ["10.1.0.0/8"]}, "/trusted_proxies/0", "after its prefix"),
        ({"trusted_proxies": ["0.0.0.0/0"]}, "/trusted_proxies/0", "every address"),
        ({"trusted": []}, "/trusted", "unknown key"),
    ],
)
def test_refused_forwarded(keys: Any, where: str, word: str) -> None:
    problem = the_problem(auth(provider="forwarded", forwarded=keys))
    assert problem.where == f"/serverAuth/forwarded{where}"
    assert word in problem.message


# --- acl ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acl", "access"),
    [
        ({}, OPEN),
        ({"rules": []}, OPEN),
        ({"default": "deny"}, AccessList((), False)),
        ({"rules": [{"tools": ["*"], "policy": "deny"}]}, AccessList((AccessRule(("*",), False),))),
        (
            {
                "default": "deny",
                "rules": [{"subjects": ["a"], "roles": ["r"], "tools": ["x", "y*"], "policy": "allow"}],
            },
            AccessList((AccessRule(("x", "y*"), True, frozenset("a"), frozenset("r")),), False),
        ),
        (
            {"rules": [{"subjects": ["*", "a"], "roles": ["*"], "tools": ["x"], "policy": "deny"}]},
            AccessList((AccessRule(("x",), False),)),
        ),
    ],
)
def test_access(acl: Any, access: Any) -> None:
    assert read(auth(acl=acl)).access == access


@pytest.mark.parametrize(
    ("acl", "where", "word"),
    [
        ([], "", "an object"),
        ({"default": "maybe"}, "/default", "not known"),
        ({"rules": {}}, "/rules", "a list"),
        ({"rules": [7]}, "/rules/0", "an object"),
        ({"rules": [{"tools": ["*"]}]}, "/rules/0", "no policy"),
        ({"rules": [{"policy": "deny"}]}, "/rules/0", "no tools"),
        ({"rules": [{"policy": "deny", "tools": []}]}, "/rules/0/tools", "never apply"),
        ({"rules": [{"policy": "deny", "tools": "*"}]}, "/rules/0/tools", "a list"),
        ({"rules": [{"policy": "Deny", "tools": ["*"]}]}, "/rules/0/policy", "not known"),
        ({"rules": [{"policy": "deny", "tools": ["a b"]}]}, "/rules/0/tools/0", "visible"),
        ({"rules": [{"policy": "deny", "tools": ["*"], "subject": []}]}, "/rules/0/subject", "unknown key"),
        ({"rules": [{"policy": "deny", "tools": ["*"], "subjects": "a"}]}, "/rules/0/subjects", "a list"),
        ({"rules": [{"policy": "deny", "tools": ["*"], "subjects": [""]}]}, "/rules/0/subjects/0", "visible"),
        (
            {"rules": [{"policy": "deny", "tools": ["*"], "subjects": ["a*"]}]},
            "/rules/0/subjects/0",
            "only * alone",
        ),
        ({"roles": {}, "rules": []}, "", "mixed"),
    ],
)
def test_refused_access(acl: Any, where: str, word: str) -> None:
    problem = the_problem(auth(acl=acl))
    assert problem.where == f"/serverAuth/acl{where}"
    assert word in problem.message


def test_patterns_with_other_signs_are_noticed() -> None:
    declaration = read(auth(acl={"rules": [{"tools": ["a?"], "policy": "deny"}]}))
    assert [notice.where for notice in declaration.notices] == ["/serverAuth/acl/rules/0/tools/0"]


# --- audit -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("audit", "rules"),
    [
        ({}, AuditRules()),
        ({"enabled": True, "log_arguments": True}, AuditRules(Output.FILE, True)),
        ({"output": "stderr"}, AuditRules(Output.STDERR)),
        ({"output": "file"}, AuditRules(Output.FILE)),
        ({"output": "file+stdout"}, AuditRules(Output.STDOUT)),
    ],
)
def test_audit(audit: Any, rules: Any) -> None:
    assert read({"audit": audit}).audit == rules


@pytest.mark.parametrize(
    ("audit", "where", "word"),
    [
        ({"enabled": False}, "/enabled", "cannot be turned off"),
        ({"enabled": "false"}, "/enabled", "true or false"),
        ({"output": "none"}, "/output", "cannot be turned off"),
        ({"output": "syslog"}, "/output", "not known"),
        ({"path": "/x"}, "/path", "not supported"),
        ({"index_path": "/x"}, "/index_path", "not supported"),
        ({"log_arguments": 1}, "/log_arguments", "true or false"),
        ({"verbose": True}, "/verbose", "unknown key"),
    ],
)
def test_refused_audit(audit: Any, where: str, word: str) -> None:
    problem = the_problem({"audit": audit})
    assert problem.where == f"/audit{where}"
    assert word in problem.message


# --- any file ----------------------------------------------------------------------------------------------

KEYS = st.sampled_from([*known_keys(), "s", "x", "tok-canary", "Authorization", "canary: k", "${NOPE}"])
LEAVES = st.sampled_from(
    [
        *(
            "canary-v",
            "x",
            "",
            "https://h",
            "https://canary@h",
            "bearer",
            "none",
            "deny",
            "30s",
            "*",
            "stdio",
        ),
        *("${TOKEN}", "${NOPE}", "${BAD}", 7, True, None, 1.5),
    ]
)
SHAPES = st.recursive(
    LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=4), max_leaves=20
)
SECRETLY = st.fixed_dictionaries(
    {},
    optional={
        "mcpServers": st.dictionaries(
            st.sampled_from(["a", "b"]), st.dictionaries(KEYS, SHAPES, max_size=5), max_size=2
        ),
        "serverAuth": st.dictionaries(KEYS, SHAPES, max_size=5),
        "audit": st.dictionaries(KEYS, SHAPES, max_size=3),
    },
)


@settings(max_examples=300, deadline=None)
@given(SECRETLY | SHAPES)
def test_any_shape_loads_or_is_told(value: Any) -> None:
    text = json.dumps(value, indent=1)
    try:
        loaded = repr(read(text))
        assert "canary-token" not in loaded
    except DeclarationError as error:
        told = error.problems
    else:
        return
    assert told
    assert all(1 <= problem.line <= text.count("\n") + 1 for problem in told)


HIDING = (
    lambda c: server(url=f"https://h/?k={c}", headers={"Authorization": c, f"{c}:x": c, "Host": c}),
    lambda c: server(url=f"https://{c}@h/{c}#", headers={"Authorization": f"{c}\n"}, nope=c),
    lambda c: server(
        command=f"{c}\x00", args=[c, 7], env={"A": f"{c}\x00", f"{c}=": c}, type=c, idle_timeout=c
    ),
    lambda c: auth(
        provider="bearer", bearer={"tokens": {c: "", f"{c} ": "a", c + "ü": {"roles": 7, "subject": "*"}}}
    ),
    lambda c: auth(provider=c, bearer={c: c}, forwarded={"secret": f"{c}\n", "secret_header": "x"}),
    lambda c: auth(
        providers=[c], acl={"default": c, "rules": [{"policy": c, "tools": [f"{c} "], "roles": [f"{c}*"]}]}
    ),
)


@given(st.text(alphabet="abcdefghij0123456789", min_size=12, max_size=30), st.sampled_from(HIDING))
def test_no_problem_shows_a_secret(noise: str, hide: Any) -> None:
    canary = f"K7{noise}"
    problems = problems_of(hide(canary))
    assert canary not in repr(problems)
    with pytest.raises(DeclarationError) as caught:
        read(hide(canary))
    assert canary not in str(caught.value)
