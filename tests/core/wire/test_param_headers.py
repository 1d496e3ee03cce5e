"""Headers from arguments: which annotations count, how values are written, and what disagrees."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.core.wire import param_headers
from coatcheck.core.wire.param_headers import annotations_of, flaw_of, headers_for, mismatch

BRIEF = settings(max_examples=250, deadline=None)
REGION = {"type": "string", "x-mcp-header": "Region"}


def raw(value: Any) -> bytes:
    return json.dumps(value).encode()


def schema(**properties: Any) -> bytes:
    return raw({"type": "object", "properties": properties})


# --- annotations ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["string", "integer", "boolean"])
def test_an_annotated_property_of_a_plain_type_has_a_header(name: str) -> None:
    annotations = annotations_of(
        schema(region={"type": name, "x-mcp-header": "Region"}, other={"type": "string"})
    )
    assert annotations == {"Mcp-Param-Region": ("region",)}


def test_annotations_may_stand_deep_as_long_as_properties_lead_there() -> None:
    deep = {
        "type": "object",
        "properties": {"b": {"properties": {"c": {"type": "integer", "x-mcp-header": "C"}}}},
    }
    assert annotations_of(schema(a=deep, r=REGION)) == {
        "Mcp-Param-C": ("a", "b", "c"),
        "Mcp-Param-Region": ("r",),
    }


@pytest.mark.parametrize(
    "input_schema",
    [b"{}", schema(a={"type": "string"}), schema(a={"type": "string", "default": {"x-mcp-header": "no"}}), schema(a={"enum": [{"x-mcp-header": 1}]}), raw({"properties": {"x-mcp-header": {"type": "string"}}}), b"true", b"[1]"],
)  # fmt: skip
def test_most_schemas_ask_for_none(input_schema: bytes) -> None:
    assert annotations_of(input_schema) == {}
    assert flaw_of(input_schema) is None


def test_a_keyword_written_with_escapes_is_found() -> None:
    assert annotations_of(rb'{"properties":{"a":{"type":"string","\u0078-mcp-header":"A"}}}') == {
        "Mcp-Param-A": ("a",)
    }


INVALID = {
    "empty": schema(a={"type": "string", "x-mcp-header": ""}),
    "space": schema(a={"type": "string", "x-mcp-header": "A B"}),
    "colon": schema(a={"type": "string", "x-mcp-header": "A:"}),
    "line-end": schema(a={"type": "string", "x-mcp-header": "A\r\nX"}),
    "last-line-end": schema(a={"type": "string", "x-mcp-header": "A\n"}),
    "not-ascii": schema(a={"type": "string", "x-mcp-header": "Ä"}),
    "no-string": schema(a={"type": "string", "x-mcp-header": 5}),
    "null": schema(a={"type": "string", "x-mcp-header": None}),
    "number": schema(a={"type": "number", "x-mcp-header": "A"}),
    "object": schema(a={"type": "object", "x-mcp-header": "A"}),
    "array": schema(a={"type": "array", "x-mcp-header": "A"}),
    "no-type": schema(a={"x-mcp-header": "A"}),
    "several-types": schema(a={"type": ["string", "null"], "x-mcp-header": "A"}),
    "same-name": schema(a=REGION, b=REGION),
    "same-name-in-another-case": schema(a=REGION, b={"type": "string", "x-mcp-header": "rEGION"}),
    "root": raw({"type": "string", "x-mcp-header": "A"}),
    "items": schema(a={"type": "array", "items": REGION}),
    "tuple": schema(a={"type": "array", "items": [REGION]}),
    "prefix-items": schema(a={"prefixItems": [REGION]}),
    "additional": raw({"additionalProperties": REGION}),
    "pattern": raw({"patternProperties": {"^a": REGION}}),
    "one-of": schema(a={"oneOf": [{"properties": {"b": REGION}}]}),
    "all-of-at-the-root": raw({"allOf": [{"properties": {"a": REGION}}]}),
    "not": schema(a={"not": REGION}),
    "then": raw({"if": {}, "then": {"properties": {"a": REGION}}}),
    "defs": raw({"$defs": {"r": REGION}, "properties": {"a": {"$ref": "#/$defs/r"}}}),
    "beside-a-good-one": schema(good=REGION, a={"type": "number", "x-mcp-header": "A"}),
    "unreadable": b'{"x-mcp-header":',
    "not-utf-8": b'{"x-mcp-header":"\xff"}',
}  # fmt: skip


@pytest.mark.parametrize("input_schema", INVALID.values(), ids=INVALID.keys())
def test_an_invalid_annotation_makes_the_tool_invalid(input_schema: bytes) -> None:
    assert annotations_of(input_schema) is None
    reason = flaw_of(input_schema)
    assert reason
    assert reason.isprintable()


def test_a_schema_of_any_depth_is_judged_or_refused_without_harm() -> None:
    deep = b'{"properties":{"a":' * 50_000 + b'{"type":"string","x-mcp-header":"A"}' + b"}}" * 50_000
    assert annotations_of(deep) is None
    assert annotations_of(
        b'{"x":%b,"properties":{"a":{"type":"string","x-mcp-header":"A"}}}' % (b"9" * 200_000)
    ) == {"Mcp-Param-A": ("a",)}


# --- towards a server -------------------------------------------------------------------------------------

ONE = {"Mcp-Param-V": ("v",)}


@pytest.mark.parametrize(
    ("value", "header"),
    [
        (b'"us-west1"', "us-west1"),
        (b'""', ""),
        (b'"us west 1"', "us west 1"),
        ('"Hello, 世界"'.encode(), "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (b'" padded "', "=?base64?IHBhZGRlZCA=?="),
        (b'"line1\\nline2"', "=?base64?bGluZTEKbGluZTI=?="),
        (b'"a\\r\\nX-Evil: 1"', "=?base64?YQ0KWC1FdmlsOiAx?="),
        (b'"=?base64?literal?="', "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        (b'"\\tindented"', "=?base64?CWluZGVudGVk?="),
        (b"42", "42"),
        (b"-7", "-7"),
        (b"0", "0"),
        (b"-0", "0"),
        (b"42.0", "42"),
        (b"42.10", "42.1"),
        (b"4.2e1", "42"),
        (b"1.5", "1.5"),
        (b"123456789012345678901234567890", "123456789012345678901234567890"),
        (b"true", "true"),
        (b"false", "false"),
        (b'"42"', "42"),
    ],
)
def test_a_value_is_written_as_the_specification_says(value: bytes, header: str) -> None:
    arguments = b'{"v":%b,"other":1}' % value
    assert headers_for(ONE, arguments) == [("Mcp-Param-V", header)]
    assert mismatch(ONE, arguments, {"mcp-param-v": (header,)}) == ""


@pytest.mark.parametrize("arguments", [b"{}", b'{"v":null}', b'{"v":[1]}', b'{"v":{"a":1}}', b'{"v":"\\ud800"}', b'{"v":1e999}', b"[]", b"null", b"", b'{"V":1}'])  # fmt: skip
def test_what_is_absent_or_no_plain_value_has_no_header(arguments: bytes) -> None:
    assert headers_for(ONE, arguments) == []
    assert mismatch(ONE, arguments, {}) == ""
    assert "no counterpart" in mismatch(ONE, arguments, {"mcp-param-v": ("1",)})


def test_a_value_is_read_at_its_exact_path() -> None:
    annotations = {"Mcp-Param-C": ("a", "b", "c")}
    assert headers_for(annotations, b'{"a":{"b":{"c":true}},"c":false}') == [("Mcp-Param-C", "true")]
    for arguments in (b'{"a":{"c":1},"b":{"c":1}}', b'{"a":{"b":[{"c":1}]}}', b'{"a":7}', b'{"a.b.c":1}'):
        assert headers_for(annotations, arguments) == []


# --- from a client ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "sent"),
    [("42", "42.0"), ("42", "042"), ("42.0", "42"), ("-0", "0"), ("4.2e1", "42.00"), ("-7", "-7.0"), ("42", " 42\t"), ("42", "=?base64?NDI=?="), ("9007199254740993", "9007199254740993.0"), ('"Hello"', "=?base64?SGVsbG8=?="), ('"=?base64?SGVsbG8="', "=?base64?SGVsbG8="), ('"SGVsbG8="', "SGVsbG8="), ('""', "=?base64??=")],
)  # fmt: skip
def test_other_spellings_of_the_same_value_agree(value: str, sent: str) -> None:
    assert mismatch(ONE, f'{{"v":{value}}}'.encode(), {"mcp-param-v": (sent,)}) == ""


@pytest.mark.parametrize(
    ("value", "sent", "words"),
    [
        ('"a"', (), "missing"),
        ("42", (), "missing"),
        ('"a"', ("a", "a"), "more than once"),
        ('"a"', ("b",), "differs"),
        ('"a"', ("A",), "differs"),
        ('"042"', ("42",), "differs"),
        ("42", ("43",), "differs"),
        ("42", ("42.5",), "differs"),
        ("42", ("4.2e1",), "differs"),
        ("9007199254740993", ("9007199254740992",), "differs"),
        ("true", ("True",), "differs"),
        ("true", ("1",), "differs"),
        ('"Hello"', ("=?base64?SGVsbG8?=",), "malformed"),
        ('"Hello"', ("=?base64?SGVs!!!bG8=?=",), "malformed"),
        ('"é"', ("é",), "malformed"),
        ('"a\\u0001"', ("a\x01",), "malformed"),
    ],
)
def test_a_disagreement_is_named(value: str, sent: tuple[str, ...], words: str) -> None:
    arguments = f'{{"v":{value}}}'.encode()
    good = headers_for(ONE, arguments)[0][1]
    assert mismatch(ONE, arguments, {"mcp-param-v": (good,)}) == ""
    sentence = mismatch(ONE, arguments, {"mcp-param-v": sent})
    assert words in sentence
    assert "Mcp-Param-V" in sentence


def test_long_numbers_cost_one_pass() -> None:
    for sent in ("0" * 60_000 + "x", "0." + "0" * 60_000 + "1x", "1." + "0" * 60_000 + "1"):
        assert mismatch(ONE, b'{"v":1}', {"mcp-param-v": (sent,)})


def test_headers_that_no_annotation_asks_for_are_ignored() -> None:
    assert mismatch({}, b'{"v":1}', {"mcp-param-v": ("2",)}) == ""
    assert mismatch(ONE, b'{"v":1}', {"mcp-param-v": ("1",), "mcp-param-other": ("x",)}) == ""


# --- properties -------------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.text(max_size=20),
    st.integers(),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=False, allow_infinity=False),
)


@BRIEF
@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), st.text(max_size=5))
def test_what_is_written_agrees_and_survives_http(arguments: dict[str, Any], name: str) -> None:
    annotations = {"Mcp-Param-V": (name,)}
    text = raw(arguments)
    written = headers_for(annotations, text)
    assert len(written) == (arguments.get(name) is not None)
    for _, value in written:
        assert value.isascii()
        assert value.isprintable()
        assert value == value.strip()
    assert mismatch(annotations, text, {name.lower(): (value,) for name, value in written}) == ""


@BRIEF
@given(VALUES, VALUES)
def test_values_that_differ_never_agree(first: Any, second: Any) -> None:
    one, other = headers_for(ONE, raw({"v": first})), headers_for(ONE, raw({"v": second}))
    if one and other and one != other:
        assert mismatch(ONE, raw({"v": first}), {"mcp-param-v": (other[0][1],)})


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(["properties", "items", "x-mcp-header", "type", "anyOf", "$defs", "a"]), below, max_size=4), max_leaves=20)  # fmt: skip


@BRIEF
@given(JSON)
def test_any_schema_is_judged(value: Any) -> None:
    annotations = annotations_of(raw(value))
    assert (annotations is None) == (flaw_of(raw(value)) is not None)
    for header, path in (annotations or {}).items():
        assert header.startswith(param_headers.PREFIX)
        assert path
