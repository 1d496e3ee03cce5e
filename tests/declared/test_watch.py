"""Changes of files as editors and container platforms make them: seen when asked, and told by themselves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from coatcheck.declared.watch import Watch

LIMIT = 20


def write_in_place(file: Path, text: str) -> None:
    file.write_text(text)


def replace(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


def rename_away_and_write(file: Path, text: str) -> None:
    file.rename(file.with_suffix(".old"))
    file.write_text(text)


def unlink_and_write(file: Path, text: str) -> None:
    file.unlink()
    file.write_text(text)


def replace_keeping_times(file: Path, text: str) -> None:
    state = file.stat()
    new = file.with_suffix(".new")
    new.write_text(text)
    os.utime(new, ns=(state.st_atime_ns, state.st_mtime_ns))
    new.replace(file)


def swap_link(file: Path, text: str) -> None:
    """Do as Kubernetes does: `..data` is a link to a directory, and is replaced by a rename."""
    folder = file.parent
    old = os.readlink(folder / "..data")
    (folder / f"{old}x").mkdir()
    (folder / f"{old}x" / file.name).write_text(text)
    (folder / "..data_tmp").symlink_to(f"{old}x")
    (folder / "..data_tmp").replace(folder / "..data")


Edit = Callable[[Path, str], None]
EDITS: list[Edit] = [
    write_in_place,
    replace,
    rename_away_and_write,
    unlink_and_write,
    replace_keeping_times,
    swap_link,
]


@pytest.fixture
def edited(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return the edit and a file that suits it."""
    edit = request.param
    file = tmp_path / "servers.json"
    if edit is swap_link:
        (tmp_path / "..1").mkdir()
        (tmp_path / "..1" / file.name).write_text("one")
        (tmp_path / "..data").symlink_to("..1")
        file.symlink_to("..data/servers.json")
    else:
        file.write_text("one")
    return edit, file


@pytest.mark.parametrize("edited", EDITS, indirect=True)
def test_an_edit_is_seen_when_asked(edited: tuple[Edit, Path]) -> None:
    edit, file = edited
    watch = Watch()
    watch.take([file])
    assert not watch.changed()
    edit(file, "three")
    assert watch.changed()
    watch.take([file])
    assert not watch.changed()
    edit(file, "four of them")
    assert watch.changed()


@pytest.mark.parametrize("edited", EDITS, indirect=True)
async def test_an_edit_is_told(edited: tuple[Edit, Path]) -> None:
    edit, file = edited
    watch = Watch(poll=0.5)
    watch.take([file])
    async with aclosing(watch.changes()) as changes:
        for text in ("three", "three!"):
            told = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0.05)
            assert not told.done()
            edit(file, text)
            await asyncio.wait_for(told, LIMIT)
            watch.take([file])


async def test_calls_of_one_turn_share_a_look_and_what_is_read_later_has_its_own(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("one")
    watch = Watch()
    watch.take([file])
    later: list[bool] = []
    assert not watch.changed()
    file.write_text("three")
    assert not watch.changed()  # read from its socket before the edit, by a client that cannot know of it
    asyncio.get_running_loop().call_soon(lambda: later.append(watch.changed()))
    await asyncio.sleep(0)
    assert later == [True]
    assert watch.changed()  # that nothing changed is shared, that something did is looked at anew
    watch.take([file])
    assert not watch.changed()
    watch.take([file])
    file.write_text("four of them")
    assert watch.changed()  # what was taken anew is looked at anew


def test_going_and_coming_are_changes(tmp_path: Path) -> None:
    file = tmp_path / "f"
    watch = Watch()
    watch.take([file])
    assert not watch.changed()
    file.write_text("x")
    assert watch.changed()
    watch.take([file])
    file.unlink()
    assert watch.changed()


def test_a_second_write_in_the_same_tick_is_found_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("one")
    watch = Watch()
    watch.take([file])
    seen = watch._seen[str(file)]
    file.write_text("two")
    watch._seen[str(file)] = seen._replace(look=look_of(file))  # what a coarse clock would show
    assert not watch.changed()
    assert watch.rewritten()


def look_of(file: Path) -> Any:
    watch = Watch()
    watch.take([file])
    return watch._seen[str(file)].look


def test_only_kept_files_count(tmp_path: Path) -> None:
    watch = Watch()
    watch.take([tmp_path / "a", tmp_path / "b"])
    assert watch.knows([tmp_path / "b"])
    watch.keep([tmp_path / "a"])
    assert not watch.knows([tmp_path / "b"])
    (tmp_path / "b").write_text("x")
    assert not watch.changed()
    (tmp_path / "a").write_text("x")
    assert watch.changed()


async def test_nothing_is_told_of_other_files_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "servers.json"
    file.write_text("one")
    watch = Watch(poll=0.3)
    watch.take([file])
    async with aclosing(watch.changes()) as changes:
        told = asyncio.ensure_future(anext(changes))
        for number in range(40):
            (tmp_path / "store.db").write_text(str(number))
            await asyncio.sleep(0.02)
        assert not told.done()
        replace(file, "two")
        await asyncio.wait_for(told, LIMIT)


async def test_a_directory_that_comes_later_is_watched(tmp_path: Path) -> None:
    file = tmp_path / "later" / "servers.json"
    watch = Watch(poll=0.1)
    watch.take([file])
    async with aclosing(watch.changes()) as changes:
        told = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0.02)
        file.parent.mkdir()
        file.write_text("x")
        await asyncio.wait_for(told, LIMIT)


async def test_a_new_set_of_files_is_watched_from_then_on(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "f", tmp_path / "b" / "f"
    for file in (first, second):
        file.parent.mkdir()
        file.write_text("one")
    watch = Watch(poll=0.5)
    watch.take([first])
    async with aclosing(watch.changes()) as changes:
        for files, file in (([first], first), ([first, second], second), ([second], second)):
            watch.take(files)
            told = asyncio.ensure_future(anext(changes))
            await asyncio.sleep(0.05)
            replace(file, file.read_text() + "x")
            await asyncio.wait_for(told, LIMIT)


async def test_stopping_leaves_no_task_behind(tmp_path: Path) -> None:
    watch = Watch()
    watch.take([tmp_path / "f"])
    told = asyncio.ensure_future(anext(watch.changes()))
    await asyncio.sleep(0.1)
    told.cancel()
    with pytest.raises(asyncio.CancelledError):
        await told
    assert asyncio.all_tasks() == {asyncio.current_task()}
