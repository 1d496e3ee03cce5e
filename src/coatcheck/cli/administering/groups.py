"""The groups of commands that administer a gateway, each with the places of its commands."""

from __future__ import annotations

from typing import Final

import click

from coatcheck.cli import options
from coatcheck.cli.lazy import LazyGroup

_SERVERS: Final = "administering.servers"
_GRANTS: Final = "administering.grants"
_CREDENTIALS: Final = "administering.credentials"
_POLICIES: Final = "administering.policies"


@click.group(
    "server",
    cls=LazyGroup,
    places={
        "add": (f"{_SERVERS}.adding:add", "Register a server, and connect to it."),
        "list": (f"{_SERVERS}.showing:list_servers", "List the servers of both sources."),
        "show": (f"{_SERVERS}.showing:show_server", "Show one server."),
        "change": (f"{_SERVERS}.changing:change", "Change how a server is reached, and its default."),
        "review": (f"{_SERVERS}.reviewing:review", "Show tools that servers changed."),
        "accept": (f"{_SERVERS}.reviewing:accept", "Accept tools as a server changed them."),
        "disable": (f"{_SERVERS}.ending:disable", "Take a server away from all callers."),
        "enable": (f"{_SERVERS}.ending:enable", "Give a disabled server back."),
        "remove": (f"{_SERVERS}.ending:remove", "Unregister a server."),
    },
    epilog=options.example("coatcheck server add github --url https://api.githubcopilot.com/mcp/"),
)
def server() -> None:
    """Servers of a running gateway, beside those of the servers file."""


@click.group(
    "grant",
    cls=LazyGroup,
    places={
        "issue": (f"{_GRANTS}.issuing:issue", "Issue a grant, or many from a CSV file."),
        "list": (f"{_GRANTS}.showing:list_grants", "List grants."),
        "show": (f"{_GRANTS}.showing:show_grant", "Show one grant."),
        "change": (f"{_GRANTS}.changing:change", "Change what a grant reaches and how long it lasts."),
        "rotate": (f"{_GRANTS}.changing:rotate", "Give a grant a new token."),
        "revoke": (f"{_GRANTS}.ending:revoke", "End grants; returns when they are dead."),
        "restore": (f"{_GRANTS}.ending:restore", "Lift the revocation of a grant of the file."),
    },
    epilog=options.example("coatcheck grant issue alice-laptop --to alice --server github"),
)
def grant() -> None:
    """Grants: what callers present to the gateway. A grant is named by its label or its id."""


@click.group(
    "subject",
    cls=LazyGroup,
    places={
        "add": ("administering.subjects:add", "Add a person or an automation."),
        "list": ("administering.subjects:list_subjects", "List those who own grants."),
        "show": ("administering.subjects:show_subject", "Show one of them."),
        "change": ("administering.subjects:change", "Change kind, roles or note."),
        "disable": ("administering.leaving:disable", "Refuse a subject however it comes."),
        "enable": ("administering.leaving:enable", "Let a disabled subject in again."),
        "offboard": ("administering.leaving:offboard", "Disable a subject and revoke all its grants."),
    },
    epilog=options.example("coatcheck subject offboard alice --because 'left the company'"),
)
def subject() -> None:
    """People and automations that own grants."""


@click.group(
    "operator",
    cls=LazyGroup,
    places={
        "add": ("administering.operators:add", "Invite an operator."),
        "list": ("administering.operators:list_operators", "List the operators."),
        "role": ("administering.operators:role", "Give an operator another role."),
        "end": ("administering.operators:end", "End an operator, whose token is void then."),
    },
    epilog=options.example("coatcheck operator add bob --role auditor"),
)
def operator() -> None:
    """Those who administer the gateway, each with a login and a role."""


@click.group(
    "credential",
    cls=LazyGroup,
    places={
        "list": (f"{_CREDENTIALS}.showing:list_credentials", "List credentials and how they stand."),
        "show": (f"{_CREDENTIALS}.showing:show_credential", "Show one credential with its versions."),
        "plan": (f"{_CREDENTIALS}.planning:plan", "Tell what is due, failing, unproven or unused."),
        "add": (f"{_CREDENTIALS}.adding:add", "Add a credential."),
        "rotate": (f"{_CREDENTIALS}.rotating:rotate", "Verify a new value, and switch to it."),
        "stage": (f"{_CREDENTIALS}.steps:stage", "Keep a new value beside the one in use."),
        "verify": (f"{_CREDENTIALS}.steps:verify", "Try a version at its servers; switch nothing."),
        "activate": (f"{_CREDENTIALS}.steps:activate", "Use the staged version from the next call on."),
        "discard": (f"{_CREDENTIALS}.steps:discard", "Forget the staged version."),
        "rollback": (f"{_CREDENTIALS}.ending:rollback", "Use the previous version again."),
        "retire": (f"{_CREDENTIALS}.ending:retire", "Forget the value of the previous version."),
        "change": (f"{_CREDENTIALS}.adding:change", "Change owner, interval and the like."),
        "connect": (f"{_CREDENTIALS}.connecting:connect", "Connect an OAuth credential by a link."),
        "remove": (f"{_CREDENTIALS}.ending:remove", "Forget a credential that no server uses."),
    },
    epilog=options.example("coatcheck credential rotate github-authorization"),
)
def credential() -> None:
    """Credentials: what the gateway presents to servers. Their values go in, and are never shown."""


@click.group(
    "policy",
    cls=LazyGroup,
    places={
        "list": (f"{_POLICIES}.showing:list_policies", "List policies."),
        "show": (f"{_POLICIES}.showing:show_policy", "Show a policy with its document."),
        "put": (f"{_POLICIES}.putting:put", "Put a policy from a file, new or changed."),
        "test": (f"{_POLICIES}.testing:test", "Try the cases beside policy files."),
        "diff": (f"{_POLICIES}.showing:diff", "Compare two versions of a policy."),
        "history": (f"{_POLICIES}.showing:history", "List the versions of a policy."),
        "revert": (f"{_POLICIES}.putting:revert", "Let an old version hold again."),
        "use": (f"{_POLICIES}.using:use", "Use a policy on somebody or something."),
        "unuse": (f"{_POLICIES}.using:unuse", "Take a policy off somebody or something."),
        "remove": (f"{_POLICIES}.putting:remove", "Remove a policy that nothing uses."),
        "explain": (f"{_POLICIES}.explaining:explain", "Tell what a call would get, and why."),
        "replay": (f"{_POLICIES}.replaying:replay", "Tell what a policy would have changed."),
        "suggest": (f"{_POLICIES}.suggesting:suggest", "Suggest the least policy for a grant."),
    },
    epilog=options.example("coatcheck policy put payments-caps.policy.yaml"),
)
def policy() -> None:
    """Policies: which tools may be called, how, and how much. In force for the next request."""


@click.group(
    "key",
    cls=LazyGroup,
    places={
        "show": ("administering.keys:show_key", "Tell which key the store is sealed with."),
        "rotate": ("administering.keys:rotate", "Seal the store with a new key."),
    },
    epilog=options.example("coatcheck key rotate"),
)
def key() -> None:
    """The key that everything stored is sealed with."""


@click.group(
    "sink",
    cls=LazyGroup,
    places={
        "list": ("administering.sinks:list_sinks", "List the sinks, and how far behind each is."),
        "test": ("administering.sinks:test", "Send a test entry through a sink."),
    },
    epilog=options.example("coatcheck sink test siem"),
)
def sink() -> None:
    """Where copies of the record go, as `[[sinks]]` in coatcheck.toml declares."""
