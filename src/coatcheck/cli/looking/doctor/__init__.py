"""`coatcheck doctor`: looks at everything a call depends on, and ends in what to do next."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from coatcheck.cli import options, show
from coatcheck.cli.declaring import declaration
from coatcheck.cli.exits import Exit
from coatcheck.cli.looking.doctor import machine, running, settings
from coatcheck.cli.looking.doctor.finding import Finding, Status, fail, next_step, ok, warn
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import find_running
from coatcheck.config import Config, check_exposure
from coatcheck.errors import CoatcheckError, ConfigError


@click.command(
    "doctor",
    short_help="Find out what is wrong and what to do.",
    epilog=options.example("coatcheck doctor --data state"),
)
@options.where
@options.as_json
def doctor(where: Where, as_json: bool) -> int:
    """Check the machine, the configuration, the running gateway and its servers.

    Starts nothing. Ends in the one thing to do next. Exit code 1 if any check fails.
    """
    findings = list(_examine(where))
    step = next_step(findings, "nothing needs mending: connect a client to the address above, below /mcp")
    if as_json:
        show.put_list([_shape(each) for each in findings], next_step=step)
    else:
        _put(findings, step)
    return Exit.NO if any(each.status is Status.FAIL for each in findings) else Exit.DONE


def _examine(where: Where) -> Iterator[Finding]:
    yield machine.check_python(sys.version_info[:2])
    try:
        config = options.load(where)
    except ConfigError as error:
        yield fail("settings", error.message, error.fix or "correct the setting")
        return  # everything else depends on what the settings say
    yield ok("settings", f"sound; data directory from {config.sources['data']}")
    yield from machine.check_directory(config.data)
    yield from _examine_file(config)
    yield from _examine_gateway(config)


def _examine_file(config: Config) -> Iterator[Finding]:
    found, origin = declaration.find(config)
    reading = declaration.read(found, origin)
    yield from settings.check_file(reading)
    if reading.declaration is None:
        return
    try:
        check_exposure(config, reading.declaration.identity)
    except ConfigError as error:
        yield fail("address", error.message, "listen on 127.0.0.1, or do what the message says")
    else:
        yield ok("address", f"{config.http}")
    yield from settings.check_commands(reading.declaration, os.environ)


def _examine_gateway(config: Config) -> Iterator[Finding]:
    try:
        reach = find_running(config)
        if reach is None:
            none = f"none is running with the data directory {config.data}"
            yield warn("gateway", none, "start one with `coatcheck serve`")
            return
        yield from running.check_gateway(reach, config.data)
    except CoatcheckError as error:
        yield fail("gateway", error.message, error.fix)
    except (KeyError, TypeError, AttributeError):
        fix = "restart the gateway with the version that this command has"
        yield fail("gateway", "its answers are of another version", fix)


def _shape(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "status": finding.status.value,
        "message": finding.message,
        "fix": finding.fix,
        "detail": list(finding.detail),
    }


def _put(findings: Sequence[Finding], step: str) -> None:
    for finding in findings:
        show.put_status(finding.status, f"{finding.check}: {finding.message}")
        for line in finding.detail:
            show.put(f"        {show.clean_line(line)}")
        if finding.fix:
            show.put(f"        fix: {finding.fix}")
    show.put("")
    show.put(f"next: {step}")
