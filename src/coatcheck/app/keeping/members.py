"""The form of a bundle of evidence: a ZIP that holds its members one after the other, and nothing else.

A ZIP can have bytes before, between and after its members, and two members of one name; then two readers may
see two things in one file, and a signature is on one of them.
"""

from __future__ import annotations

import struct
from typing import IO, Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

MOST_MEMBERS: Final = 100

_LOCAL: Final = struct.Struct("<4s2xHH16xHH")
"""Of the header of a member (APPNOTE 4.3.7): signature, flags, method, lengths of name and extra field."""
_END: Final = struct.Struct("<4s16xH")
"""Signature and length of the comment of the end of the directory (4.3.16), which has the last 22 bytes."""
_PLAIN: Final = frozenset({ZIP_STORED, ZIP_DEFLATED})


def oddities(bundle: ZipFile, file: IO[bytes]) -> list[str]:
    """Return what a bundle has that the gateway writes into none; `file` is the one it was opened from."""
    members = sorted(bundle.infolist(), key=lambda one: one.header_offset)
    if len(members) > MOST_MEMBERS:
        return ["it has more members than any bundle"]
    names = [one.filename for one in members]
    found = [f"{name} is in it more than once" for name in sorted({n for n in names if names.count(n) > 1})]
    found += [f"{one.filename} is packed in another way" for one in members if not _is_plain(one)]
    if found:
        return found
    at = 0
    for one in members:
        if one.header_offset != at:
            return [f"it has other bytes before {one.filename}"]
        at = _after(one, file)
    if at != bundle.start_dir:
        return ["it has other bytes after its last member"]
    return [] if _ends_well(file) else ["it has other bytes at its end"]


def _is_plain(one: ZipInfo) -> bool:
    return one.flag_bits == 0 and one.compress_type in _PLAIN and not one.is_dir()


def _after(one: ZipInfo, file: IO[bytes]) -> int:
    """Return where a member ends; -1 if it does not begin as members do."""
    file.seek(one.header_offset)
    head = file.read(_LOCAL.size)
    if len(head) < _LOCAL.size:
        return -1
    signature, flags, method, name, extra = _LOCAL.unpack(head)
    if (signature, flags, method) != (b"PK\x03\x04", one.flag_bits, one.compress_type):
        return -1
    return one.header_offset + _LOCAL.size + int(name) + int(extra) + one.compress_size


def _ends_well(file: IO[bytes]) -> bool:
    file.seek(-_END.size, 2)
    signature, comment = _END.unpack(file.read(_END.size))
    return (signature, comment) == (b"PK\x05\x06", 0)
