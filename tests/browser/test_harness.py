"""What the tests of pages stand on sees what goes wrong: shown on pages of our own that are wrong on purpose."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

import coatcheck
from browser.injection import ADDRESSES, PAYLOADS, does_run, fitting, nothing_ran
from browsers import Watch, assert_accessible, assert_fits, open_page, violations

HTMX = Path(coatcheck.__file__).parent / "console" / "static" / "htmx.min.js"
WRONG = "http://127.0.0.1:9"
BREAKING = {16: "<title>{}</title>", 17: "<textarea>{}</textarea>", 18: "<script>let x = '{}';</script>", 19: "<style>{}</style>", 20: "<!-- {} -->", 21: "<svg><desc><![CDATA[{}]]></desc></svg>", 23: '<input value="{}">', 24: "<input value='{}'>", 25: '<input value="{}">', 26: "<input value='{}'>", 27: "<input value={}>"}  # fmt: skip
GOOD = '<!doctype html><html lang="en"><head><title>Good</title></head><body><main><h1>Good</h1></main></body></html>'


def served(page: Page, body: str, **headers: str) -> None:
    """Show a page of our own."""
    page.unroute_all()
    page.route(
        f"{WRONG}/**",
        lambda route: route.fulfill(
            body=body, headers={"content-type": "text/html; charset=utf-8", **headers}
        ),
    )
    page.goto(f"{WRONG}/page")


# --- scripts that run are noticed ---------------------------------------------------------------------------


def test_there_are_36_payloads_and_each_marks_another_number() -> None:
    assert len(PAYLOADS) == len(set(PAYLOADS)) == 36
    assert all("globalThis" in payload or "lobalThis" in payload for payload in PAYLOADS)
    assert max(len(payload) for payload in PAYLOADS) <= 200
    assert 25 <= len(fitting(100)) < 36


def test_each_payload_that_a_page_takes_for_markup_runs_and_is_noticed(browser: Browser) -> None:
    page = open_page(browser, Watch())
    for number in sorted(set(range(36)) - ADDRESSES):
        around = BREAKING.get(number, "<p>{}</p>").replace("{}", PAYLOADS[number])
        served(page, f"<!doctype html><script>{HTMX.read_text()}</script><body>{around}</body>")
        page.evaluate("() => { const all = document.body.innerHTML; document.body.innerHTML = all; }")
        page.evaluate("() => htmx.process(document.body)")
        assert does_run(page, number), PAYLOADS[number]
    with pytest.raises(AssertionError, match=rf"payloads ran on {WRONG}"):
        nothing_ran(page)


@pytest.mark.parametrize("number", sorted(ADDRESSES))
def test_an_address_that_would_run_is_noticed_without_being_followed(browser: Browser, number: int) -> None:
    page = open_page(browser, Watch())
    served(page, f'<!doctype html><a href="{PAYLOADS[number]}">x</a>'.replace("<script>", "&lt;script>"))
    with pytest.raises(AssertionError, match="became markup"):
        nothing_ran(page)


def test_payloads_that_are_text_do_nothing(page_of_text: Page) -> None:
    nothing_ran(page_of_text)
    assert page_of_text.locator("li").all_text_contents() == list(PAYLOADS)


@pytest.fixture
def page_of_text(browser: Browser, watch: Watch) -> Page:
    """A page that shows all payloads as what they are."""
    from html import escape

    page = open_page(browser, watch)
    items = "".join(f'<li title="{escape(one)}">{escape(one)}</li>' for one in PAYLOADS)
    served(page, f"<!doctype html><body><ul>{items}</ul></body>")
    return page


# --- what goes wrong fails the test -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "headers", "said"),
    [
        ("<script>console.error('oh')</script>", {}, "/page console: oh"),
        ("<script>throw new Error('thrown')</script>", {}, "/page script: .*thrown"),
        ("<b onclick='x()'>x</b><p style='color:red'>", {"content-security-policy": "default-src 'none'"}, "/page policy: style-src-attr inline"),
        ("<img alt='' src='https://pictures.example.com/x.png'>", {}, "https://pictures.example.com/x.png elsewhere: image"),
        ("<img alt='' src='http://127.0.0.1:1/x.png'>", {}, "http://127.0.0.1:1/x.png failed: net::ERR_"),
    ],
    ids=["error", "thrown", "policy", "elsewhere", "failed"],
)  # fmt: skip
def test_what_goes_wrong_on_a_page_is_noticed(
    browser: Browser, body: str, headers: dict[str, str], said: str
) -> None:
    watch = Watch()
    page = open_page(browser, watch)
    served(page, GOOD)
    watch.check()
    with watch.expecting(said, ".*"):
        served(page, body, **headers)
    watch.check()
    served(page, body, **headers)
    assert watch.sees(said)
    with pytest.raises(AssertionError, match=said):
        watch.check()


def test_what_is_expected_has_to_happen_and_excuses_nothing_else(browser: Browser) -> None:
    watch = Watch(patience=0.2)
    page = open_page(browser, watch)
    with pytest.raises(AssertionError, match="was expected"), watch.expecting("never"):
        served(page, GOOD)
    watch.patience = 30.0
    with watch.expecting("one"):
        served(page, "<script>console.error('one'); console.error('two')</script>")
        assert watch.sees("two")
    with pytest.raises(AssertionError, match="console: two"):
        watch.check()


# --- accessibility ------------------------------------------------------------------------------------------


def test_a_page_that_some_cannot_use_is_noticed_in_light_and_in_dark(browser: Browser, watch: Watch) -> None:
    page = open_page(browser, watch)
    served(page, GOOD, **{"content-security-policy": "default-src 'none'"})
    assert_accessible(page)
    served(page, GOOD.replace("<h1>", "<input><h1>"))
    assert [one.rule for one in violations(page)] == ["label"]
    pale = "@media (prefers-color-scheme: dark) { main { background: #000; color: #222 } }"
    served(page, GOOD.replace("<title>", f"<style>{pale}</style><title>"))
    assert violations(page) == []
    with pytest.raises(AssertionError, match=r"in dark:\ncolor-contrast"):
        assert_accessible(page)


def test_a_page_that_scrolls_sideways_is_noticed(browser: Browser, watch: Watch) -> None:
    page = open_page(browser, watch, size=(360, 700))
    served(page, GOOD.replace("<title>", '<meta name="viewport" content="width=device-width"><title>'))
    assert_fits(page)
    page.evaluate("() => { document.querySelector('main').style.width = '400px'; }")
    with pytest.raises(AssertionError, match=r"400|408"):
        assert_fits(page)


# --- beside other tests -------------------------------------------------------------------------------------


def test_a_page_before_a_coroutine(browser: Browser, watch: Watch) -> None:
    served(open_page(browser, watch), GOOD)


async def test_coroutines_run_between_tests_with_pages() -> None:
    await asyncio.sleep(0)


def test_a_page_after_a_coroutine(browser: Browser, watch: Watch) -> None:
    served(open_page(browser, watch), GOOD)
