"""Pictures of a video by time: single ones by seeking, all of them in order at a fixed rate."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import ArrayLike, NDArray

from hrpro.errors import InputError
from hrpro.video.probe import VideoInfo, opened, probe


def frames_at(video: Path | VideoInfo, seconds: ArrayLike, size: tuple[int, int] | None = None
              ) -> Iterator[NDArray[np.uint8]]:
    """The pictures on screen at some moments, RGB [H, W, 3] each, in the order asked.

    video: a path, or its `probe`, which spares reading the time stamps again; seconds: [N] from the first displayed
    frame on (the first frame before it, the last one after the end); size: (width, height) to scale to.

    Raises:
        InputError: as `probe`; a frame that cannot be decoded.
    """
    info = video if isinstance(video, VideoInfo) else probe(video)
    with opened(info.path) as (container, stream):
        stream.thread_type = "SLICE"  # threads by frame would decode several frames to give one
        scaler, at, group = VideoReformatter(), None, None
        for moment in np.atleast_1d(np.asarray(seconds, np.float64)):
            index = info.frame_index(moment)
            if index != at:
                keyframe = np.searchsorted(info.keyframes, index, side="right")
                if at is None or index < at or keyframe != group:
                    frames = _from(container, stream, info, index)
                picture = _picture(_reach(frames, info, index), scaler, size)
                at, group = index, keyframe
            yield picture


def _from(container: av.container.InputContainer, stream: av.VideoStream, info: VideoInfo, index: int
          ) -> Iterator[av.VideoFrame]:
    """Decoded frames that begin at frame `index` or before it.

    Seeking to a frame before which others are stored out of order can land behind it: then seek again, earlier.
    """
    target, step = int(info.stamps[index]), max(1, int(0.5 / info.time_base))
    while True:
        container.seek(target, stream=stream)
        frames = in_order(container.decode(stream), info.delay)
        first = next(frames, None)
        if (first is not None and first.pts <= info.stamps[index]) or target <= info.stamps[0] - step:
            break
        target, step = target - step, step * 2
    if first is not None:
        yield first
    yield from frames


def in_order(frames: Iterable[av.VideoFrame], delay: int) -> Iterator[av.VideoFrame]:
    """Decoded frames, whose order is right, with their stamps put in order too: a frame comes `delay` frames later."""
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


def _reach(frames: Iterator[av.VideoFrame], info: VideoInfo, index: int) -> av.VideoFrame:
    for frame in frames:
        if frame.pts >= info.stamps[index]:
            return frame
    raise InputError(f"{info.path}: the frame at {info.times[index]:.2f} s cannot be decoded. Copy the video again.")


def iter_frames(video: Path | VideoInfo, fps: float = 25.0, size: tuple[int, int] | None = None
                ) -> Iterator[NDArray[np.uint8]]:
    """The picture on screen at 0, 1 / fps, 2 / fps … seconds, to the end of the video, RGB [H, W, 3] each.

    size: (width, height) to scale to. A picture shown at several of these moments is the same array each time: do not
    write into it. Memory stays constant.

    Raises:
        InputError: as `probe`; frames that cannot be decoded.
    """
    info = video if isinstance(video, VideoInfo) else probe(video)
    scaler, moment = VideoReformatter(), 0
    for frame, end in _shown(info):
        picture = None
        while moment / fps < end - 1e-6:
            if picture is None:
                picture = _picture(frame, scaler, size)
            yield picture
            moment += 1


def _shown(info: VideoInfo) -> Iterator[tuple[av.VideoFrame, float]]:
    """Frames in display order, each with the moment it leaves the screen, in seconds after the first appeared."""
    with opened(info.path) as (container, stream):
        frame = None
        for following in in_order(container.decode(stream), info.delay):
            if frame is not None:
                yield frame, float((following.pts - info.stamps[0]) * stream.time_base)
            frame = following
        if frame is not None:
            yield frame, info.duration


def _picture(frame: av.VideoFrame, scaler: VideoReformatter, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """A frame as RGB [H, W, 3], turned upright, scaled to (width, height) as seen.

    scaler: kept from frame to frame, since setting one up costs more than the scaling.
    """
    turns = frame.rotation // 90 % 4
    width, height = size or (None, None)
    if turns % 2:
        width, height = height, width
    picture = scaler.reformat(frame, width, height, "rgb24", interpolation="AREA").to_ndarray()
    return np.rot90(picture, turns) if turns else picture
