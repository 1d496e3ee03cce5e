"""Reading queries, bodies and conditions: strict, and the field is named that is wrong, never its value."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import pytest
from msgspec import Meta, Struct

from coatcheck.admin.api.problems import Problem
from coatcheck.admin.api.reading import read_match, read_name, read_query, read_shape
from coatcheck.admin.resources.values import Moment
from coatcheck.model.secret import Secret

CANARY = "canary-3f8a"


class Colour(StrEnum):
    RED = "red"


class Find(Struct, forbid_unknown_fields=True, kw_only=True):
    colour: Colour | None = None
    limit: Annotated[int, Meta(ge=1, le=10)] = 5
    deep: bool = False
    since: Moment | None = None
    name: Annotated[str, Meta(min_length=1, max_length=20)] | None = None


class Inner(Struct, forbid_unknown_fields=True):
    size: int


class Make(Struct, forbid_unknown_fields=True, kw_only=True):
    name: Annotated[str, Meta(max_length=20)]
    colour: Colour = Colour.RED
    secrets: dict[str, Secret] = {}
    inner: list[Inner] = []


def test_a_query_is_read() -> None:
    found = read_query(Find, b"colour=red&limit=7&deep=true&since=2026-11-03T09:08:07Z&name=a%20b")
    assert found == Find(
        colour=Colour.RED, limit=7, deep=True, since=datetime(2026, 11, 3, 9, 8, 7, tzinfo=UTC), name="a b"
    )
    assert read_query(Find, b"") == Find()


@pytest.mark.parametrize(
    ("query", "field"),
    [(b"limit=0", "limit"), (b"limit=11", "limit"), (b"limit=x", "limit"), (b"limit=1e1", "limit"), (b"limit=", "limit"), (b"limit=%201", "limit"), (b"limit=01", "limit"),
     (b"limit=1.0", "limit"), (b"limit=" + b"9" * 30, "limit"), (b"deep=1", "deep"), (b"deep=True", "deep"), (b"colour=RED", "colour"), (b"since=yesterday", "since"),
     (b"since=2026-11-03", "since"), (b"since=2026-11-03T09:08:07", "since"), (b"name=", "name"), (b"name=" + b"x" * 21, "name"), (b"other=1", "other"), (b"limit=1&limit=1", None),
     (b"name=%ff", None), (b"&".join(b"a%d=1" % number for number in range(60)), None)],
)  # fmt: skip
def test_an_odd_query_is_refused(query: bytes, field: str | None) -> None:
    with pytest.raises(Problem) as refused:
        read_query(Find, query)
    assert (refused.value.code, refused.value.status, refused.value.wrong.field) == ("bad_filter", 400, field)


def test_a_body_is_read() -> None:
    made = read_shape(Make, b'{"name": "x", "secrets": {"k": "v"}, "inner": [{"size": 1}]}')
    assert (made.name, made.colour, made.inner) == ("x", Colour.RED, [Inner(1)])
    assert made.secrets == {"k": Secret("v")}
    assert "Secret(***)" in repr(made)
    assert read_shape(Find, b"") == Find()


@pytest.mark.parametrize(
    ("body", "field"),
    [(b"{}", "name"), (b'{"name":1}', "name"), (b'{"name":null}', "name"), (b'{"name":"x","role":"admin"}', "role"), (b'{"name":"x","inner":[{"size":1},{"size":"%s"}]}', "inner[1].size"),
     (b'{"name":"x","inner":[{"size":1,"more":"%s"}]}', "inner[0].more"), (b'{"name":"x","colour":"%s"}', "colour"), (b'{"name":"x","secrets":{"k":1}}', "secrets[...]"),
     (b'{"name":"x","secrets":["%s"]}', "secrets"), (b"[]", None), (b'"%s"', None), (b"1", None), (b'{"name":"%s%s"}', "name")],
)  # fmt: skip
def test_a_body_of_the_wrong_shape_is_told_by_field_without_its_value(body: bytes, field: str | None) -> None:
    with pytest.raises(Problem) as refused:
        read_shape(Make, body.replace(b"%s", CANARY.encode()))
    wrong = refused.value.wrong
    assert (refused.value.code, refused.value.status, wrong.field) == ("unfit", 422, field)
    assert CANARY not in wrong.detail


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"{", "bad_json"), (b"\xff", "bad_json"), (b'{"name":"\\ud800"}', "bad_json"), (b'{"name":"x"} x', "bad_json"), (b'{"name":"x","name":"y"}', "ambiguous_json"),
     (b'{"name":"x","n\\u0061me":"y"}', "ambiguous_json"), (b'{"inner":' + b"[" * 70 + b"]" * 70 + b"}", "ambiguous_json"), (b'{"name":NaN}', "bad_json")],
)  # fmt: skip
def test_ambiguous_json_is_refused_first(body: bytes, code: str) -> None:
    with pytest.raises(Problem) as refused:
        read_shape(Make, body)
    assert (refused.value.code, refused.value.status) == (code, 400)


@pytest.mark.parametrize(
    ("values", "found"),
    [(('"3"',), 3), (('"0"',), 0), ((), "unconditional"), (("3",), "stale"), (('W/"3"',), "stale"), (('"03"',), "stale"), (('"-1"',), "stale"), (('"x"',), "stale"), (("*",), "bad_precondition"),
     (('"1", "2"',), "bad_precondition"), (('"1"', '"2"'), "bad_precondition"), (("",), "stale"), (('"' + "9" * 30 + '"',), "stale")],
)  # fmt: skip
def test_conditions(values: tuple[str, ...], found: Any) -> None:
    headers = {"if-match": values} if values else {}
    if isinstance(found, int):
        assert read_match(headers, required=True) == found
        return
    with pytest.raises(Problem) as refused:
        read_match(headers, required=True)
    assert refused.value.code == found


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("alice", "alice"),
        ("a~b", "a~b"),
        ("~YS9i", "a/b"),
        ("~Lg", "."),
        ("~w6kvJQ", "\u00e9/%"),
        ("~fg", "~"),
    ],
)
def test_a_name_that_a_path_cannot_hold_comes_in_base64url(word: str, name: str) -> None:
    assert read_name(word) == name


@pytest.mark.parametrize("word", ["~", "~a", "~YS9i=", "~YS 9i", "~_w", "~\u00e9"])
def test_what_begins_as_base64url_and_is_not_is_no_name(word: str) -> None:
    with pytest.raises(Problem) as refused:
        read_name(word)
    assert refused.value.code == "not_found"


def test_where_a_condition_is_not_owed_it_may_be_left_out() -> None:
    assert read_match({}, required=False) is None


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (b"limit=" + b"9" * 900, "limit: It is to be a whole number of at most 10."),
        (b"limit=-" + b"9" * 30, "limit: It is to be a whole number of at least 1."),
        (b"limit=x", "limit: It is to be a whole number."),
        (b"since=9999-12-31T23:59:59-23:59", "since: It is no time within the years 1 to 9999, in UTC."),
        (b"since=0001-01-01T00:00:00%2B00:01", "since: It is no time within the years 1 to 9999, in UTC."),
    ],
)
def test_what_is_out_of_range_is_told_in_a_plain_sentence(query: bytes, says: str) -> None:
    with pytest.raises(Problem) as refused:
        read_query(Find, query)
    assert refused.value.wrong.detail == says


class Times(Struct, forbid_unknown_fields=True):
    at: Moment | None = None
    more: list[Times] = []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"at": "9999-12-31T23:59:59-23:59"}', "at"),
        (b'{"more": [{}, {"at": "0001-01-01T00:00:00+23:59"}]}', "more[1].at"),
    ],
)
def test_a_body_with_a_time_out_of_range_is_refused(body: bytes, field: str) -> None:
    assert read_shape(Times, b'{"at": "9999-12-31T23:59:59Z", "more": [{}]}').more == [Times()]
    with pytest.raises(Problem) as refused:
        read_shape(Times, body)
    assert (refused.value.code, refused.value.status, refused.value.wrong.field) == ("unfit", 422, field)
