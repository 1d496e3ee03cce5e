"""The first page: what goes on and what waits for somebody, whole and part by part."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from coatcheck.console.pages.overview import Counted
from coatcheck.core.activity import Bucket, Counts, Series, Step
from houses import House
from visitor import Sheet, Visitor

GOES_ON = ("Live grants", "Busiest servers", "How long calls take")
WAITS = ("Servers in trouble", "Grants that deserve a look", "Ended, and still knocking")
FRAME = ("Sign out", "Skip to the content")


def has(sheet: Sheet, words: tuple[str, ...]) -> list[bool]:
    return [one in sheet.html for one in words]


@pytest.fixture
def used(house: House, admin: Visitor) -> Visitor:
    """Somebody at a gateway that has a grant: one that has nothing shows the first steps."""
    if not house.ask("GET", "/grants")["items"]:
        house.ask("POST", "/grants", {"label": "one", "subject": "dora", "servers": None})
    return admin


def test_the_whole_page_has_all_of_it(used: Visitor) -> None:
    page = used.get("/")
    assert all(has(page, GOES_ON + WAITS + FRAME))


@pytest.mark.parametrize(
    ("part", "there", "not_there"), [("overview", GOES_ON, WAITS), ("needs", WAITS, GOES_ON)]
)
def test_a_part_that_refreshes_itself_is_answered_alone(
    used: Visitor, part: str, there: tuple[str, ...], not_there: tuple[str, ...]
) -> None:
    whole = used.get("/?span=7d")
    assert f'hx-get="/?span=7d" hx-select="#{part}"' in whole.html
    sheet = used.get("/?span=7d", {"X-Poll": "1", "HX-Target": part})
    assert all(has(sheet, there))
    assert not any(has(sheet, not_there + FRAME))
    assert sheet.html.count(f'id="{part}"') == 1


def test_what_was_said_waits_for_the_page_and_is_not_lost_to_a_part(used: Visitor, house: House) -> None:
    grant = house.ask("GET", "/grants")["items"][0]
    used.get(f"/grants/{grant['id']}")
    moved = used.send(f"/grants/{grant['id']}/revoke", follow=False, because="")
    assert moved.status == 303
    used.get("/", {"X-Poll": "1", "HX-Target": "needs"})
    assert "said-line" in used.get(moved.header("location")).html


def test_the_first_steps_answer_their_calls_alone(used: Visitor) -> None:
    whole = used.get("/start")
    assert "Waiting for the first call" in whole.text
    assert "Add a server" in whole.text
    part = used.get("/start", {"X-Poll": "1", "HX-Target": "calls"})
    assert "Waiting for the first call" in part.text
    assert "Make a call (under way)" in part.text  # how far it is changes with the calls
    assert part.html.count('hx-swap-oob="true"') == 2
    assert not any(has(part, (*FRAME, "A server, a grant, a call.")))


def test_a_grant_answers_what_is_open_by_it_alone(used: Visitor, house: House) -> None:
    one = house.ask("POST", "/grants", {"label": "open", "subject": "dora", "servers": None})["grant"]["id"]
    whole = used.get(f"/grants/{one}")
    assert ("Open now" in whole.text, "Revoke" in whole.text) == (True, True)
    part = used.get(f"/grants/{one}", {"X-Poll": "1", "HX-Target": "open-now"})
    assert ("Streams" in part.text, "Revoke" in part.text) == (True, False)


def test_nothing_known_is_told_from_nothing_there() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)

    def counted(counts: Counts | None, *, complete: bool, sealed: bool = False) -> Counted:
        buckets = [Bucket(now, None), Bucket(now, counts)]
        return Counted(Series(Step.HOUR, buckets, Counts(), complete, now, sealed))

    assert counted(None, complete=False).is_blank
    assert not counted(Counts(), complete=False).is_blank, "a part of it is known"
    assert not counted(None, complete=False, sealed=True).is_blank, "it will not be known"
    assert not counted(Counts(), complete=True).is_blank
    assert not Counted(why_not="the record cannot be read").is_blank
