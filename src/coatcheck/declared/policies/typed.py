"""Reads a policy that somebody typed or pasted: JSON if it is, else YAML."""

from __future__ import annotations

from coatcheck.core.policy.reading.written import Written
from coatcheck.errors import Unfit


def read_typed(text: str) -> Written:
    """Return what a text says, with the lines where YAML takes it, too.

    Raises:
        Unfit: it is neither, or two readers could take it differently.
    """
    from coatcheck.declared.policies.files import read_json  # YAML is loaded where it is read
    from coatcheck.declared.policies.yaml_text import read_yaml

    if not text.lstrip().startswith("{"):
        return read_yaml(text)
    try:
        value = read_json(text).value
    except Unfit as no_json:
        try:
            return read_yaml(text)  # its objects may stand in braces, too
        except Unfit as error:
            raise (error if error.message.startswith("line ") else no_json) from None
    try:
        return Written(value, read_yaml(text).lines)
    except Unfit:  # what JSON has and this YAML has not, such as tabs
        return Written(value, {})
