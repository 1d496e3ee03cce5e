"""A file is replaced whole or not at all: killed anywhere, edited by others, linked, foreign, out of room."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from coatcheck.declared.editing import draft as draft_module
from coatcheck.declared.editing import rewrite as module
from coatcheck.declared.editing.draft import Contended, NotPermitted, NotWritten
from coatcheck.declared.editing.rewrite import rewrite
from coatcheck.errors import CoatcheckError

OLD, NEW = b"old text\n", b"new text, which is longer\r\n"


def to_new(content: bytes | None) -> tuple[bytes, bytes | None]:
    """Ask for the new text, and tell what there was."""
    return NEW, content


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "f"
    path.write_bytes(OLD)
    path.chmod(0o640)
    return path


# --- what stays and what does not -----------------------------------------------------------------------------


def test_content_is_replaced_and_mode_and_owner_stay(file: Path) -> None:
    if os.geteuid() == 0:
        os.chown(file, 1234, 2345)
    file.chmod(0o4755)
    before = file.stat()
    assert rewrite(file, to_new) == (file, OLD)
    after = file.stat()
    assert file.read_bytes() == NEW
    assert after.st_ino != before.st_ino
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert names(file.parent) == ["f"]


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777])
def test_a_new_file_and_its_directories_are_private(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        path = tmp_path / "a" / "b" / "f"
        if umask == 0o777 and os.geteuid():
            return  # nothing can be made in a directory of mode 0
        assert rewrite(path, to_new) == (path, None)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent, path.parent.parent)]
    assert modes == [0o600, 0o700, 0o700] if umask != 0o777 else all(not mode & 0o77 for mode in modes)


def test_extended_attributes_stay(file: Path) -> None:
    with suppress(OSError):  # not on every file system: then there is nothing to keep, and no error
        os.setxattr(file, "user.coatcheck", b"\x00kept")
    before = {name: os.getxattr(file, name) for name in os.listxattr(file)}
    rewrite(file, to_new)
    assert {name: os.getxattr(file, name) for name in os.listxattr(file)} == before


def test_the_same_content_writes_nothing(file: Path) -> None:
    before = file.stat()
    assert rewrite(file, lambda content: (content or b"", 7)) == (file, 7)
    assert file.stat() == before
    assert names(file.parent) == ["f"]


@pytest.mark.parametrize("steps", [["f"], ["sub/g", "f"], ["sub/g", "sub/h", "f"]])
def test_links_are_followed_and_stay(tmp_path: Path, steps: list[str]) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "f").write_bytes(OLD)
    start = tmp_path / "f"
    for step in steps[:-1]:
        (tmp_path / step).symlink_to(start)
        start = tmp_path / step
    links = {path: os.readlink(path) for path in (tmp_path / "sub").iterdir()}
    assert rewrite(start, to_new) == (tmp_path / "f", OLD)
    assert (tmp_path / "f").read_bytes() == NEW
    assert {path: os.readlink(path) for path in (tmp_path / "sub").iterdir()} == links


def test_a_link_to_nothing_has_its_file_made(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("there/f")
    assert rewrite(tmp_path / "link", to_new) == (tmp_path / "there" / "f", None)
    assert (tmp_path / "link").read_bytes() == NEW


def test_what_the_change_raises_leaves_everything_as_it_was(file: Path, tmp_path: Path) -> None:
    def fail(content: bytes | None) -> tuple[bytes, None]:
        raise KeyboardInterrupt

    before = file.stat()
    for path in (file, tmp_path / "not" / "there" / "f"):
        with pytest.raises(KeyboardInterrupt):
            rewrite(path, fail)
    assert file.stat() == before
    assert names(tmp_path) == ["f"]


# --- refusals -------------------------------------------------------------------------------------------------


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_hard_link(path: Path) -> None:
    os.link(path, path.with_name("other"))


def a_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def too_large(path: Path) -> None:
    os.truncate(path, module.MAX_BYTES + 1)


def a_directory_in_the_way(path: Path) -> None:
    path.with_name(".f.edit").mkdir()


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (a_directory, "not a regular file"),
        (a_pipe, "not a regular file"),
        (a_hard_link, "2 names"),
        (a_loop, "symbolic links"),
        (too_large, "larger than 16 MiB"),
        (a_directory_in_the_way, ".f.edit"),
    ],
)
def test_what_cannot_be_replaced_is_refused(file: Path, make: Callable[[Path], None], word: str) -> None:
    make(file)
    before = names(file.parent)
    with pytest.raises(NotWritten, match=word):
        rewrite(file, to_new)
    assert names(file.parent) == before


def test_no_room_is_told_and_leaves_nothing(file: Path) -> None:
    """The limit on the size of files stands for a disk that is full in the middle of the draft."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handling = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, before[1]))
    try:
        with pytest.raises(NotWritten, match="cannot be written: File too large"):
            rewrite(file, to_new)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handling)
    assert file.read_bytes() == OLD
    assert names(file.parent) == ["f"]


@contextmanager
def open_to_all() -> Iterator[Path]:
    """Give a directory that other accounts can reach, which `tmp_path` is not."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        yield Path(directory)


def fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of other tests do us no harm
        return os.fork()


def as_nobody(act: Callable[[], object]) -> str:
    """Return the name of what `act` raises in a child that is not root, or ''."""
    reading, writing = os.pipe()
    child = fork()
    if not child:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            act()
        except CoatcheckError as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        text = told.read().decode()
    os.waitpid(child, 0)
    return text


def test_a_directory_that_may_not_be_written() -> None:
    with open_to_all() as folder:
        (folder / "f").write_bytes(OLD)
        assert as_nobody(lambda: rewrite(folder / "g", to_new)) == ""
        (folder / "g").unlink()
        folder.chmod(0o555)
        told = as_nobody(lambda: rewrite(folder / "f", to_new))
        assert told.startswith(f"NotPermitted: {folder}/f cannot be written: Permission denied")
        assert (folder / "f").read_bytes() == OLD
        folder.chmod(0o777)


def test_a_file_of_another_account_keeps_its_owner_or_is_refused() -> None:
    with open_to_all() as folder:
        (folder / "f").write_bytes(OLD)
        if os.geteuid():
            assert rewrite(folder / "f", to_new)
            return  # only root can make a file of another account
        os.chown(folder / "f", 1234, 1234)
        (folder / "f").chmod(0o666)
        assert "NotPermitted" in as_nobody(lambda: rewrite(folder / "f", to_new))
        assert (folder / "f").read_bytes() == OLD
        os.chown(folder, 1234, 2345)
        rewrite(folder / "f", to_new)
        rewrite(folder / "made", to_new)
        owners = [(each.stat().st_uid, each.stat().st_gid) for each in (folder / "f", folder / "made")]
        assert owners == [(1234, 1234), (1234, 2345)]


# --- others who edit ------------------------------------------------------------------------------------------


def write_over(path: Path) -> None:
    path.write_bytes(b"by hand\n")


def rename_over(path: Path) -> None:
    path.with_name("n").write_bytes(OLD)
    path.with_name("n").rename(path)


def take_away(path: Path) -> None:
    path.unlink()


def close_to_others(path: Path) -> None:
    path.chmod(0o600)


def link_elsewhere(path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to("real")


@pytest.mark.parametrize("edit", [write_over, rename_over, take_away, close_to_others, link_elsewhere])
def test_an_edit_of_someone_else_meanwhile_is_not_lost(file: Path, edit: Callable[[Path], None]) -> None:
    def change(content: bytes | None) -> tuple[bytes, None]:
        edit(file)
        return NEW, None

    with pytest.raises(Contended, match="edited by someone else"):
        rewrite(file, change)
    assert not file.exists() or file.read_bytes() != NEW
    assert ".f.edit" not in names(file.parent)
    if file.exists():
        assert rewrite(file, to_new)
        assert file.read_bytes() == NEW


def test_a_file_that_appears_meanwhile_is_not_lost(tmp_path: Path) -> None:
    def change(content: bytes | None) -> tuple[bytes, None]:
        (tmp_path / "f").write_bytes(b"by hand\n")
        return NEW, None

    with pytest.raises(Contended):
        rewrite(tmp_path / "f", change)
    assert (tmp_path / "f").read_bytes() == b"by hand\n"


def test_edits_at_once_all_land(file: Path) -> None:
    """Each adds a line to what it found: one that had not waited would lose another's."""
    file.write_bytes(b"")

    def add(line: bytes, content: bytes | None) -> tuple[bytes, None]:
        return (content or b"") + line, None

    def edit(number: int) -> None:
        for turn in range(5):
            rewrite(file, partial(add, f"{number}.{turn}\n".encode()))

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = file.read_text().splitlines()
    assert sorted(lines) == [f"{number}.{turn}" for number in range(4) for turn in range(5)]
    assert names(file.parent) == ["f"]


def test_one_that_does_not_end_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draft_module, "_ATTEMPTS", 2)
    draft = file.with_name(".f.edit")
    with draft.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Contended, match="another command edits the file"):
            rewrite(file, to_new)
    assert file.read_bytes() == OLD
    rewrite(file, to_new)
    assert names(file.parent) == ["f"]


def left_with_text(draft: Path) -> None:
    draft.write_bytes(b"half a te")
    draft.chmod(0o600)


def left_open_to_others(draft: Path) -> None:
    draft.touch()
    draft.chmod(0o666)


def left_with_two_names(draft: Path) -> None:
    draft.touch(0o600)
    os.link(draft, draft.with_name("second"))


@pytest.mark.parametrize("leave", [left_with_text, left_open_to_others, left_with_two_names])
def test_a_draft_that_was_left_behind_is_thrown_away(file: Path, leave: Callable[[Path], None]) -> None:
    draft = file.with_name(".f.edit")
    leave(draft)
    held = draft.open("rb")
    rewrite(file, to_new)
    assert file.read_bytes() == NEW
    assert not os.path.samestat(os.fstat(held.fileno()), file.stat())
    held.close()
    assert not draft.exists()


def test_a_link_in_the_place_of_the_draft_is_not_followed(file: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"")
    (tmp_path / ".f.edit").symlink_to("victim")
    with pytest.raises(NotWritten, match=r"\.f\.edit"):
        rewrite(file, to_new)
    assert (tmp_path / "victim").read_bytes() == b""
    assert file.read_bytes() == OLD


# --- kill -9 at every line ------------------------------------------------------------------------------------


def killed_at(line: int, path: Path) -> bool:
    """Rewrite a file in a child that kills itself at its n-th line in the module; tell whether it got there."""
    child = fork()
    if not child:
        left = line

        def trace(frame: FrameType, event: str, arg: Any) -> Any:
            nonlocal left
            if frame.f_code.co_filename not in {module.__file__, draft_module.__file__}:
                return None
            left -= event == "line"
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        try:
            sys.settrace(trace)
            rewrite(path, to_new)
            os._exit(0)
        finally:
            os._exit(3)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("exists", [True, False])
def test_killed_at_any_line_the_old_or_the_new_is_whole(tmp_path: Path, exists: bool) -> None:
    kills, seen = 0, set()
    while True:
        path = tmp_path / str(kills) / "f"
        path.parent.mkdir()
        if exists:
            path.write_bytes(OLD)
            path.chmod(0o644)
        killed = killed_at(kills + 1, path)
        content = path.read_bytes() if path.exists() else None
        assert content in {OLD if exists else None, NEW}
        assert all(not left.stat().st_mode & 0o022 for left in path.parent.iterdir())
        seen.add(content)
        if not killed:
            break
        kills += 1
        assert rewrite(path, lambda found: (b"next\n", found)) == (path, content)
        assert names(path.parent) == ["f"]
    assert kills > 50
    assert seen == {OLD if exists else None, NEW}


def test_foreign_errors_have_their_fix() -> None:
    for number, word in [
        (errno.EBUSY, "mount"),
        (errno.EROFS, "where it comes from"),
        (errno.EIO, "directory"),
    ]:
        error = module._not_written(Path("/x/f"), OSError(number, os.strerror(number), "/x/f"))
        assert word in error.fix
        assert not isinstance(error, NotPermitted)
