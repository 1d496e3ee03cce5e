"""An input that takes more is found, whatever JSON Schema says it by; what is not understood counts as more."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from coatcheck.core.pins.definitions import definition_of, read
from coatcheck.core.pins.widening import widenings, widens
from coatcheck.model.catalogue import Entry

TEXT = {"type": "string"}
SHUT = {"type": "object", "properties": {"a": TEXT}, "additionalProperties": False}
OPEN = {"type": "object", "properties": {"a": TEXT}}


def exact(schema: Any) -> Any:
    """Return a schema as it is read from a definition, with its numbers as written."""
    entry = Entry("t", {"name": b'"t"', "inputSchema": json.dumps(schema).encode()})
    found = read(definition_of(entry))
    assert found is not None
    return found["inputSchema"]


def where(before: Any, after: Any) -> list[str]:
    return list(widenings(exact(before), exact(after)))


def within(**schema: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": schema}}


A = "/properties/a"


@pytest.mark.parametrize(
    ("before", "after", "places"),
    [
        # members
        (OPEN, {**OPEN, "properties": {"a": TEXT, "b": TEXT}}, ["/properties/b"]),
        (SHUT, {**SHUT, "properties": {"a": TEXT, "b": TEXT}, "required": ["b"]}, ["/properties/b"]),
        ({}, OPEN, [A]),
        (OPEN, {"type": "object"}, [A]),
        (SHUT, {**SHUT, "additionalProperties": TEXT}, ["/additionalProperties"]),
        (SHUT, OPEN, ["/additionalProperties"]),
        ({**OPEN, "additionalProperties": TEXT}, OPEN, ["/additionalProperties/type"]),
        ({**SHUT, "required": ["a"]}, SHUT, ["/required"]),
        ({**SHUT, "required": ["a"]}, {**SHUT, "required": []}, ["/required"]),
        (OPEN, {**OPEN, "patternProperties": {"^x": TEXT}}, ["/patternProperties"]),
        (within(type="object"), within(type="object", properties={"~/": TEXT}), [f"{A}/properties/~0~1"]),
        # types and values
        (within(type="string"), within(type=["string", "null"]), [f"{A}/type"]),
        (within(type="integer"), within(type="number"), [f"{A}/type"]),
        (within(type="string"), within(), [f"{A}/type"]),
        (within(enum=["a"]), within(enum=["a", "b"]), [f"{A}/enum/1"]),
        (within(enum=[1]), within(enum=["1"]), [f"{A}/enum/0"]),
        (within(enum=["a"]), within(), [f"{A}/enum"]),
        (within(const=1), within(const=2), [f"{A}/const"]),
        (within(minimum=5), within(minimum=4.5), [f"{A}/minimum"]),
        (within(maximum=5), within(maximum=5.5), [f"{A}/maximum"]),
        (within(maximum=5), within(), [f"{A}/maximum"]),
        (within(maxLength=5), within(maxLength=6), [f"{A}/maxLength"]),
        (within(minItems=2), within(minItems=1), [f"{A}/minItems"]),
        (within(pattern="^a$"), within(pattern="^b$"), [f"{A}/pattern"]),
        (within(format="uri"), within(), [f"{A}/format"]),
        (within(uniqueItems=True), within(uniqueItems=False), [f"{A}/uniqueItems"]),
        (within(items=TEXT), within(items={}), [f"{A}/items/type"]),
        (within(items=TEXT), within(), [f"{A}/items"]),
        (within(items=[TEXT]), within(items=[TEXT, TEXT]), [f"{A}/items"]),
        (within(anyOf=[TEXT]), within(anyOf=[TEXT, {"type": "null"}]), [f"{A}/anyOf/1"]),
        (within(), within(anyOf=[{"properties": {"x": TEXT}}]), [f"{A}/anyOf"]),
        (within(oneOf=[TEXT, {"type": "null"}]), within(oneOf=[TEXT]), [f"{A}/oneOf"]),
        # what nobody can tell
        (within(**{"$ref": "#/$defs/x"}), within(), [f"{A}/$ref"]),
        (within(), within(**{"$ref": "#/$defs/x"}), [f"{A}/$ref"]),
        ({"$defs": {"x": {"maximum": 5}}}, {"$defs": {"x": {"maximum": 4}}}, ["/$defs"]),
        (within(**{"not": TEXT}), within(**{"not": {"const": "a"}}), [f"{A}/not"]),
        (within(**{"x-mine": 1}), within(**{"x-mine": 2}), [f"{A}/x-mine"]),
        (within(minimum="x"), within(minimum="y"), [f"{A}/minimum"]),
        (within(type=5), within(type=6), [f"{A}/type"]),
        (within(required="a"), within(required="b"), [f"{A}/required"]),
        (within(type="string"), within(type=[]), [f"{A}/type"]),
        # what leaves nothing for another keyword to refuse
        (
            {**OPEN, "unevaluatedProperties": False},
            {**OPEN, "unevaluatedProperties": False, "additionalProperties": True},
            ["/additionalProperties"],
        ),
        (within(unevaluatedItems=False), within(unevaluatedItems=False, items=TEXT), [f"{A}/items"]),
        # what others refer to
        (
            {**within(**{"$ref": "#/examples/0"}), "examples": [TEXT]},
            {**within(**{"$ref": "#/examples/0"}), "examples": [{}]},
            [f"{A}/$ref"],
        ),
        (
            {**within(**{"$ref": "#/$defs/x/default"}), "$defs": {"x": {"default": TEXT}}},
            {**within(**{"$ref": "#/$defs/x/default"}), "$defs": {"x": {"default": {}}}},
            [f"{A}/$ref"],
        ),
        (
            {**within(**{"$dynamicRef": "#name"}), "default": {"$dynamicAnchor": "name", **TEXT}},
            {**within(**{"$dynamicRef": "#name"}), "default": {"$dynamicAnchor": "name"}},
            [f"{A}/$dynamicRef"],
        ),
        (
            {"properties": {"a": {"not": {"$ref": "#/properties/b"}}, "b": TEXT}},
            {"properties": {"a": {"not": {"$ref": "#/properties/b"}}, "b": {**TEXT, "maxLength": 0}}},
            [f"{A}/not/$ref"],
        ),
        (
            {"properties": {"a": {"not": {"$ref": "#/properties/%62"}}, "b": TEXT, "%62": {}}},
            {"properties": {"a": {"not": {"$ref": "#/properties/%62"}}, "b": False, "%62": {}}},
            [f"{A}/not/$ref"],
        ),
        (
            {"properties": {"a": {"$ref": "#/properties/b/anyOf/1"}, "b": {"anyOf": [TEXT, False, {}]}}},
            {"properties": {"a": {"$ref": "#/properties/b/anyOf/1"}, "b": {"anyOf": [TEXT, {}]}}},
            [f"{A}/$ref"],
        ),
        (within(**{"$id": "x", "title": "y"}), within(**{"$id": "x", "title": "z"}), [f"{A}/$id"]),
        (
            {"properties": {"a": {"not": {"$ref": "#"}}}},
            {"properties": {"a": {"not": {"$ref": "#"}}}, "required": ["a"]},
            [f"{A}/not/$ref"],
        ),
        ({"properties": []}, {"properties": {}}, ["/properties"]),
        (False, {}, [""]),
        ({}, 5, [""]),
        ({"type": "object"}, None, [""]),
    ],
)
def test_more_is_found_where_it_is(before: Any, after: Any, places: list[str]) -> None:
    assert where(before, before) == []
    assert where(before, after) == places


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (within(description="x", default=1), within(title="y", examples=[1])),
        (OPEN, SHUT),
        (OPEN, {**OPEN, "required": ["a"]}),
        (SHUT, {**SHUT, "properties": {}}),
        (SHUT, {**SHUT, "properties": {"a": False}}),
        ({"properties": {"description": TEXT}}, {"properties": {"description": {**TEXT, "title": "x"}}}),
        (within(type="number"), within(type="integer")),
        (within(), within(type="string")),
        (within(type=["string", "null"]), within(type="string")),
        (within(enum=["a", "b"]), within(enum=["b"])),
        (within(), within(enum=["b"])),
        (within(minimum=4.5), within(minimum=5)),
        (within(maximum=10**400), within(maximum=10**399)),
        (within(), within(minLength=1, maxLength=2, pattern="x", format="uri", multipleOf=2, const="x")),
        (within(uniqueItems=False), within(uniqueItems=True)),
        (within(), within(items=TEXT)),
        (within(items=TEXT), within(items={**TEXT, "maxLength": 5})),
        (within(items=True), within(items=False)),
        (within(anyOf=[TEXT, {"type": "null"}]), within(anyOf=[{**TEXT, "title": "A"}])),
        ({**OPEN, "additionalProperties": True}, {**OPEN, "additionalProperties": TEXT}),
        ({"$defs": {"x": {"title": "a"}}}, {"$defs": {"x": {"title": "b"}}}),
        (
            {"$defs": {"x": {"title": "a"}}, "properties": {"a": {"$ref": "#/$defs/x"}}},
            {"$defs": {"x": {"title": "b"}}, "properties": {"a": {"$ref": "#/$defs/x"}}, "required": ["a"]},
        ),
        (
            {"properties": {"~/": {"items": [TEXT]}, "b": {"$ref": "#/properties/~0~1/items/0"}}},
            {
                "properties": {
                    "~/": {"items": [TEXT], "title": "x"},
                    "b": {"$ref": "#/properties/~0~1/items/0"},
                }
            },
        ),
        ({"properties": {"a": {"$ref": "#"}}}, {"properties": {"a": {"$ref": "#"}}, "title": "x"}),
        (
            {**OPEN, "unevaluatedProperties": False},
            {**OPEN, "unevaluatedProperties": False, "required": ["a"]},
        ),
        ({"oneOf": [{"title": "a"}], "not": {"description": "x"}}, {"oneOf": [{}], "not": {}}),
        ({}, False),
    ],
)
def test_less_is_less_and_words_are_words(before: Any, after: Any) -> None:
    assert where(before, after) == []


# --- generated ---------------------------------------------------------------------------------------------

NAMES = st.sampled_from(("a", "b", "c", "description", "type", "~/", "properties"))
LEAVES = st.one_of(
    st.builds(lambda types: {"type": types}, st.sampled_from(("string", "integer", ["string", "null"]))),
    st.builds(lambda values: {"enum": values}, st.lists(st.integers(0, 5), min_size=1, unique=True)),
    st.builds(lambda least: {"minimum": least, "maximum": least + 5}, st.integers(-3, 3)),
    st.sampled_from(({}, True, False, {"$ref": "#/$defs/x"}, {"pattern": "^a"}, {"x-mine": 1})),
)


def objects(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(
            lambda members, shut, required: {
                "type": "object",
                "properties": members,
                **({} if shut is None else {"additionalProperties": shut}),
                "required": [name for name in members if name in required],
            },
            st.dictionaries(NAMES, schemas, max_size=3),
            st.sampled_from((None, False, True)),
            st.sets(NAMES),
        ),
        st.builds(lambda items: {"type": "array", "items": items}, schemas),
        st.builds(lambda some: {"anyOf": some}, st.lists(schemas, min_size=1, max_size=3)),
    )


SCHEMAS = st.recursive(LEAVES, objects, max_leaves=8)
OBJECTS = objects(SCHEMAS).filter(lambda schema: "properties" in schema)


@given(SCHEMAS)
def test_what_is_equal_never_widens(schema: Any) -> None:
    assert not widens(exact(schema), exact(schema))
    assert not widens(exact(schema), False)


@given(OBJECTS, SCHEMAS.filter(lambda schema: schema is not False))
def test_another_member_always_widens(schema: dict[str, Any], more: Any) -> None:
    after = {**schema, "properties": {**schema["properties"], "another": more}}
    assert widens(exact(schema), exact(after))
    nested = ({"properties": {"in": one}} for one in (schema, after))
    assert widens(*map(exact, nested))


@given(OBJECTS, NAMES, st.lists(st.integers(), min_size=2, unique=True), st.data())
def test_fewer_values_never_widen_and_more_always_do(
    schema: dict[str, Any], name: str, values: list[int], data: st.DataObject
) -> None:
    fewer = data.draw(st.lists(st.sampled_from(values), min_size=1, max_size=len(values) - 1, unique=True))
    one, other = (
        {**schema, "properties": {**schema["properties"], name: {"enum": some}}} for some in (values, fewer)
    )
    assert not widens(exact(one), exact(other))
    assert widens(exact(other), exact(one))


VALUES = st.recursive(
    st.one_of(st.none(), st.integers(-5, 9), st.sampled_from(("", "a", "ab", "b"))),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)


@given(SCHEMAS, SCHEMAS, st.lists(VALUES, min_size=5, max_size=5))
def test_what_is_proven_holds_by_another_reader_of_schemas(
    before: Any, after: Any, values: list[Any]
) -> None:
    if widens(exact(before), exact(after)):
        return
    definitions = {"$defs": {"x": {"type": "integer"}}}
    old, new = (Draft202012Validator({"allOf": [schema], **definitions}) for schema in (before, after))
    for value in values:
        assert old.is_valid(value) or not new.is_valid(value)


@given(SCHEMAS, SCHEMAS, SCHEMAS)
def test_what_does_not_widen_twice_does_not_widen_at_once(one: Any, two: Any, three: Any) -> None:
    first, second, third = map(exact, (one, two, three))
    if not widens(first, second) and not widens(second, third):
        assert not widens(first, third)
