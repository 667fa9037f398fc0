"""Check that a video file is complete from the lengths recorded in its container, without decoding anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_MOST_PARTS = 1_000_000         # a video of many hours has thousands
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_IN_SEGMENT = {0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1F43B675, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, 0xEC,
               0xBF}
_AVI_SLACK = 64                 # bytes; some programs include the RIFF header in the length

Part = tuple[str, int]          # kind of part, and the byte at which it should end


def joined_or_cut(path: Path, container: str) -> tuple[bool, bool]:
    """Check whether a file is several concatenated files, and whether it is truncated.

    Players show only the first of several concatenated files.

    Args:
        path: The video file.
        container: libav's name of the format. Formats that record no lengths always pass.

    Returns:
        Whether the file is several files joined, and whether it ends before its last part should.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        if container == "mpegts":
            return False, _ends_within_a_packet(file, size)
        parts = list(_parts(file, size, container))
    slack = _AVI_SLACK if container == "avi" else 0
    return [name for name, _ in parts].count("beginning") > 1, any(end > size + slack for _, end in parts)


def _parts(file: BinaryIO, size: int, container: str) -> Iterator[Part]:
    """Yield the top-level parts of a file, as far as they can be followed."""
    read = next((read for name, read in _READERS.items() if name in container), None)
    if read:
        for part, _ in zip(read(file, size), range(_MOST_PARTS), strict=False):
            yield part


def _mp4_parts(file: BinaryIO, size: int) -> Iterator[Part]:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, name = int.from_bytes(head[:4]), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:])
        elif not length:                                # to the end of the file
            length = size - at
        if length < 8 or not name.isalnum():            # other data after the video
            return
        if name in (b"moov", b"moof", b"mdat"):
            yield "beginning" if name == b"moov" else "part", at + length
        at += length


def _matroska_parts(file: BinaryIO, size: int) -> Iterator[Part]:
    at, segment_end = 0, 0
    while at < size:
        file.seek(at)
        name, length = _ebml_number(file, keep_mark=True), _ebml_number(file)
        begin = file.tell()
        if name == _SEGMENT:
            segment_end = begin + length if length is not None else 0
            yield "beginning", segment_end
            at = begin
        elif length is None or name not in _IN_SEGMENT | {_EBML}:
            if name == 0 and segment_end and _is_empty(file, at):       # preallocated space that was never written
                yield "part", size + 1
            return
        else:
            yield "part", begin + length
            at = begin + length


def _ebml_number(file: BinaryIO, *, keep_mark: bool = False) -> int | None:
    """Read a variable-length number; None if all its bits are set, which marks an unknown size."""
    first = file.read(1)
    if not first or not first[0]:
        return 0
    length = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(length - 1))
    if keep_mark:
        return value
    mask = (1 << 7 * length) - 1
    return None if value & mask == mask else value & mask


def _is_empty(file: BinaryIO, at: int) -> bool:
    file.seek(at)
    return not any(any(block) for block in iter(lambda: file.read(1 << 20), b""))


def _avi_parts(file: BinaryIO, size: int) -> Iterator[Part]:
    at = 0
    while at + 12 <= size:
        file.seek(at)
        head = file.read(12)
        length = int.from_bytes(head[4:8], "little")
        if head[:4] != b"RIFF" or not length:           # the writing program did not finish the file
            return
        at += 8 + length + length % 2
        yield "beginning" if head[8:] == b"AVI " else "part", at


def _asf_parts(file: BinaryIO, size: int) -> Iterator[Part]:
    at = 0
    while at + 24 <= size:
        file.seek(at)
        head = file.read(24)
        length = int.from_bytes(head[16:], "little")
        if length < 24:                                 # a live recording
            return
        at += length
        yield "beginning" if head[:16] == _ASF_HEADER else "part", at


def _flv_parts(file: BinaryIO, size: int) -> Iterator[Part]:
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(11)
        if len(head) < 11:
            yield "part", at + 11
        if head[:3] == b"FLV":
            at += 13
            yield "beginning", at
        elif head[0] & 31 in (8, 9, 18):
            at += 15 + int.from_bytes(head[1:4])
            yield "part", at - 4                        # the repeated length at its end may be missing
        else:
            return


def _ends_within_a_packet(file: BinaryIO, size: int) -> bool:
    """Whether a transport stream, whose packets all have the same length, ends within a packet."""
    head = file.read(1 << 12)
    for length in (188, 192, 204):
        for first in range(length):
            marks = head[first::length]
            if len(marks) > 8 and marks.count(0x47) == len(marks):
                # 192-byte packets start with a four-byte timecode before the sync byte.
                return (size - first + 4 * (length == 192)) % length > 0
    return False


_READERS = {"mp4": _mp4_parts, "matroska": _matroska_parts, "avi": _avi_parts, "asf": _asf_parts, "flv": _flv_parts}
