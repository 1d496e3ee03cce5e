"""`coatcheck policy put`, `revert` and `remove`."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from coatcheck.cli import options, show
from coatcheck.cli.administering.policies.files import policy_in
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.answers import ApiRefusal
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.near import unknown_object
from coatcheck.cli.reaching.reach import Reach, at
from coatcheck.core.policy.writing import write_json


@click.command(
    "put",
    short_help="Put a policy from a file, new or changed.",
    epilog=options.example("coatcheck policy put payments-caps.policy.yaml --because 'as finance asked'"),
)
@click.argument("file", type=click.Path(path_type=Path))
@options.because
@options.reached()
@options.as_json
def put(file: Path, because: str, where: Where, as_json: bool) -> int:
    """Put the policy in FILE, YAML or JSON, under the name in it. It is in force for the next request.

    Every problem is told with its line. A policy of that name gets a new version; the old ones are kept.
    """
    policy = policy_in(file)
    reach = reach_of(where)
    before = _version_of(reach, policy.name)
    because_json = msgspec.json.encode(because)
    body = b'{"document": %b, "because": %b}' % (write_json(policy), because_json)
    answer = reach.send("PUT", at("policies", policy.name), body, version=before)
    found = answer["policy"]
    if as_json:
        show.put_json(found)
    elif found["version"] == before:
        show.put(f"{policy.name} says this already: version {before}")
    else:
        show.put(f"put {policy.name}: version {found['version']}")
        if not found["uses"]:
            show.say(f"coatcheck: nothing uses it yet: coatcheck policy use {policy.name} --role ROLE")
    return Exit.DONE


def _version_of(reach: Reach, name: str) -> int | None:
    try:
        found = reach.get(at("policies", name))["policy"]["version"]
    except ApiRefusal as refusal:
        if refusal.status != 404:
            raise
        return None
    return int(found) or None


@click.command(
    "revert",
    short_help="Let an old version hold again.",
    epilog=options.example("coatcheck policy revert payments-caps 3 --because 'too strict'"),
)
@click.argument("name", shell_complete=names.policies)
@click.argument("version", type=click.IntRange(1))
@options.because
@options.reached()
@options.as_json
def revert(name: str, version: int, because: str, where: Where, as_json: bool) -> int:
    """Make a new version of the policy NAME with the document of its old VERSION.

    A policy that was removed comes back by this.
    """
    reach = reach_of(where)
    with unknown_object(reach, "policies", name):
        body = {"number": version, "because": because}
        found = reach.send("POST", at("policies", name, "revert"), body)["policy"]
    if as_json:
        show.put_json(found)
    else:
        show.put(f"{name} is as it was in version {version}: version {found['version']}")
    return Exit.DONE


@click.command(
    "remove",
    short_help="Remove a policy that nothing uses.",
    epilog=options.example("coatcheck policy remove payments-caps"),
)
@click.argument("name", shell_complete=names.policies)
@options.because
@options.reached()
@options.as_json
def remove(name: str, because: str, where: Where, as_json: bool) -> int:
    """Remove the policy NAME, which must be used on nothing. Its versions stay for `history` and `revert`."""
    reach = reach_of(where)
    with unknown_object(reach, "policies", name):
        found = reach.send("DELETE", at("policies", name), query={"because": because} if because else None)
    show.put_json(found) if as_json else show.put(f"removed {name}")
    return Exit.DONE
