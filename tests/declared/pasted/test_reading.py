"""Pastes as people make them: what every client's configuration means, and what is told of the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from coatcheck.core.pasted import FoundServer, filled
from coatcheck.declared.pasted.reading import MAX_BYTES, read_pasted
from coatcheck.declared.registering import parted_of
from coatcheck.errors import Unfit
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, StdioReach, Transport

TOKEN = "ghp_" + "Ab1" * 12


def one(text: str) -> FoundServer:
    pasted = read_pasted(text)
    assert not pasted.problems
    (server,) = pasted.servers
    return server


def meant(server: FoundServer, **given: str) -> dict[str, Any]:
    """Return what a server is registered with, revealed, and hold it against the rules of registration."""
    made = filled(server, {name: Secret(value) for name, value in given.items()})
    parted = parted_of(made)
    assert isinstance(parted.reach, HttpReach if made.url is not None else StdioReach)
    said = {
        "name": made.name,
        "url": made.url.reveal() if made.url is not None else None,
        "transport": made.transport,
        "headers": {name: value.reveal() for name, value in made.headers.items()},
        "command": made.command,
        "args": [value.reveal() for value in made.args],
        "env": {name: value.reveal() for name, value in made.env.items()},
        "cwd": made.cwd,
        "plain": sorted(made.plain),
        "credentials": {name: value.reveal() for name, value in made.credentials.items()},
    }
    return {key: value for key, value in said.items() if value}


REMOTE = {
    "name": "linear",
    "url": "https://mcp.linear.app/mcp",
    "headers": {"Authorization": f"Bearer {TOKEN}"},
}
HTTP = {**REMOTE, "transport": Transport.HTTP}
CHILD = {
    "name": "github",
    "command": "npx",
    "args": ["-y", "@modelcontextprotocol/server-github"],
    "env": {"GITHUB_PERSONAL_ACCESS_TOKEN": TOKEN},
}
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
URL = REMOTE["url"]
STDIO = {key: CHILD[key] for key in ("command", "args", "env")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(json.dumps({"mcpServers": {"github": STDIO}}), CHILD, id="claude-desktop"),
        pytest.param(
            json.dumps({"mcpServers": {"linear": {"type": "http", "url": URL, "headers": HEADERS}}}),
            HTTP,
            id="claude-code",
        ),
        pytest.param(
            json.dumps({"mcpServers": {"linear": {"url": URL, "headers": HEADERS}}}), REMOTE, id="cursor"
        ),
        pytest.param(
            json.dumps({"mcpServers": {"linear": {"serverUrl": URL, "headers": HEADERS}}}),
            REMOTE,
            id="windsurf",
        ),
        pytest.param(
            json.dumps({"mcpServers": {"linear": {"httpUrl": URL, "headers": HEADERS}}}), HTTP, id="gemini"
        ),
        pytest.param(
            json.dumps({"servers": {"linear": {"type": "http", "url": URL, "headers": HEADERS}}}),
            HTTP,
            id="vs-code",
        ),
        pytest.param(
            json.dumps({"mcp": {"servers": {"github": {"type": "stdio", **STDIO}}}}),
            CHILD,
            id="vs-code-settings",
        ),
        pytest.param(
            json.dumps({"servers": {"linear": {"url": URL, "requestInit": {"headers": HEADERS}}}}),
            REMOTE,
            id="copilot-jetbrains",
        ),
        pytest.param(
            json.dumps({"context_servers": {"github": {"source": "custom", **STDIO}}}), CHILD, id="zed"
        ),
        pytest.param(
            json.dumps(
                {
                    "context_servers": {
                        "github": {"command": {"path": "npx", "args": STDIO["args"], "env": STDIO["env"]}}
                    }
                }
            ),
            CHILD,
            id="zed-before",
        ),
        pytest.param(
            json.dumps({"mcp": {"linear": {"type": "remote", "url": URL, "headers": HEADERS}}}),
            REMOTE,
            id="opencode",
        ),
        pytest.param(
            json.dumps(
                {
                    "mcp": {
                        "github": {
                            "type": "local",
                            "command": ["npx", *STDIO["args"]],
                            "environment": STDIO["env"],
                        }
                    }
                }
            ),
            CHILD,
            id="opencode-local",
        ),
        pytest.param(json.dumps({"github": STDIO}), CHILD, id="by-name"),
        pytest.param(json.dumps({"url": URL, "headers": HEADERS}), REMOTE, id="one"),
        pytest.param(json.dumps(STDIO), CHILD, id="one-child"),
        pytest.param(json.dumps([{"name": "github", **STDIO}]), CHILD, id="list"),
        pytest.param(f'"github": {json.dumps(STDIO)},', CHILD, id="fragment"),
        pytest.param(
            f'// mine\n{{ "mcpServers": {{ "github": {json.dumps(STDIO)}, }}, /* end */ }}', CHILD, id="jsonc"
        ),
        pytest.param(f"Like so:\n```json\n{json.dumps(STDIO)}\n```".partition("\n")[2], CHILD, id="fence"),
        pytest.param(
            f'[mcp_servers.linear]\nurl = "{URL}"\nhttp_headers = {{ Authorization = "Bearer {TOKEN}" }}\n',
            REMOTE,
            id="codex",
        ),
        pytest.param(
            '# mine\n[mcp_servers.github]\ncommand = "npx"\nargs = ["-y", "@modelcontextprotocol/server-github"]\n\n'
            f'[mcp_servers.github.env]\nGITHUB_PERSONAL_ACCESS_TOKEN = "{TOKEN}"\n',
            CHILD,
            id="codex-child",
        ),
        pytest.param(
            f"claude mcp add --transport http linear {URL} --header 'Authorization: Bearer {TOKEN}'",
            HTTP,
            id="claude-line",
        ),
        pytest.param(
            f'$ claude mcp add --transport http \\\n  --header "Authorization: Bearer {TOKEN}" \\\n  linear {URL}\n',
            HTTP,
            id="claude-lines",
        ),
        pytest.param(
            f"claude mcp add -s user -e GITHUB_PERSONAL_ACCESS_TOKEN={TOKEN} github -- "
            "npx -y @modelcontextprotocol/server-github",
            CHILD,
            id="claude-child",
        ),
        pytest.param(f"claude mcp add-json -s user github '{json.dumps(STDIO)}'", CHILD, id="claude-json"),
        pytest.param(
            f"codex mcp add github --env GITHUB_PERSONAL_ACCESS_TOKEN={TOKEN} -- "
            "npx -y @modelcontextprotocol/server-github",
            CHILD,
            id="codex-line",
        ),
        pytest.param(
            f'gemini mcp add -s user -t http -H "Authorization: Bearer {TOKEN}" linear {URL}',
            HTTP,
            id="gemini-line",
        ),
        pytest.param(
            f"gemini mcp add -e GITHUB_PERSONAL_ACCESS_TOKEN={TOKEN} github npx -y @modelcontextprotocol/server-github",
            CHILD,
            id="gemini-child",
        ),
        pytest.param(f"code --add-mcp '{json.dumps({'name': 'github', **STDIO})}'", CHILD, id="code-line"),
        pytest.param(
            f"GITHUB_PERSONAL_ACCESS_TOKEN={TOKEN} npx -y @modelcontextprotocol/server-github",
            CHILD,
            id="command",
        ),
        pytest.param(
            f'npx -y mcp-remote@latest {URL} --header "Authorization: Bearer {TOKEN}"',
            REMOTE,
            id="mcp-remote",
        ),
        pytest.param(
            json.dumps(
                {
                    "mcpServers": {
                        "linear": {
                            "command": "cmd",
                            "args": ["/c", "npx", "mcp-remote", URL, "--header", "Authorization:${AUTH}"],
                            "env": {"AUTH": f"Bearer {TOKEN}"},
                        }
                    }
                }
            ),
            REMOTE,
            id="mcp-remote-windows",
        ),
    ],
)
def test_what_every_client_means(text: str, expected: dict[str, Any]) -> None:
    server = one(text)
    assert meant(server) == expected
    place = "headers/Authorization" if "url" in expected else "env/GITHUB_PERSONAL_ACCESS_TOKEN"
    (proposed,) = server.proposed
    assert proposed.place == place
    assert proposed.value is not None
    assert TOKEN in proposed.value.reveal()
    assert TOKEN not in repr(server)


@pytest.mark.parametrize(
    ("text", "name", "command", "args"),
    [
        (
            "uvx mcp-server-time --local-timezone=UTC",
            "time",
            "uvx",
            ["mcp-server-time", "--local-timezone=UTC"],
        ),
        ("npx -y @upstash/context7-mcp@latest", "context7", "npx", ["-y", "@upstash/context7-mcp@latest"]),
        ("node /srv/notes/build/index.js", "notes", "node", ["/srv/notes/build/index.js"]),
        ("python -m mcp_server_git", "git", "python", ["-m", "mcp_server_git"]),
        (
            "docker run -p 80:80 ghcr.io/x/db-mcp:1",
            "db",
            "docker",
            ["run", "-p", "80:80", "ghcr.io/x/db-mcp:1"],
        ),
        ("/opt/bin/github-mcp-server stdio", "github", "/opt/bin/github-mcp-server", ["stdio"]),
    ],
)
def test_commands_get_the_name_of_what_they_start(
    text: str, name: str, command: str, args: list[str]
) -> None:
    assert meant(one(text)) == {"name": name, "command": command, "args": args}


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://mcp.sentry.dev/mcp", "sentry"),
        ("https://api.githubcopilot.com/mcp/", "githubcopilot"),
        ("https://mcp.example.co.uk/", "example"),
        ("http://localhost:3000/mcp", "local"),
        ("http://192.0.2.7/mcp", "server"),
        ("https://sse.dev/", "server-sse"),
    ],
)
def test_urls_give_a_name(url: str, name: str) -> None:
    assert meant(one(url)) == {"name": name, "url": url}


def test_what_is_referred_to_becomes_a_gap() -> None:
    server = one(
        json.dumps(
            {
                "inputs": [
                    {"type": "promptString", "id": "key", "description": "The key of X", "password": True},
                    {"type": "promptString", "id": "region", "description": "Region", "default": "eu"},
                ],
                "servers": {
                    "x": {
                        "command": "x-mcp",
                        "args": ["--key", "${input:key}", "--region=${input:region}", "${workspaceFolder}/x"],
                        "env": {
                            "A_TOKEN": "${env:A_TOKEN}",
                            "LEVEL": "${LEVEL:-info}",
                            "KEY_2": "YOUR_KEY_HERE",
                        },
                    }
                },
            }
        )
    )
    gaps = {gap.name: gap for gap in server.gaps}
    assert list(gaps) == ["input:key", "input:region", "workspaceFolder", "A_TOKEN", "LEVEL", "YOUR_KEY_HERE"]
    assert gaps["input:key"].about == "The key of X"
    assert [name for name, gap in gaps.items() if gap.is_secret] == [
        "input:key",
        "A_TOKEN",
        "LEVEL",
        "YOUR_KEY_HERE",
    ]
    with pytest.raises(Unfit, match="no value for A_TOKEN"):
        filled(server, {})
    given = {"input:key": "k1", "workspaceFolder": "/w", "A_TOKEN": "t1", "YOUR_KEY_HERE": "k2"}
    assert meant(server, **given) == {
        "name": "x",
        "command": "x-mcp",
        "args": ["--key", "${credential:x-args-1}", "--region=eu", "/w/x"],
        "env": {"A_TOKEN": "t1", "LEVEL": "info", "KEY_2": "k2"},
        "credentials": {"x-args-1": "k1"},
    }
    proposed = {one.name: (one.place, one.value, one.gaps) for one in server.proposed}
    assert proposed["x-args-1"] == ("args/1", None, ("input:key",))


@pytest.mark.parametrize(
    ("written", "header"),
    [
        ("$MY_TOKEN", "MY_TOKEN"),
        ("${MY_TOKEN}", "MY_TOKEN"),
        ("{env:MY_TOKEN}", "MY_TOKEN"),
        ("<your key>", "your key"),
    ],
)
def test_every_way_to_refer_is_known(written: str, header: str) -> None:
    server = one(json.dumps({"url": URL, "headers": {"Authorization": f"Bearer {written}"}}))
    assert [gap.name for gap in server.gaps] == [header]
    assert meant(server, **{header: "t"})["headers"] == {"Authorization": "Bearer t"}


def test_codex_names_variables() -> None:
    server = one(
        f'[mcp_servers."my server"]\nurl = "{URL}"\nbearer_token_env_var = "A"\n'
        'env_http_headers = { "X-Org" = "ORG" }\nstartup_timeout_sec = 20\n'
    )
    assert meant(server, A="a", ORG="o")["headers"] == {"X-Org": "o", "Authorization": "Bearer a"}
    assert (server.name, server.original) == ("my-server", "my server")
    assert [notice.where for notice in server.notices] == ["my-server/startup_timeout_sec", "my-server"]


def test_credentials_in_urls_and_arguments_are_proposed() -> None:
    found = meant(one(f"https://mcp.example.com/s/{TOKEN}/mcp?apiKey=k-1&lang=de"))
    assert (
        found["url"]
        == "https://mcp.example.com/s/${credential:example-url}/mcp?apiKey=${credential:example-url-apikey}&lang=de"
    )
    assert found["credentials"] == {"example-url": TOKEN, "example-url-apikey": "k-1"}
    server = one("https://me:pa%40ss@mcp.example.com/mcp")
    assert meant(server)["headers"] == {"Authorization": "Basic bWU6cGFAc3M="}
    assert meant(server)["url"] == "https://mcp.example.com/mcp"
    found = meant(
        one(f"docker run -i --rm -e API_KEY={TOKEN} -e OTHER_KEY ghcr.io/x/db-mcp --dsn postgres://u:p@h/d"),
        OTHER_KEY="o",
    )
    assert found["name"] == "db"
    assert found["args"][4] == "API_KEY=${credential:db-args-4}"
    assert found["args"][-1] == "${credential:db-args-9}"
    assert found["env"] == {"OTHER_KEY": "o"}
    assert found["credentials"] == {"db-args-4": TOKEN, "db-args-9": "postgres://u:p@h/d"}


def test_an_operator_may_say_that_it_is_no_credential() -> None:
    server = one(json.dumps({"command": "x-mcp", "args": ["--token", "a$b"], "env": {"AUTH_KEY": "none"}}))
    made = filled(server, {}, name="y", shown=["args/1", "env/AUTH_KEY"])
    assert (made.name, set(made.plain)) == ("y", {"AUTH_KEY"})
    assert not made.credentials
    assert made.args[1].reveal() == "a$b"
    made = filled(server, {}, taken={"x-args-1"})
    assert dict(made.credentials) == {"x-args-1-2": Secret("a$b")}


def test_what_fills_a_gap_names_no_credential() -> None:
    server = one(json.dumps({"command": "x-mcp", "args": ["--dir=$${A}", "${B}"], "env": {}}))
    made = filled(server, {"A": Secret("{credential:y}"), "B": Secret("${credential:y}")})
    parted = parted_of(made)
    assert not parted.blanks
    assert isinstance(parted.reach, StdioReach)
    assert parted.reach.args[1].reveal() == "${credential:y}"


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("", "nothing here", 1),
        (" " * (MAX_BYTES + 1), "larger than 256 KiB", 1),
        ('{"mcpServers": {\n "x": {"command": }}}', "expected a value, line 2 column 19", 2),
        ("{\u201cmcpServers\u201d: {}}", "expected a key", 1),
        ('{"mcpServers": {}}', "no servers in this", 1),
        ('{"a": 1}', "no servers in this", 1),
        ("[mcp_servers.x]\nurl = nope\n", "not TOML, line 2", 2),
        ("hello world", "nothing that is known", 1),
        ("cd x && npx y", "for a shell", 1),
        ("export A=b", "only sets variables", 1),
        ("claude mcp add x 'y", "never closed", 1),
        ("claude mcp add x", "no URL or command", 1),
        ("\n\ncodex mcp add --url", "no value", 3),
        ("npx mcp-remote --debug", "without a URL", 1),
        ("a\x00b", "control character", 1),
        ('{"mcpServers": {\n"x": {"url": "ftp://x/"}}}', "must start with https://", 2),
        ('{"mcpServers": {\n"x": {"type": "ws", "url": "wss://x/"}}}', "type is not known", 2),
        ('{"mcpServers": {\n"x": {"type": "stdio", "url": "https://x/"}}}', "does not fit", 2),
        ('{"mcpServers": {\n"x": {"url": "https://x/", "command": "y"}}}', "not both", 2),
        ('{"mcpServers": {\n"x": {"url": "https://x/", "args": ["y"]}}}', "'args' has no meaning", 2),
        ('{"mcpServers": {\n"x": {"command": "y", "args": "z"}}}', "'args' is no list", 2),
        ('{"mcpServers": {\n"x": {"command": "y", "args": [[]]}}}', "no string", 2),
        ('{"mcpServers": {\n"x": {"url": "https://x/", "headers": {"Host": "y"}}}}', "frames the message", 2),
        ('{"mcpServers": {\n"x": {"url": "https://${A}@x/"}}}', "user information", 2),
        (
            '{"mcpServers": {\n"x": {"url": "https://evil/${credential:github}"}}}',
            "credential of this gateway",
            2,
        ),
        ('{"mcpServers": {\n"x": {}}}', "no url or command", 2),
        ('{"mcpServers": {\n"x": 1}}', "no object", 2),
    ],
)
def test_what_cannot_be_is_told_with_its_place(text: str, message: str, line: int) -> None:
    pasted = read_pasted(text)
    assert not pasted.servers
    (problem,) = pasted.problems
    assert message in problem.message
    assert problem.line == line


def test_the_rest_stays_usable_and_nothing_is_dropped_in_silence() -> None:
    pasted = read_pasted(
        """{
  "theme": "dark",
  "mcpServers": {
    "good one": { "url": "https://a.example/mcp", "timeout": 5,
      "colour": "red" },
    "bad": { "url": "nope" },
    "Good-One": { "command": "b-mcp", "args": [], "disabled": true },
    "agent": { "type": "http", "url": "https://c.example/#x", "headers": { "Accept": "a/b" } }
  }
}"""
    )
    assert [server.name for server in pasted.servers] == ["good-one", "Good-One-2", "agent"]
    assert [(one.line, one.where) for one in pasted.problems] == [(6, "bad")]
    assert [(one.line, one.where) for one in pasted.notices] == [(2, "theme")]
    told = [(one.line, one.where) for server in pasted.servers for one in server.notices]
    assert told == [
        (4, "good-one/timeout"),
        (5, "good-one/colour"),
        (4, "good-one"),
        (7, "Good-One-2"),
        (7, "Good-One-2"),
        (8, "agent/headers"),
        (8, "agent/url"),
    ]


def test_there_is_an_end_to_servers() -> None:
    pasted = read_pasted("\n".join(f"https://h{number}.example.com/" for number in range(101)))
    assert len(pasted.servers) == 100
    assert [problem.line for problem in pasted.problems] == [101]


def test_several_lines_are_several_servers() -> None:
    pasted = read_pasted("# mine\nhttps://a.example/\n\nuvx b-mcp\nwhat\nclaude mcp add c -- uvx c-mcp --x\n")
    assert [(server.name, server.line) for server in pasted.servers] == [("a", 2), ("b", 4), ("c", 6)]
    assert [problem.line for problem in pasted.problems] == [5]


K = 1024


@pytest.mark.parametrize(
    "text",
    [
        " " * (200 * K) + "x",
        "$" * (200 * K),
        "${" * (100 * K),
        "<a" * (100 * K),
        "'" * (200 * K),
        '\\"' * (100 * K),
        "a" * (60 * K) + " " + "-e a=" * (40 * K),
        "[mcp_servers.x]\n" + "a." * (100 * K) + "a = 1",
        "[mcp_servers.x]\n" + '" ".' * (60 * K) + "a = 1",
        "[mcp_servers.x" + " " * (200 * K) + "]",
        json.dumps({"url": "https://x.example/" + "a1/" * (60 * K)}),
        json.dumps({"url": "https://x.example/?" + "a&" * (100 * K)}),
        json.dumps({"command": "x", "args": ["-" * K] * 200}),
        json.dumps({"a": [[[[]]]] * (30 * K)}),
        json.dumps(
            {
                "command": "npx",
                "args": ["mcp-remote", "https://x.example/", "--header", "A: ${V0}"],
                "env": {f"V{n}": f"${{V{n + 1}}}" * 2 for n in range(99)},
            }
        ),
    ],
    ids=lambda text: text[:12],
)
def test_no_paste_takes_long(text: str) -> None:
    read_pasted(text)  # pytest's own limit of time is the assertion
