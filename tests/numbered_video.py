"""Write small real video files in which every frame shows its own number."""

import itertools
import math
import struct
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, BITS = 160, 64, 10
RATE = 44_100           # audio samples per second


def draw_number(number: int) -> np.ndarray:
    """A picture of a number as ten black or white bars."""
    bits = number >> np.arange(BITS) & 1
    return np.repeat(np.tile(np.repeat(bits * 255, WIDTH // BITS), (HEIGHT, 1))[..., None], 3, 2).astype(np.uint8)


def draw_corners(_number: int) -> np.ndarray:
    """A picture with four grey corners that differ under all eight rotations and reflections."""
    return np.kron(np.array([[20, 90], [160, 230]]), np.ones((HEIGHT // 2, WIDTH // 2)))[..., None].repeat(
        3, 2).astype(np.uint8)


def read_corners(picture: np.ndarray) -> list[int]:
    """Indices of the grey levels of the corners, row by row; 0, 1, 2, 3 as drawn."""
    height, width = picture.shape[:2]
    greys = picture[[[height // 4], [height * 3 // 4]], [[width // 4, width * 3 // 4]]].mean(-1)
    return np.round((greys - 20) / 70).astype(int).ravel().tolist()


def read_number(picture: np.ndarray) -> int:
    """The number that a picture shows, at any scale."""
    bars = np.array_split(picture.mean((0, 2)), BITS)
    return sum(1 << bit for bit, bar in enumerate(bars) if bar.mean() > 128)


def write_video(path: Path, stamps: Sequence[int], codec: str = "libx264", options: dict | None = None,
                container_options: dict | None = None, rotation: int = 0, numbers: Sequence[int] | None = None,
                unit: Fraction = Fraction(1, 1000), rate: Fraction | int = 25, pixels: str = "yuv420p",
                sound: str | None = None, matrix: Sequence[int] | None = None,
                draw: Callable[[int], np.ndarray] | None = None) -> Path:
    """Write a video whose frame i shows i, or numbers[i].

    Args:
        stamps: start of each frame, in units.
        unit: time base in seconds.
        rate: frame rate in the header, in frames per second.
        sound: codec of an audio track that starts at 0 and clicks at full seconds.
        matrix: display matrix (a, b, c, d).
        draw: function that draws the picture of a number, RGB [HEIGHT, WIDTH, 3].
    """
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options={"g": "12", **(options or {})})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        stream.time_base = stream.codec_context.time_base = unit
        if rotation:
            stream.set_display_rotation(rotation)
        if matrix:
            a, b, c, d = (value << 16 for value in matrix)
            stream.set_display_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30))
        if sound:
            track = container.add_stream(sound, rate=RATE, layout="mono")
            container.mux(track.encode(_clicks(math.ceil(stamps[-1] * unit))) + track.encode(None))
        for number, moment in zip(numbers or range(len(stamps)), stamps, strict=True):
            frame = av.VideoFrame.from_ndarray((draw or draw_number)(number), format="rgb24")
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
    """Copy a video without re-encoding so that it starts inside a group of pictures: an edit list hides earlier frames.

    Args:
        seconds: where the copy starts.
        groups: number of whole groups of pictures before that one that are kept and hidden too.
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
    """Copy a VP8 file so that packet `number` is decoded but not shown, as the encoder's reference frames are."""
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


def join(target: Path, *parts: Path) -> Path:
    """Concatenate the bytes of files, as `cat` does."""
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    return target


def mux(target: Path, *sources: Path, skip: int = 0) -> Path:
    """Put the first track of each file into one file. skip: number of packets to drop at the start of each track."""
    with av.open(str(target), "w") as new:
        opened = [av.open(str(source)) for source in sources]
        tracks = [(old, new.add_stream_from_template(old.streams[0])) for old in opened]
        for old, track in tracks:
            for packet in itertools.islice((packet for packet in old.demux(old.streams[0]) if packet.size), skip, None):
                packet.stream = track
                new.mux(packet)
            old.close()
    return target


def damage(path: Path, *numbers: int) -> Path:
    """Overwrite stored pictures with zeros, as bad sectors do; each picture must be stored in one piece."""
    with av.open(str(path)) as container:
        packets = [(packet.pos, bytes(packet)) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for number in numbers:
        at, data = packets[number]
        at = content.index(data, at)
        content[at:at + len(data)] = bytes(len(data))
    path.write_bytes(content)
    return path


def pack(source: Path, target: Path) -> Path:
    """Repack an MPEG-4 AVI as DivX 5 did: one chunk holds a P and a B picture, the next one is empty."""
    mark = b"\0\0\1\xb6"
    with av.open(str(source)) as container:
        stored = [(packet.is_keyframe, bytes(packet)) for packet in container.demux(video=0) if packet.size]
    chunks, at = [], 0
    stored[0] = True, stored[0][1].replace(mark, b"\0\0\1\xb2DivX503b1393p" + mark, 1)
    while at < len(stored):
        (key, data), after = stored[at], stored[at + 1][1] if at + 1 < len(stored) else b""
        if after and after[after.find(mark) + 4] >> 6 == 2:             # a B picture
            chunks += [(key, data + after), (False, mark + b"\x40\0\0")]
            at += 2
        else:
            chunks.append((key, data))
            at += 1
    target.write_bytes(_avi(chunks, b"XVID"))
    return target


def _avi(chunks: Iterable[tuple[bool, bytes]], codec: bytes, rate: int = 25) -> bytes:
    chunks = list(chunks)
    movie = index = b""
    for key, data in chunks:
        index += b"00dc" + struct.pack("<3I", 0x10 if key else 0, len(movie) + 4, len(data))
        movie += _riff(b"00dc", data)
    main = struct.pack("<14I", 1_000_000 // rate, 0, 0, 0x10, len(chunks), 0, 1, 0, WIDTH, HEIGHT, 0, 0, 0, 0)
    head = b"vids" + codec + struct.pack("<IHH8I4H", 0, 0, 0, 0, 1, rate, 0, len(chunks), 0, 0xFFFFFFFF, 0, 0, 0, WIDTH,
                                         HEIGHT)
    kind = struct.pack("<Iii2H4s5I", 40, WIDTH, HEIGHT, 1, 24, codec, WIDTH * HEIGHT * 3, 0, 0, 0, 0)
    track = _riff(b"LIST", b"strl" + _riff(b"strh", head) + _riff(b"strf", kind))
    body = _riff(b"LIST", b"hdrl" + _riff(b"avih", main) + track) + _riff(b"LIST", b"movi" + movie)
    return _riff(b"RIFF", b"AVI " + body + _riff(b"idx1", index))


def _riff(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
