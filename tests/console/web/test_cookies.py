"""Cookies: their names and marks, what is read of them, and what forms belong to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from coatcheck.console.web.cookies import MAX_SAID, SAID, SESSION, Jar, csrf_of, pack, unpack


def test_over_https_a_cookie_is_bound_to_the_host_and_never_sent_in_the_clear() -> None:
    assert Jar(secure=True).set(SESSION, "t") == (
        "__Host-coatcheck-session=t; Path=/; HttpOnly; SameSite=Lax; Secure"
    )


def test_over_plain_http_it_has_another_name() -> None:
    assert Jar(secure=False).set(SESSION, "t") == "coatcheck-local-session=t; Path=/; HttpOnly; SameSite=Lax"


def test_gateways_side_by_side_on_one_machine_take_no_cookie_of_each_other() -> None:
    """To browsers, a cookie is of all ports of a host."""
    one, other = (Jar.of(f"127.0.0.1:{port}", secure=False) for port in (8080, 80801))
    kept = [f"{one.name(SESSION)}=a; {other.name(SESSION)}=b"]
    assert (one.read(kept), other.read(kept)) == ({"session": "a"}, {"session": "b"})
    assert Jar.of("[::1]:8080", secure=False).name(SESSION) == "coatcheck-local-8080-session"
    assert Jar.of("[::1]", secure=False).name(SESSION) == "coatcheck-local-session"


def test_a_cookie_of_the_other_kind_is_not_read() -> None:
    both = ["__Host-coatcheck-session=a; coatcheck-local-session=b; other=c"]
    assert Jar(secure=True).read(both) == {"session": "a"}
    assert Jar(secure=False).read(both) == {"session": "b"}


@pytest.mark.parametrize(
    "twice",
    [
        ["coatcheck-local-session=a; coatcheck-local-session=b"],
        ["coatcheck-local-session=a", "coatcheck-local-session=b"],
    ],
)
def test_of_one_that_comes_twice_none_is_taken(twice: list[str]) -> None:
    jar = Jar(secure=False)
    assert jar.read(twice[:1] if len(twice) > 1 else ["coatcheck-local-session=a"]) == {"session": "a"}
    assert jar.read(twice) == {}


@pytest.mark.parametrize("blank", ["\xa0", "\x85", "\x1c", "\u2003"])
@pytest.mark.parametrize("secure", [True, False])
def test_a_name_with_a_foreign_blank_before_it_is_not_ours(blank: str, *, secure: bool) -> None:
    """A neighbouring host may set such a name, since no browser takes it for one with the prefix."""
    jar = Jar(secure)
    ours, theirs = f"{jar.name(SESSION)}=ours", f"{blank}{jar.name(SESSION)}=theirs"
    assert jar.read([f"a=b; \t{ours}"]) == {"session": "ours"}
    assert jar.read([theirs]) == {}
    assert jar.read([f"{theirs}; {ours}"]) == {"session": "ours"}


def test_forms_of_two_sessions_differ_and_tell_nothing_of_the_cookie() -> None:
    assert csrf_of("a") == csrf_of("a")
    assert csrf_of("a") != csrf_of("b")
    assert "secret-cookie" not in csrf_of("secret-cookie")


@given(some.text(max_size=MAX_SAID))
def test_what_is_said_comes_through(text: str) -> None:
    if text.isascii() or text.isprintable():
        line = Jar(secure=False).set(SAID, pack("warn", text).reveal())
        value = Jar(secure=False).read([line.split(";")[0]])["said"]
        assert unpack(value) == ("warn", text)


@given(some.text(max_size=100))
def test_what_is_no_word_of_ours_is_not_said(value: str) -> None:
    told = unpack(value)
    assert told is None or told[0] in {"good", "warn", "bad", "info"}
