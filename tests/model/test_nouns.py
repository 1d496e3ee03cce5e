"""The nouns: values that cannot change under the feet of whoever holds them."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from enum import Enum
from uuid import UUID

import msgspec
import pytest

from coatcheck import errors, model
from coatcheck.model.call import NO_PARAMS, Call
from coatcheck.model.era import LEGACY_VERSIONS, MODERN_VERSIONS, SERVED_VERSIONS
from coatcheck.model.grant import ANONYMOUS, Principal, Voucher
from coatcheck.model.server import NO_SECRETS, StdioReach, Transport

MODULES = [
    importlib.import_module(f"coatcheck.model.{found.name}") for found in pkgutil.iter_modules(model.__path__)
]
NOUNS = sorted(
    {
        noun
        for module in MODULES
        for noun in vars(module).values()
        if inspect.isclass(noun) and noun.__module__ == module.__name__ and not issubclass(noun, Enum)
    },
    key=lambda noun: noun.__qualname__,
)
ERRORS = [
    noun
    for noun in vars(errors).values()
    if inspect.isclass(noun) and issubclass(noun, errors.CoatcheckError)
]


@pytest.mark.parametrize("noun", [noun for noun in NOUNS if noun.__name__ != "Secret"])
def test_every_noun_is_frozen_and_slotted(noun: type) -> None:
    if issubclass(noun, msgspec.Struct):
        assert noun.__struct_config__.frozen
        assert noun.__struct_fields__
    else:
        assert dataclasses.is_dataclass(noun)
        assert noun.__dataclass_params__.frozen  # type: ignore[attr-defined]  # not in the stubs
        assert "__slots__" in vars(noun)


def test_there_are_nouns_to_look_at() -> None:
    assert {"Call", "Permit", "Principal", "Server", "Record", "Secret"} <= {noun.__name__ for noun in NOUNS}


@pytest.mark.parametrize("empty", [NO_PARAMS, NO_SECRETS])
def test_shared_empty_mappings_stay_empty(empty: object) -> None:
    with pytest.raises(TypeError):
        empty["a"] = b"1"  # type: ignore[index]  # that is the point
    assert Call(b"1", "ping").params is NO_PARAMS


def test_a_scope_of_none_is_every_server_and_an_empty_one_is_none() -> None:
    server = UUID(int=1)

    def reaches(servers: frozenset[UUID] | None) -> bool:
        return Principal("a", frozenset(), "g", "l", Voucher.GRANT, servers).may_reach(server)

    assert (
        reaches(None),
        reaches(frozenset({server})),
        reaches(frozenset()),
        reaches(frozenset({UUID(int=2)})),
    ) == (True, True, False, False)
    assert ANONYMOUS.voucher is Voucher.NONE
    assert not ANONYMOUS.roles


def test_there_is_no_default_principal() -> None:
    with pytest.raises(TypeError):
        Principal()  # type: ignore[call-arg]  # that is the point


def test_versions_are_told_apart() -> None:
    assert SERVED_VERSIONS == MODERN_VERSIONS + LEGACY_VERSIONS
    assert list(SERVED_VERSIONS) == sorted(set(SERVED_VERSIONS), reverse=True)
    assert StdioReach("x").transport is Transport.STDIO


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [error.code for error in ERRORS]
    assert len(codes) == len(set(codes)) >= 15
    assert all(code.replace("_", "").isalpha() and code.islower() for code in codes)


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_keeps_its_message_and_fix(error: type[errors.CoatcheckError]) -> None:
    made = error("what happened", fix="what to do")
    assert (made.message, made.fix, str(made)) == ("what happened", "what to do", "what happened")
    if isinstance(made, errors.UpstreamError):
        assert (made.detail, made.reached) == ("", False)
