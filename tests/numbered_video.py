"""Makes small real video files whose every frame shows its own number."""

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, BITS = 160, 64, 10
RATE = 44_100           # samples a second


def draw_number(number: int) -> np.ndarray:
    """A number as ten black or white bars."""
    bits = number >> np.arange(BITS) & 1
    return np.repeat(np.tile(np.repeat(bits * 255, WIDTH // BITS), (HEIGHT, 1))[..., None], 3, 2).astype(np.uint8)


def read_number(picture: np.ndarray) -> int:
    """The number that a picture shows, whatever its scale."""
    bars = np.array_split(picture.mean((0, 2)), BITS)
    return sum(1 << bit for bit, bar in enumerate(bars) if bar.mean() > 128)


def write_video(path: Path, stamps: Sequence[int], codec: str = "libx264", options: dict | None = None,
                container_options: dict | None = None, rotation: int = 0, numbers: Sequence[int] | None = None,
                unit: Fraction = Fraction(1, 1000), rate: Fraction | int = 25, pixels: str = "yuv420p",
                sound: str | None = None) -> Path:
    """A video with frame i on screen from stamps[i] units (of seconds) on; it shows i, or numbers[i].

    rate: frames a second as the header tells; sound: codec of a track that begins at 0 and clicks at full seconds.
    """
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options={"g": "12", **(options or {})})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        stream.time_base = stream.codec_context.time_base = unit
        if rotation:
            stream.set_display_rotation(rotation)
        if sound:
            track = container.add_stream(sound, rate=RATE, layout="mono")
            container.mux(track.encode(_clicks(math.ceil(stamps[-1] * unit))) + track.encode(None))
        for number, moment in zip(numbers or range(len(stamps)), stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(draw_number(number), format="rgb24")
            frame.pts, frame.time_base = moment, unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _clicks(seconds: int) -> av.AudioFrame:
    moments = np.arange(seconds * RATE) / RATE
    wave = np.where(moments % 1 < .01, np.sin(2000 * np.pi * moments), 0).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
    return frame


def cut(source: Path, target: Path, seconds: float, groups: int = 0) -> Path:
    """A copy without re-encoding that begins inside a group of pictures: an edit list hides the frames before.

    groups: how many whole groups of pictures before that one are kept and hidden too.
    """
    with av.open(str(source)) as old, av.open(str(target), "w", options={"avoid_negative_ts": "disabled"}) as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        shift = int(seconds / stream.time_base)
        key = sorted(packet.pts for packet in old.demux(stream)
                     if packet.size and packet.is_keyframe and packet.pts <= shift)[-1 - groups]
        old.seek(key, stream=stream)
        for packet in old.demux(stream):
            if packet.size and packet.pts >= key:
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
                new.mux(packet)
    return target


def hide_a_picture(source: Path, target: Path, number: int) -> Path:
    """A copy of a VP8 file whose packet `number` is decoded but not shown, as its encoder's reference pictures are."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        for index, packet in enumerate(old.demux(video=0)):
            if packet.size:
                content = bytearray(bytes(packet))
                content[0] &= 0xEF if index == number else 0xFF
                twin = av.Packet(bytes(content))
                twin.pts, twin.dts, twin.time_base, twin.stream = packet.pts, packet.dts, packet.time_base, copy
                twin.is_keyframe = packet.is_keyframe
                new.mux(twin)
    return target
