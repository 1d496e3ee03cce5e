"""The answer of policy to one call: a permit or a denial, each with its reason and the rule it rests on."""

from __future__ import annotations

from typing import final

import msgspec

from coatcheck.model.call import Call, Target
from coatcheck.model.grant import Principal
from coatcheck.model.server import Server


@final
class Permit(msgspec.Struct, frozen=True):
    """Proof that `core.decide` allowed this call; the only thing that can be forwarded.

    Made in `core/access/decide.py` and nowhere else: `tests/test_house.py` holds that.
    """

    call: Call
    target: Target
    principal: Principal
    server: Server
    rule: str
    because: str


@final
class Denial(msgspec.Struct, frozen=True):
    """A refusal, as a value. `visible` False: the caller must not learn that the target exists."""

    rule: str
    because: str
    visible: bool = False


Decision = Permit | Denial
