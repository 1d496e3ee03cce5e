"""The policies that need no document: one for each default, under the name of the default."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from coatcheck.model.policy import Default, Policy

_ABOUT: Final = {
    Default.ALLOW_ALL: "Everything is allowed.",
    Default.READ_ONLY: "What reads is allowed; what writes or cannot be classified is hidden.",
    Default.DENY_ALL: "Nothing is allowed, and everything is hidden.",
}

BUILT_IN: Final[Mapping[str, Policy]] = MappingProxyType(
    {default.value: Policy(default.value, default, _ABOUT[default]) for default in Default}
)
"""By name. No stored policy can have one of these names."""
