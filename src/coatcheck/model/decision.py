"""The answer of policy to one call: a permit or a denial, each with its reason and the rule it rests on."""

from __future__ import annotations

from typing import final

import msgspec

from coatcheck.model.call import Call, Target
from coatcheck.model.grant import Principal
from coatcheck.model.server import Server
from coatcheck.model.verdict import Charge


class Basis(msgspec.Struct, frozen=True):
    """Name and version of the policy that decided; both empty for the access rules of the file."""

    policy: str = ""
    version: str = ""


THE_FILE = Basis()


@final
class Permit(msgspec.Struct, frozen=True):
    """Proof that `core.decide` allowed this call; the only thing that can be forwarded.

    Made in `core/access/decide.py` and nowhere else: `tests/test_house.py` holds that. `charges` are to be
    reserved before it is forwarded.
    """

    call: Call
    target: Target
    principal: Principal
    server: Server
    rule: str
    because: str
    charges: tuple[Charge, ...] = ()
    basis: Basis = THE_FILE


@final
class Denial(msgspec.Struct, frozen=True):
    """A refusal, as a value. `visible` False: the caller must not learn that the target exists.

    `message` is the one sentence that a caller is told who may know.
    """

    rule: str
    because: str
    visible: bool = False
    message: str = ""
    basis: Basis = THE_FILE


Decision = Permit | Denial
