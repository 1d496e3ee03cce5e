"""How long a decision by a policy of 200 rules takes, within one process: `python -m bench.decisions`.

Prints, as JSON, microseconds of CPU for each kind of policy: the median over rounds that take turns. What is
timed is `decide`, as it runs for each call, with the arguments read anew where a condition asks for them.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import cycle
from typing import Any, Final
from uuid import UUID

from bench.calls import TEXT
from coatcheck.core.access.decide import decide
from coatcheck.core.access.rules import Policies, Rules
from coatcheck.core.policy.judging import ReadyPolicy
from coatcheck.core.policy.reading.document import read_policy
from coatcheck.model.access import OPEN, Nature
from coatcheck.model.call import Call, Kind, Target
from coatcheck.model.decision import Permit
from coatcheck.model.grant import Principal, Voucher
from coatcheck.model.server import Server, StdioReach
from coatcheck.model.verdict import Scene

RULES: Final = 200
ROUNDS: Final = 9
DECISIONS: Final = 4_000
NAMES_ANEW: Final = 50_000
"""More names than are remembered, so that each is looked for again."""

SERVER: Final = Server(UUID(int=1), "raw", StdioReach("raw"))
WHO: Final = Principal("alice", frozenset({"dev"}), "grant", "laptop", Voucher.GRANT)
SCENE: Final = Scene("127.0.0.1", "bench", datetime(2026, 11, 18, 12, tzinfo=UTC))
ARGUMENTS: Final = json.dumps({"text": TEXT}).encode()
ECHO: Final = Target(Kind.TOOL, "echo")


def elsewhere(count: int = RULES) -> dict[str, Any]:
    """Return rules for other tools, half of them by globs, each with a condition on an argument."""
    condition = {"path": "/amount", "op": "gt", "value": 5000}
    names = [f"tool_{number}" if number % 2 else f"tool_{number}_*" for number in range(count)]
    return {name: {"deny_if": [condition]} for name in names}


def here() -> dict[str, Any]:
    """Return a rule for the tool that is called, whose conditions look at its argument and let it pass."""
    conditions = [
        {"path": "/text", "op": "eq", "value": "nothing"},
        {"path": "/text", "op": "search", "value": "(?i)drop table"},
        {"path": "/amount", "op": "gt", "value": 5000, "if_present": True},
    ]
    return {"echo": {"outcome": "allow", "deny_if": conditions}}


def everywhere() -> dict[str, Any]:
    """Return rules that all cover the tool that is called, each with a condition of its own."""
    return {
        "*" * (number + 1): {"deny_if": [{"path": "/text", "op": "eq", "value": f"nothing {number}"}]}
        for number in range(RULES)
    }


def document(tools: dict[str, Any]) -> dict[str, Any]:
    """Return a policy of rules for tools."""
    return {"coatcheck": 1, "name": "bench", "default": "allow-all", "tools": tools}


def whole() -> dict[str, Any]:
    """Return the policy whose last rule is for the tool that is called."""
    return document(elsewhere(RULES - 1) | here())


def rules(tools: dict[str, Any]) -> Rules:
    return Rules(OPEN, Policies((ReadyPolicy(read_policy(document(tools))),)))


def deciding(made: Rules, targets: Iterable[Target]) -> Callable[[], float]:
    """Return what makes some decisions and tells how long one took, in microseconds."""
    call, following = Call(b"7", "tools/call", {"name": b'"echo"', "arguments": ARGUMENTS}), cycle(targets)

    def once() -> float:
        few = [next(following) for _ in range(DECISIONS)]
        began = time.thread_time()
        for target in few:
            decision = decide(call, target, WHO, SERVER, made, Nature.READ, SCENE)
        took = (time.thread_time() - began) * 1e6 / DECISIONS
        assert isinstance(decision, Permit), decision
        return took

    return once


def kinds() -> dict[str, Callable[[], float]]:
    """Return what is measured, by its name on the page."""
    names = [Target(Kind.TOOL, f"other_{number}") for number in range(NAMES_ANEW)]
    return {
        "no policy": deciding(Rules(), [ECHO]),
        f"{RULES} rules, none for the tool": deciding(rules(elsewhere()), [ECHO]),
        f"{RULES} rules, none for the tool, its name never seen": deciding(rules(elsewhere()), names),
        f"{RULES} rules, the last for the tool": deciding(rules(whole()["tools"]), [ECHO]),
        f"{RULES} rules, all for the tool": deciding(rules(everywhere()), [ECHO]),
    }


def measured(rounds: int = ROUNDS) -> dict[str, float]:
    """Return microseconds for each kind, the median over rounds that take turns."""
    found = kinds()
    taken: dict[str, list[float]] = {kind: [] for kind in found}
    for _ in range(rounds):
        for kind, once in found.items():
            taken[kind].append(once())
    return {kind: round(statistics.median(times), 2) for kind, times in taken.items()}


if __name__ == "__main__":
    json.dump(measured(), sys.stdout)
