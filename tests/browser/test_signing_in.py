"""The pages of signing in, as everybody can use them: with a heading to begin at, by keyboard, without script."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from browser.consoles import Console, LivedIn
from browsers import NARROW, assert_accessible, assert_fits, violations
from houses import PASSWORD


@pytest.mark.parametrize(
    ("path", "heading"),
    [
        ("/login", "Sign in to Coatcheck"),
        ("/login/grant", "Your own page"),
        ("/confirm?unsent=1&back=%2Fsettings%2Finvite", "Is it still you?"),
    ],
)
def test_a_page_that_stands_alone_begins_with_its_heading(lived_in: LivedIn, path: str, heading: str) -> None:
    page = lived_in.page(size=NARROW) if path.startswith("/confirm") else lived_in.visitor(size=NARROW)
    page.goto(path)
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    assert_fits(page)
    assert_accessible(page)
    page.evaluate("() => document.querySelectorAll('h1').forEach((one) => one.remove())")
    assert [one.rule for one in violations(page)] == ["page-has-heading-one"], "the rule is looked at"


def test_the_first_link_is_used_by_keyboard_and_without_script(console: Console) -> None:
    code = console.ask("POST", "/operators", {"name": "keyed", "role": "viewer"})["code"]
    page = console.visitor(script=False)
    page.goto(f"/welcome/{code}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Welcome to Coatcheck")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).not_to_have_url(re.compile("/welcome/"))
