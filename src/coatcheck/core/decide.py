"""The one place where policy is applied, to calls and to lists alike; the only maker of a `Permit`."""

from __future__ import annotations

from dataclasses import dataclass

from coatcheck.core import globs, names
from coatcheck.model.access import AccessList, AccessRule
from coatcheck.model.call import Call, Target
from coatcheck.model.decision import Decision, Denial, Permit
from coatcheck.model.grant import Principal, Voucher
from coatcheck.model.server import Server

OPERATOR_RULE = "(operator)"
SCOPE_RULE = "(scope)"
DEFAULT_RULE = "/acl/default"


@dataclass(frozen=True, slots=True)
class _Ruling:
    allow: bool
    rule: str
    because: str


def decide(call: Call, target: Target, principal: Principal, server: Server, access: AccessList) -> Decision:
    """Judge one call: a `Permit` that can be forwarded, or a `Denial` that says why not."""
    ruling = _judge(target, principal, server, access)
    if ruling.allow:
        return Permit(call, target, principal, server, ruling.rule, ruling.because)
    return Denial(ruling.rule, ruling.because, visible=False)


def may_see(target: Target, principal: Principal, server: Server, access: AccessList) -> bool:
    """Tell whether the caller may learn that `target` exists: exactly when a call is not a hidden denial."""
    return _judge(target, principal, server, access).allow


def _judge(target: Target, principal: Principal, server: Server, access: AccessList) -> _Ruling:
    if principal.voucher is Voucher.LOCAL:
        return _Ruling(True, OPERATOR_RULE, "the operator of this machine")
    if not principal.may_reach(server.id):
        return _Ruling(False, SCOPE_RULE, f"the grant does not reach {server.name}")
    name = names.full(server.name, target.name)
    for number, rule in enumerate(access.rules):
        if _applies(rule, principal, name):
            because = f"rule {number} of the access list {'allows' if rule.allow else 'denies'} {name}"
            return _Ruling(rule.allow, f"/acl/rules/{number}", because)
    word = "allows" if access.default_allow else "denies"
    return _Ruling(access.default_allow, DEFAULT_RULE, f"no rule matches and the default {word}")


def _applies(rule: AccessRule, principal: Principal, name: str) -> bool:
    if rule.subjects and principal.subject not in rule.subjects:
        return False
    if rule.roles and not rule.roles & principal.roles:
        return False
    return any(globs.matches(pattern, name) for pattern in rule.tools)
