"""Fills in the secrets of sinks, where a gateway starts: other commands need not have them.

They can be written as `${NAME}` or `${file:PATH}`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coatcheck.declared.reading.expand import Expander, Sources
from coatcheck.declared.reading.problems import Findings, Unfit
from coatcheck.declared.sinks.options import check_header, signing_of, url_of
from coatcheck.errors import ConfigError
from coatcheck.model.secret import Secret
from coatcheck.model.sink import OtlpOptions, SinkOptions, SinkRules, WebhookOptions


def filled(rules: SinkRules, sources: Sources, base: Path) -> SinkRules:
    """Return a sink with its secrets filled in.

    Raises:
        ConfigError: a variable or file is missing, or what it holds cannot be used. It is not quoted.
    """
    options = rules.options
    if isinstance(options, WebhookOptions):
        fill = _Fill(rules.name, sources, base)
        made: SinkOptions = dataclasses.replace(
            options, url=fill("url", options.url, url_of), secret=fill("secret", options.secret, signing_of)
        )
    elif isinstance(options, OtlpOptions):
        fill = _Fill(rules.name, sources, base)
        headers = {name: fill("headers", text, _header) for name, text in options.headers.items()}
        made = dataclasses.replace(options, url=fill("url", options.url, url_of), headers=headers)
    else:
        return rules
    return dataclasses.replace(rules, options=made)


def _header(value: Any) -> Secret:
    check_header(value)
    return Secret(value)


class _Fill:
    """Replaces what a secret refers to, and judges what it holds then."""

    def __init__(self, name: str, sources: Sources, base: Path) -> None:
        self._name = name
        self._findings = Findings({})
        self._expander = Expander(sources, base, self._findings)

    def __call__(self, option: str, raw: Secret, read: Callable[[Any], Secret]) -> Secret:
        text = self._expander.expand(raw.reveal(), option)
        label = f"sinks: {self._name}: {option}"
        for problem in self._findings.problems:
            raise ConfigError(f"{label}: {problem.message}", fix=problem.fix)
        try:
            return read(text)
        except Unfit as error:
            raise ConfigError(f"{label}: {error.message}", fix=error.fix) from None
