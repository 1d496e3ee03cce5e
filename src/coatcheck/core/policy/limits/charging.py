"""What a call takes of the limits that cover it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from coatcheck.core.policy.conditions.arguments import Arguments
from coatcheck.core.policy.conditions.paths import Missing, Path, Printed, read_path
from coatcheck.core.policy.conditions.values import add, as_number
from coatcheck.model.call import Target
from coatcheck.model.policy import AtOnceLimit, Each, Limit, Number, SumLimit
from coatcheck.model.verdict import Charge, Facts

_VALUES: Final[dict[Each, Callable[[Facts, Target], str]]] = {
    Each.GRANT: lambda facts, _: facts.grant_id,
    Each.SUBJECT: lambda facts, _: facts.subject,
    Each.SERVER: lambda facts, _: facts.server,
    Each.TOOL: lambda facts, target: f"{facts.server}/{target.kind}/{target.name}",
}


class Uncountable(ValueError):
    """A sum that cannot be made: the text says what is wrong with the arguments."""


class Unrecorded(Exception):
    """A sum that cannot be made in a replay, since the arguments are not there."""


class ReadyLimit:
    """One limit, ready to be charged: `rule` is its pointer, after the policy's name and a colon."""

    __slots__ = ("_each", "_head", "_path", "limit", "message", "rule")

    def __init__(self, policy: str, pointer: str, limit: Limit, message: str) -> None:
        """Take a limit; `message` is what a caller is told for whom it is used up."""
        self.limit = limit
        self.rule = f"{policy}:{pointer}"
        self.message = message
        per = "at_once" if isinstance(limit, AtOnceLimit) else str(limit.per)
        # A limit that is edited to count something else begins to count anew; one that only comes to stand
        # elsewhere in its list does not. Limits of a list that count the same share the count.
        counted = limit.path if isinstance(limit, SumLimit) else ""
        self._head = (policy, pointer.rpartition("/")[0], per, counted, "+".join(limit.each))
        self._each = tuple(_VALUES[each] for each in limit.each)
        self._path: Path | None = read_path(limit.path) if isinstance(limit, SumLimit) else None

    def charge(self, target: Target, facts: Facts, arguments: Arguments) -> Charge:
        """Return what this call takes of the limit.

        Raises:
            Uncountable: a value to be added is absent, no number, negative, or longer than anybody means.
            Unrecorded: the values are not on record.
        """
        limit = self.limit
        amount = 1 if self._path is None else self._sum(self._path, arguments)
        key = self._head + tuple([value(facts, target) for value in self._each])
        per = None if isinstance(limit, AtOnceLimit) else limit.per
        return Charge(self.rule, key, limit.most, per, amount, self.message)

    def _sum(self, path: Path, arguments: Arguments) -> Number:
        if not arguments.recorded:
            raise Unrecorded
        total: Number = 0
        where = self.limit.path if isinstance(self.limit, SumLimit) else ""
        for value in arguments.at(path):
            if value is Missing.UNRECORDED or type(value) is Printed:
                raise Unrecorded
            if isinstance(value, Missing):
                said = "is not there" if value is Missing.ABSENT else "is not clear"
                raise Uncountable(f"{where} {said}, and it has to be counted")
            number = as_number(value)
            if number is None:
                raise Uncountable(f"{where} is no number that can be counted")
            if number < 0:
                raise Uncountable(f"{where} is negative")
            total = add(total, number)
        return total
