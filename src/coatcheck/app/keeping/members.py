"""The form of a bundle of evidence: a ZIP that holds its members one after the other, and nothing else.

A ZIP says most things twice, in the header of a member and in the directory, and can have bytes before,
between and after its members; then two readers may see two things in one file, and a signature is on one of
them. So every byte around the packed members must be the one that the gateway writes there.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import IO, Any, Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from coatcheck.operations.evidence import MANIFEST, SIGNATURE

MOST_MEMBERS: Final = 100

_CHUNK: Final = 256 * 1024
_LOCAL: Final = struct.Struct("<4s5H3I2H")
"""The header of a member (APPNOTE 4.3.7), without the lengths of what follows it."""
_CENTRAL: Final = struct.Struct("<4s6H3I5H2I")
"""Of a member in the directory (4.3.12)."""
_END: Final = struct.Struct("<4s4H2IH")
"""The end of the directory (4.3.16)."""
_END_64: Final = struct.Struct("<4sQ2H2I4Q")
"""The same for large files (4.3.14), and where that is (4.3.15)."""
_LOCATOR: Final = struct.Struct("<4sIQI")
_DAY: Final = 1 << 5 | 1
"""1980-01-01, which every member is said to be from."""
_PLAIN: Final = 20
_LARGE: Final = 45
"""Versions of the format that a member needs, as it is and for large files."""
_FULL: Final = 0xFFFF_FFFF
_MOST: Final = (1 << 31) - 1
"""The largest number that is written in 32 bits."""
_UNIX: Final = 3 << 8
_MODE: Final = 0o644 << 16


def oddities(bundle: ZipFile, file: IO[bytes]) -> list[str]:
    """Return what a bundle has that the gateway writes into none; `file` is the one it was opened from."""
    members = bundle.infolist()
    if len(members) > MOST_MEMBERS:
        return ["it has more members than any bundle"]
    names = [one.filename for one in members]
    found = [f"{name} is in it more than once" for name in sorted({n for n in names if names.count(n) > 1})]
    found += [f"{one.filename} is packed in another way" for one in members if not _is_plain(one)]
    return found or _around(members, file)


def _is_plain(one: ZipInfo) -> bool:
    return one.flag_bits == 0 and one.compress_type == ZIP_DEFLATED and one.filename.isascii()


def _around(members: Sequence[ZipInfo], file: IO[bytes]) -> list[str]:
    """Compare what is around the packed members with what has to be there."""
    at, directory = 0, b""
    for one in members:
        header = _header(one)
        file.seek(at)
        if one.header_offset != at or file.read(len(header)) != header:
            return [f"it has other bytes before {one.filename}"]
        if not _is_exact(file, one.compress_size):
            return [f"it has other bytes after what {one.filename} holds"]
        directory += _entry(one)
        at += len(header) + one.compress_size
    due = directory + _end(len(members), len(directory), at)
    file.seek(at)
    return [] if file.read(len(due) + 1) == due else ["it has other bytes after its last member"]


def _header(one: ZipInfo) -> bytes:
    """Return the header of a member. All but the first two are written as if they might get large."""
    name = one.filename.encode("ascii")
    if one.filename in {MANIFEST, SIGNATURE}:
        version, sizes, extra = _PLAIN, (one.compress_size, one.file_size), b""
    else:
        version, sizes = _LARGE, (_FULL, _FULL)
        extra = struct.pack("<2H2Q", 1, 16, one.file_size, one.compress_size)
    fields = (version, 0, ZIP_DEFLATED, 0, _DAY, one.CRC, *sizes, len(name), len(extra))
    return _LOCAL.pack(b"PK\x03\x04", *fields) + name + extra


def _entry(one: ZipInfo) -> bytes:
    """Return what the directory says of a member."""
    name = one.filename.encode("ascii")
    version = _PLAIN if one.filename in {MANIFEST, SIGNATURE} else _LARGE
    sizes, offset, large = (one.compress_size, one.file_size), one.header_offset, list[int]()
    if max(sizes) > _MOST:
        large, sizes = [one.file_size, one.compress_size], (_FULL, _FULL)
    if offset > _MOST:
        large, offset = [*large, offset], _FULL
    extra = struct.pack(f"<2H{len(large)}Q", 1, 8 * len(large), *large) if large else b""
    needs = _LARGE if large else version
    fields = (_UNIX | needs, needs, 0, ZIP_DEFLATED, 0, _DAY, one.CRC, *sizes, len(name), len(extra))
    return _CENTRAL.pack(b"PK\x01\x02", *fields, 0, 0, 0, _MODE, offset) + name + extra


def _end(count: int, size: int, at: int) -> bytes:
    """Return what comes after the directory, which begins at `at`."""
    large = b""
    if at > _MOST:
        numbers = (count, count, size, at)
        large = _END_64.pack(b"PK\x06\x06", _END_64.size - 12, _LARGE, _LARGE, 0, 0, *numbers)
        large += _LOCATOR.pack(b"PK\x06\x07", 0, at + size, 1)
    return large + _END.pack(b"PK\x05\x06", 0, 0, count, count, size, min(at, _FULL), 0)


def _is_exact(file: IO[bytes], size: int) -> bool:
    """Tell whether the next bytes are one packed member to the last bit; what it holds is not kept."""
    packed = zlib.decompressobj(-zlib.MAX_WBITS)
    while size > 1 and (piece := file.read(min(_CHUNK, size - 1))):
        size -= len(piece)
        while piece and not packed.eof:
            packed.decompress(piece, _CHUNK)
            piece = packed.unconsumed_tail
    last = file.read(1)
    return size == 1 and not packed.eof and _ends(packed, last)


def _ends(packed: Any, last: bytes) -> bool:
    """Tell whether a stream ends with this byte, and none of its bits is beyond the end.

    Bits are taken from the lowest: if the highest that is set can be left out, it was not for anything.
    """
    if not last:
        return False
    top = 1 << (last[0].bit_length() - 1) if last[0] else 0
    whole, less = packed.copy(), packed.copy()
    said = whole.decompress(last)
    if not whole.eof or whole.unused_data:
        return False
    try:
        return not top or less.decompress(bytes([last[0] ^ top])) != said or not less.eof
    except zlib.error:
        return True
