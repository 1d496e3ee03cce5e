"""A completion is judged by what its caller has filled in so far, and by nothing where that is not clear."""

from __future__ import annotations

from typing import Any

import pytest

from coatcheck.core.access.arguments import arguments_of
from coatcheck.core.wire.messages import raw_of
from coatcheck.model.call import Call


def completing(**params: Any) -> bytes | None:
    raw = {name: raw_of(value) for name, value in params.items()}
    return arguments_of(Call(b"1", "completion/complete", {"ref": b"{}", **raw}))


def test_a_call_has_the_arguments_that_it_has() -> None:
    assert arguments_of(Call(b"1", "tools/call", {"arguments": b'{"a": 1.0}'})) == b'{"a": 1.0}'
    assert arguments_of(Call(b"1", "prompts/get", {})) is None
    assert arguments_of(Call(b"1", "tools/call", {"argument": b"{}", "arguments": b"[1]"})) == b"[1]"


@pytest.mark.parametrize(
    ("params", "known"),
    [
        ({"argument": {"name": "a", "value": "x"}}, b'{"a":"x"}'),
        ({"argument": {"name": "a", "value": ""}, "context": {}}, b'{"a":""}'),
        (
            {"argument": {"name": "a", "value": "x"}, "context": {"arguments": {"b": "y"}, "other": 1}},
            b'{"b":"y","a":"x"}',
        ),
        ({"argument": {"name": "a", "value": "x"}, "arguments": {"a": "allowed"}}, b'{"a":"x"}'),
    ],
)
def test_what_is_filled_in_and_what_is_typed(params: dict[str, Any], known: bytes) -> None:
    assert completing(**params) == known


@pytest.mark.parametrize(
    "params",
    [
        {"argument": []},
        {"argument": {}},
        {"argument": {"name": "a"}},
        {"argument": {"name": 1, "value": "x"}},
        {"argument": {"name": "a", "value": "x", "Value": "y"}},
        {"argument": {"name": "a", "value": "x"}, "context": []},
        {"argument": {"name": "a", "value": "x"}, "context": {"arguments": []}},
        {"argument": {"name": "a", "value": "x"}, "context": {"arguments": {"a": "y"}}},
        {"argument": {"name": "a", "value": "x"}, "context": {"arguments": {}, "ARGUMENTS": {"a": "y"}}},
    ],
)
def test_what_is_not_clear_is_no_object_so_that_nothing_can_be_told(params: dict[str, Any]) -> None:
    assert completing(**params) == b"[]"
