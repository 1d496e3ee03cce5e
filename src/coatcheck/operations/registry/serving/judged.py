"""Tools with what the default of their server makes of them: for whoever adds a server, or looks at one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from coatcheck.core.access.decide import SCOPE_RULE
from coatcheck.core.pins.refusal import QUARANTINED_RULE
from coatcheck.core.policy.judging import Standing
from coatcheck.model.verdict import Judgement
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.views import ToolView

_GONE: Final = Standing(Judgement.HIDDEN, SCOPE_RULE, "the server is not in use")
_HELD: Final = Standing(Judgement.HIDDEN, QUARANTINED_RULE, "it is not as it was accepted")


@dataclass(frozen=True, slots=True)
class JudgedTool:
    """One tool, and what a grant without a policy of its own may do with it, whatever else takes it away.

    That is by the policy used on the server, or else by the server's own default.
    """

    tool: ToolView
    default: Standing


def judged(snapshot: Snapshot, tools: Iterable[ToolView]) -> tuple[JudgedTool, ...]:
    """Return tools as the snapshot in force judges them."""
    policies = snapshot.rules.policies
    found = []
    for tool in tools:
        server = snapshot.servers.get(tool.server)
        standing = _GONE if server is None else policies.by_default(server, tool.entry.name, tool.nature)
        standing = _HELD if tool.held_back else standing
        found.append(JudgedTool(tool, standing))
    return tuple(found)
