"""`serverAuth.acl` by role: what loads, and what is refused with its place and what to write instead."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from coatcheck.declared.reading.expand import Sources
from coatcheck.declared.reading.problems import DeclarationError
from coatcheck.declared.servers_json import load
from coatcheck.model.access import Access, AccessEntry, Extent, RoleAccess, SubjectAccess
from coatcheck.model.declaration import Declaration, Problem
from coatcheck.secrets.env import EnvSource
from coatcheck.secrets.file import FileSource

SOURCES = Sources(EnvSource({"TEAM": "ops", "NIL": ""}), FileSource())
READ_ALL = AccessEntry(("*",), Extent.READ)


def declaration(acl: Any) -> Declaration:
    servers = {"sentry": {"command": "x"}, "git": {"command": "y", "disabled": True}}
    tokens = {"tok-alice-0123456789": {"subject": "alice", "roles": ["dev"]}}
    auth = {"providers": ["bearer"], "bearer": {"tokens": tokens}, "acl": acl}
    return load(json.dumps({"mcpServers": servers, "serverAuth": auth}), None, SOURCES)


def access(acl: Any) -> Access:
    return declaration(acl).access


def problems(acl: Any) -> tuple[Problem, ...]:
    with pytest.raises(DeclarationError) as caught:
        declaration(acl)
    return caught.value.problems


def entry(**keys: Any) -> dict[str, Any]:
    return {"default": "allow", "roles": {"dev": [{"server": "sentry", "access": "read", **keys}]}}


# --- what loads ----------------------------------------------------------------------------------------------


def test_the_whole_form() -> None:
    found = access(
        {
            "default": "deny",
            "strictClassification": True,
            "roles": {
                "admin": [{"server": "*", "access": "*"}],
                "dev": [
                    {"server": ["sentry", "g*"], "access": "read"},
                    {"server": "git", "access": "write", "tools": ["commit", "branch_*"], "deny": False},
                    {"server": "git", "access": "*", "tools": ["*_force"], "deny": True},
                ],
                "on call/primary": [],
            },
            "subjects": {
                "alice": {"roles": ["admin", "dev"]},
                "anonymous": {"extra": [{"server": "sentry", "access": "read", "resources": ["issue://*"], "prompts": ["triage"]}]},
                "bob": {},
            },
        }
    )  # fmt: skip
    assert found == RoleAccess(
        {
            "admin": (AccessEntry(("*",), Extent.ALL),),
            "dev": (
                AccessEntry(("sentry", "g*"), Extent.READ),
                AccessEntry(("git",), Extent.WRITE, tools=("commit", "branch_*")),
                AccessEntry(("git",), Extent.ALL, tools=("*_force",), deny=True),
            ),
            "on call/primary": (),
        },
        {
            "alice": SubjectAccess(frozenset({"admin", "dev"})),
            "anonymous": SubjectAccess(
                extra=(AccessEntry(("sentry",), Extent.READ, resources=("issue://*",), prompts=("triage",)),)
            ),
            "bob": SubjectAccess(),
        },
        default_allow=False,
        strict=True,
    )


@pytest.mark.parametrize(
    ("acl", "expected"),
    [
        ({"roles": {}}, RoleAccess()),
        ({"subjects": {}}, RoleAccess()),
        ({"strictClassification": True}, RoleAccess(strict=True)),
        ({"strictClassification": False, "default": "deny"}, RoleAccess(default_allow=False)),
        ({"roles": {}, "default": "allow"}, RoleAccess()),
        ({"roles": {"dev": [{"server": "*", "access": "read"}]}}, RoleAccess({"dev": (READ_ALL,)})),
        (
            {"subjects": {"a": {"extra": [{"server": ["*"], "access": "read"}]}}},
            RoleAccess({}, {"a": SubjectAccess(extra=(READ_ALL,))}),
        ),
        (
            {"roles": {"ops": []}, "subjects": {"a": {"roles": ["${TEAM}"], "extra": []}}},
            RoleAccess({"ops": ()}, {"a": SubjectAccess(frozenset({"ops"}))}),
        ),
    ],
)
def test_smaller_forms(acl: Any, expected: RoleAccess) -> None:
    assert access(acl) == expected


def test_what_was_read_cannot_be_changed_and_equals_another_reading() -> None:
    found = access(entry())
    assert isinstance(found, RoleAccess)
    with pytest.raises(TypeError):
        found.roles["dev"] = ()  # type: ignore[index]  # that is the point
    assert declaration(entry()) == declaration(entry())
    assert declaration(entry()) != declaration(entry(deny=True))


@pytest.mark.parametrize("page", ["reference/servers-json.md", "how-to/access.md"])
def test_the_examples_of_the_pages_load(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    (example,) = re.findall(r'```jsonc\n("acl": .*?)```', text, re.DOTALL)
    found = load(f'{{"serverAuth": {{{example}}}}}', None, SOURCES).access
    assert isinstance(found, RoleAccess)
    assert found.roles
    assert not found.default_allow


# --- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acl", "where", "word"),
    [
        ({"roles": {}, "rules": []}, "", "are mixed"),
        ({"subjects": {}, "rules": [{"tools": ["*"], "policy": "deny"}]}, "", "are mixed"),
        ({"strictClassification": True, "rules": []}, "", "are mixed"),
        ({"roles": ["dev"]}, "/roles", "an object"),
        ({"roles": None}, "/roles", "an object"),
        ({"subjects": "alice"}, "/subjects", "an object"),
        ({"roles": {}, "strictClassification": "yes"}, "/strictClassification", "true or false"),
        ({"roles": {}, "default": "read"}, "/default", "not known"),
        ({"roles": {}, "strict": True}, "/strict", "unknown key 'strict'"),
        ({"roles": {"dev": {"server": "*", "access": "read"}}}, "/roles/dev", "a list"),
        ({"roles": {"dev": ["sentry"]}}, "/roles/dev/0", "an object"),
        ({"roles": {"": []}}, "/roles/", "1 to 256"),
        ({"roles": {" dev": []}}, "/roles/ dev", "1 to 256"),
        ({"roles": {"d\u200bv": []}}, "/roles/d\u200bv", "1 to 256"),
        ({"roles": {"x" * 257: []}}, f"/roles/{'x' * 257}", "1 to 256"),
        ({"roles": {"*": []}}, "/roles/*", "compared as they are"),
        ({"subjects": {"*": {}}}, "/subjects/*", "compared as they are"),
        ({"subjects": {"${TEAM}": {}}}, "/subjects/${TEAM}", "variables are not replaced"),
        ({"subjects": {"alice": ["dev"]}}, "/subjects/alice", "an object"),
        ({"subjects": {"alice": {"role": []}}}, "/subjects/alice/role", "unknown key 'role'"),
        ({"subjects": {"alice": {"roles": "dev"}}}, "/subjects/alice/roles", "a list"),
        ({"subjects": {"alice": {"roles": [7]}}}, "/subjects/alice/roles/0", "a string"),
        ({"subjects": {"alice": {"roles": ["dev"]}}}, "/subjects/alice/roles/0", "there is no role 'dev'"),
        ({"roles": {"dev": []}, "subjects": {"a": {"roles": ["Dev"]}}}, "/subjects/a/roles/0", "there is no role 'Dev'"),
        ({"subjects": {"alice": {"extra": [{"server": "*"}]}}}, "/subjects/alice/extra/0", "no access"),
        ({"roles": {"dev": [{"access": "read"}]}}, "/roles/dev/0", "no server"),
        (entry(tool=["x"]), "/roles/dev/0/tool", "unknown key 'tool'"),
        (entry(server=7), "/roles/dev/0/server", "a pattern, or a list of patterns"),
        (entry(server=None), "/roles/dev/0/server", "a pattern, or a list of patterns"),
        (entry(server=[]), "/roles/dev/0/server", "names no server"),
        (entry(server=""), "/roles/dev/0/server", "1 to 256"),
        (entry(server="x" * 257), "/roles/dev/0/server", "1 to 256"),
        (entry(server=["sentry", "a b"]), "/roles/dev/0/server/1", "no space"),
        (entry(server=["sentry", 7]), "/roles/dev/0/server/1", "a string"),
        (entry(server="${MISSING}"), "/roles/dev/0/server", "MISSING"),
        (entry(access="Read"), "/roles/dev/0/access", "not known"),
        (entry(access="all"), "/roles/dev/0/access", "not known"),
        (entry(access=["read", "write"]), "/roles/dev/0/access", "a string"),
        (entry(deny="true"), "/roles/dev/0/deny", "true or false"),
        (entry(deny=None), "/roles/dev/0/deny", "true or false"),
        (entry(tools="x"), "/roles/dev/0/tools", "a list"),
        (entry(tools=None), "/roles/dev/0/tools", "a list"),
        (entry(tools=[]), "/roles/dev/0/tools", "an empty list"),
        (entry(resources=[]), "/roles/dev/0/resources", "an empty list"),
        (entry(prompts=[]), "/roles/dev/0/prompts", "an empty list"),
        (entry(tools=["x", ""]), "/roles/dev/0/tools/1", "1 to 256"),
        (entry(access="write", resources=["x"]), "/roles/dev/0/resources", "covers tools only"),
        (entry(access="write", tools=["a"], prompts=["x"]), "/roles/dev/0/prompts", "covers tools only"),
    ],
)  # fmt: skip
def test_refused(acl: Any, where: str, word: str) -> None:
    (problem,) = problems(acl)
    assert problem.where == f"/serverAuth/acl{where}"
    assert word in problem.message


@pytest.mark.parametrize(
    ("acl", "fix"),
    [
        ({"roles": {"devs": []}, "subjects": {"a": {"roles": ["dev"]}}}, "did you mean 'devs'?"),
        ({"subjects": {"a": {"roles": ["dev"]}}}, "add it under acl.roles"),
        (entry(access="reed"), "did you mean 'read'?"),
        ({"roles": {}, "strictclassification": True}, "did you mean 'strictClassification'?"),
        (entry(tols=[]), "did you mean 'tools'?"),
    ],
)
def test_what_to_write_instead(acl: Any, fix: str) -> None:
    (problem,) = problems(acl)
    assert problem.fix == fix


def test_everything_wrong_is_told_at_once_and_by_line() -> None:
    text = """{"serverAuth": {"acl": {
      "roles": {"dev": [
        {"server": "*", "access": "raed"},
        {"server": "*"}
      ]},
      "subjects": {"alice": {"roles": ["nobody"]}}
    }}}"""
    with pytest.raises(DeclarationError) as caught:
        load(text, None, SOURCES)
    assert [(one.line, one.where.removeprefix("/serverAuth/acl")) for one in caught.value.problems] == [
        (3, "/roles/dev/0/access"),
        (4, "/roles/dev/1"),
        (6, "/subjects/alice/roles/0"),
    ]


# --- notices -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acl", "where", "message", "fix"),
    [
        (entry(server="sentri"), "/server", "no server of this file is called 'sentri'", "did you mean 'sentry'?"),
        (entry(server=["git", "Sentry"]), "/server", "no server of this file is called 'Sentry'", "did you mean 'sentry'?"),
        (entry(server="zzz"), "/server", "no server of this file is called 'zzz'", ""),
        (entry(resources=["note://{id}"]), "/resources/0", "only * is special in patterns; 'note://{id}' is taken letter by letter", ""),
    ],
)  # fmt: skip
def test_what_loads_with_a_notice(acl: Any, where: str, message: str, fix: str) -> None:
    (notice,) = declaration(acl).notices
    assert (notice.where, notice.message, notice.fix) == (f"/serverAuth/acl/roles/dev/0{where}", message, fix)


def test_a_default_that_is_left_out_is_noticed() -> None:
    (notice,) = declaration({"roles": {"dev": [{"server": "*", "access": "read"}]}}).notices
    assert (notice.where, "allowed to everyone" in notice.message) == ("/serverAuth/acl", True)
    assert access({"roles": {}}) == RoleAccess(default_allow=True)


@pytest.mark.parametrize("server", ["sentry", "git", "*", "zzz*", ["sentry", "*"]])
def test_no_notice_where_a_server_may_be_meant(server: Any) -> None:
    assert declaration(entry(server=server)).notices == ()
