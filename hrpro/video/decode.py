"""Frames of a video by time: single frames by seeking, or all of them in order at a fixed rate.

A frame that cannot be decoded is replaced by the one before it; frames before the first decodable one are replaced by
that one. Copies follow the same rule.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import ArrayLike, NDArray

from hrpro.errors import InputError
from hrpro.video.probe import VideoInfo, decoded, joined, opened, probe

_MOST_MISSING = 5               # gaps listed individually
_FILLER = 8                     # bytes; packets that hold no picture are smaller


def frames_at(video: Path | VideoInfo, seconds: ArrayLike, size: tuple[int, int] | None = None
              ) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames on screen at the given times, in the given order.

    Args:
        video: A path, or the result of `probe`, which saves reading the timestamps again.
        seconds: [N], relative to the first displayed frame. Earlier times give the first frame, times after the end
            the last.
        size: (width, height) to scale to.

    Yields:
        RGB [H, W, 3].

    Raises:
        InputError: See `probe`; or no frame can be decoded.
    """
    info = video if isinstance(video, VideoInfo) else probe(video)
    scaler, at, group = VideoReformatter(), None, None
    with contextlib.ExitStack() as files:
        container, stream = _open(files, info)
        for moment in np.atleast_1d(np.asarray(seconds, np.float64)):
            index = info.frame_index(moment)
            if index != at:
                keyframe = np.searchsorted(info.keyframes, index, side="right")
                if at is None or index < at or keyframe != group:
                    cursor = _seek(container, stream, info, index)
                    if cursor is None:
                        container, stream = _open(files, info)
                        cursor = _Cursor(_placed(joined(container.demux(stream), stream, info), info), info)
                picture = _picture(cursor.reach(index), scaler, size, info)
                at, group = index, keyframe
            yield picture


def _open(files: contextlib.ExitStack, info: VideoInfo) -> tuple[av.container.InputContainer, av.VideoStream]:
    """Reopen the file, positioned at its beginning."""
    files.close()
    container, stream = files.enter_context(opened(info.path))
    stream.thread_type = "SLICE"  # frame threading would decode several frames to return one
    return container, stream


class _Cursor:
    """Reads (frame index, frame) pairs forwards, no further than needed."""

    def __init__(self, frames: Iterator[tuple[int, av.VideoFrame]], info: VideoInfo):
        self.frames, self.info, self.place, self.frame = frames, info, -1, None
        self.ahead = next(frames, None)

    def reach(self, index: int) -> av.VideoFrame:
        """Return the frame shown at `index`."""
        while self.place < index:
            self.ahead = self.ahead or next(self.frames, None)
            if self.ahead is None or self.ahead[0] > index:
                break
            (self.place, self.frame), self.ahead = self.ahead, None
        if self.frame is not None:
            return self.frame
        if self.ahead is None:
            raise nothing_decodes(self.info)
        return self.ahead[1]


def nothing_decodes(info: VideoInfo) -> InputError:
    """Build the error for a video without any decodable frame."""
    return InputError(f"{info.path}: no frame can be decoded. Copy the video again or convert it to MP4 (H.264).")


def _seek(container: av.container.InputContainer, stream: av.VideoStream, info: VideoInfo, index: int
          ) -> _Cursor | None:
    """Seek to frame `index` or before it; None if only reading from the beginning of the file is reliable.

    Seeking can land too late, or on a key frame that cannot be decoded; it is then repeated from an earlier position.
    """
    known = np.searchsorted(info.keyframes, index, side="right")
    keyframe = int(info.keyframes[known - 1]) if known else index
    with contextlib.suppress(av.error.FFmpegError):             # cannot seek: the caller reads from the beginning
        for packets, lead in _landings(container, stream, info, index):
            cursor = _Cursor(_placed(packets, info, lead), info)
            if cursor.ahead is not None and cursor.ahead[0] <= min(index, keyframe + lead):
                return cursor
    return None


def _landings(container: av.container.InputContainer, stream: av.VideoStream, info: VideoInfo, index: int
              ) -> Iterator[tuple[Iterator[av.Packet], int]]:
    """Yield (packets, number of leading frames the decoder drops) from `index`, then from ever earlier positions."""
    if info.joins:                                              # timestamps are not unique, byte positions are
        back = 1
        key = int(np.searchsorted(info.keyframes, index, side="right")) - 1 if len(info.entries) else -1
        while key >= 0:
            number, place = info.entries[key].tolist()
            container.seek(place, unsupported_byte_offset=True)
            packets = container.demux(stream)
            first = next(packets, None)
            if first is not None and first.pos == place:
                yield joined(itertools.chain([first], packets), stream, info, number), 0
            key, back = key - back, back * 2
        return
    if info.counted:                                            # the decoder setup may be only in the first packet
        container.seek(int(info.stamps[0]), stream=stream)
        next(decoded(container.demux(stream)), None)
    target, step = int(info.stamps[index]), max(1, int(0.5 / info.time_base))
    earliest = int(info.stamps[0]) - step
    while target >= earliest:
        container.seek(target, stream=stream)
        lead = 0
        if info.counted:
            lead = _lead(container.demux(stream), stream, info.delay)
            container.seek(target, stream=stream)
        yield container.demux(stream), lead
        target, step = target - step, step * 2


def _lead(packets: Iterator[av.Packet], stream: av.VideoStream, enough: int) -> int:
    """Count the frames a decoder starting at these packets drops because they depend on earlier ones."""
    lost = 0
    for number, packet in enumerate(packets):
        if number > enough and packet.size >= _FILLER:
            break
        with contextlib.suppress(av.error.FFmpegError):
            lost += (packet.size > 0) - len(packet.decode())
    with contextlib.suppress(av.error.FFmpegError):
        lost -= len(stream.decode(None))
    return max(0, lost)


def _placed(packets: Iterator[av.Packet], info: VideoInfo, lead: int = 0) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decode packets to (frame index, frame); lead: frames lost at the start, which the first timestamp ignores."""
    frames = decoded(packets)
    if lead:
        first = next(frames, None)
        if first is None:
            return
        first.pts = int(info.stamps[min(np.searchsorted(info.stamps, first.pts) + lead, info.frames - 1)])
        frames = itertools.chain([first], frames)
    yield from placed(in_order(frames, info.delay), info)


def placed(frames: Iterable[av.VideoFrame], info: VideoInfo) -> Iterator[tuple[int, av.VideoFrame]]:
    """Pair frames in display order with their indices in `info.stamps`; no index occurs twice."""
    last = -1
    for frame in frames:
        place = int(np.searchsorted(info.stamps, frame.pts))
        if place <= last < info.frames - 1 and info.stamps[last + 1] == frame.pts:
            place = last + 1                            # several frames share a timestamp
        if last < place < info.frames:
            last = place
            yield place, frame


def in_order(frames: Iterable[av.VideoFrame], delay: int) -> Iterator[av.VideoFrame]:
    """Sort the timestamps of frames that are already in display order; each frame is held back by `delay` frames."""
    waiting: deque[av.VideoFrame] = deque()
    stamps: list[int] = []
    for frame in frames:
        waiting.append(frame)
        heapq.heappush(stamps, frame.pts)
        if len(waiting) > delay:
            yield _stamped(waiting.popleft(), heapq.heappop(stamps))
    for frame in waiting:
        yield _stamped(frame, heapq.heappop(stamps))


def _stamped(frame: av.VideoFrame, stamp: int) -> av.VideoFrame:
    frame.pts = stamp
    return frame


def iter_frames(video: Path | VideoInfo, fps: float = 25.0, size: tuple[int, int] | None = None,
                missing: list[int] | None = None) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames on screen at 0, 1 / fps, 2 / fps … seconds, to the end of the video, in constant memory.

    Args:
        video: A path, or the result of `probe`.
        fps: Frames to yield per second.
        size: (width, height) to scale to.
        missing: List to which the indices of undecodable frames are appended as they are found.

    Yields:
        RGB [H, W, 3]. A frame shown at several times is the same array each time; do not write to it.

    Raises:
        InputError: See `probe`; or no frame can be decoded.
    """
    info = video if isinstance(video, VideoInfo) else probe(video)
    scaler, times, moment, shown, last = VideoReformatter(), info.times, 0, None, -1
    with opened(info.path) as (container, stream):
        frames = _placed(joined(container.demux(stream), stream, info), info)
        for place, frame in itertools.chain(frames, [(info.frames, None)]):
            if missing is not None:
                missing.extend(range(last + 1, place))
            end, picture = times[place] if frame is not None else info.duration, None
            while shown is not None and moment / fps < end - 1e-6:
                if picture is None:
                    picture = _picture(shown, scaler, size, info)
                yield picture
                moment += 1
            shown, last = frame or shown, place
    if shown is None:
        raise nothing_decodes(info)


def missing_note(info: VideoInfo, missing: Sequence[int]) -> str:
    """Describe the frames that cannot be decoded in one sentence; "" if there are none."""
    if not missing:
        return ""
    times = [f"{info.times[place]:.1f}" for place in missing]
    breaks = [0, *(at for at in range(1, len(missing)) if missing[at] != missing[at - 1] + 1), len(missing)]
    stretches = [times[begin] + (f" to {times[end - 1]}" if end - begin > 1 else "")
                 for begin, end in itertools.pairwise(breaks)]
    more = f" and {len(stretches) - _MOST_MISSING} other places" if len(stretches) > _MOST_MISSING else ""
    shown = "the frame before" if missing[0] else "the frame before (at the beginning: the first that can)"
    return (f"{info.path}: {len(missing)} of {info.frames} frames cannot be decoded (at "
            f"{', '.join(stretches[:_MOST_MISSING])} s{more}); {shown} is shown in their place.")


def _picture(frame: av.VideoFrame, scaler: VideoReformatter, size: tuple[int, int] | None, info: VideoInfo
             ) -> NDArray[np.uint8]:
    """Convert a frame to RGB [H, W, 3], upright, scaled to the displayed (width, height).

    The scaler is reused between frames because setting one up costs more than scaling.
    """
    a, b, c, d = info.upright
    width, height = size or (None, None)
    if not a:
        width, height = height, width
    picture = scaler.reformat(frame, width, height, "rgb24", interpolation="AREA").to_ndarray()
    return (picture if a else picture.swapaxes(0, 1))[::d or b, ::a or c]
