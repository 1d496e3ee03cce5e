"""What policies say of one call: the facts they look at, what holds, and what has to be counted for it."""

from __future__ import annotations

from datetime import datetime
from enum import Enum, StrEnum

import msgspec

from coatcheck.model.policy import Number, Per


class Facts(msgspec.Struct, frozen=True):
    """Who calls what, from where and when, as far as policies ask. None: it was not recorded.

    `client` and `address` are empty where they are not known; `client` is the client's own word. `at` is
    aware of its zone. `server` is the id by which a server has a count of its own.
    """

    subject: str
    roles: frozenset[str]
    grant_id: str
    grant_label: str
    server: str
    at: datetime | None
    client: str | None = ""
    address: str | None = ""


class Scene(msgspec.Struct, frozen=True):
    """From where, with what client and when something is asked; as in `Facts`."""

    address: str | None = ""
    client: str | None = ""
    at: datetime | None = None


class Truth(Enum):
    """Whether a condition holds.

    `UNKNOWN`: it cannot be told, since a value is absent, of another type, or reads in two ways. `SKIPPED`:
    nothing is there and the condition does not mind. `UNRECORDED`: a replay lacks the value.
    """

    FALSE = "does not hold"
    TRUE = "holds"
    UNKNOWN = "cannot be told"
    SKIPPED = "does not apply"
    UNRECORDED = "needs a value that was not recorded"


class Charge(msgspec.Struct, frozen=True):
    """What one call takes of one limit: `amount` of at most `most` in any window of `per`.

    `per` None: of calls at one time. `key` names the count. `rule` and `message` are for a call that does not
    fit.
    """

    rule: str
    key: tuple[str, ...]
    most: Number
    per: Per | None
    amount: Number
    message: str


class Judgement(StrEnum):
    """The outcome of policies, from the least restrictive. `undecided` happens in a replay only."""

    ALLOWED = "allowed"
    UNDECIDED = "undecided"
    DENIED = "denied"
    HIDDEN = "hidden"

    @property
    def lets_through(self) -> bool:
        """Whether the call goes on. What is undecided was a call once: a replay counts it as let through."""
        return self is Judgement.ALLOWED or self is Judgement.UNDECIDED


class PolicyVerdict(msgspec.Struct, frozen=True):
    """What holds, the pointer of the rule that says so, and one sentence for the record.

    `message` is what a denied caller is told; `charges` is what an allowed call takes of limits.
    """

    judgement: Judgement
    rule: str
    because: str
    message: str = ""
    charges: tuple[Charge, ...] = ()


class Step(msgspec.Struct, frozen=True):
    """One part of a policy that was looked at: where it stands, what it says, and what came of it.

    `truth` is None for what is no condition. `denies` tells that this part alone would deny or hide. `charge`
    is what the call takes of a limit.
    """

    rule: str
    says: str
    truth: Truth | None = None
    because: str = ""
    denies: bool = False
    charge: Charge | None = None
