"""Policies, calls and callers for tests: generated ones, and short words for written ones."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from hypothesis import strategies as st

from coatcheck.core.policy.conditions.arguments import Arguments
from coatcheck.core.policy.judging import ReadyPolicy, judge
from coatcheck.core.policy.reading.document import read_policy
from coatcheck.model.access import Nature
from coatcheck.model.call import Kind, Target
from coatcheck.model.verdict import Facts, PolicyVerdict

NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
"""A Wednesday."""
ALICE = Facts(
    "alice", frozenset({"dev"}), "grant-1", "laptop", "server-1", NOON, "claude-code 2.4", "10.1.2.3"
)
CHARGE = Target(Kind.TOOL, "create_charge")


def document(**members: Any) -> dict[str, Any]:
    return {"coatcheck": 1, "name": "p", "default": "allow-all", **members}


def a_policy(**members: Any) -> ReadyPolicy:
    return ReadyPolicy(read_policy(document(**members)))


def judged(
    policy: ReadyPolicy, arguments: bytes | None = b"{}", target: Target = CHARGE, facts: Facts = ALICE
) -> PolicyVerdict:
    return judge([policy], target, Nature.WRITE, facts, Arguments(arguments))


def asked(word: str, *conditions: dict[str, Any]) -> ReadyPolicy:
    """Return a policy of one tool whose conditions stand under `deny_if` or `allow_if`."""
    return a_policy(tools={"create_charge": {"outcome": "allow", word: list(conditions)}})


# --- generated ----------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    (
        "get",
        "get_x",
        "Get",
        "del",
        "del_x",
        "x",
        "",
        "\uff27\uff25\uff34",
        "get\u200b",
        "get_del_x",
        "*",
        "get*",
    )
)
URIS = st.sampled_from(
    ("file:///a/b", "file:///a//b", "file:///a/../b", "FILE:///a", "db://x/y", "db://x/%79", "x", "*")
)
GLOBS = st.sampled_from(("*", "**", "get", "get*", "get_*", "*_x", "*_*", "g*t", "g*_*x", "*e*", "*el*", "del", "Get*", "x"))  # fmt: skip
URI_GLOBS = st.sampled_from(("*", "file:///a/*", "file:///a/b", "db://x/y", "db:*", "*y", "file:///*"))
PATHS = st.sampled_from(("/a", "/b", "/a/b", "/l/*", "/l/*/a", "/*", "/*/*", "/l/0", "/a~1b", "/a/*/b"))
TEXTS = st.sampled_from(
    ("", "a", "b", "ab", "A", "1", "true", "\uff41", "…", "a\u200bb", " a", "b\n", "x" * 30)
)
PLAIN_TEXTS = st.sampled_from(("a", "b", "ab", "1", "true"))
NUMBERS = st.integers(-3, 3) | st.sampled_from(
    (10**20, Decimal("0.1"), Decimal("1.5"), Decimal("1E+100"), Decimal("-2.25"), 2**63)
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, PLAIN_TEXTS)
MESSAGES = st.sampled_from(("", "", "Ask finance.", "Ünïcode is fine."))


def filled(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value not in ("", [], {}, None)}


def _comparison(path: str, op: str, value: Any, present: bool, caseless: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"path": path, "op": op}
    if op == "length":
        found |= {"min": abs(int(value or 0)), "max": 20}
    elif op != "exists" or value is not None:
        found["value"] = value
    if present and op != "exists":
        found["if_present"] = True
    if caseless and op in {"eq", "in", "contains", "matches", "has"}:
        found["ignore_case"] = True
    return found


@cache
def comparisons() -> st.SearchStrategy[dict[str, Any]]:
    values: dict[str, st.SearchStrategy[Any]] = {
        "eq": SCALARS,
        "ne": SCALARS,
        "has": SCALARS,
        "in": st.lists(SCALARS, min_size=1, max_size=3),
        "not_in": st.lists(SCALARS, min_size=1, max_size=3),
        "lt": NUMBERS,
        "le": NUMBERS,
        "gt": NUMBERS,
        "ge": NUMBERS,
        "matches": st.sampled_from(("a", "[a-z]+", ".*", "(?i)A")),
        "search": st.sampled_from(("a", "^b", "[0-9]$")),
        "contains": PLAIN_TEXTS,
        "exists": st.none() | st.booleans(),
        "length": st.integers(0, 3),
    }
    return st.one_of(
        [
            st.builds(_comparison, PATHS, st.just(op), value, st.booleans(), st.booleans())
            for op, value in values.items()
        ]
    )


CALLERS = st.sampled_from(
    (
        {"subject": ["alice"]},
        {"subject": "b*"},
        {"role": ["dev", "ops"]},
        {"grant": ["lap*"]},
        {"client": ["claude*"]},
        {"ip": ["10.0.0.0/8", "::1"]},
        {"time": {"days": ["wed", "mon"], "from": "08:00", "to": "18:00", "zone": "UTC"}},
        {"time": {"from": "22:00", "to": "06:00", "zone": "UTC"}},
        {"time": {"days": ["sun"], "zone": "UTC"}},
    )
)


@cache
def conditions(arguments: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    leaves: st.SearchStrategy[Any] = (comparisons() | CALLERS) if arguments else CALLERS
    nested: st.SearchStrategy[dict[str, Any]] = st.recursive(leaves, _joined, max_leaves=9)
    return nested.filter(lambda one: _depth(one) <= 8)


def _joined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    few = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        inner.map(lambda one: {"not": one}), few.map(lambda many: {"any": many}), few.map(lambda many: {"all": many})
    )  # fmt: skip


def _depth(condition: Any) -> int:
    if isinstance(condition, dict):
        return 1 + max(
            (_depth(value) for key, value in condition.items() if key in {"any", "all", "not"}), default=0
        )
    return max(map(_depth, condition))


@cache
def clauses(arguments: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda condition, message: {**condition, **filled(message=message)}, conditions(arguments), MESSAGES
    )


EACH = st.sampled_from(
    ("all", "grant", "subject", "server", "tool", ["grant", "tool"], ["subject", "server"])
)
PER = st.sampled_from(("second", "minute", "hour", "day"))


@cache
def limits(sums: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    calls = st.builds(
        lambda most, per, each: {"calls": most, "per": per, "each": each}, st.integers(1, 9), PER, EACH
    )
    at_once = st.builds(lambda most, each: {"at_once": most, "each": each}, st.integers(1, 9), EACH)
    summed = st.builds(
        lambda path, most, per, each: {"sum": path, "most": most, "per": per, "each": each},
        PATHS,
        st.sampled_from((1, 50_000, Decimal("0.5"))),
        PER,
        EACH,
    )
    return st.one_of(calls, at_once, summed) if sums else calls | at_once


@cache
def entries(arguments: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    few = st.lists(clauses(arguments), max_size=2)
    conditional = st.builds(
        lambda outcome, message, allow_if, deny_if, limited: filled(
            outcome=outcome, message=message, allow_if=allow_if, deny_if=deny_if, limits=limited
        ),
        st.sampled_from(("", "allow")),
        MESSAGES,
        few,
        few,
        st.lists(limits(arguments), max_size=1),
    ).filter(lambda entry: entry.keys() - {"message"})
    flat = st.sampled_from(({"outcome": "deny"}, {"outcome": "hide"}, {"outcome": "deny", "message": "No."}))
    return st.one_of(conditional, conditional, flat)


@cache
def documents() -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda default, description, tools, access, prompts, resources, limited: {
            "coatcheck": 1,
            "name": "generated-1",
            "default": default,
            **filled(
                description=description,
                tools=tools,
                access=access,
                prompts=prompts,
                resources=resources,
                limits=limited,
            ),
        },
        st.sampled_from(("allow-all", "read-only", "deny-all")),
        st.sampled_from(("", "What it is for,\nin two lines.")),
        st.dictionaries(GLOBS, entries(), max_size=5),
        st.dictionaries(st.sampled_from(("read", "write")), entries(), max_size=2),
        st.dictionaries(GLOBS, entries(), max_size=3),
        st.dictionaries(URI_GLOBS, entries(arguments=False), max_size=3),
        st.lists(limits(sums=False), max_size=1),
    )


TARGETS = st.one_of(
    st.builds(Target, st.just(Kind.TOOL), NAMES),
    st.builds(Target, st.just(Kind.TOOL), NAMES),
    st.builds(Target, st.just(Kind.PROMPT), NAMES),
    st.builds(Target, st.just(Kind.RESOURCE), URIS),
    st.just(Target(Kind.SERVER, "")),
)
NATURES = st.sampled_from(Nature)
FACTS = st.builds(
    Facts,
    st.sampled_from(("alice", "bob", "")),
    st.frozensets(st.sampled_from(("dev", "ops"))),
    st.just("grant-1"),
    st.sampled_from(("laptop", "ci", "")),
    st.just("server-1"),
    st.integers(0, 14 * 24).map(lambda hours: NOON + timedelta(hours=hours)),
    st.sampled_from(("claude-code 2.4", "", "\uff43laude")),
    st.sampled_from(("10.1.2.3", "::ffff:10.1.2.3", "::1", "", "none")),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("a", "b", "l", "A", "a/b", "0")), inner, max_size=3)
    ),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from(("a", "b", "l", "A", "\uff41", "a/b")), VALUES, max_size=4)

# --- as they are written -----------------------------------------------------------------------------------

LEXEMES = st.sampled_from(
    ("0", "-0", "-0.0", "1", "1.0", "1E0", "-1", "0.1", "0.30000000000000000001", "1E3", "9007199254740993", "1e400", "-1e400", "1e-400", "1e99999999999999999999", "-1E-99999999999999999999", "9" * 400, "0." + "3" * 400)
)  # fmt: skip
_WRITTEN_TEXTS = st.sampled_from(
    ('"a"', '"\\u0061"', '"\\ud800"', '"\\u0000"', '" a "', '"{\\"a\\":1}"', '"\uff41"', '"a\\u200b"', '"1"', '"true"', '""', '"x\\ny"')
)  # fmt: skip
_WRITTEN_NAMES = st.sampled_from(
    ('"a"', '"b"', '"l"', '"A"', '"\\u0061"', '"a/b"', '"0"', '""', '"\uff42"', '"*"')
)


def _written_below(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    lists = st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]")
    return lists | written_objects(inner)


def written_objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return objects as they come over the wire, with members that are equal or look alike among them."""
    pairs = st.lists(st.tuples(_WRITTEN_NAMES, inner), max_size=3)
    return pairs.map(lambda found: "{" + ",".join(f"{name}:{value}" for name, value in found) + "}")


WRITTEN = st.recursive(
    st.one_of(LEXEMES, _WRITTEN_TEXTS, st.sampled_from(("true", "false", "null"))),
    _written_below,
    max_leaves=6,
)
"""JSON as text: whatever a caller may write as arguments, and more than the strict reader lets pass."""
WRITTEN_ARGUMENTS = st.one_of(written_objects(WRITTEN), written_objects(WRITTEN), WRITTEN).map(str.encode)


@st.composite
def narrowed(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a document, and the same one with one restriction more."""
    found = draw(documents())
    more = copy.deepcopy(found)
    section, key = draw(st.sampled_from(("tools", "access", "prompts", "resources"))), draw(GLOBS)
    key = draw(st.sampled_from(("read", "write"))) if section == "access" else key
    word = draw(st.sampled_from(("deny", "hide", "deny_if", "allow_if", "limits", "default", "whole")))
    if word == "default":
        order = ("allow-all", "read-only", "deny-all")
        more["default"] = draw(st.sampled_from(order[order.index(found["default"]) :]))
        return found, more
    if word == "whole":
        more.setdefault("limits", []).append(draw(limits(sums=False)))
        return found, more
    entry = more.setdefault(section, {}).get(key, {})
    if word in {"deny", "hide"}:
        more[section][key] = {"outcome": word}
    elif entry.get("outcome") not in {"deny", "hide"}:
        arguments = section != "resources"
        one = draw(limits(arguments)) if word == "limits" else draw(clauses(arguments))
        at = draw(st.integers(0, 2))
        more[section][key] = {**entry, word: [*entry.get(word, [])[:at], one, *entry.get(word, [])[at:]]}
    else:
        more[section][key] = entry
    return found, more
