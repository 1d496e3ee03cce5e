"""Cases of a policy: calls written beside it, each with what shall come of it, tried without a gateway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import ip_address
from typing import Any, Final

from coatcheck.core.policy.conditions.arguments import NO_ARGUMENTS, Arguments
from coatcheck.core.policy.conditions.values import write_exact
from coatcheck.core.policy.judging import ReadyPolicy, judge
from coatcheck.core.policy.limits.windows import SECOND, Refused, Reservation, Windows
from coatcheck.core.policy.reading.place import Place
from coatcheck.core.policy.reading.problems import BadPolicy, Notes
from coatcheck.core.policy.trying.tracing import trace
from coatcheck.model.access import Nature
from coatcheck.model.call import Kind, Target
from coatcheck.model.verdict import Facts, Judgement, PolicyVerdict, Step

FORM: Final = 1
MAX_CASES: Final = 1_000
MAX_AFTER: Final = 100_000
MAX_EVERY: Final = 86_400
MAX_UNDER_WAY: Final = 1_000
_NOON: Final = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
"""When a call is made that says nothing of it: a Thursday."""
_KEYS: Final = ("coatcheck", "policy", "cases")
_CASE_KEYS: Final = (
    "name",
    "tool",
    "prompt",
    "resource",
    "access",
    "arguments",
    "caller",
    "at",
    "after",
    "every",
    "under_way",
    "expect",
    "rule",
)
_CALLER_KEYS: Final = ("subject", "roles", "grant", "client", "ip")
_NATURES: Final = {"read": Nature.READ, "write": Nature.WRITE, "unknown": Nature.AMBIGUOUS}
_TARGETS: Final = {"tool": Kind.TOOL, "prompt": Kind.PROMPT, "resource": Kind.RESOURCE}


class Expected(StrEnum):
    """What shall come of a call."""

    ALLOWED = "allowed"
    DENIED = "denied"
    HIDDEN = "hidden"


class Access(StrEnum):
    """What a tool does, as a case says it; `unknown` is what cannot be classified."""

    READ = "read"
    WRITE = "write"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Case:
    """One call. `after` is how many such calls were made before, one `every` so many seconds.

    `under_way` is how many more of them have not ended. `rule` is the pointer, without the policy's name,
    that shall decide; empty for whichever does.
    """

    name: str
    target: Target
    nature: Nature
    facts: Facts
    arguments: Arguments
    expected: Expected
    rule: str = ""
    after: int = 0
    every: int = 0
    under_way: int = 0


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a case: the outcome, the rule and why; `steps` are all parts that covered the call."""

    case: Case
    outcome: Expected
    rule: str
    because: str
    steps: tuple[Step, ...]

    @property
    def passed(self) -> bool:
        """Whether it came as expected."""
        pointer = self.rule.partition(":")[2]
        return self.outcome is self.case.expected and self.case.rule in {"", pointer}


def try_case(policy: ReadyPolicy, case: Case) -> Tried:
    """Judge the call of a case as the gateway would."""
    verdict = judge([policy], case.target, case.nature, case.facts, case.arguments)
    outcome, rule, because = _outcome(verdict), verdict.rule, verdict.because
    if outcome is Expected.ALLOWED and (refused := _refused(verdict, case)):
        outcome, rule = Expected.DENIED, refused.charge.rule
        because = refused.because
    return Tried(
        case, outcome, rule, because, trace(policy, case.target, case.nature, case.facts, case.arguments)
    )


def _outcome(verdict: PolicyVerdict) -> Expected:
    if verdict.judgement is Judgement.HIDDEN:
        return Expected.HIDDEN
    return Expected.ALLOWED if verdict.judgement is Judgement.ALLOWED else Expected.DENIED


def _refused(verdict: PolicyVerdict, case: Case) -> Refused | None:
    """Return why the last of the calls is refused. Of those before it, one that is refused takes nothing."""
    windows, now = Windows(), 0
    reservation: Reservation | Refused | None = None
    for number in range(case.after + case.under_way + 1):
        now = min(number, case.after) * case.every * SECOND
        reservation = windows.reserve(verdict.charges, now)
        if number < case.after and isinstance(reservation, Reservation):
            windows.end(reservation)
    return reservation if isinstance(reservation, Refused) else None


# --- reading -------------------------------------------------------------------------------------------


def read_cases(document: object, policy: str) -> Sequence[Case]:
    """Return the cases that a document of plain values has for the policy of a name.

    Raises:
        BadPolicy: with everything that is wrong; pointers are into the document of cases.
    """
    notes = Notes()
    place = Place(document, "", notes)
    cases: list[Case] = []
    keys = place.keys(_KEYS)
    if keys is not None:
        _read_head(place, keys, policy)
        for member in (keys["cases"].items(MAX_CASES) or ()) if "cases" in keys else ():
            case = _read_case(member)
            if case is not None:
                cases.append(case)
    if notes.problems:
        raise BadPolicy(notes.problems)
    return cases


def _read_head(place: Place, keys: dict[str, Place], policy: str) -> None:
    if "coatcheck" not in keys:
        place.missing("coatcheck", f'add "coatcheck": {FORM}, the form of the document')
    elif type(keys["coatcheck"].value) is not int or keys["coatcheck"].value != FORM:
        keys["coatcheck"].problem("is no form that is known here", f"write {FORM}")
    if "policy" not in keys:
        place.missing("policy", f"name the policy: {policy}")
    elif keys["policy"].value != policy:
        keys["policy"].problem("is not the name of the policy beside it", f"write {policy}")
    if "cases" not in keys:
        place.missing("cases", "write the cases as a list")


def _read_case(place: Place) -> Case | None:
    keys = place.keys(_CASE_KEYS)
    if keys is None:
        return None
    for key, fix in (("name", "say in words what is tried"), ("expect", "write allowed, denied or hidden")):
        if key not in keys:
            place.missing(key, fix)
    name = keys["name"].line(200) if "name" in keys else None
    expected = keys["expect"].word(Expected) if "expect" in keys else None
    target = _read_target(place, keys)
    access = keys["access"].word(Access) if "access" in keys else Access.UNKNOWN
    arguments = _read_arguments(keys["arguments"]) if "arguments" in keys else NO_ARGUMENTS
    facts = _read_facts(keys)
    rule = (keys["rule"].line(1_000) or "") if "rule" in keys else ""
    before = _read_before(keys)
    if name is None or expected is None or target is None or access is None or facts is None:
        return None
    return Case(name, target, _NATURES[access], facts, arguments, expected, rule, *before)


def _read_before(keys: dict[str, Place]) -> list[int]:
    """Return how many calls were made before, in which distance, and how many are under way."""
    bounds = {"after": MAX_AFTER, "every": MAX_EVERY, "under_way": MAX_UNDER_WAY}
    return [(keys[key].integer(0, most) or 0) if key in keys else 0 for key, most in bounds.items()]


def _read_target(place: Place, keys: dict[str, Place]) -> Target | None:
    named = [key for key in _TARGETS if key in keys]
    if len(named) != 1:
        place.problem("names no call, or several", "write one of tool, prompt and resource")
        return None
    name = keys[named[0]].line(2_048)
    if "access" in keys and named[0] != "tool":
        keys["access"].problem("only tools have an access", "leave it out")
    return None if name is None else Target(_TARGETS[named[0]], name)


def _read_arguments(place: Place) -> Arguments:
    if not isinstance(place.value, dict):
        place.problem("must be an object", "write the arguments by name")
    return Arguments(write_exact(place.value))


def _read_facts(keys: dict[str, Place]) -> Facts | None:
    caller = keys["caller"].keys(_CALLER_KEYS) if "caller" in keys else {}
    if caller is None:
        return None
    at = _read_moment(keys["at"]) if "at" in keys else _NOON
    texts = {key: caller[key].line(256) or "" for key in ("subject", "grant", "client") if key in caller}
    roles = caller["roles"].items() or () if "roles" in caller else ()
    return Facts(
        subject=texts.get("subject", "somebody"),
        roles=frozenset(filter(None, [role.line(256) for role in roles])),
        grant_id="grant",
        grant_label=texts.get("grant", "grant"),
        server="server",
        at=at,
        client=texts.get("client", ""),
        address=_read_address(caller["ip"]) if "ip" in caller else "",
    )


def _read_address(place: Place) -> str:
    text: Any = place.line(64)
    try:
        return str(ip_address(text or ""))
    except ValueError:
        place.problem("is no address", "write it as in 10.1.2.3 or 2001:db8::1")
        return ""


def _read_moment(place: Place) -> datetime:
    text = place.line(64) or ""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo is not None else _no_moment(place)
    except (ValueError, OverflowError):
        return _no_moment(place)


def _no_moment(place: Place) -> datetime:
    place.problem("is no time with its offset", "write it as in '2026-11-18T12:00:00Z'")
    return _NOON
