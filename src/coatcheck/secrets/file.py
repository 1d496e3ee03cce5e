"""Secret material from files, as container platforms mount it: one value a file."""

from __future__ import annotations

import os
import stat
from typing import Final

from coatcheck.errors import ConfigError
from coatcheck.model.secret import Secret

MAX_BYTES: Final = 64 * 1024


class FileSource:
    """Finds material by the absolute path of a file; a `SecretSource`.

    The value is the file's text without one line break at its end, since every editor and `echo` adds one.
    """

    def find(self, reference: str) -> Secret | None:
        """Return what the file holds, or None if there is no such file.

        Raises:
            ConfigError: the file cannot be read, is no regular file, is empty, over 64 KiB, or not UTF-8.
        """
        try:
            # Not blocking: opening a named pipe would otherwise wait for a writer for ever.
            descriptor = os.open(reference, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _unfit(reference, f"cannot be read ({error.strerror})", "check its permissions") from None
        try:
            content = _read(descriptor, reference)
        finally:
            os.close(descriptor)
        return Secret(_value_of(content, reference))


def _read(descriptor: int, path: str) -> bytes:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise _unfit(path, "is not a regular file", "name the file that holds the value")
    content = b""
    while chunk := os.read(descriptor, MAX_BYTES + 1 - len(content)):
        content += chunk
    if len(content) > MAX_BYTES:
        raise _unfit(path, f"is larger than {MAX_BYTES // 1024} KiB", "is it the right file?")
    return content


def _value_of(content: bytes, path: str) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise _unfit(path, "is not UTF-8 text", "encode binary material, for example in base64") from None
    value = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    if not value:
        # Also what a file looks like in the moment between its truncation and its being written.
        raise _unfit(path, "is empty", "write the value into it")
    return value


def _unfit(path: str, what: str, fix: str) -> ConfigError:
    return ConfigError(f"the file {path} {what}", fix=fix)
