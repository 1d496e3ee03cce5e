"""A policy: a document that says which tools, prompts and resources may be used, how, and how much."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

Number = int | Decimal
"""A number as it was written: exact, of any size."""
Scalar = str | int | Decimal | bool | None


class Default(StrEnum):
    """What holds for what no entry allows; what is not allowed by it is hidden.

    `read-only` allows tools that read, prompts and resources; not tools that write or cannot be classified.
    """

    ALLOW_ALL = "allow-all"
    READ_ONLY = "read-only"
    DENY_ALL = "deny-all"


class Section(StrEnum):
    """Where an entry stands in the document, and so what its key is compared with."""

    TOOLS = "tools"
    ACCESS = "access"
    PROMPTS = "prompts"
    RESOURCES = "resources"


class EntryOutcome(StrEnum):
    """What an entry says on its own: allowed, denied (listed, and told so), or hidden."""

    ALLOW = "allow"
    DENY = "deny"
    HIDE = "hide"


# --- conditions ------------------------------------------------------------------------------------


class Op(StrEnum):
    """How an argument is compared."""

    EQ = "eq"
    NE = "ne"
    IN = "in"
    NOT_IN = "not_in"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    MATCHES = "matches"
    SEARCH = "search"
    CONTAINS = "contains"
    HAS = "has"
    EXISTS = "exists"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class ArgumentCondition:
    """A comparison of what stands at `path`, a JSON Pointer into the arguments in which `*` is every item.

    `operands` are what is compared with: several for `in` and `not_in`, one flag for `exists`, none for
    `length`, which has its bounds in `least` and `most` instead. Text is compared without regard to case
    where `ignore_case`. `if_present`: the condition is as not written where nothing stands at `path`.
    """

    path: str
    op: Op
    operands: tuple[Scalar, ...] = ()
    least: int | None = None
    most: int | None = None
    if_present: bool = False
    ignore_case: bool = False


class Trait(StrEnum):
    """What of a caller a condition can look at by its name."""

    SUBJECT = "subject"
    ROLE = "role"
    GRANT = "grant"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class CallerCondition:
    """Globs, one of which the caller's subject, one of its roles, its grant's label or its client matches."""

    trait: Trait
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AddressCondition:
    """Networks in CIDR notation, one of which the caller's address lies in."""

    networks: tuple[str, ...]


class Day(StrEnum):
    """A day of the week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


@dataclass(frozen=True, slots=True)
class TimeCondition:
    """A time of the week in a zone of the tz database: from `begin` up to and without `end`.

    Both are minutes of the day, 0 to 1440. Where `end` is not after `begin` it is of the next day, and `days`
    are those on which the time begins. No days are all.
    """

    zone: str
    days: tuple[Day, ...] = ()
    begin: int = 0
    end: int = 1440


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds if one of its conditions holds."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """Holds if all of its conditions hold."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Holds if its condition does not; what cannot be told stays so."""

    condition: Condition


Condition = ArgumentCondition | CallerCondition | AddressCondition | TimeCondition | AnyOf | AllOf | Not


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition of an entry, and what a caller is told whom it denies; empty for what the entry says."""

    condition: Condition
    message: str = ""


# --- limits ----------------------------------------------------------------------------------------


class Per(StrEnum):
    """The length of a sliding window."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


class Each(StrEnum):
    """What has a count of its own."""

    GRANT = "grant"
    SUBJECT = "subject"
    SERVER = "server"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class CallLimit:
    """At most `most` calls in any window; no `each` is one count for all."""

    most: int
    per: Per
    each: tuple[Each, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class SumLimit:
    """At most `most` in any window as the sum of the numbers that stand at `path` in the arguments."""

    path: str
    most: Number
    per: Per
    each: tuple[Each, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True)
class AtOnceLimit:
    """At most `most` calls under way at one time."""

    most: int
    each: tuple[Each, ...] = ()
    message: str = ""


Limit = CallLimit | SumLimit | AtOnceLimit


# --- the document ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    """What is said of all that `key` covers: a glob over names or URIs, or `read` or `write` by access.

    `outcome` None: the entry only adds conditions and limits to what others or the default allow. `message`
    is what a caller is told who is denied by it.
    """

    section: Section
    key: str
    outcome: EntryOutcome | None = None
    message: str = ""
    allow_if: tuple[Clause, ...] = ()
    deny_if: tuple[Clause, ...] = ()
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """One document. `entries` are in the order of `Section`, and of the document within each.

    All entries that cover a target apply. `limits` are over everything that the document allows.
    """

    name: str
    default: Default
    description: str = ""
    entries: tuple[PolicyEntry, ...] = ()
    limits: tuple[Limit, ...] = ()
