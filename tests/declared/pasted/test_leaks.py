"""Whatever is pasted: nothing is raised, and a credential in it is told nowhere."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.pasted import Pasted, filled
from coatcheck.declared.pasted.reading import read_pasted
from coatcheck.errors import Unfit
from coatcheck.model.secret import Secret

PLANTED = "ghp_Zq7" + "Xw3Rv9" * 5
WORDS = st.sampled_from(
    [
        PLANTED,
        f"Bearer {PLANTED}",
        f"${{{PLANTED}}}",
        f"<{PLANTED}>",
        f"${{A:-{PLANTED}}}",
        f"--token={PLANTED}",
        f"https://x.example/{PLANTED}?key={PLANTED}",
        f"https://{PLANTED}:x@x.example/",
        "${A}",
        "x",
        "",
        "npx",
        "${input:k}",
        "https://x.example/",
        "--header",
        "${credential:x}",
        "mcp-remote",
        "-e",
        "YOUR_KEY",
        "~/x",
    ]
)
KEYS = st.sampled_from(
    [
        "mcpServers",
        "servers",
        "mcp",
        "context_servers",
        "url",
        "httpUrl",
        "command",
        "args",
        "env",
        "headers",
        "type",
        "cwd",
        "inputs",
        "id",
        "description",
        "name",
        "Authorization",
        "requestInit",
        "odd",
        PLANTED,
        "oauth",
        "path",
    ]
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "url": WORDS,
        "command": WORDS,
        "args": st.lists(WORDS, max_size=4),
        "env": st.dictionaries(KEYS, WORDS, max_size=3),
        "headers": st.dictionaries(KEYS, WORDS, max_size=3),
        "cwd": WORDS,
        "odd": WORDS,
        PLANTED: WORDS,
    },
)
LINE = st.lists(
    WORDS
    | st.sampled_from(
        ["claude", "mcp", "add", "add-json", "--url", "-H", "-t", "http", "'", '"', "\\", "\n", "&&"]
    ),
    max_size=10,
).map(" ".join)


def shows(pasted: Pasted) -> str:
    """Return all that an operator is told of a paste without asking for a value."""
    parts = [repr(pasted), str(pasted)]
    for server in pasted.servers:
        parts += [value.shown() for _, value in server.places()]
        parts += [server.name, repr(server.gaps), repr(server.proposed), repr(server.notices)]
        try:
            parts.append(repr(filled(server, {gap.name: Secret(PLANTED) for gap in server.gaps})))
        except Unfit as error:
            parts.append(str(error))
    return " ".join(parts)


def test_the_planted_one_is_found() -> None:
    pasted = read_pasted(json.dumps({"url": "https://x.example/", "headers": {"Authorization": PLANTED}}))
    assert pasted.servers[0].proposed[0].value == Secret(PLANTED)


@given(
    st.dictionaries(
        st.sampled_from(["mcpServers", "servers", PLANTED]), st.dictionaries(KEYS, ENTRY, max_size=3)
    )
)
def test_nothing_leaks_from_servers(value: dict[str, Any]) -> None:
    assert PLANTED not in shows(read_pasted(json.dumps(value)))


@given(JSON)
def test_nothing_leaks_from_any_json(value: Any) -> None:
    assert PLANTED not in shows(read_pasted(json.dumps(value)))


@given(LINE)
def test_nothing_leaks_from_lines(text: str) -> None:
    assert PLANTED not in shows(read_pasted(text))


@given(KEYS, WORDS, st.sampled_from(["", "]", "[", "=", '"', "'"]))
def test_nothing_leaks_from_toml(key: str, word: str, odd: str) -> None:
    text = f'[mcp_servers.{key}]{odd}\nurl = "{word}"\n{PLANTED} = "x"\n[mcp_servers.{key}.http_headers]\nX-Key = "{word}"\n'
    assert PLANTED not in shows(read_pasted(text))


@given(st.text(max_size=400))
def test_nothing_raises(text: str) -> None:
    read_pasted(text)
    read_pasted("{" + text)
    read_pasted("[mcp_servers" + text)
