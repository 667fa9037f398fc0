"""Write a copy of a video that every browser plays: H.264 and AAC in MP4, upright, each frame at its original time."""

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

from hrpro.video.decode import in_order, nothing_decodes, placed
from hrpro.video.probe import LONGEST_GAP, VideoInfo, decoded, joined, opened

LONG_SIDE = 1280        # pixels
KEY_EVERY = 15          # frames: the most a player decodes to show one
# Without B frames, frames are stored in display order.
_H264 = {"preset": "veryfast", "crf": "23", "bf": "0", "g": str(KEY_EVERY)}
_SOUND_RATE = 48_000


def transcode(info: VideoInfo, path: Path, progress: Callable[[float], object] = lambda fraction: None) -> list[int]:
    """Write a browser-playable copy whose first frame is at 0 and whose other frames keep their distance to it.

    A frame that cannot be decoded is replaced by the one before it, so all frames keep their indices. Undecodable audio
    is left out.

    Args:
        info: The video's `probe`.
        path: The file to write.
        progress: Called with the fraction done, after each frame.

    Returns:
        Indices of the frames that cannot be decoded.

    Raises:
        InputError: No frame can be decoded.
        OSError: `path` cannot be written.
    """
    with _writing(), av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        pictures = _Pictures(container, info)
        sound = _Sound(container, info) if info.has_audio else None
        frames = in_order(_pictures(info, sound), info.delay)
        for place, frame in placed(_without_fields(frames, info.time_base) if info.interlaced else frames, info):
            pictures.put(place, frame)
            progress(pictures.count / info.frames)
        pictures.end()
        if sound:
            sound.end()
    return pictures.missing


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    """Turn libav errors into OSError, to distinguish faults of the written file from those of the one being read."""
    try:
        yield
    except av.error.FFmpegError as error:
        raise OSError(error.errno, error.strerror) from error


def _pictures(info: VideoInfo, sound: _Sound | None) -> Iterator[av.VideoFrame]:
    """Yield the decodable frames in display order; pass audio on to `sound`."""
    with opened(info.path) as (container, stream):
        stream.thread_type = "AUTO"
        packets = joined(container.demux([stream, *container.streams.audio[:1]] if sound else stream), stream, info)
        for packet in packets:
            if packet.stream.type == "video":
                yield from decoded([packet])
            else:
                with contextlib.suppress(av.error.FFmpegError):
                    sound.put(packet.decode())


def _without_fields(frames: Iterable[av.VideoFrame], time_base: Fraction) -> Iterator[av.VideoFrame]:
    """Deinterlace frames, one for one."""
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
    """Yield the frames that a filter graph has ready."""
    with contextlib.suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            yield graph.pull()


class _Pictures:
    """The picture track: frame i of the original becomes frame i here, even if some cannot be decoded."""

    def __init__(self, container: av.container.OutputContainer, info: VideoInfo):
        self.container, self.info = container, info
        self.base = Fraction(1, info.time_base.denominator)
        self.ticks = _rising((info.stamps - info.stamps[0]) * info.time_base.numerator)
        end = max(round(info.duration / self.base), int(self.ticks[-1]) + 1)
        self.lengths = np.diff(self.ticks, append=end)
        scale = min(1., LONG_SIDE / max(info.width, info.height))
        self.size = [max(2, round(side * scale / 2) * 2) for side in (info.width, info.height)]
        rate = Fraction(info.fps).limit_denominator(1001) or Fraction(1)
        self.stream = container.add_stream("libx264", rate=rate, options=_H264)
        self.stream.width, self.stream.height = self.size
        self.stream.pix_fmt = "yuv420p"
        self.stream.time_base = self.stream.codec_context.time_base = self.base
        self.scaler, self.held, self.count, self.missing = VideoReformatter(), None, 0, []
        self.stored_size = self.size if info.upright[0] else self.size[::-1]
        self.turn = _turning(info.upright, *self.stored_size)

    def put(self, place: int, frame: av.VideoFrame) -> None:
        """Write the next decoded frame and fill the gap before it: with the previous frame, or with this first one."""
        before = self.held
        self.held = self.scaler.reformat(frame, *self.stored_size, "yuv420p", interpolation="AREA",
                                         dst_color_range="MPEG")
        if self.turn:
            self.turn.push(self.held)
            self.held = self.turn.pull()
        self.held.pict_type = PictureType.NONE          # otherwise the encoder copies the original's key frames
        self.held.time_base = self.base
        self.missing.extend(range(self.count, place))
        self._repeat(before or self.held, place)
        self._repeat(self.held, place + 1)

    def end(self) -> None:
        if self.held is None:
            raise nothing_decodes(self.info)
        self.missing.extend(range(self.count, self.info.frames))
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


def _turning(upright: tuple[int, int, int, int], width: int, height: int) -> av.filter.Graph | None:
    """Filter that makes yuv420p pictures upright, None if they already are; for `upright` see `VideoInfo`."""
    a, b, c, d = upright
    filters = ["transpose"] * (not a) + ["hflip"] * ((a or c) < 0) + ["vflip"] * ((b or d) < 0)
    if not filters:
        return None
    graph = av.filter.Graph()
    graph.link_nodes(graph.add_buffer(width=width, height=height, format="yuv420p", time_base=Fraction(1, 1000)),
                     *(graph.add(name, "dir=cclock_flip" if name == "transpose" else "") for name in filters),
                     graph.add("buffersink")).configure()
    return graph


def _rising(ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    """Make times strictly increasing; in a faulty file several can be equal."""
    places = np.arange(len(ticks))
    return np.maximum.accumulate(ticks - places) + places


class _Sound:
    """The audio track, starting with the first frame; gaps become silence."""

    def __init__(self, container: av.container.OutputContainer, info: VideoInfo):
        self.container, self.graph, self.after, self.shifts = container, None, None, _shifts(info)
        self.begin = int(info.stamps[0]) * info.time_base
        self.stream = container.add_stream("aac", rate=_SOUND_RATE, layout="stereo")

    def put(self, frames: list[av.AudioFrame]) -> None:
        for frame in frames:
            if frame.pts is None:
                continue
            self._follow(float(frame.pts * frame.time_base), frame.samples / frame.sample_rate)
            frame.pts += round((self.shifts[0] - self.begin) / frame.time_base)
            try:
                self.graph = self.graph or _resampler(frame)
                self.graph.push(frame)
            except av.error.FFmpegError:                # the audio format changed mid-stream
                continue
            self._drain()

    def _follow(self, seconds: float, length: float) -> None:
        """Detect where the audio timestamps restart or jump, as those of the picture do."""
        if self.after is not None and len(self.shifts) > 1 and not -.05 < seconds - self.after < LONGEST_GAP:
            del self.shifts[0]
        self.after = seconds + length

    def end(self) -> None:
        if self.graph:
            self.graph.push(None)
            self._drain()
        self.container.mux(self.stream.encode(None))

    def _drain(self) -> None:
        for frame in _ready(self.graph):
            self.container.mux(self.stream.encode(frame))


def _shifts(info: VideoInfo) -> list[Fraction]:
    """Seconds to add to timestamps, initially and after each join."""
    return [Fraction(0), *(shift * info.time_base for shift in info.joins)]


def _resampler(frame: av.AudioFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_abuffer(sample_rate=frame.sample_rate, format=frame.format.name, layout=frame.layout.name,
                          time_base=frame.time_base),
        graph.add("aresample", "async=1:first_pts=0"),
        graph.add("aformat", f"sample_fmts=fltp:sample_rates={_SOUND_RATE}:channel_layouts=stereo"),
        graph.add("abuffersink")).configure()
    return graph
