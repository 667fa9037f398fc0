"""What a video file holds and when each of its frames is on screen, read without decoding it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Discard, Disposition
from numpy.typing import NDArray

from hrpro.errors import InputError

_COVER = Disposition.attached_pic
# Not every frame has a stamp of its own here, and libav fills them in: in AVI as if frames were stored in order.
_DELAY = {"avi": 16, "mpeg": 1, "mpegts": 1}
_MP4, _WEBM = {"h264", "vp9", "av1"}, {"vp8", "vp9", "av1"}
_BROWSER_CODECS = {".mp4": _MP4, ".m4v": _MP4, ".mov": _MP4, ".webm": _WEBM, ".mkv": _MP4 | _WEBM}


@dataclass(frozen=True, eq=False)
class VideoInfo:
    """One video file, as a player shows it.

    duration: seconds from the first displayed frame to the end of the last; fps: average rate; width, height: as shown,
    in square pixels, after rotation; stamps: int64 [N], display order, in units of `time_base` seconds; keyframes:
    indices into `stamps` at which decoding can begin; even: frame i is on screen from i / fps on; browser_playable: a
    browser's <video> shows the picture; start: seconds on a player's clock at which the first frame appears (not 0
    where sound leads); rotation: degrees counter-clockwise by which a player turns the picture; interlaced: pictures
    are made of two fields each; plain: an edit list hides no frame and, in Matroska, which tells no frame's length,
    none is stored out of order: of other files some players show a neighbour of the frame asked for; delay: by how many
    places decoded frames' stamps can be out of order (0 in most files, see `hrpro.video.decode.in_order`).
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
    rotation: int
    interlaced: bool
    plain: bool
    delay: int
    stamps: NDArray[np.int64] = field(repr=False)
    time_base: Fraction = field(repr=False)
    keyframes: NDArray[np.intp] = field(repr=False)

    @property
    def frames(self) -> int:
        return len(self.stamps)

    @property
    def times(self) -> NDArray[np.float64]:
        """Seconds at which each displayed frame appears, [N], starting at 0."""
        return (self.stamps - self.stamps[0]) * float(self.time_base)

    @property
    def even(self) -> bool:
        return bool(np.abs(self.times * self.fps - np.arange(self.frames)).max() < 0.1)

    @property
    def browser_playable(self) -> bool:
        return self.codec in _BROWSER_CODECS.get(self.path.suffix.lower(), ()) and not self.interlaced \
            and self.pixel_format in ("yuv420p", "yuvj420p")

    def frame_index(self, seconds: float) -> int:
        """The frame on screen at a moment; the first before 0, the last after the end."""
        return max(0, int(np.searchsorted(self.times, seconds + 1e-6, side="right")) - 1)


def version_of(path: Path) -> str:
    """What tells a file from another under the same name: its size and the time of its last change, in hexadecimal.

    Raises:
        InputError: missing.
    """
    try:
        status = Path(path).stat()
    except OSError:
        raise InputError(f"{path}: no such video file. Check the path.") from None
    return f"{status.st_size:x}-{status.st_mtime_ns:x}"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """A video file's container and picture track; whatever libav finds wrong with it becomes an InputError.

    Raises:
        InputError: missing, empty, not a video, without pictures, damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such video file. Check the path.")
    if not path.stat().st_size:
        raise InputError(f"{path}: is an empty file. Copy the video again.")
    try:
        with av.open(str(path)) as container:
            pictures = [stream for stream in container.streams.video if not stream.disposition & _COVER]
            if not pictures:
                raise InputError(f"{path}: has no picture track. Give a file with video.")
            yield container, pictures[0]
    except av.error.FFmpegError as error:
        raise InputError(f"{path}: cannot be read as a video ({error.strerror}); it is damaged, cut off or of another "
                         "kind. Copy it again or convert it to MP4 (H.264).") from error


def probe(path: Path) -> VideoInfo:
    """What a video file holds; decodes one frame and reads the rest's time stamps only.

    Frames that an edit list hides are left out; frames stored out of order come in display order.

    Raises:
        InputError: missing, empty, not a video, without pictures, cut off, without time stamps.
    """
    path = Path(path)
    with opened(path) as (container, stream):
        first = next(container.decode(stream), None)
        if first is None:
            raise InputError(f"{path}: holds no frame that can be shown. Copy the video again.")
        turned = first.rotation % 180 != 0
        context = stream.codec_context
        interlaced = first.interlaced_frame or context.field_order > 1
        delay = _DELAY.get(container.format.name, 0) if context.reorder_depth else 0
    with opened(path) as (container, stream):
        matroska = "matroska" in container.format.name
        if not matroska:
            for other in container.streams:
                other.discard = Discard.default if other is stream else Discard.all
        stamps, keys, lengths, packets, end, damaged, hidden = [], [], [], 0, 0.0, False, False
        codec = stream.codec_context.codec.canonical_name
        for packet in container.demux():
            if not packet.size:
                continue
            if matroska and packet.pts is not None:
                end = max(end, float(packet.pts * packet.time_base))
            if packet.stream_index != stream.index:
                continue
            packets += 1
            damaged = packet.is_corrupt                 # the last one, if the file ends within it
            hidden |= packet.is_discard
            if packet.is_discard or _is_hidden(packet, codec):
                continue
            if packet.pts is None:
                raise InputError(f"{path}: frame {packets} has no time stamp. Convert the video to MP4 (H.264).")
            stamps.append(packet.pts)
            keys.append(packet.is_keyframe)
            lengths.append(packet.duration)
        # A Matroska header tells the length that the file should have; an MP4's index, how many frames.
        short = matroska and end < (container.duration or 0) / av.time_base - 1
        if damaged or short or packets < len(stream.index_entries):
            raise InputError(f"{path}: is cut off: only {packets} frames can be read. Copy the video again.")
        order = np.argsort(stamps, kind="stable")
        # Where an edit list hides whole groups of pictures, libav gives none of their packets.
        plain = not (hidden or packets < stream.frames or (matroska and (np.diff(order) < 0).any()))
        stamps = np.asarray(stamps, np.int64)[order]
        span = int(stamps[-1] - stamps[0])
        tail = lengths[order[-1]] or (span // (len(stamps) - 1) if span else 1)
        duration = float((span + tail) * stream.time_base)
        fps = (len(stamps) - 1) / float(span * stream.time_base) if span else 1 / duration
        start = float(int(stamps[0]) * stream.time_base) - min(0, container.start_time or 0) / av.time_base
        context = stream.codec_context
        wide = round(context.width * (context.sample_aspect_ratio or 1))
        width, height = (context.height, wide) if turned else (wide, context.height)
        return VideoInfo(path, duration, fps, width, height, codec, first.format.name,
                         bool(container.streams.audio), start, first.rotation, interlaced, plain, delay, stamps,
                         stream.time_base, np.flatnonzero(np.asarray(keys)[order]))


def _is_hidden(packet: av.Packet, codec: str) -> bool:
    """A VP8 reference picture that is stored as a packet of its own and never shown (RFC 6386, section 9.1)."""
    return codec == "vp8" and not bytes(packet)[0] >> 4 & 1
