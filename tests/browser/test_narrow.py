"""Lists on a telephone: rows become blocks, and nothing of them lies beside the screen."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from browser.consoles import Console, LivedIn
from browsers import MOST_LOOKS, NARROW, SETTLE_MS, WIDE, assert_accessible, assert_fits

LISTS = (
    "/",
    "/servers",
    "/servers/github",
    "/servers/github/tools",
    "/servers/github/credentials",
    "/servers/github/grants",
    "/servers/github/calls",
    "/servers/review",
    "/credentials",
    "/credentials/github-authorization/radius?version=2",
    "/grants",
    "/grants?state=revoked",
    "/grants/{grant}",
    "/grants/{grant}/touched",
    "/grants/revoke?grant={grant}",
    "/access/narrow?grant={grant}",
    "/policies/slack-posts/edit",
    "/people",
    "/people/one?name=ada.keller",
    "/people/report?name=noah.petrov",
    "/people/offboard?name=ada.keller",
    "/access",
    "/access?by=grant",
    "/access/one?subject=elif.aydin&server=github",
    "/access/tool?server=github&tool=push_files&every=yes",
    "/policies",
    "/policies/slack-posts",
    "/policies/slack-posts/history",
    "/policies/suggest?grant=ada-laptop&server=github",
    "/log",
    "/log/changes",
    "/log/refusals",
    "/log/verify?check=yes",
    "/settings/operators",
    "/settings/roles",
    "/settings/tokens",
    "/settings/sessions",
    "/settings/sinks",
    "/settings/sign-on",
    "/settings/configuration",
)
"""Every page with a list."""

_WIDER = """() => [...document.querySelectorAll(".card, .results, .stats, .table-rows")]
    .filter((box) => box.clientWidth && box.scrollWidth > box.clientWidth + 1)
    .map((box) => `${box.className}: ${box.scrollWidth} in ${box.clientWidth}`)"""
"""Boxes whose contents are wider than they are. What scrolls in a box of its own counts for that box alone."""

_OUTSIDE = """() => [...document.querySelectorAll(".table-rows tbody :is(.state, .badge, .reach, time, a, button, input)")]
    .filter((one) => one.checkVisibility() && !one.closest("dialog"))
    .map((one) => [one.textContent.trim(), one.getBoundingClientRect()])
    .filter(([, box]) => box.width > 0 && (box.left < 0 || box.right > innerWidth))
    .map(([text, box]) => `${text}: ${box.left} to ${box.right}`)"""
"""States, outcomes and what can be pressed that lie beside the screen."""


def _beside(page: Page, path: str) -> list[str]:
    """Open a page, and return what of it lies beside the screen."""
    answer = page.goto(path)
    assert answer is not None
    assert answer.ok, path
    assert_fits(page)
    beside: list[str] = []
    for _ in range(MOST_LOOKS):  # what is drawn is drawn anew for another width, in a moment
        beside = [*page.evaluate(_WIDER), *page.evaluate(_OUTSIDE)]
        if not beside:
            break
        page.wait_for_timeout(SETTLE_MS)
    return [f"{path} {one}" for one in beside]


def test_no_list_is_wider_than_a_telephone(lived_in: LivedIn) -> None:
    page = lived_in.page("admin", size=NARROW)
    grant = next(
        one["id"] for one in lived_in.ask("GET", "/grants?limit=500")["items"] if one["label"] == "ada-laptop"
    )
    beside: list[str] = []
    blocks: dict[str, int] = {}
    for path in LISTS:
        beside += _beside(page, path.format(grant=grant))
        blocks[path] = page.locator(".table-rows tbody [data-label]").count()
    assert beside == []
    assert sum(1 for cells in blocks.values() if cells) > 25, blocks
    assert sum(blocks.values()) > 400, blocks


def test_the_walk_notices_what_lies_beside_the_screen(lived_in: LivedIn) -> None:
    page = lived_in.page("admin", size=NARROW)
    page.goto("/grants")
    assert (page.evaluate(_WIDER), page.evaluate(_OUTSIDE)) == ([], [])
    page.locator(".table-rows > table").evaluate("(table) => { table.style.minWidth = '700px' }")
    assert page.evaluate(_WIDER)
    page.locator(".table-rows > table tbody tr").first.evaluate(
        "(row) => { row.style.paddingLeft = '500px' }"
    )
    assert page.evaluate(_OUTSIDE)


def test_a_row_is_a_block_that_can_be_read_pressed_and_chosen(lived_in: LivedIn) -> None:
    page = lived_in.page("admin", size=NARROW)
    page.goto("/grants?q=ada-laptop")
    row = page.get_by_role("row").filter(has_text="ada-laptop")
    expect(page.get_by_role("columnheader", name="Last used")).to_have_count(1)
    cells = row.get_by_role("cell")
    assert cells.count() > 5
    boxes = {
        cell.get_attribute("data-label"): cell.bounding_box() for cell in cells.all() if cell.is_visible()
    }
    assert {"Grant", "Owner", "State", "Ends"} <= set(boxes)
    tops = [box["y"] for name, box in boxes.items() if box is not None and name not in {"Choose", None}]
    assert tops == sorted(set(tops)), "each cell has a line of its own, in the order of the columns"
    page.get_by_role("checkbox", name="Choose ada-laptop").check()
    page.get_by_role("button", name="Revoke the chosen ones").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Revoke")
    assert_accessible(page)


def test_the_matrix_scrolls_in_its_box_and_keeps_its_names(lived_in: LivedIn) -> None:
    page = lived_in.page("admin", size=NARROW)
    page.goto("/access")
    box = page.get_by_role("region", name="Access")
    name = box.get_by_role("link", name="ada.keller", exact=True)
    before = name.bounding_box()
    wide, seen = box.evaluate("(box) => [box.scrollWidth, box.clientWidth]")
    assert wide > seen
    box.evaluate("(box) => { box.scrollLeft = 300 }")
    assert name.bounding_box() == before
    assert "linear-gradient" in box.evaluate("(box) => getComputedStyle(box).backgroundImage")


def test_without_script_rows_are_blocks_all_the_same(lived_in: LivedIn) -> None:
    page = lived_in.page("viewer", script=False, size=NARROW)
    page.goto("/servers")
    state = page.get_by_role("row").filter(has_text="grafana").locator("[data-label=State]")
    expect(state).to_contain_text("failing")
    box = state.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= NARROW[0]


LONG = "n" * 256
"""The longest that anybody may be called, without a place to break it."""
LABEL = "l" * 100
"""The same for a grant."""


def test_the_longest_name_widens_no_page(console: Console) -> None:
    console.ask("POST", "/grants", {"label": "ada-laptop", "subject": "ada", "servers": None})
    made = console.ask("POST", "/grants", {"label": LABEL, "subject": LONG, "servers": None})["grant"]
    console.ask("POST", f"/subjects/{LONG}/offboard", {"because": LONG})
    console.ask("POST", "/grants", {"label": f"{LABEL[:-1]}2", "subject": f"{LONG[:-1]}2", "servers": None})
    beside: list[str] = []
    for size in (WIDE, (390, 844)):
        page = console.page("admin", size=size)
        for path in (
            "/",
            "/grants",
            "/grants?state=revoked",
            f"/grants/{made['id']}",
            f"/grants/revoke?grant={made['id']}",
            "/people",
            f"/people/one?name={LONG}",
            f"/people/report?name={LONG}",
            f"/people/offboard?name={LONG[:-1]}2",
            "/access",
            "/access?by=grant",
            "/log/changes",
        ):
            answer = page.goto(path)
            assert answer is not None
            assert answer.ok, path
            wide = page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
            told = page.evaluate(_WIDER) if path != "/access" else []
            beside += [f"{size[0]} {path[:20]}: {one}" for one in [*told, *([wide] if wide > 0 else [])]]
        page.goto("/grants")
        short = page.get_by_role("cell", name="ada", exact=True)
        box = short.bounding_box()
        assert box is not None
        assert box["height"] < 80, "a short name beside it is not broken, too"
    assert beside == []
