"""The default of one server, ready to judge: a built-in policy, narrowed to the tools that were approved."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from coatcheck.core.access import globs
from coatcheck.core.policy.builtin import BUILT_IN
from coatcheck.core.policy.judging import ReadyPolicy, Standing
from coatcheck.model.access import Nature
from coatcheck.model.call import Kind, Target
from coatcheck.model.policy import Default, Policy
from coatcheck.model.verdict import Judgement

APPROVED_RULE: Final = "(approved)"
_NOT_APPROVED: Final = Standing(
    Judgement.HIDDEN, APPROVED_RULE, "the server's default is narrowed to approved tools, and this is none"
)


class NarrowedPolicy(ReadyPolicy):
    """A default that hides, besides, every tool that no one approved. Prompts and resources stay as they are.

    `approved` are globs over the server's own names.
    """

    __slots__ = ("_approved",)

    def __init__(self, policy: Policy, approved: tuple[str, ...]) -> None:
        super().__init__(policy)
        self._approved = approved

    def _find(self, target: Target, nature: Nature) -> Standing:
        if target.kind is Kind.TOOL and not globs.any_matches(self._approved, target.name):
            return _NOT_APPROVED
        return super()._find(target, nature)


_WHOLE: Final = {name: ReadyPolicy(policy) for name, policy in BUILT_IN.items()}


def ready_default(name: str) -> ReadyPolicy | None:
    """Return the built-in policy of this name; None if there is none."""
    return _WHOLE.get(name)


def default_of(default: Default, approved: tuple[str, ...] | None) -> ReadyPolicy | None:
    """Return what a server's own default is; None where it restricts nothing."""
    if approved is not None:
        return _narrowed(default, approved)
    return None if default is Default.ALLOW_ALL else _WHOLE[default.value]


@lru_cache(maxsize=1_024)
def _narrowed(default: Default, approved: tuple[str, ...]) -> ReadyPolicy:
    """Return the same for equal ones, so that what is known of names is kept over publications."""
    return NarrowedPolicy(BUILT_IN[default.value], approved)
