"""The settings of a gateway as operators are shown them: nobody changes them while it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SettingView:
    """One setting. `value` is fit to be shown, secrets masked; None: nothing is set.

    `source` says where it comes from, `unit` is `seconds`, `bytes` or empty, `about` what it is for.
    """

    name: str
    value: str | int | float | bool | list[str] | None
    source: str
    unit: str
    about: str
