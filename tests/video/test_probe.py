"""Probing: what files contain, when frames appear, and how broken files are reported."""

import json
import wave
from time import process_time

import av
import numpy as np
import pytest
from numbered_video import HEIGHT, WIDTH, cut, read_number, write_video

from hrpro.errors import InputError
from hrpro.video.probe import probe

DECODABLE = ["even", "b_frames", "uneven", "fragmented", "one_frame", "vp9", "vp8", "matroska", "cut", "hidden"]


@pytest.mark.parametrize("name", DECODABLE)
def test_times_match_the_decoded_frames(clips, name):
    info = probe(clips[name])
    with av.open(str(clips[name])) as container:
        decoded = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    assert info.frames == len(decoded)
    np.testing.assert_allclose(info.times, np.array(decoded) - decoded[0], atol=1e-9)
    assert info.keyframes[0] <= 12


def test_even_video_is_described(clips):
    info = probe(clips["even"])
    assert (info.frames, info.fps, info.duration) == (100, pytest.approx(25), pytest.approx(4))
    assert (info.width, info.height, info.codec, info.pixel_format) == (160, 64, "h264", "yuv420p")
    assert info.even
    assert info.browser_playable
    assert not info.has_audio
    assert info.keyframes[0] == 0
    assert 1 <= np.diff(info.keyframes).min() <= np.diff(info.keyframes).max() <= 12


@pytest.mark.parametrize("name", ["even", "matroska", "vp9"])
def test_tags_that_are_not_utf8_are_ignored(clips, tmp_path, name):
    """Old cameras and programs wrote them in Latin-1."""
    raw = clips[name].read_bytes()
    assert b"Lavf" in raw
    path = tmp_path / clips[name].name
    path.write_bytes(raw.replace(b"Lavf", b"L\xfcvf"))
    assert np.array_equal(probe(path).times, probe(clips[name]).times)


def test_uneven_times_are_detected(clips):
    info = probe(clips["uneven"])
    assert not info.even
    assert info.fps == pytest.approx(99 / info.times[-1])


def test_edit_list_hides_frames(clips):
    info = probe(clips["cut"])
    assert (info.frames, info.duration) == (70, pytest.approx(2.8))


@pytest.mark.parametrize(("name", "plain"), [("b_frames", True), ("uneven", True), ("fragmented", True), ("vp9", True),
                                            ("vp8", True), ("matroska", False), ("cut", False)])
def test_plain_files_are_those_that_every_player_reads_alike(clips, name, plain):
    assert probe(clips[name]).plain is plain


def test_edit_list_that_hides_a_whole_group_of_pictures_is_detected(clips, tmp_path):
    path = cut(clips["even"], tmp_path / "v.mp4", 1.2, groups=1)
    assert probe(path).frames == 70
    assert not probe(path).plain


def test_hidden_vp8_picture_is_not_a_frame(clips):
    assert probe(clips["hidden"]).frames == probe(clips["vp8"]).frames - 1


def test_rotation_swaps_width_and_height(clips):
    info = probe(clips["turned"])
    assert (info.width, info.height) == (64, 160)


@pytest.mark.parametrize(("name", "playable"), [("vp9", True), ("vp8", True), ("matroska", True), ("cut", True),
                                               ("avi", False)])
def test_files_that_browsers_play(clips, name, playable):
    assert probe(clips[name]).browser_playable is playable


@pytest.mark.parametrize(("settings", "playable"), [
    ({"pixels": "yuv444p"}, False), ({"pixels": "yuv420p10le"}, False), ({"pixels": "yuvj420p"}, True),
    ({"options": {"flags": "+ilme", "x264-params": "interlaced=1"}}, False),
    ({"codec": "libsvtav1"}, True), ({"codec": "mpeg4"}, False)])
def test_pixel_formats_and_codecs_that_browsers_play(tmp_path, settings, playable):
    assert probe(write_video(tmp_path / "v.mp4", range(0, 400, 40), **settings)).browser_playable is playable


def test_late_first_frame_starts_late_on_a_players_clock(tmp_path):
    info = probe(write_video(tmp_path / "v.mp4", range(720, 2000, 40)))
    assert (info.start, info.times[0]) == (pytest.approx(.72), 0)


def test_frame_index_is_the_frame_on_screen(clips):
    info = probe(clips["uneven"])
    middles = (info.times[1:] + info.times[:-1]) / 2
    assert [info.frame_index(moment) for moment in middles] == list(range(99))
    assert [info.frame_index(moment) for moment in info.times] == list(range(100))
    assert (info.frame_index(-1), info.frame_index(1e9)) == (0, 99)


@pytest.mark.parametrize("name", ["even", "matroska", "b_frames"])
def test_truncated_file_is_refused(clips, tmp_path, name):
    """The faststart file decodes up to its middle without any error; the last file has no index at all."""
    whole = clips[name].read_bytes()
    half = tmp_path / f"half{clips[name].suffix}"
    half.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut off.*Copy"):
        probe(half)


def test_broken_files_have_distinct_errors(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "garbage.mp4").write_bytes(np.random.default_rng(0).bytes(50_000))
    with wave.open(str(tmp_path / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16_000))
    for name, fault in [("missing.mp4", "no such"), ("empty.mp4", "empty"), ("garbage.mp4", "cannot be read"),
                        ("sound.wav", "no picture track")]:
        with pytest.raises(InputError, match=fault) as caught:
            probe(tmp_path / name)
        assert name in str(caught.value)


def test_long_video_is_probed_without_decoding(tmp_path):
    """Reading four minutes of timestamps takes a fraction of the time of decoding them, 4% on a quiet machine."""
    noise = np.random.default_rng(0).integers(0, 256, (8, HEIGHT, WIDTH, 3), dtype=np.uint8)
    path = write_video(tmp_path / "long.mp4", range(0, 240_000, 40), options={"preset": "ultrafast", "g": "250"},
                       draw=lambda number: noise[number % 8])
    began = process_time()
    info = probe(path)
    probing = process_time() - began
    began = process_time()
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == info.frames == 6_000
    assert probing < (process_time() - began) / 2


@pytest.mark.parametrize(("name", "fps", "frames", "size"), [
    ("v_GGSY1Qvo990", 19.62, 355, (320, 240)),
    ("v_ZNVhz7ctTq0", 30, 420, (480, 360)),
    ("vidat_example", 29.917, 390, (640, 480)),
])
def test_real_clips_are_described(shared, name, fps, frames, size):
    info = probe(shared / "videos" / f"{name}.mp4")
    assert (info.frames, (info.width, info.height), info.has_audio) == (frames, size, True)
    assert info.fps == pytest.approx(fps, abs=1e-3)
    assert info.browser_playable


def test_numbers_can_be_read(clips):
    """Checks the fixture itself, on which the decoding tests rely."""
    with av.open(str(clips["even"])) as container:
        numbers = [read_number(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    assert numbers == list(range(100))


@pytest.mark.parametrize("name", ["even", "vp9", "matroska", "cut", "avi"])
def test_video_info_is_json_serializable(clips, name):
    info = probe(clips[name])
    json.dumps([info.browser_playable, info.plain, info.even, info.duration, info.fps, info.start, info.width])


@pytest.mark.parametrize(("name", "text"), [
    ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"),
    ("list.mp4", "ffconcat version 1.0\nfile inner.mp4\n")])
def test_playlist_of_other_files_is_refused(tmp_path, name, text):
    other = tmp_path / "elsewhere" / "other.ts"
    other.parent.mkdir()
    with av.open(str(other), "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        container.mux(stream.encode())
    assert probe(other).frames == 10
    (tmp_path / "inner.mp4").symlink_to(other)
    (tmp_path / name).write_text(text.format(other))
    with pytest.raises(InputError, match=f"{name}: cannot be read as a video"):
        probe(tmp_path / name)
