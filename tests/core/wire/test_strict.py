"""The strict reading: all of RFC 8259 and nothing that two readers could take differently."""

from __future__ import annotations

import re
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coatcheck.core.wire import strict
from coatcheck.errors import AmbiguousJson, BadJson, CallerError
from doubles.json_texts import damaged, read_slowly, texts

BRIEF = settings(max_examples=250, deadline=None)

GOOD: tuple[tuple[bytes, Any], ...] = (
    (b"{}", {}),
    (b" \t\r\n[ ]\n", []),
    (b'"\\u0041\\/\\b\\f\\n\\r\\t\\"\\\\"', 'A/\b\f\n\r\t"\\'),
    (b'"\\ud83d\\ude00"', "\N{GRINNING FACE}"),
    ('"\N{GRINNING FACE}\u2028\u2029\x7f\ufeff"'.encode(), "\N{GRINNING FACE}\u2028\u2029\x7f\ufeff"),
    (b'"\\\\ud800"', "\\ud800"),
    (b'{"":0}', {"": "0"}),
    (b'{"a":{"a":1},"b":{"a":1}}', {"a": {"a": "1"}, "b": {"a": "1"}}),
    (b"[true,false,null]", [True, False, None]),
    (b"-0", "-0"),
    (b"9007199254740993", "9007199254740993"),
    (b"9" * 5000, "9" * 5000),
    (b"-1.5e-3", -0.0015),
    (b"1E308", 1e308),
    (b"1e-308", 1e-308),
    (b"0." + b"1" * 38, float("0." + "1" * 38)),
    (b'{"__proto__":{"admin":true}}', {"__proto__": {"admin": True}}),
)

NOT_JSON: tuple[bytes, ...] = (
    # nothing, and things that are not there
    b"", b" ", b"\n", b"\x00", b"\x0c{}", b"\xa0{}", b"\xc2\xa0{}", b"\xe2\x80\xa8[]", b"//\n{}", b"/**/{}", b"#\n{}",
    # encodings
    b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00", b"\xfe\xff\x00{\x00}", b"\x00{\x00}", b"{\x00}\x00",
    b"\x00\x00\x00{\x00\x00\x00}", b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xed\xb0\x80"', b'"\xf4\x90\x80\x80"',
    b'"\xe2\x82"', b'"\x80"', b'{"\xfc":1}', b'"\xf0\x80\x80\xaf"',
    # structure
    b"{", b"}", b"[", b"]", b"[1", b"[1,", b"[1,]", b"[,1]", b"[,]", b"[1,,2]", b"[1 2]", b"[1}", b"{]", b'{"a"}',
    b'{"a":}', b'{"a":1,}', b'{,"a":1}', b'{"a":1 "b":2}', b'{"a"::1}', b'{"a",1}', b"{1:1}", b"{a:1}", b"{'a':1}",
    b"{null:1}", b"{}{}", b"{}x", b"{}\x00", b"[]]", b"1 2", b'{"a":1}}', b"{} {}", b"{}\n{}", b'{"a":1/*c*/}', b'{"a":1;}',
    b"data: {}", b"a=b", b"<a/>", b")]}'\n{}", b"\x1e{}",
    # literals
    b"nul", b"nulll", b"Null", b"TRUE", b"tru", b"undefined", b"None", b"yes", b"NaN", b"nan", b"Infinity", b"-Infinity",
    b"[NaN]", b'{"a":-Infinity}', b"inf", b"+Infinity", b"-NaN",
    # numbers
    b"01", b"-01", b"00", b"+1", b"--1", b"-", b"+", b".5", b"-.5", b"5.", b"5.e1", b"1e", b"1e+", b"1E-", b"1.2.3", b"1e1.5",
    b"0x10", b"0b1", b"0o7", b"1_0", b"1,000", b"1n", b"1L", b"1f", b"$1", "\u0661".encode(), "\uff11".encode(), "-\u0661".encode(),
    b"1e309", b"-1e309", b"1e400", b"1e-309", b"1e-400", b"[1e99999]", b"1e" + b"9" * 5000, b"0." + b"1" * 39,
    b"1." + b"0" * 100_000, b"1" * 400 + b".0",
    # strings
    b'"', b'"a', b"'a'", b'"\t"', b'"\n"', b'"\x00"', b'"\x1f"', b'"\\x41"', b'"\\a"', b'"\\0"', b'"\\', b'"\\"', b'"\\u"', b'"\\u12"',
    b'"\\u{41}"', b'"\\uD83"', b'"\\u 041"', b'"\\u+041"', b'"\\U0041"', b'"\\u004G"', "\u201ca\u201d".encode(), b'"a"b"',
    # lone surrogates, wherever they stand
    b'"\\ud800"', b'"\\udc00"', b'"\\uD800x"', b'"\\ud800\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\u0041"', b'{"\\ud800":1}',
    b'[["a",{"b":"\\uDFFF"}]]', b'"\\ud83d\\\\ude00"', b'"\\ud83d \\ude00"',
)  # fmt: skip

AMBIGUOUS: tuple[bytes, ...] = (
    b'{"a":1,"a":1}',
    b'{"a":1,"b":2,"a":3}',
    b'{"a":1,"\\u0061":2}',
    b'{"\\u0061":1,"\\u0061":2}',
    b'{"\\u00e9":1,"\xc3\xa9":2}',
    b'{"\\ud83d\\ude00":1,"\xf0\x9f\x98\x80":2}',
    b'{"/":1,"\\/":2}',
    b'{"":1,"":2}',
    b'[{"x":{"y":[{"a":1,"a":1}]}}]',
    b'{"a":{"a":1,"a":1}}',
)


@pytest.mark.parametrize(("body", "value"), GOOD, ids=[repr(body)[:40] for body, _ in GOOD])
def test_json_is_read(body: bytes, value: Any) -> None:
    assert strict.read(body) == value


@pytest.mark.parametrize("body", NOT_JSON, ids=[repr(body)[:40] for body in NOT_JSON])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadJson) as refusal:
        strict.read(body)
    assert len(refusal.value.message) < 200


@pytest.mark.parametrize("body", AMBIGUOUS, ids=[repr(body)[:40] for body in AMBIGUOUS])
def test_equal_members_are_refused_at_any_depth(body: bytes) -> None:
    with pytest.raises(AmbiguousJson, match="two equal members"):
        strict.read(body)


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * depth + b"0" + closing * depth


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_is_limited_to_the_level(opening: bytes, closing: bytes) -> None:
    strict.read(nested(64, opening, closing))
    for depth in (65, 66, 500, 1_100, 100_000):
        with pytest.raises(AmbiguousJson, match="deeper than 64"):
            strict.read(nested(depth, opening, closing))


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":[' * 50_000, b'[[["[[[' * 50_000, b"[" * 64 + b"{"])
def test_depth_is_limited_before_the_text_is_known_to_be_whole(body: bytes) -> None:
    with pytest.raises(CallerError):
        strict.read(body)


def test_brackets_in_strings_do_not_nest() -> None:
    assert strict.read(b'["' + b"[{" * 100 + b'"]') == ["[{" * 100]
    assert strict.read(b'["\\"' + b"[" * 100 + b'"]') == ['"' + "[" * 100]
    assert strict.read(b'["\\\\",' + b"[],[],[]," * 100 + b"0]")[0] == "\\"
    with pytest.raises(AmbiguousJson):
        strict.read(b'["\\\\",' + nested(64) + b"]")


@pytest.mark.parametrize(
    "rest", [b'"' + b'\\"' * 500_000, b'"' + b"a" * 1_000_000 + b'"'], ids=["escapes", "letters"]
)
def test_depth_is_measured_in_one_pass_and_little_memory(rest: bytes) -> None:
    """A pattern that starts again at every quote of an open string would not end today."""
    text = ("[" + "[]," * 65 + rest.decode()).ljust(1_000_000)
    tracemalloc.start()
    try:
        assert not strict.is_deeper(text, 64)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_members_are_limited() -> None:
    def members(count: int) -> bytes:
        return b"{%b}" % b",".join(b'"%d":0' % number for number in range(count))

    assert len(strict.read(members(1_000))) == 1_000
    for body in (members(1_001), b"[" + members(1_001) + b"]", members(200_000)):
        with pytest.raises(AmbiguousJson, match="more than 1000 members"):
            strict.read(body)


def test_values_are_limited() -> None:
    """The array counts as one value, so that 99,999 items make 100,000."""
    assert len(strict.read(b"[%b0]" % (b"0," * 99_998))) == 99_999
    for body in (b"[%b0]" % (b"0," * 99_999), b"[%b[]]" % (b"[]," * 99_999)):
        with pytest.raises(AmbiguousJson, match="more than 100000 values"):
            strict.read(body)
    assert strict.read(b'["' + b"," * 200_000 + b'"]') == ["," * 200_000]


@BRIEF
@given(texts(unique=True))
def test_every_spelling_of_an_unambiguous_value_is_read(text: str) -> None:
    assert strict.read(text.encode()) == read_slowly(text.encode())


@settings(BRIEF, max_examples=600)
@given(damaged())
@example(b'{"a":0,"\\u0061":0}')
@example(b"1e-0")
def test_what_is_accepted_and_what_it_says_agree_with_a_second_reading(body: bytes) -> None:
    """Neither reading accepts what the other refuses, so no third reader finds other members in it."""
    try:
        expected = read_slowly(body)
    except (ValueError, RecursionError):
        with pytest.raises(CallerError):
            strict.read(body)
    else:
        assert strict.read(body) == expected


@BRIEF
@given(st.binary(max_size=40))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    try:
        strict.read(body)
    except CallerError as refusal:
        assert not re.search(r"Traceback|0x[0-9a-f]{6,}", refusal.message)  # noqa: PT017  # either way is right


# --- look-alikes ------------------------------------------------------------------------------------------

KNOWN = frozenset({"name", "params", "_meta", "requestId", "uri", "task"})


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["name"],
        ["name", "params", "_meta", "requestId"],
        ["other", "another"],
        ["requestId"],
        ["na me", "name2", "names", "nam"],
        ["n\u0430me"],  # Cyrillic: no reader folds it
    ],
)
def test_members_of_their_own_name_pass(names: list[str]) -> None:
    strict.refuse_look_alikes(names, KNOWN, "params")


@pytest.mark.parametrize(
    "names",
    [
        ["Name"],
        ["NAME"],
        ["name", "Name"],
        ["Name", "name"],
        ["param\u017f"],  # long s
        ["ta\u017fk"],
        ["tas\u212a"],  # Kelvin sign
        ["\uff4eame"],  # full width
        ["\U0001d427ame"],  # mathematical bold
        ["nam\u2091"],  # subscript
        ["_Meta"],
        ["\ufe4dmeta"],  # another low line
        ["requestid"],
        ["RequestId"],
        ["requestId", "requestID"],
        ["URI"],
        ["other", "Other"],
        ["x\u00b2", "x2"],
    ],
)
def test_look_alikes_are_refused(names: list[str]) -> None:
    with pytest.raises(AmbiguousJson, match="of params looks like"):
        strict.refuse_look_alikes(names, KNOWN, "params")


# --- numbers of servers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"[1e308]", b"[1.5]", b'{"a":1,"a":1e5}', b"[" + b"9" * 500 + b"]"])
def test_numbers_that_a_double_holds_pass(body: bytes) -> None:
    strict.refuse_wide_numbers(body)


@pytest.mark.parametrize(
    "body", [b"[1e309]", b"[-1e999]", b'{"a":{"b":[1E+400]}}', b"[1e309", b"[" * 100_000, b"[NaN]"]
)
def test_numbers_that_no_double_holds_are_refused(body: bytes) -> None:
    with pytest.raises(BadJson):
        strict.refuse_wide_numbers(body)


# --- canonical ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"{}", b'{"a":[1,-2,1.5,true,null,"\\n\\""]}', '{"\N{GRINNING FACE}":"\u2028\x7f"}'.encode(), b'{"a":9007199254740993}',
    ],
)  # fmt: skip
def test_what_a_plain_writer_writes_is_canonical(body: bytes) -> None:
    assert strict.is_canonical(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":1}', b'{"a":1,"\\u0061":2}', b'{"a": 1}', b'"\\ud800"', b'"\\u0041"', b"1E308", b"1e999", b"-0", b"01",
        b"\xef\xbb\xbf{}", b'"\xff"', b"NaN", b"{} ", b"0." + b"1" * 50, b"[" * 65 + b"]" * 65, b"[" + b"1," * 1000 + b"1]", b"9" * 5000,
    ],
)  # fmt: skip
def test_what_two_readers_could_take_differently_is_not(body: bytes) -> None:
    assert not strict.is_canonical(body)


@BRIEF
@given(texts(unique=False).map(str.encode) | damaged())
def test_what_is_canonical_is_accepted_by_the_strict_reading(body: bytes) -> None:
    if strict.is_canonical(body):
        strict.read(body)
