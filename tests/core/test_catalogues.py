"""Lists as servers give them: every entry kept as sent, or left out by name with the reason."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.core import catalogues
from coatcheck.core.catalogues import SHAPES, Page, read_entries, read_page
from coatcheck.core.wire.messages import object_of, raw_of
from coatcheck.model.call import NO_PARAMS
from coatcheck.model.catalogue import Entry
from doubles.json_texts import damaged

BRIEF = settings(max_examples=200, deadline=None)
METHODS = sorted(SHAPES)


def an_entry(name: str, key: str = "name", members: Mapping[str, bytes] = NO_PARAMS) -> bytes:
    return object_of({key: raw_of(name), **members})


def read(*items: bytes, method: str = "tools/list") -> tuple[list[str], list[str]]:
    entries, problems = read_entries(method, items)
    assert all(name == entry.name for name, entry in entries.items())
    assert all(problem.startswith(method) and len(problem) < 300 for problem in problems)
    return list(entries), problems


# --- pages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_page_is_its_items_cursor_and_time(method: str) -> None:
    member = SHAPES[method].member.encode()
    assert read_page(method, b'{"%b":[ {"a": 1E2}, 2],"nextCursor":"c","ttlMs":500,"x":1}' % member) == Page(
        [b'{"a": 1E2}', b"2"], "c", 500
    )
    assert read_page(method, b'{"%b":[]}' % member) == Page([], None, 0)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"null", b"[]", b"{}", b'{"Tools":[]}', b'{"tools":null}', b'{"tools":{}}', b'{"tools":"x"}', b'{"tools":1}', b'{"tools":[}', b'{"prompts":[]}', b'{"tools":' + b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_list_is_none(raw: bytes) -> None:
    assert read_page("tools/list", raw) is None


@pytest.mark.parametrize("ttl", [b"null", b"-1", b"1.5", b"1e3", b'"5"', b"[]", b"{}", b"true", b"9" * 5_000])
def test_a_time_that_is_no_plain_number_counts_as_none(ttl: bytes) -> None:
    assert read_page("tools/list", b'{"tools":[],"ttlMs":%b}' % ttl) == Page([], None, 0)


@pytest.mark.parametrize("cursor", [b"null", b"1", b"[]", b"{}", b"false"])
def test_a_cursor_that_is_no_string_ends_the_list(cursor: bytes) -> None:
    assert read_page("tools/list", b'{"tools":[],"nextCursor":%b}' % cursor) == Page([], None, 0)


@BRIEF
@given(damaged() | st.binary(max_size=20))
def test_no_page_raises(raw: bytes) -> None:
    for method in METHODS:
        read_page(method, raw)
        for page in (b'{"%b":%b}' % (SHAPES[method].member.encode(), raw), b'{"tools":[],"ttlMs":%b}' % raw):
            found = read_page(method, page)
            if found is not None:
                read_entries(method, found.items)


# --- entries ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_entries_are_kept_as_sent_and_in_order(method: str) -> None:
    key = SHAPES[method].key
    items = [
        an_entry("b", key, {"unknown": b"[ 1E2 ]", "_meta": b'{"x":9007199254740993}'}),
        an_entry("a", key),
    ]
    expected: Mapping[str, Entry] = {
        "b": Entry("b", {key: b'"b"', "unknown": b"[ 1E2 ]", "_meta": b'{"x":9007199254740993}'}),
        "a": Entry("a", {key: b'"a"'}),
    }
    entries, problems = read_entries(method, items)
    assert entries == expected
    assert list(entries) == ["b", "a"]
    assert problems == []


@pytest.mark.parametrize(
    "bad",
    [b"null", b"1", b"[]", b"{}", b'"a"', b'{"name":1}', b'{"name":null}', b'{"uri":"a"}', b'{"Name":"a"}'],
)
def test_an_entry_without_a_name_is_left_out_alone(bad: bytes) -> None:
    assert read(an_entry("a"), bad, an_entry("b")) == (["a", "b"], ["tools/list: an entry has no name"])


def test_a_name_that_comes_twice_is_left_out_altogether() -> None:
    found, problems = read(
        an_entry("a", members={"description": b'"one"'}),
        an_entry("b"),
        an_entry("a", members={"description": b'"two"'}),
        an_entry("a"),
    )
    assert found == ["b"]
    assert problems == ["tools/list: 'a' is left out: the server lists it more than once"]


@pytest.mark.parametrize("method", ["tools/list", "prompts/list"])
def test_look_alikes_and_invisible_names_are_left_out(method: str) -> None:
    found, problems = read(
        an_entry("find"),
        an_entry("FIND"),
        an_entry("de\u200bnied"),
        an_entry(""),
        an_entry("a" * 129),
        an_entry("x"),
        method=method,
    )
    assert found == ["x"]
    assert len(problems) == 5


@pytest.mark.parametrize("method", ["resources/list", "resources/templates/list"])
def test_uris_that_differ_by_case_are_two(method: str) -> None:
    """A file system has both; only what cannot be seen is left out."""
    key = SHAPES[method].key
    uris = ("file:///Makefile", "file:///makefile", "file:///" + "a" * 8_000)
    found, problems = read(
        *(an_entry(uri, key) for uri in (*uris, "file:///a\u202eb", "a" * 8_193)), method=method
    )
    assert tuple(found) == uris
    assert len(problems) == 2


@pytest.mark.parametrize(
    ("members", "fits"),
    [
        ({"description": b'"%b"' % (b"d" * (16 * 1024 - 2))}, True),
        ({"description": b'"%b"' % (b"d" * (16 * 1024 - 1))}, False),
        ({"inputSchema": b'{"a":"%b"}' % (b"s" * (256 * 1024 - 8))}, True),
        ({"inputSchema": b'{"a":"%b"}' % (b"s" * (256 * 1024 - 7))}, False),
        ({"inputSchema": b"[" * 32 + b"]" * 32}, True),
        ({"inputSchema": b"[" * 33 + b"]" * 33}, False),
        ({"outputSchema": b'{"a":' * 33 + b"1" + b"}" * 33}, False),
        ({"outputSchema": b'{"a":"%b"}' % (b"[" * 1_000)}, True),
    ],
)
def test_descriptions_and_schemas_are_bounded(members: dict[str, bytes], fits: bool) -> None:
    found, problems = read(an_entry("a", members=members), an_entry("b"))
    assert found == (["a", "b"] if fits else ["b"])
    assert bool(problems) is not fits


def test_a_list_is_bounded() -> None:
    found, problems = read(*(an_entry(f"t{number}") for number in range(catalogues.MAX_ENTRIES + 5)))
    assert len(found) == catalogues.MAX_ENTRIES
    assert problems == ["tools/list: only the first 10000 entries are used"]


@BRIEF
@given(st.lists(st.text(max_size=4), max_size=8))
def test_what_is_listed_is_what_was_sent_less_what_is_named_in_a_problem(sent: list[str]) -> None:
    found, problems = read(*(an_entry(name) for name in sent))
    assert set(found) <= set(sent)
    assert len(set(sent) - set(found)) == len(problems)
    assert [name for name in sent if name in found] == found
