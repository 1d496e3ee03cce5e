"""Servers that somebody is about to add: held in memory for a while, so that no page carries a secret."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from coatcheck.core.pasted import Pasted
from coatcheck.errors import Missing
from coatcheck.operations.registry.patches import NewServer
from coatcheck.operations.registry.serving.trials import Trial
from coatcheck.ports import Clock, Entropy

SECONDS: Final = 1_800.0
MOST: Final = 200
MOST_OF_ONE: Final = 10


@dataclass(frozen=True, slots=True)
class Candidate:
    """One server that may be added, and what came of trying it. `trial` None: it cannot be, `why` says so.

    `chosen`: whether somebody said that it is to be added; None: nobody said yes or no.
    """

    new: NewServer = field(repr=False)
    trial: Trial | None
    why: str = ""
    fix: str = ""
    chosen: bool | None = None

    @property
    def waits(self) -> bool:
        """Whether it is to be connected before it can answer."""
        return self.new.oauth is not None and self.trial is not None and not self.trial.error

    @property
    def ready(self) -> bool:
        """Whether it answered, or is to be connected."""
        return self.waits or (self.trial is not None and self.trial.catalogue is not None)

    @property
    def ticked(self) -> bool:
        """Whether it is to be added: as somebody said, else whether it is ready."""
        return self.ready if self.chosen is None else self.chosen


@dataclass(frozen=True, slots=True)
class Draft:
    """What one operator is about to add: what was pasted, and what was made and tried of it."""

    id: str
    by: str
    until: float
    pasted: Pasted | None = field(default=None, repr=False)
    candidates: Sequence[Candidate] = ()


class Drafts:
    """Holds drafts, each for the operator who made it."""

    def __init__(self, clock: Clock, entropy: Entropy) -> None:
        self._clock = clock
        self._entropy = entropy
        self._held: OrderedDict[str, Draft] = OrderedDict()

    def put(self, by: str, pasted: Pasted | None = None, candidates: Sequence[Candidate] = ()) -> Draft:
        """Hold a draft; the oldest are forgotten where there are too many."""
        self._forget_old()
        own = [one.id for one in self._held.values() if one.by == by]
        for id in own[: max(0, len(own) + 1 - MOST_OF_ONE)]:
            del self._held[id]
        id = self._entropy.token(12).hex()
        draft = self._held[id] = Draft(id, by, self._clock.monotonic() + SECONDS, pasted, candidates)
        while len(self._held) > MOST:
            self._held.popitem(last=False)
        return draft

    def get(self, by: str, id: str) -> Draft:
        """Return a draft of an operator.

        Raises:
            Missing: there is none, or it is too old.
        """
        self._forget_old()
        found = self._held.get(id)
        if found is None or found.by != by:
            raise Missing("what you were about to add is not held any more", fix="begin again")
        return found

    def change(self, draft: Draft, candidates: Sequence[Candidate]) -> Draft:
        """Hold other candidates in a draft."""
        changed = replace(draft, candidates=candidates, until=self._clock.monotonic() + SECONDS)
        if draft.id in self._held:
            self._held[draft.id] = changed
        return changed

    def drop(self, id: str) -> None:
        """Forget a draft."""
        self._held.pop(id, None)

    def _forget_old(self) -> None:
        now = self._clock.monotonic()
        for id in [one.id for one in self._held.values() if one.until < now]:
            del self._held[id]
