"""Notices: what is so is told once, again after it was good in between, and never with a secret in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from coatcheck.core.credentials import stages
from coatcheck.errors import UpstreamCredentialRefused
from coatcheck.model.credential import Assurance, CredentialVersion, Stage
from coatcheck.model.registry import Edit
from coatcheck.model.secret import Secret
from coatcheck.operations.credentials.notices import AGAIN, LINGERING, MOST_LINES, Kind, Notices, notices_of
from coatcheck.operations.credentials.patches import CredentialPatch, NewCredential
from coatcheck.operations.credentials.showing import view_of
from doubles.bench import settle_down
from doubles.cloakrooms import NEW, OLD, Cloakroom
from doubles.clock import START
from doubles.registries import ROOT
from registered import a_credential, an_oauth_credential

NAME = "github-authorization"
DAY = timedelta(days=1)


class Heard:
    """Implements `ports.Notifier`."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def notify(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def heard() -> Iterator[Heard]:
    made = Heard()
    yield made
    assert not any(secret in text for text in made.texts for secret in (OLD, NEW, "planted"))


async def a_room(heard: Heard) -> tuple[Cloakroom, Notices]:
    room = Cloakroom()
    await room.open()
    assert await room.add() == NAME
    return room, Notices(room.counter, heard)


def later(room: Cloakroom, passed: timedelta) -> None:
    room.clock.advance(passed.total_seconds())


def kinds(notices: Notices) -> list[tuple[int, str]]:
    return [(notice.key[1], notice.key[2].value) for notice in notices.look()]


async def test_due_then_overdue_and_each_once(heard: Heard) -> None:
    room, notices = await a_room(heard)
    assert kinds(notices) == []
    later(room, 90 * DAY)
    assert kinds(notices) == [(1, "due")]
    assert kinds(notices) == []
    later(room, 14 * DAY)
    assert kinds(notices) == [(1, "overdue")]
    later(room, AGAIN - DAY)
    assert kinds(notices) == []
    later(room, DAY)
    assert kinds(notices) == [(1, "overdue")]
    assert heard.texts[0].splitlines() == [
        "Coatcheck, credentials:",
        f"- {NAME}: is due for rotation since {START + 90 * DAY:%Y-%m-%d}. coatcheck credential rotate {NAME}",
    ]
    assert len(heard.texts) == 3


async def test_a_rotation_begins_anew(heard: Heard) -> None:
    room, notices = await a_room(heard)
    later(room, 90 * DAY)
    assert kinds(notices) == [(1, "due")]
    await room.rotations.rotate(ROOT, NAME, Secret(NEW))
    assert kinds(notices) == []
    later(room, 90 * DAY)
    assert kinds(notices) == [(2, "due")]


async def test_what_was_good_in_between_is_told_again(heard: Heard) -> None:
    room, notices = await a_room(heard)
    refused = UpstreamCredentialRefused("github refused the credential (401)")
    for _ in range(2):
        room.refusing.refused(room.directory.snapshot.servers["github"], refused)
        await room.refusing.close()
        assert kinds(notices) == [(1, "failing")]
        assert kinds(notices) == []
        await _accepted(room)
        assert kinds(notices) == []
    assert "github refuses version 1" in heard.texts[0]
    assert len(heard.texts) == 2


async def _accepted(room: Cloakroom) -> None:
    await settle_down()
    credential = next(iter(room.directory.snapshot.registry.credentials.values()))
    good = stages.changed(credential, 1, lambda one: replace(one, refused_at=None, refused_by=""))
    await room.desk.book.edit(lambda _: Edit((good,), ()))


async def test_an_expiry_is_told_a_week_before_and_when_it_is_there(heard: Heard) -> None:
    room, notices = await a_room(heard)
    patch = CredentialPatch(interval=None, expires_at=START + 20 * DAY)
    await room.credentials.change(ROOT, NAME, patch, None)
    later(room, START + 12 * DAY - room.clock.now())
    assert kinds(notices) == []
    later(room, START + 13 * DAY - room.clock.now())
    assert kinds(notices) == [(1, "expiring")]
    later(room, START + 20 * DAY - room.clock.now())
    assert kinds(notices) == [(1, "expired")]


async def test_all_of_a_look_is_one_message_of_bounded_size(heard: Heard) -> None:
    room, notices = await a_room(heard)
    for number in range(MOST_LINES + 5):
        await room.credentials.add(ROOT, NewCredential(f"c{number}", Secret("long enough 1"), interval=1))
    later(room, 2 * DAY)
    assert len(notices.look()) == MOST_LINES + 5
    (text,) = heard.texts
    assert len(text.splitlines()) == MOST_LINES + 2
    assert text.endswith("and 5 more: coatcheck credential plan")


def _version(number: int, stage: Stage) -> CredentialVersion:
    ended = START if stage is not Stage.ACTIVE else None
    return CredentialVersion(number, stage, "0" * 16, START, "root", None, Assurance.PROVEN, ended_at=ended)


def test_a_former_version_in_use() -> None:
    versions = (_version(3, Stage.ACTIVE), _version(2, Stage.PREVIOUS), _version(1, Stage.RETIRED))
    credential = a_credential(versions=versions, interval=None)

    def told(in_use: dict[int, int], late: timedelta) -> list[str]:
        return [one.line for one in notices_of(view_of(credential, (), in_use, START + late), START + late)]

    assert told({3: 5, 2: 1}, timedelta(0)) == []
    assert told({2: 1}, LINGERING) == [
        "github-token (owner: team-a): 1 call, session or child uses version 2 still, which is previous. "
        "coatcheck credential show github-token"
    ]
    (line,) = told({1: 4}, timedelta(0))
    assert "4 calls, sessions or children use version 1 still, which is retired" in line


def test_an_oauth_credential_is_to_be_connected_anew() -> None:
    view = view_of(an_oauth_credential(), (), {}, START)
    found = list(notices_of(view, START))
    assert [one.key[2] for one in found] == [Kind.FAILING, Kind.RECONNECT]
    assert all(one.line.endswith("coatcheck credential connect notion-oauth") for one in found)
    assert "the refresh token is dead" in found[1].line
