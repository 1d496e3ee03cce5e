"""Numbers of a server's result are printed as the server wrote them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.cli.running import exact

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@pytest.mark.parametrize(
    "number", ["0", "-0", "1.10", "1e400", "1E+2", "9" * 5000, "-0.0", "123456789012345678901234567890"]
)
def test_numbers_stay_as_written(number: str) -> None:
    text = f'{{"a": [{number}, "{number}"]}}'
    assert exact.write(exact.read(text.encode())) == text


@given(VALUES)
def test_writes_what_the_standard_library_writes(value: object) -> None:
    text = json.dumps(value, ensure_ascii=False)
    assert exact.write(exact.read(text.encode("utf-8", "surrogatepass"))) == text


@given(VALUES)
def test_spreads_out_as_the_standard_library_does(value: object) -> None:
    text = json.dumps(value).encode()
    assert exact.write(exact.read(text), indent=2) == json.dumps(value, indent=2, ensure_ascii=False)


def test_refuses_what_is_not_json() -> None:
    assert exact.read(b'"ok"') == "ok"
    for bad in (b"", b"{", b"\xff", b'{"a" 1}'):
        with pytest.raises(ValueError):  # noqa: PT011
            exact.read(bad)
