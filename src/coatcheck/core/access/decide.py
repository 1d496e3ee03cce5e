"""The one place where policy is applied, to calls and to lists alike; the only maker of a `Permit`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from coatcheck.core import names
from coatcheck.core.access import globs, roles, uris
from coatcheck.core.access.arguments import arguments_of
from coatcheck.core.access.facts import facts_of
from coatcheck.core.access.roles import DEFAULT_RULE, Ruling
from coatcheck.core.access.rules import NONE_APPLIED, Applied, Rules
from coatcheck.core.pins import refusal
from coatcheck.core.policy import judging
from coatcheck.core.policy.conditions.arguments import NO_ARGUMENTS, UNRECORDED, Arguments
from coatcheck.model.access import Access, AccessList, AccessRule, Nature, RoleAccess
from coatcheck.model.call import Call, Kind, Target
from coatcheck.model.decision import THE_FILE, Decision, Denial, Permit
from coatcheck.model.grant import Principal, Voucher
from coatcheck.model.server import Server
from coatcheck.model.verdict import Charge, Judgement, PolicyVerdict, Scene

OPERATOR_RULE = "(operator)"
SCOPE_RULE = "(scope)"
_NO_CHARGES: Final[tuple[Charge, ...]] = ()
_UNDECIDED: Final = "This call cannot be judged, so it is not allowed."


_UNSEEN: Final = Scene(None, None, None)


def decide(
    call: Call,
    target: Target,
    principal: Principal,
    server: Server,
    rules: Rules,
    nature: Nature,
    scene: Scene,
    *,
    held_back: bool = False,
) -> Decision:
    """Judge one call: a `Permit` that can be forwarded, or a `Denial` that says why not.

    What the scope and the file's rules leave is looked at by the policies, and the most restrictive wins.
    `nature` is the tool's, and looked at only where `asks_nature` says so; prompts and resources have none.
    `held_back`: it is not as it was accepted, so that it is hidden from everybody.
    """
    ruling = _judge(target, principal, server, rules.access, nature, held_back=held_back)
    if not ruling.allow:
        return Denial(ruling.rule, ruling.because, visible=False)
    rule, because, basis, charges = ruling.rule, ruling.because, THE_FILE, _NO_CHARGES
    applied = _applied(rules, principal, server)
    if applied.policies:
        raw = arguments_of(call)
        arguments = NO_ARGUMENTS if raw is None else Arguments(raw)
        facts = facts_of(principal, server, scene)
        verdict = judging.judge(applied.policies, target, nature, facts, arguments)
        rule, because, basis = verdict.rule, verdict.because, rules.policies.basis(verdict.rule)
        if verdict.judgement is not Judgement.ALLOWED:
            visible = verdict.judgement is not Judgement.HIDDEN
            told = (verdict.message or _UNDECIDED) if visible else ""
            return Denial(rule, because, visible, told, basis)
        charges = verdict.charges
    return Permit(call, target, principal, server, rule, because, charges, basis)


def may_see(target: Target, principal: Principal, server: Server, rules: Rules, nature: Nature) -> bool:
    """Tell whether the caller may learn that `target` exists: exactly when a call is not a hidden denial.

    Tools that are held back are in no catalogue that a list is made of.
    """
    if not _judge(target, principal, server, rules.access, nature).allow:
        return False
    applied = _applied(rules, principal, server)
    return not applied.policies or judging.may_see(applied.policies, target, nature)


def asks_nature(target: Target, principal: Principal, server: Server, rules: Rules) -> bool:
    """Tell whether a judgement on the target looks at its nature."""
    if target.kind is not Kind.TOOL:
        return False
    return isinstance(rules.access, RoleAccess) or _applied(rules, principal, server).asks_nature


def foresee(
    target: Target,
    principal: Principal,
    server: Server,
    rules: Rules,
    nature: Nature,
    *,
    held_back: bool = False,
) -> Ruling:
    """Say what is known of calls before there is one.

    Allowed is what may be called with some arguments, from somewhere, at some time.
    """
    if held_back:
        return _judge(target, principal, server, rules.access, nature, held_back=True)
    verdict = rehearse(target, principal, server, rules, nature, _UNSEEN, UNRECORDED)
    allow = verdict.judgement.lets_through
    return Ruling(allow, verdict.rule, verdict.because)


def rehearse(
    target: Target,
    principal: Principal,
    server: Server,
    rules: Rules,
    nature: Nature,
    scene: Scene,
    arguments: Arguments,
) -> PolicyVerdict:
    """Say what `decide` would of a call that is not there: nothing can be forwarded by this.

    Undecided is what needs something that the scene or the arguments do not have.
    """
    ruling = _judge(target, principal, server, rules.access, nature)
    if not ruling.allow:
        return PolicyVerdict(Judgement.HIDDEN, ruling.rule, ruling.because)
    applied = _applied(rules, principal, server)
    if not applied.policies:
        return PolicyVerdict(Judgement.ALLOWED, ruling.rule, ruling.because)
    facts = facts_of(principal, server, scene)
    return judging.judge(applied.policies, target, nature, facts, arguments)


def by_scope_and_file(
    target: Target, principal: Principal, server: Server, access: Access, nature: Nature
) -> Ruling:
    """Say what the scope of the grant and the file's rules leave, before any policy, for an explanation."""
    return _judge(target, principal, server, access, nature)


def _applied(rules: Rules, principal: Principal, server: Server) -> Applied:
    """Return the policies on a caller; there are none on the operator of this machine."""
    return NONE_APPLIED if principal.voucher is Voucher.LOCAL else rules.policies.on(principal, server)


def _judge(
    target: Target,
    principal: Principal,
    server: Server,
    access: Access,
    nature: Nature,
    *,
    held_back: bool = False,
) -> Ruling:
    ruling = _by_scope_and_file(target, principal, server, access, nature)
    return refusal.held_back(target, server) if held_back and ruling.allow else ruling


def _by_scope_and_file(
    target: Target, principal: Principal, server: Server, access: Access, nature: Nature
) -> Ruling:
    if principal.voucher is Voucher.LOCAL:
        return Ruling(True, OPERATOR_RULE, "the operator of this machine")
    if not principal.may_reach(server.id):
        return Ruling(False, SCOPE_RULE, f"the grant does not reach {server.name}")
    if principal.tools is not None and not _is_left(target, principal.tools, server):
        return Ruling(False, SCOPE_RULE, f"the grant is narrowed to tools that {target.name} is not among")
    if isinstance(access, RoleAccess):
        return roles.judge(target, principal, server, access, nature)
    return _judge_flat(target, principal, server, access)


def _is_left(target: Target, tools: tuple[str, ...], server: Server) -> bool:
    """Tell whether a grant that is narrowed to tools leaves this one.

    Such a grant is for tools and for nothing else: prompts and resources are hidden, since a resource may
    hold what a tool that was left out would tell. The server itself is for those who keep one of its tools.
    """
    name = names.full(server.name, target.name)
    if target.kind is Kind.SERVER:
        return any(_overlaps(pattern, name) for pattern in tools)
    return target.kind is Kind.TOOL and globs.any_matches(tools, name)


def _judge_flat(target: Target, principal: Principal, server: Server, access: AccessList) -> Ruling:
    name = names.full(server.name, target.name)
    applies = _applies_to(target, server)
    for number, rule in enumerate(access.rules):
        if _is_for(rule, principal) and applies(rule, name):
            because = f"rule {number} of the access list {'allows' if rule.allow else 'denies'} {name}"
            return Ruling(rule.allow, f"/acl/rules/{number}", because)
    word = "allows" if access.default_allow else "denies"
    return Ruling(access.default_allow, DEFAULT_RULE, f"no rule matches and the default {word}")


def _applies_to(target: Target, server: Server) -> Callable[[AccessRule, str], bool]:
    """Return how to tell whether a rule's patterns are about such a target, by its full name."""
    if target.kind is Kind.SERVER:
        return _lets_in
    if target.kind is Kind.RESOURCE and not uris.is_plain(target.name):
        return partial(_applies_to_odd, server.name + names.SEPARATOR, uris.scheme_of(target.name))
    return _names


def _names(rule: AccessRule, name: str) -> bool:
    return globs.any_matches(rule.tools, name)


def _lets_in(rule: AccessRule, prefix: str) -> bool:
    """Tell whether a rule names a server or may allow anything of it; `prefix` begins all its names.

    Whoever may use anything of a server may say how much it tells; a denial has to be of everything.
    """
    return _names(rule, prefix) or (rule.allow and any(_overlaps(one, prefix) for one in rule.tools))


def _applies_to_odd(prefix: str, scheme: str, rule: AccessRule, name: str) -> bool:
    """Judge a URI that a server may read as another: believe the worse.

    It is allowed only by what allows the whole server, and denied by whatever denies a URI of its scheme.
    """
    if rule.allow:
        return any(
            one.endswith("*") and prefix.startswith(one[:-1]) and "*" not in one[:-1] for one in rule.tools
        )
    return _names(rule, name) or any(_may_name(one, prefix, scheme) for one in rule.tools)


def _may_name(pattern: str, prefix: str, scheme: str) -> bool:
    """Tell whether a pattern may match a URI of this scheme; an empty scheme may turn out to be any."""
    literal, star, _ = pattern.partition("*")
    if not _overlaps(pattern, prefix):
        return False
    begins = literal[len(prefix) :].lower()
    if not scheme or ":" not in begins:
        return not scheme or (bool(star) and f"{scheme}:".startswith(begins))
    return begins.partition(":")[0] == scheme


def _overlaps(pattern: str, prefix: str) -> bool:
    literal, star, _ = pattern.partition("*")
    return literal.startswith(prefix) or (bool(star) and prefix.startswith(literal))


def _is_for(rule: AccessRule, principal: Principal) -> bool:
    if rule.subjects and principal.subject not in rule.subjects:
        return False
    return not rule.roles or bool(rule.roles & principal.roles)
