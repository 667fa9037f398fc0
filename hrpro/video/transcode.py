"""Writes a video anew so that every browser plays it: H.264 and AAC in MP4, each frame at its own time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from hrpro.errors import InputError
from hrpro.video.decode import in_order
from hrpro.video.probe import VideoInfo, opened

LONG_SIDE = 1280        # pixels
KEY_EVERY = 15          # frames: a player decodes so many at most to show one
# Without B frames they are stored in the order in which they are shown.
_H264 = {"preset": "veryfast", "crf": "23", "bf": "0", "g": str(KEY_EVERY)}
_SOUND_RATE = 48_000


def transcode(info: VideoInfo, path: Path, progress: Callable[[float], object] = lambda fraction: None) -> None:
    """Write the video `info` to `path`, its first frame at 0, every other one as long after that as in the original.

    A frame that cannot be decoded shows the one before it; so does none come at another's place. Sound that cannot be
    decoded is left out. progress: is told the fraction done after each frame.

    Raises:
        InputError: no frame can be decoded.
        OSError: `path` cannot be written.
    """
    with _writing(), av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        pictures = _Pictures(container, info)
        sound = _Sound(container, info) if info.has_audio else None
        frames = in_order(_pictures(info, sound), info.delay)
        for frame in _without_fields(frames, info.time_base) if info.interlaced else frames:
            pictures.put(frame)
            progress(pictures.count / info.frames)
        pictures.end()
        if sound:
            sound.end()


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    """Tell faults of the file that is written from those of the one that is read."""
    try:
        yield
    except av.error.FFmpegError as error:
        raise OSError(error.errno, error.strerror) from error


def _pictures(info: VideoInfo, sound: _Sound | None) -> Iterator[av.VideoFrame]:
    """The frames that can be decoded, in display order; sound goes where it is wanted."""
    with opened(info.path) as (container, stream):
        stream.thread_type = "AUTO"
        for packet in container.demux([stream, *container.streams.audio[:1]] if sound else stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:                # this one is missed, the others are not
                continue
            if packet.stream.type == "video":
                yield from frames
            else:
                sound.put(frames)


def _without_fields(frames: Iterable[av.VideoFrame], time_base: Fraction) -> Iterator[av.VideoFrame]:
    """Interlaced pictures made whole, one for one."""
    graph, shape = None, None
    for frame in frames:
        if shape != (shape := (frame.width, frame.height, frame.format.name)):
            yield from _pull(graph, time_base, end=True)
            graph = av.filter.Graph()
            graph.link_nodes(graph.add_buffer(width=frame.width, height=frame.height, format=frame.format,
                                              time_base=time_base),
                             graph.add("bwdif", "mode=send_frame:deint=interlaced"),
                             graph.add("buffersink")).configure()
        graph.push(frame)
        yield from _pull(graph, time_base)
    yield from _pull(graph, time_base, end=True)


def _pull(graph: av.filter.Graph | None, time_base: Fraction, *, end: bool = False) -> Iterator[av.VideoFrame]:
    if graph is None:
        return
    if end:
        graph.push(None)
    for frame in _ready(graph):
        frame.pts = round(frame.pts * frame.time_base / time_base)
        yield frame


def _ready(graph: av.filter.Graph) -> Iterator[av.VideoFrame | av.AudioFrame]:
    """The frames that a filter graph has ready."""
    with contextlib.suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            yield graph.pull()


class _Pictures:
    """The picture track: frame i of the original becomes its frame i, whichever can be decoded."""

    def __init__(self, container: av.container.OutputContainer, info: VideoInfo):
        self.container, self.info = container, info
        self.base = Fraction(1, info.time_base.denominator)
        self.ticks = _rising((info.stamps - info.stamps[0]) * info.time_base.numerator)
        end = max(round(info.duration / self.base), int(self.ticks[-1]) + 1)
        self.lengths = np.diff(self.ticks, append=end)
        wide, high = (info.height, info.width) if info.rotation % 180 else (info.width, info.height)
        scale = min(1., LONG_SIDE / max(wide, high))
        self.size = [max(2, round(side * scale / 2) * 2) for side in (wide, high)]
        rate = Fraction(info.fps).limit_denominator(1001) or Fraction(1)
        self.stream = container.add_stream("libx264", rate=rate, options=_H264)
        self.stream.width, self.stream.height = self.size
        self.stream.pix_fmt = "yuv420p"
        self.stream.time_base = self.stream.codec_context.time_base = self.base
        if info.rotation:
            self.stream.set_display_rotation(info.rotation)
        self.scaler, self.held, self.count = VideoReformatter(), None, 0

    def put(self, frame: av.VideoFrame) -> None:
        """Take the next decoded frame; places that none came for show the one before (the first, those before it)."""
        stamps = self.info.stamps
        index = int(np.searchsorted(stamps, frame.pts))
        if index < self.count < len(stamps) and stamps[self.count] == frame.pts:
            index = self.count                          # of several with one stamp
        if not self.count <= index < len(stamps):
            return
        before = self.held
        self.held = self.scaler.reformat(frame, *self.size, "yuv420p", interpolation="AREA", dst_color_range="MPEG")
        self.held.pict_type = PictureType.NONE          # else the encoder would follow the original's key frames
        self.held.time_base = self.base
        self._repeat(before or self.held, index)
        self._repeat(self.held, index + 1)

    def end(self) -> None:
        if self.held is None:
            raise InputError(f"{self.info.path}: no frame can be decoded. Copy the video again.")
        self._repeat(self.held, self.info.frames)
        self._encode(None)

    def _repeat(self, frame: av.VideoFrame, until: int) -> None:
        while self.count < until:
            frame.pts = int(self.ticks[self.count])
            self._encode(frame)
            self.count += 1

    def _encode(self, frame: av.VideoFrame | None) -> None:
        for packet in self.stream.encode(frame):
            packet.duration = int(self.lengths[np.searchsorted(self.ticks, packet.pts)])
            self.container.mux(packet)


def _rising(ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Times of which none equals the one before it, as it may in a faulty file."""
    places = np.arange(len(ticks))
    return np.maximum.accumulate(ticks - places) + places


class _Sound:
    """The sound track, from the moment of the first picture on; gaps become silence."""

    def __init__(self, container: av.container.OutputContainer, info: VideoInfo):
        self.container, self.graph = container, None
        self.begin = int(info.stamps[0]) * info.time_base
        self.stream = container.add_stream("aac", rate=_SOUND_RATE, layout="stereo")

    def put(self, frames: list[av.AudioFrame]) -> None:
        for frame in frames:
            if frame.pts is None:
                continue
            frame.pts -= round(self.begin / frame.time_base)
            try:
                self.graph = self.graph or _resampler(frame)
                self.graph.push(frame)
            except av.error.FFmpegError:                # its kind changed on the way
                continue
            self._drain()

    def end(self) -> None:
        if self.graph:
            self.graph.push(None)
            self._drain()
        self.container.mux(self.stream.encode(None))

    def _drain(self) -> None:
        for frame in _ready(self.graph):
            self.container.mux(self.stream.encode(frame))


def _resampler(frame: av.AudioFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_abuffer(sample_rate=frame.sample_rate, format=frame.format.name, layout=frame.layout.name,
                          time_base=frame.time_base),
        graph.add("aresample", "async=1:first_pts=0"),
        graph.add("aformat", f"sample_fmts=fltp:sample_rates={_SOUND_RATE}:channel_layouts=stereo"),
        graph.add("abuffersink")).configure()
    return graph
