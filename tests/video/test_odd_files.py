"""Unusual files from recorders, joiners and editors: every reader shows the same frame for the same time."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numbered_video import (
    HEIGHT,
    WIDTH,
    damage,
    draw_corners,
    join,
    mux,
    pack,
    read_corners,
    read_number,
    write_video,
)
from PIL import Image

from hrpro.errors import InputError
from hrpro.features.extract import TIMEBASE, extract
from hrpro.video import probe as probing
from hrpro.video.decode import frames_at, iter_frames, missing_note
from hrpro.video.probe import VideoInfo, probe
from hrpro.video.thumbnails import TILE_WIDTH, filmstrip
from hrpro.video.transcode import transcode

PAL = {"stamps": range(100), "unit": Fraction(1, 25)}
B_FRAMES = {"bf": "2", "b-adapt": "0"}


def middles(info: VideoInfo) -> np.ndarray:
    return np.append((info.times[1:] + info.times[:-1]) / 2, info.duration - 1e-3)


def check(path: Path, numbers: list[int], missing: tuple[int, ...] = ()) -> VideoInfo:
    """Check that frame i shows numbers[i] in every reader: seeking, in order, features, filmstrip and copy."""
    info = probe(path)
    assert info.frames == len(numbers)
    order = np.random.default_rng(0).permutation(info.frames)
    moments = middles(info)
    assert [read_number(picture) for picture in frames_at(info, moments)] == numbers
    single = [read_number(picture) for picture in frames_at(info, moments[order])]
    assert single == np.array(numbers)[order].tolist()
    found: list[int] = []
    shown = [read_number(picture) for picture in iter_frames(info, 40, missing=found)]
    assert shown == [numbers[info.frame_index(at / 40)] for at in range(len(shown))]
    assert len(shown) == np.ceil(info.duration * 40 - 1e-4) and found == list(missing)
    notes: list[str] = []
    assert len(extract(path, note=notes.append)) == TIMEBASE.count(info.duration)
    assert notes == ([missing_note(info, missing)] if missing else [])
    strip = filmstrip(path, path.parent, 25)
    with Image.open(strip.path) as picture:
        tiles = [read_number(np.asarray(picture.crop((left, top, left + strip.tile_width, top + strip.tile_height))))
                 for top in range(0, picture.height, strip.tile_height)
                 for left in range(0, picture.width, strip.tile_width)]
    assert tiles[:len(strip.times)] == [numbers[info.frame_index(moment)] for moment in strip.times]
    assert transcode(info, path.with_name("copy.mp4")) == list(missing)
    copy = probe(path.with_name("copy.mp4"))
    np.testing.assert_allclose(copy.times, info.times, atol=1e-9)
    assert copy.duration == pytest.approx(info.duration) and copy.browser_playable
    assert [read_number(picture) for picture in frames_at(copy, middles(copy))] == numbers
    return info


def take(folder: Path, name: str, first: int, stamps=range(0, 4000, 40), **settings) -> Path:
    return write_video(folder / name, stamps, numbers=range(first, first + len(stamps)),
                       **{"options": B_FRAMES, **settings})


@pytest.mark.parametrize("begin", [0, 3800, 500_000, 90_000_000])
@pytest.mark.parametrize("kind", ["h264.ts", "mpeg2.ts", "mpeg2.mpg"])
def test_joined_takes_play_in_sequence(tmp_path, kind, begin):
    """The second take's timestamps restart, or begin shortly before the first one's end, or much later."""
    settings = {"codec": "mpeg2video", "options": {"bf": "2"}} if "mpeg2" in kind else {}
    if kind.endswith("mpg"):
        settings["container_options"] = {"packetsize": "64"}
    if begin == 90_000_000 and not kind.endswith("ts"):
        pytest.skip("stamps of a day are those of transport streams")
    parts = [take(tmp_path, f"{number}{kind}", 100 * number, range(offset // 40, offset // 40 + 100),
                  unit=Fraction(1, 25), **settings)
             for number, offset in enumerate((0, begin, 120))]
    info = check(join(tmp_path / kind, *parts), list(range(300)))
    assert (info.fps, info.duration, info.browser_playable) == (pytest.approx(25), pytest.approx(12), False)


def test_audio_of_joined_takes_stays_in_sync(tmp_path):
    """Each take lasts 4 s and clicks at full seconds."""
    parts = [take(tmp_path, f"{number}.ts", 100 * number, sound="mp2") for number in range(3)]
    check(join(tmp_path / "v.ts", *parts), list(range(300)))
    with av.open(str(tmp_path / "copy.mp4")) as container:
        heard = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
        loud = np.flatnonzero(np.abs(heard) > .2) / container.streams.audio[0].rate
    np.testing.assert_allclose(loud[np.diff(loud, prepend=-1) > .5], np.arange(12), atol=.08)


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.avi", "v.wmv", "v.flv"])
def test_joined_files_that_players_cut_short_are_refused(tmp_path, name):
    settings = {"v.avi": {**PAL, "codec": "mpeg4"}, "v.wmv": {**PAL, "codec": "wmv2"}}
    part = write_video(tmp_path / f"part_{name}", **settings.get(name, {"stamps": range(0, 4000, 40)}))
    assert probe(part).frames == 100
    with pytest.raises(InputError, match=r"several files joined.*or join them with"):
        probe(join(tmp_path / name, part, part))


def test_subtitles_longer_than_the_video_do_not_change_its_duration(tmp_path):
    (tmp_path / "s.srt").write_text("1\n00:00:03,000 --> 00:00:20,000\nto the end\n\n")
    path = mux(tmp_path / "v.mkv", write_video(tmp_path / "v.mp4", range(0, 4000, 40)), tmp_path / "s.srt")
    info = check(path, list(range(100)))
    assert (info.duration, info.fps) == (pytest.approx(4), pytest.approx(25))


@pytest.mark.parametrize("name", ["v.mkv", "v.mp4", "v.webm"])
def test_long_last_frame_counts_in_full(tmp_path, name):
    codec = {"codec": "libvpx-vp9", "options": {"cpu-used": "8", "deadline": "realtime"}} if "webm" in name else {}
    info = check(write_video(tmp_path / name, range(4), unit=Fraction(15), rate=Fraction(1, 15), **codec),
                 list(range(4)))
    assert (info.fps, info.duration) == (pytest.approx(1 / 15), pytest.approx(60))
    assert read_number(next(frames_at(info, [59.9]))) == 3


@pytest.mark.parametrize("name", ["v.mkv", "v.mp4", "fragmented.mp4", "v.webm", "v.ts", "v.avi", "v.wmv", "v.flv"])
@pytest.mark.parametrize("part", [.3, .5, .9, .97])
def test_truncated_file_is_refused(tmp_path, name, part):
    settings = {"v.ts": {"options": B_FRAMES}, "v.avi": {**PAL, "codec": "mpeg4"}, "v.wmv": {**PAL, "codec": "wmv2"},
                "v.webm": {"codec": "libvpx", "options": {"cpu-used": "8", "deadline": "realtime"}},
                "v.mp4": {"container_options": {"movflags": "faststart"}},
                "fragmented.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}}}
    path = write_video(tmp_path / name, **{"stamps": range(0, 4000, 40)} | settings.get(name, {}))
    assert probe(path).frames == 100
    content = path.read_bytes()
    path.write_bytes(content[:int(len(content) * part) // 188 * 188 + 77])
    with pytest.raises(InputError, match="cut off"):
        probe(path)


def test_matroska_file_ending_in_unwritten_space_is_refused(tmp_path):
    path = write_video(tmp_path / "v.mkv", range(0, 20_000, 40), options={"g": "25"})
    content = path.read_bytes()
    path.write_bytes(content[:len(content) // 2] + bytes(len(content) - len(content) // 2))
    with pytest.raises(InputError, match="cut off"):
        probe(path)


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
@pytest.mark.parametrize("thumbnail", ["mjpeg", "libx264"])
def test_thumbnail_track_before_the_film_is_skipped(tmp_path, name, thumbnail):
    small = write_video(tmp_path / "thumbnail.mov", [0], thumbnail, numbers=[777],
                        pixels="yuvj420p" if thumbnail == "mjpeg" else "yuv420p")
    film = write_video(tmp_path / "film.mp4", range(0, 4000, 40))
    info = check(mux(tmp_path / name, small, film), list(range(100)))
    assert (info.codec, info.browser_playable, info.duration) == ("h264", True, pytest.approx(4))
    assert info.needs_copy                              # Chromium plays the film, but every seek goes to its end


def test_file_with_two_films_reads_the_same_everywhere(tmp_path):
    films = [write_video(tmp_path / f"{first}.mp4", range(0, 4000, 40), numbers=range(first, first + 100))
             for first in (0, 500)]
    info = check(mux(tmp_path / "v.mp4", *films), list(range(100)))
    assert not info.browser_playable


@pytest.mark.parametrize(("name", "settings"), [
    ("v.mp4", {"options": B_FRAMES}), ("v.mkv", {"options": B_FRAMES}),
    ("v.mov", {"codec": "mjpeg", "pixels": "yuvj420p"}),
    ("v.webm", {"codec": "libvpx", "options": {"cpu-used": "8", "deadline": "realtime"}})])
def test_damaged_frame_shows_the_one_before(tmp_path, name, settings):
    path = damage(write_video(tmp_path / name, range(0, 4000, 40), **settings), 41)
    info, missing = probe(path), []
    shown = [read_number(picture) for picture in iter_frames(info, 25, missing=missing)]
    lost, = missing                                     # frames that depend on it are shown with artefacts
    assert 40 <= lost <= 42 and shown[lost] == lost - 1
    assert shown[:lost - 1] == list(range(lost - 1)) and shown[60:] == list(range(60, 100))
    assert f"1 of 100 frames cannot be decoded (at {lost / 25:.1f} s)" in missing_note(info, missing)
    check(path, shown, (lost,))


def test_damaged_key_frame_shows_the_one_before(tmp_path):
    """Frames that depend on it are shown as the decoder returns them, the same in all readers."""
    path = damage(write_video(tmp_path / "v.mp4", range(0, 4000, 40), options={"bf": "0"}), 24)
    info = probe(path)
    assert read_number(next(frames_at(info, [24.5 / 25]))) == 23
    assert [read_number(picture) for picture in frames_at(info, middles(info))][60:] == list(range(60, 100))


def test_video_without_a_decodable_frame_is_refused(tmp_path):
    path = write_video(tmp_path / "v.mp4", range(0, 4000, 40))
    damage(path, *range(100))
    for read in (probe, extract, lambda path: list(frames_at(path, [1])), lambda path: filmstrip(path, tmp_path)):
        with pytest.raises(InputError, match=r"v\.mp4.*no frame"):
            read(path)


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts"])
def test_frames_before_the_first_key_frame_show_the_first_decodable_one(tmp_path, name):
    whole = write_video(tmp_path / "whole.mp4", range(0, 4000, 40), options={**B_FRAMES, "g": "25", "keyint_min": "25",
                                                                             "sc_threshold": "0"})
    path = mux(tmp_path / name, whole, skip=10)
    info = probe(path)
    first = int(np.argmin(np.abs(info.times - (info.times[-1] - (99 - 25) / 25))))
    numbers = [max(25, number) for number in np.round(99 - (info.times[-1] - info.times) * 25).astype(int)]
    assert 10 < first < 20 and numbers[first:first + 2] == [25, 26]
    check(path, numbers, tuple(range(first)))


@pytest.mark.parametrize("b_frames", [1, 2])
def test_packed_divx_b_frames_are_read_correctly(tmp_path, b_frames):
    plain = write_video(tmp_path / "plain.avi", **PAL, codec="mpeg4", options={"bf": str(b_frames), "g": "12"})
    check(pack(plain, tmp_path / "v.avi") if b_frames == 1 else plain, list(range(100)))


@pytest.mark.parametrize("upright", [(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1),
                                     (0, 1, 1, 0), (0, 1, -1, 0), (0, -1, 1, 0), (0, -1, -1, 0)])
def test_picture_is_rotated_and_mirrored_by_its_display_matrix(tmp_path, upright):
    """Computed by hand: the stored pixel (x, y) is shown at (a x + c y, b x + d y), shifted to start at 0."""
    a, b, c, d = upright
    path = write_video(tmp_path / "v.mp4", range(0, 400, 40), matrix=upright, draw=draw_corners)
    places = {(a * x + c * y, b * x + d * y): 2 * y + x for y in (0, 1) for x in (0, 1)}
    expected = [places[place] for place in sorted(places, key=lambda place: place[::-1])]
    info = probe(path)
    assert (info.width, info.height) == ((WIDTH, HEIGHT) if a else (HEIGHT, WIDTH))
    transcode(info, tmp_path / "copy.mp4")
    copy = probe(tmp_path / "copy.mp4")
    assert (copy.width, copy.height, copy.upright) == (info.width, info.height, (1, 0, 0, 1))
    strip = filmstrip(path, tmp_path, 1)
    with Image.open(strip.path) as tile:
        pictures = [np.asarray(tile.convert("RGB")), next(frames_at(path, [.2])), next(frames_at(copy, [.2])),
                    next(iter_frames(path, 25, (48, 48)))]
    assert [read_corners(picture) for picture in pictures] == [expected] * 4


@pytest.mark.parametrize(("size", "tile"), [((16, 4096), (1, 320)), ((4096, 16), (160, 1)), ((90, 160), (160, 284))])
def test_filmstrip_of_narrow_pictures_stays_small(tmp_path, size, tile):
    path = tmp_path / "v.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuvj420p"
        picture = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 255, np.uint8), format="rgb24")
        for number in range(12):
            picture.pts = number
            container.mux(stream.encode(picture.reformat(format="yuvj420p")))
        container.mux(stream.encode(None))
    strip = filmstrip(path, tmp_path)
    assert (strip.tile_width, strip.tile_height) == (TILE_WIDTH, tile[1])
    with Image.open(strip.path) as image:
        assert image.size == (10 * TILE_WIDTH, 2 * tile[1])
        bright = np.asarray(image.convert("L"))[tile[1] // 2, :TILE_WIDTH] > 128
    assert bright.sum() == pytest.approx(tile[0], abs=8) and bright[(TILE_WIDTH - 1) // 2]


def test_huge_frames_are_refused_before_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr(probing, "MAX_PIXELS", WIDTH * HEIGHT - 1)
    path = write_video(tmp_path / "v.mp4", range(0, 400, 40))
    with pytest.raises(InputError, match="160 x 64 pixels are too large"):
        probe(path)


def test_timestamps_spanning_months_are_refused(tmp_path):
    with pytest.raises(InputError, match="lasts 58 days by its timestamps"):
        probe(write_video(tmp_path / "v.mkv", [0, 40, 5_000_000_000]))
