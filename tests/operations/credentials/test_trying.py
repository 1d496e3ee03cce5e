"""What a server says of a secret is shown without it: one short line, whatever it sends."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.model.credential import Use
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, Server, StdioReach
from coatcheck.operations.rotation.trying import LONGEST_REASON, Cleaner

MATERIAL = "tok-material-77"


def http(value: str, name: str = "Authorization") -> Server:
    reach = HttpReach(Secret("https://a.test/mcp"), "https://a.test/mcp", {name: Secret(value)})
    return Server(UUID(int=1), "a", reach, uses=(Use(f"headers/{name}", UUID(int=2), "key", 1),))


def child(value: str) -> Server:
    reach = StdioReach("run", (), {"KEY": Secret(value)})
    return Server(UUID(int=1), "a", reach, uses=(Use("env/KEY", UUID(int=2), "key", 1),))


@pytest.mark.parametrize(
    ("server", "said", "shown"),
    [
        (http(f"Bearer {MATERIAL}"), f"no {MATERIAL} here", "no [redacted] here"),
        (http(f"Bearer {MATERIAL}"), f"no Bearer {MATERIAL} here", "no Bearer [redacted] here"),
        (child(MATERIAL), "a\n b\x1b[31m\u202e\tc", "a b [31m c"),
        (child("pw12"), "password pw12 is wrong", "password [redacted] is wrong"),
        (child("p"), "password is wrong", ""),
        (child("p"), "oh no", "oh no"),
        (child(MATERIAL), "", ""),
    ],
)
def test_reasons_are_cleaned(server: Server, said: str, shown: str) -> None:
    assert Cleaner([server]).clean(said) == shown


def test_both_secrets_are_taken_out() -> None:
    cleaner = Cleaner([child(MATERIAL), child("coatcheck-wrong-secret-")])
    assert cleaner.clean(f"{MATERIAL} coatcheck-wrong-secret-") == "[redacted] [redacted]"


VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=3)


@given(st.text(), VISIBLE, st.text())
def test_whatever_is_said(before: str, material: str, after: str) -> None:
    shown = Cleaner([child(material)]).clean(before + material + after)
    assert len(shown) <= LONGEST_REASON
    assert shown.isprintable()
    assert material not in shown.replace("[redacted]", "\0")
