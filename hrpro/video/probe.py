"""Read what a video file contains and when each frame is on screen, without decoding it."""

from __future__ import annotations

import contextlib
import itertools
import math
import re
import struct
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.stream import Discard, Disposition
from numpy.typing import NDArray

from hrpro.errors import InputError
from hrpro.video.whole import joined_or_cut

MAX_PIXELS = 1 << 26            # per frame: any 8K format; a decoder holds several frames at once
# Only self-contained formats: playlists and scripts (hls, concat, dash, avisynth …) make libav read other files, which
# may be outside the data set. Audio formats are included so that the error can say there is no picture track.
CONTAINERS = {"format_whitelist": "mov,matroska,avi,flv,live_flv,mpegts,mpeg,mpegvideo,ogg,asf,mxf,dv,gif,apng,ivf,rm,"
                                  "nut,wtv,amv,nsv,swf,r3d,h261,h263,h264,hevc,vvc,obu,m4v,vc1,mjpeg,yuv4mpegpipe,"
                                  "wav,mp3,aac,flac"}
MAX_DAYS = 10
_STILL = Disposition.timed_thumbnails | Disposition.still_image
_PICTURE_CODECS = {"mjpeg", "png", "bmp", "gif", "tiff", "webp"}
# Containers whose files can be concatenated byte by byte, so that timestamps can restart or jump.
_JOINABLE = {"mpegts", "mpeg", "flv"}
LONGEST_GAP = 10               # seconds between two timestamps in these; players close longer gaps
# In these not every frame has a timestamp; libav fills them in, for AVI as if frames were stored in display order.
_DELAY = {"avi": 16, "mpeg": 1, "mpegts": 1}
_MP4, _WEBM = {"h264", "vp9", "av1"}, {"vp8", "vp9", "av1"}
_BROWSER_CODECS = {".mp4": _MP4, ".m4v": _MP4, ".mov": _MP4, ".webm": _WEBM, ".mkv": _MP4 | _WEBM}


@dataclass(frozen=True, eq=False)
class VideoInfo:
    """One video file as a player shows it.

    Attributes:
        duration: Seconds from the first displayed frame to the end of the last.
        fps: Average frame rate.
        width: Displayed width: square pixels, upright.
        height: Displayed height, likewise.
        stamps: Timestamps in display order, int64 [N], in units of `time_base` seconds.
        keyframes: Indices into `stamps` at which decoding can start.
        start: Seconds on a player's clock at which the first frame appears (not 0 if audio starts earlier).
        upright: Display matrix (a, b, c, d) of the stored picture, each -1, 0 or 1: pixel (x, y) is shown at
            (a x + c y, b x + d y), up to a translation.
        interlaced: Each picture consists of two fields.
        plain: No edit list hides frames and, in Matroska, which stores no frame durations, no frame is stored out of
            order. For other files some players show a neighbour of the requested frame.
        certain: There is one picture track and its first frame can be decoded, so every player shows the same.
        single: There is no other picture track, not even a thumbnail; with one, browsers seek incorrectly.
        delay: By how many positions timestamps of decoded frames can be out of order, see
            `hrpro.video.decode.in_order`.
        counted: Timestamps only number the packets; pictures stored out of order do not have their own.
        joins: The offset to add to the timestamps after each restart or jump, as in files concatenated byte by byte.
        stored: Timestamps in file order, int64 [N]; empty unless there are joins.
        entries: Packet number and byte position of each of `keyframes`, int64 [K, 2]; only for transport streams,
            which can be read from anywhere.
    """

    path: Path
    duration: float
    fps: float
    width: int
    height: int
    codec: str
    pixel_format: str
    has_audio: bool
    start: float
    upright: tuple[int, int, int, int]
    interlaced: bool
    plain: bool
    certain: bool
    single: bool
    delay: int
    counted: bool
    joins: list[int]
    stamps: NDArray[np.int64] = field(repr=False)
    time_base: Fraction = field(repr=False)
    keyframes: NDArray[np.intp] = field(repr=False)
    stored: NDArray[np.int64] = field(repr=False)
    entries: NDArray[np.int64] = field(repr=False)

    @property
    def frames(self) -> int:
        return len(self.stamps)

    @property
    def times(self) -> NDArray[np.float64]:
        """Seconds at which each frame appears, [N], starting at 0."""
        return (self.stamps - self.stamps[0]) * float(self.time_base)

    @property
    def even(self) -> bool:
        """Whether frame i appears at i / fps seconds."""
        return bool(np.abs(self.times * self.fps - np.arange(self.frames)).max() < 0.1)

    @property
    def browser_playable(self) -> bool:
        """Whether a browser's <video> element can play the picture track."""
        return self.codec in _BROWSER_CODECS.get(self.path.suffix.lower(), ()) and not self.interlaced \
            and self.certain and not self.joins and self.pixel_format in ("yuv420p", "yuvj420p")

    @property
    def needs_copy(self) -> bool:
        """Whether the annotation desk must play a copy, in which browsers seek to the exact frame."""
        return not self.browser_playable or not self.single

    def frame_index(self, seconds: float) -> int:
        """Return the index of the frame on screen at a time; the first before 0, the last after the end."""
        return max(0, int(np.searchsorted(self.times, seconds + 1e-6, side="right")) - 1)


def version_of(path: Path) -> str:
    """Identify the current version of a file by its size and modification time, in hexadecimal.

    Raises:
        InputError: The file does not exist.
    """
    try:
        status = Path(path).stat()
    except OSError:
        raise InputError(f"{path}: no such video file. Check the path.") from None
    return f"{status.st_size:x}-{status.st_mtime_ns:x}"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a video file and select the picture track used throughout; libav's errors become InputErrors.

    Yields:
        The container and the stream.

    Raises:
        InputError: The file is missing, empty, damaged, not a video, has no picture track, or its frames are too large.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such video file. Check the path.")
    if not path.stat().st_size:
        raise InputError(f"{path}: is an empty file. Copy the video again.")
    try:
        with av.open(str(path), container_options=CONTAINERS, metadata_errors="replace") as container:
            tracks = _films(path, container)
            if not tracks:
                raise InputError(f"{path}: has no picture track. Give a file with video.")
            stream = next((track for track in tracks if track.disposition & Disposition.default), tracks[0])
            context = stream.codec_context
            if context.width * context.height > MAX_PIXELS:
                raise InputError(f"{path}: its frames of {context.width} x {context.height} pixels are too large. "
                                 f"Scale the video down to at most {MAX_PIXELS >> 20} million pixels.")
            context.options = {"max_pixels": str(MAX_PIXELS)}           # also if the size changes mid-stream
            yield container, stream
    except av.error.FFmpegError as error:
        raise InputError(f"{path}: cannot be read as a video ({error.strerror}); it is damaged, cut off or of another "
                         "kind. Copy it again or convert it to MP4 (H.264).") from error


def average_rate(path: Path) -> float:
    """Return the average frame rate from a video file's header, without reading its frames.

    Raises:
        InputError: The file is not a readable video, or its header has no frame rate.
    """
    with opened(path) as (_, stream):
        if not (rate := stream.average_rate or stream.guessed_rate):
            raise InputError(f"{path}: its header gives no frame rate. Convert the video to MP4 (H.264).")
        return float(rate)


def _films(path: Path, container: av.container.InputContainer) -> list[av.VideoStream]:
    """Picture tracks that are films; covers, thumbnails and stills are returned only if there is nothing else."""
    tracks = [track for track in container.streams.video
              if track.codec_context is not None and not track.disposition & Disposition.attached_pic]
    for is_film in (lambda track: not track.disposition & _STILL,
                    lambda track: track.codec_context.codec.canonical_name not in _PICTURE_CODECS):
        tracks = [track for track in tracks if is_film(track)] or tracks
    if len(tracks) < 2:
        return tracks
    moving = _moving(path, [track.index for track in tracks])
    return [track for track in tracks if track.index in moving] or tracks


def _moving(path: Path, tracks: list[int]) -> set[int]:
    """Return which of the tracks have more than one picture."""
    seen, moving = set(), set()
    with av.open(str(path), container_options=CONTAINERS, metadata_errors="replace") as container:
        for packet in container.demux(*(container.streams[index] for index in tracks)):
            if packet.size:
                (moving if packet.stream_index in seen else seen).add(packet.stream_index)
            if len(moving) == len(tracks):
                break
    return moving


def probe(path: Path) -> VideoInfo:
    """Read what a video file contains: decode one frame and read the timestamps of the others.

    Frames hidden by an edit list are left out, and frames stored out of order are put in display order. Timestamps that
    restart or jump, as in recordings concatenated byte by byte, are made continuous.

    Raises:
        InputError: The file is missing, empty, not a video, has no picture track or no usable timestamps, is truncated,
            is a concatenation of which players show only the first part, or its frames or duration are too large.
    """
    path = Path(path)
    with opened(path) as (container, stream):
        first = next(decoded(container.demux(stream)), None)
        if first is None:
            raise InputError(f"{path}: holds no frame that can be shown. Copy the video again.")
        upright = _upright(first)
        context = stream.codec_context
        interlaced = first.interlaced_frame or context.field_order > 1
        delay = _delay(container.format.name, stream)
    with opened(path) as (container, stream):
        return _read(path, container, stream, first, upright=upright, interlaced=interlaced, delay=delay)


def decoded(packets: Iterable[av.Packet]) -> Iterator[av.VideoFrame]:
    """Decode picture packets, skipping what cannot be decoded."""
    for packet in packets:
        with contextlib.suppress(av.error.FFmpegError):
            yield from [frame for frame in packet.decode() if frame.pts is not None]


def _upright(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    matrix = frame.side_data.get(Type.DISPLAYMATRIX)
    if matrix is None:
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix))
    if abs(b) > abs(a):
        return 0, (b > 0) - (b < 0), 1 if c > 0 else -1, 0
    return (-1 if a < 0 else 1), 0, 0, (-1 if d < 0 else 1)


def _delay(container: str, stream: av.VideoStream) -> int:
    if not stream.codec_context.reorder_depth:
        return 0
    packed = stream.codec_context.name == "mpeg4" and re.search(rb"DivX\d+[a-zB]+\d+p", _beginning(stream))
    return _DELAY["avi"] if packed else _DELAY.get(container, 0)


def _beginning(stream: av.VideoStream) -> bytes:
    """Return the stream's headers and first packet, which name the program that wrote it."""
    stream.container.seek(0)
    packet = next(stream.container.demux(stream), None)
    return (stream.codec_context.extradata or b"") + (bytes(packet) if packet else b"")


def _read(path: Path, container: av.container.InputContainer, stream: av.VideoStream, first: av.VideoFrame, *,
          upright: tuple[int, int, int, int], interlaced: bool, delay: int) -> VideoInfo:
    kind = container.format.name
    matroska = "matroska" in kind
    joined_files, cut_off = joined_or_cut(path, kind)
    if joined_files:
        raise InputError(f"{path}: is several files joined byte by byte; players show the first only. Give the files, "
                         "or join them with a program that writes one file of them.")
    if not matroska:
        for other in container.streams:
            other.discard = Discard.default if other is stream else Discard.all
    stamps, stored, lengths, places, numbers = (array("q") for _ in range(5))
    keys, packets, others_end, damaged, hidden = bytearray(), 0, 0.0, False, False
    codec = stream.codec_context.codec.canonical_name
    for packet in container.demux():
        if not packet.size:
            continue
        if packet.stream_index != stream.index:
            if packet.pts is not None:
                others_end = max(others_end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            continue
        packets += 1
        damaged = packet.is_corrupt                     # true after the loop if the file ends within its last packet
        hidden |= packet.is_discard
        if packet.is_discard or _is_hidden(packet, codec):
            continue
        if packet.pts is None:
            raise InputError(f"{path}: frame {packets} has no timestamp. Convert the video to MP4 (H.264).")
        stamps.append(packet.pts)
        stored.append(packet.pts if packet.dts is None else packet.dts)
        lengths.append(packet.duration or 0)
        places.append(-1 if packet.pos is None else packet.pos)
        numbers.append(packets - 1)
        keys.append(packet.is_keyframe)
    if damaged or packets < len(stream.index_entries) or cut_off:
        raise InputError(f"{path}: is cut off: only {packets} frames can be read. Copy the video again, or convert "
                         "what there is to MP4 (H.264).")
    stamps, stored, lengths, places, numbers = (np.array(column, np.int64) for column in (
        stamps, stored, lengths, places, numbers))
    keys = np.frombuffer(keys, bool)
    joins = []
    if kind in _JOINABLE:
        joins, stamps = _joined(stamps, stored, lengths, stream.time_base)
    elif (np.diff(stamps[keys]) < 0).any():
        back = np.flatnonzero(np.diff(stamps[keys]) < 0)[0]
        raise InputError(f"{path}: its timestamps go back after "
                         f"{float((stamps[keys][back] - stamps[0]) * stream.time_base):.2f} s, so a moment in it is "
                         "not one frame. Convert it to MP4 (H.264) with new timestamps, or give its parts.")
    file_order = stamps if joins else np.empty(0, np.int64)
    order = np.argsort(stamps, kind="stable")
    # libav returns no packets for groups of pictures that an edit list hides entirely.
    plain = not (hidden or packets < stream.frames or (matroska and (np.diff(order) < 0).any()))
    stamps = stamps[order]
    span = int(stamps[-1] - stamps[0])
    tail = int(lengths[order[-1]]) or (span // (len(stamps) - 1) if span else 1)
    end = float((int(stamps[-1]) + tail) * stream.time_base)
    if matroska:
        end = _matroska_end(container, stream, float(int(stamps[-1]) * stream.time_base), others_end) or end
    duration = end - float(int(stamps[0]) * stream.time_base)
    if duration > MAX_DAYS * 86_400:
        raise InputError(f"{path}: lasts {duration / 86_400:.0f} days by its timestamps; at most {MAX_DAYS} are "
                         "allowed. Give its parts, or write it again with correct timestamps.")
    fps = (len(stamps) - 1) / float(span * stream.time_base) if span else 1 / duration
    start = float(int(stamps[0]) * stream.time_base) - min(0, container.start_time or 0) / av.time_base
    context = stream.codec_context
    size = round(context.width * (context.sample_aspect_ratio or 1)), context.height
    width, height = size if upright[0] else size[::-1]
    keyframes = np.flatnonzero(keys[order])
    single = sum(not track.disposition & Disposition.attached_pic for track in container.streams.video) == 1
    certain = len(_films(path, container)) == 1 and first.pts <= int(stamps[0])
    entries = np.stack((numbers, places), 1)[order][keyframes] if kind == "mpegts" else np.empty((0, 2), np.int64)
    return VideoInfo(path, duration, fps, width, height, codec, first.format.name, bool(container.streams.audio), start,
                     upright, interlaced, plain, certain, single, delay,
                     delay == _DELAY["avi"] and not (np.diff(order) < 0).any(), joins, stamps, stream.time_base,
                     keyframes, file_order, entries)


def _joined(stamps: NDArray[np.int64], stored: NDArray[np.int64], lengths: NDArray[np.int64], time_base: Fraction
            ) -> tuple[list[int], NDArray[np.int64]]:
    """Return the offset of each join (see `VideoInfo`) and the timestamps made continuous, all in file order.

    Decoding times increase within a recording, so where they drop another recording begins.
    """
    steps = np.diff(stored)
    usual = int(np.median(steps[steps > 0])) if (steps > 0).any() else 1
    begins = np.flatnonzero((steps < -usual / 2) | (steps > math.ceil(LONGEST_GAP / time_base))) + 1
    shifts, stamps, last = [], stamps.copy(), 0
    for begin, end in itertools.pairwise([*begins.tolist(), len(stamps)]):
        shifts.append(int(stamps[last:begin].max()) + (int(lengths[begin - 1]) or usual) - int(stamps[begin:end].min()))
        stamps[begin:end] += shifts[-1]
        last = begin
    return shifts, stamps


def joined(packets: Iterable[av.Packet], stream: av.VideoStream, info: VideoInfo, number: int = 0
           ) -> Iterator[av.Packet]:
    """Give picture packets the continuous timestamps of `info`.

    Args:
        packets: Packets of the container, in file order.
        stream: The picture track.
        info: The file's `probe`.
        number: Index of the first picture packet among `packets`.
    """
    if not info.joins:
        yield from packets
        return
    for packet in packets:
        if packet.stream_index == stream.index and packet.size:
            packet.pts, packet.dts = int(info.stored[number]), None
            number += 1
        yield packet


def _matroska_end(container: av.container.InputContainer, stream: av.VideoStream, last: float, others_end: float
                  ) -> float | None:
    """Seconds at which the last frame, which appears at `last`, leaves the screen; None if the file does not record it.

    Blocks have no duration of their own. The track's DURATION tag gives it, or the file's duration, which is that of
    the longest track.
    """
    whole = (container.duration or 0) / av.time_base
    told = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d*)?)", stream.metadata.get("DURATION", ""))
    if told:
        hours, minutes, seconds = told.groups()
        end = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        if last < end <= whole + 1:
            return end
    return whole if max(last, others_end) < whole - .01 else None


def _is_hidden(packet: av.Packet, codec: str) -> bool:
    """Whether a packet is a VP8 reference picture that is never shown (RFC 6386, section 9.1)."""
    tag = bytes(packet)[:3] if codec == "vp8" else b""
    return any(tag) and not tag[0] >> 4 & 1             # all zeros means damage
