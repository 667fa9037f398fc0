"""Browser-playable copies: identical frame by frame, made only once, never left half written."""

import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from numbered_video import RATE, cut, read_number, write_video
from processes import children

from hrpro.errors import InputError
from hrpro.video.decode import iter_frames
from hrpro.video.probe import VideoInfo, probe
from hrpro.video.proxy import MOST_FAULT, make_proxy, order_proxy, proxy_path
from hrpro.video.transcode import KEY_EVERY, transcode

ROOT = Path(__file__).resolve().parents[2]
PAL = {"stamps": range(100), "unit": Fraction(1, 25)}
KINDS = {
    "MPEG-2.mpg": {**PAL, "codec": "mpeg2video", "options": {"bf": "2"}},
    "interlaced.ts": {**PAL, "codec": "mpeg2video", "options": {"bf": "2", "flags": "+ildct+ilme"}},
    "MPEG-4.avi": {**PAL, "codec": "mpeg4", "options": {"bf": "2"}},
    "H.264.avi": {**PAL, "options": {"bf": "3"}},
    "Motion JPEG.mov": {**PAL, "codec": "mjpeg", "pixels": "yuvj420p"},
    "HEVC.mkv": {**PAL, "codec": "libx265", "options": {"x265-params": "log-level=none"}},
    "ten bits.mp4": {**PAL, "pixels": "yuv420p10le", "options": {"bf": "2"}},
    "4:2:2.mp4": {**PAL, "pixels": "yuv422p", "options": {"bf": "2"}},
    "ProRes.mov": {**PAL, "codec": "prores_ks", "pixels": "yuv422p10le"},
    "interlaced.mp4": {**PAL, "options": {"bf": "2", "flags": "+ilme", "x264-params": "interlaced=1"}},
    "WMV.wmv": {**PAL, "codec": "wmv2"},
    "uneven.mkv": {"stamps": np.cumsum(np.random.default_rng(0).integers(20, 90, 100)).tolist(), "codec": "mpeg4"},
    "29.97.mov": {"stamps": range(0, 100_100, 1001), "unit": Fraction(1, 30_000), "codec": "mpeg4",
                  "rate": Fraction(30_000, 1001), "options": {"bf": "2"}},
}


def numbers(path: Path) -> list[int]:
    """The numbers that the frames show, in display order."""
    with av.open(str(path)) as container:
        return [read_number(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def copied(path: Path) -> tuple[VideoInfo, VideoInfo]:
    """Copy a file and check that the copy has the same frames at the same times; return the info of both."""
    info = probe(path)
    target = path.with_name("copy.mp4")
    transcode(info, target)
    copy = probe(target)
    assert copy.frames == info.frames
    np.testing.assert_allclose(copy.times, info.times, atol=1e-9)
    assert copy.duration == pytest.approx(info.duration, abs=1e-9)
    assert copy.browser_playable and copy.start == 0
    return info, copy


@pytest.mark.parametrize("name", KINDS)
def test_each_frame_keeps_its_position(tmp_path, name):
    info, copy = copied(write_video(tmp_path / name, **KINDS[name]))
    assert not info.browser_playable and info.frames == 100
    assert numbers(copy.path) == list(range(100))
    assert np.diff(copy.keyframes, append=copy.frames).max() <= KEY_EVERY
    with av.open(str(copy.path)) as container:
        assert all(packet.pts == packet.dts for packet in container.demux(video=0) if packet.size)


def test_hidden_frames_stay_hidden(tmp_path):
    source = write_video(tmp_path / "whole.mp4", range(0, 4000, 40), pixels="yuv420p10le", options={"bf": "3"})
    _, copy = copied(cut(source, tmp_path / "cut.mp4", 1.2))
    assert numbers(copy.path) == list(range(30, 100))


@pytest.mark.parametrize("name", ["MPEG-2.mpg", "MPEG-4.avi", "H.264.avi", "HEVC.mkv", "interlaced.ts"])
def test_broken_frames_do_not_shift_others(tmp_path, name):
    """A few frames in the middle have random payloads; outside their group of pictures every frame must be exact."""
    path = write_video(tmp_path / name, **KINDS[name])
    content, at, noise = bytearray(path.read_bytes()), 0, np.random.default_rng(0)
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    for index, packet in enumerate(packets):
        at = max(at, content.find(packet[8:], at))      # large ones are fragmented in the file, and not found
        if 40 <= index < 43:
            content[at:at + len(packet) - 8] = noise.bytes(len(packet) - 8)
    path.write_bytes(content)
    _, copy = copied(path)
    shown, expected = np.array(numbers(copy.path)), np.round(copy.times * 25)
    assert expected[-1] == 99 and copy.frames >= 97
    broken = expected[shown != expected]
    assert broken.size and broken.min() >= 36 and broken.max() < 60


def test_file_that_starts_within_a_group_of_pictures_keeps_its_frame_count(tmp_path):
    whole = write_video(tmp_path / "whole.ts", **KINDS["interlaced.ts"]).read_bytes()
    (tmp_path / "part.ts").write_bytes(whole[188 * 30:])
    info, copy = copied(tmp_path / "part.ts")
    last = numbers(copy.path)[-50:]
    assert last == list(range(50, 100)) and 50 < info.frames < 100


@pytest.mark.parametrize("begin", [0, 12])
def test_audio_stays_in_sync(tmp_path, begin):
    """The file clicks at full seconds; audio before the first frame is dropped."""
    path = write_video(tmp_path / "v.mkv", range(begin, 100 + begin), "mpeg4", unit=Fraction(1, 25), sound="aac")
    _, copy = copied(path)
    with av.open(str(copy.path)) as container:
        heard = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
        loud = np.flatnonzero(np.abs(heard) > .2) / container.streams.audio[0].rate
    clicks = loud[np.diff(loud, prepend=-1) > .5]
    expected = np.arange(4) + bool(begin) - begin / 25
    np.testing.assert_allclose(clicks, expected, atol=.02)
    assert copy.has_audio and RATE != 48_000


def test_large_pictures_are_scaled_down_with_their_aspect_ratio(tmp_path):
    for rotation, size in ((0, (1280, 720)), (90, (720, 1280))):
        path = tmp_path / f"{rotation}.avi.mov"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 1440, 1080, "yuv420p"
            stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
            stream.set_display_rotation(rotation)
            for _ in range(3):
                container.mux(stream.encode(av.VideoFrame(1440, 1080, "yuv420p")))
            container.mux(stream.encode(None))
        info, copy = copied(path)
        assert (copy.width, copy.height) == size and copy.upright == (1, 0, 0, 1)
        assert (info.width, info.height) == ((1920, 1080) if not rotation else (1080, 1920))


def test_copy_is_kept_until_the_video_changes(tmp_path):
    video, cache = write_video(tmp_path / "v.avi", range(50), "mpeg4", unit=Fraction(1, 25)), tmp_path / "cache"
    first = make_proxy(video, cache)
    made = first.stat().st_mtime_ns
    assert make_proxy(video, cache) == first == proxy_path(video, cache) and first.stat().st_mtime_ns == made
    write_video(video, range(30), "mpeg4", unit=Fraction(1, 25))
    assert not proxy_path(video, cache).exists()
    second = make_proxy(video, cache)
    assert probe(second).frames == 30 and not first.exists()
    assert sorted(path.name for path in second.parent.iterdir()) == [".lock", second.name]


def test_video_that_cannot_be_copied_is_reported(tmp_path):
    (tmp_path / "v.avi").write_bytes(b"not a video")
    with pytest.raises(InputError, match="cannot be read as a video"):
        make_proxy(tmp_path / "v.avi", tmp_path / "cache")
    with pytest.raises(InputError, match="no such video"):
        make_proxy(tmp_path / "w.avi", tmp_path / "cache")
    assert not list(tmp_path.glob("cache/proxies/*.mp4"))


@pytest.fixture(scope="session")
def long_video(tmp_path_factory) -> Path:
    """A video that takes seconds to copy."""
    path = tmp_path_factory.mktemp("long") / "long.avi"
    return write_video(path, range(9000), "mpeg4", unit=Fraction(1, 25), numbers=[i % 1000 for i in range(9000)])


@pytest.fixture
def folder(tmp_path) -> Path:
    """A data set's folder with one video that browsers play and two that they do not."""
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "plays.mp4", range(0, 1000, 40))
    for name in ("a.avi", "b.avi"):
        write_video(tmp_path / "videos" / name, range(25), "mpeg4", unit=Fraction(1, 25))
    return tmp_path


def with_long(folder: Path, long_video: Path) -> Path:
    return Path(shutil.copy(long_video, folder / "videos"))


def command(*arguments: object, **more) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", "hrpro", "proxy", *map(str, arguments)], cwd=ROOT, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def copies(folder: Path) -> list[str]:
    return sorted(path.name.rsplit(".", 2)[0] for path in folder.glob("cache/proxies/*.mp4"))


def wait_for(seen, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(.02)


def test_command_copies_videos_that_browsers_cannot_play(folder):
    done = command(folder)
    output, errors = done.communicate(timeout=60)
    assert (done.returncode, errors, copies(folder)) == (0, "", ["a.avi", "b.avi"])
    assert output.splitlines()[-1] == \
        f"{folder}: 2 copies made, 0 already there, 0 failed; 1 video playable without a copy."
    done = command(folder, "plays", "a.avi")
    assert done.communicate(timeout=60)[0].endswith(": 1 copy made, 1 already there, 0 failed.\n")
    assert copies(folder) == ["a.avi", "b.avi", "plays.mp4"]


def test_command_reports_videos_that_it_cannot_copy(folder):
    (folder / "videos" / "broken.avi").write_bytes(b"not a video")
    done = command(folder)
    output, errors = done.communicate(timeout=60)
    assert done.returncode == 2 and "2 copies made, 0 already there, 1 failed" in output
    assert errors.startswith("error: ") and "broken.avi: cannot be read as a video" in errors
    done = command(folder, "nobody")
    assert done.communicate(timeout=60)[1] == f"error: {folder}/videos/nobody: no such video. Check the name.\n"
    assert done.returncode == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_cancelled_copy_leaves_no_partial_file(folder, long_video, number):
    video = with_long(folder, long_video)
    state = proxy_path(video, folder / "cache").with_suffix(".json")
    done = command(folder, "long")
    wait_for(state.exists)
    done.send_signal(number)
    assert done.wait(20) == 130 and done.stderr.read() == "cancelled\n"
    assert sorted(path.name for path in state.parent.iterdir()) == [".lock", state.name]
    assert "was cancelled" in order_proxy(video, folder / "cache")["fault"]


def test_full_disk_is_reported_in_one_line(folder, long_video):
    video = with_long(folder, long_video)
    done = command(folder, "long", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)))
    _, errors = done.communicate(timeout=60)
    assert done.returncode == 2 and "could not be written (File too large)" in errors and errors.count("\n") == 1
    assert copies(folder) == [] and "could not be written" in order_proxy(video, folder / "cache")["fault"]


def test_two_processes_make_a_copy_only_once(folder):
    pair = [command(folder, "a") for _ in range(2)]
    assert sorted(done.communicate(timeout=60)[0].splitlines()[-1].partition(": ")[2][:1] for done in pair)
    path, = (folder / "cache" / "proxies").glob("*.mp4")
    assert [done.returncode for done in pair] == [0, 0] and numbers(path) == list(range(25))


def makers() -> list[psutil.Process]:
    return children(os.getpid(), "proxy")


def test_ordered_copies_are_made_in_the_background_one_at_a_time(folder, long_video):
    video, cache = with_long(folder, long_video), folder / "cache"
    assert order_proxy(video, cache) == {"ready": False, "done": 0, "left": None, "fault": ""}
    wait_for(makers)                                    # its command line is empty for a moment while it starts
    maker, = makers()
    assert maker.nice() == 10 and os.getpgid(maker.pid) != os.getpgid(0)
    seen = []
    while not (how := order_proxy(video, cache))["ready"]:
        assert how["fault"] == ""
        seen += [how["done"]] if how["done"] is not None else []        # unknown for a moment at the end
        if order_proxy(folder / "videos" / "a.avi", cache)["done"] is not None:
            assert order_proxy(video, cache)["ready"]   # it has just been finished
            break
        assert len(makers()) <= 1
        time.sleep(.05)
    assert seen == sorted(seen) and .1 < seen[-1] <= 1
    wait_for(lambda: not makers())
    order_proxy(folder / "videos" / "a.avi", cache)
    wait_for(lambda: order_proxy(folder / "videos" / "a.avi", cache)["ready"])


def test_killed_copy_is_reported_and_can_be_retried(folder, long_video):
    video, cache = with_long(folder, long_video), folder / "cache"
    order_proxy(video, cache)
    wait_for(lambda: any(cache.glob("proxies/.*.mp4.*")))
    makers()[0].kill()
    wait_for(lambda: order_proxy(video, cache)["fault"])
    assert "ended without an error message" in order_proxy(video, cache)["fault"]
    assert any(cache.glob("proxies/.*.mp4.*"))
    assert order_proxy(video, cache, again=True)["fault"] == ""
    wait_for(lambda: order_proxy(video, cache)["ready"])
    assert not any(cache.glob("proxies/.*.mp4.*"))


def test_only_leftovers_of_copies_are_removed(folder):
    proxies = folder / "cache" / "proxies"
    proxies.mkdir(parents=True)
    left, kept = [".b.avi.1f-2e.mp4.abcdefgh", ".b.avi.1f-2e.json.a1b2c3_4"], [".my.mp4.backup", ".mine.mp4.abcdefgh"]
    for name in (*left, *kept):
        (proxies / name).write_text("mine")
    assert command(folder, "a").wait(30) == 0
    assert [name for name in (*left, *kept) if (proxies / name).exists()] == kept


@pytest.mark.parametrize("make", [os.mkfifo, lambda lock: lock.symlink_to("../../videos/b.avi")])
def test_lock_that_is_a_pipe_or_a_link_is_refused(folder, make):
    (folder / "cache" / "proxies").mkdir(parents=True)
    make(folder / "cache" / "proxies" / ".lock")
    done = command(folder, "a")
    _, errors = done.communicate(timeout=30)
    assert done.returncode == 2 and "proxies/.lock: cannot be written (" in errors and errors.count("\n") == 1
    assert "not a regular file), so no copy" in order_proxy(folder / "videos" / "a.avi", folder / "cache")["fault"]


@pytest.mark.parametrize("state", [
    "[]", '"x"', "7", "null", "{", '{"fault": {"a": 1}}', '{"fault": 5}', '{"ready": true}', '{"done": "half"}',
    '{"done": 2, "fault": "x"}', '{"left": []}'])
def test_invalid_state_of_a_copy_counts_as_unknown(folder, state):
    video, cache = folder / "videos" / "a.avi", folder / "cache"
    path = proxy_path(video, cache).with_suffix(".json")
    path.parent.mkdir(parents=True)
    path.write_text(state)
    answer = order_proxy(video, cache)
    assert answer.pop("fault").startswith("a.avi: making a copy that browsers can play ended without an error message")
    assert answer == {"ready": False, "done": None, "left": None}
    with open(path.with_name(".lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert order_proxy(video, cache) == {"ready": False, "done": None, "left": None, "fault": ""}


def test_fault_that_is_sent_in_a_header_is_short(folder):
    video, cache = folder / "videos" / "a.avi", folder / "cache"
    path = proxy_path(video, cache).with_suffix(".json")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"fault": "x" * 10**6}))
    assert order_proxy(video, cache)["fault"] == "x" * MOST_FAULT


def test_command_waits_for_the_lock_of_another_process(folder):
    cache = folder / "cache"
    (cache / "proxies").mkdir(parents=True)
    with open(cache / "proxies" / ".lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = command(folder, "a")
        time.sleep(1)
        assert done.poll() is None and copies(folder) == []
    assert done.wait(30) == 0 and copies(folder) == ["a.avi"]


def test_video_replaced_while_waiting_is_copied_in_its_new_version(folder):
    video, cache = folder / "videos" / "a.avi", folder / "cache"
    (cache / "proxies").mkdir(parents=True)
    other = write_video(folder / "other.avi", range(0, 60, 2), "mpeg4", unit=Fraction(1, 25), numbers=range(50, 80))
    with open(cache / "proxies" / ".lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = command(folder, "a")
        wait_for(lambda: any(file.path == lock.name for file in psutil.Process(done.pid).open_files()))
        other.replace(video)
    assert done.wait(30) == 0
    copy = proxy_path(video, cache)
    assert numbers(copy) == list(range(50, 80))
    np.testing.assert_allclose(probe(copy).times, probe(video).times, atol=1e-9)


def test_video_replaced_during_copying_leaves_no_copy(folder, long_video):
    video, cache = with_long(folder, long_video), folder / "cache"
    with pytest.raises(InputError, match=r"long.avi: was replaced while it was copied\. Copy it again"):
        make_proxy(video, cache, lambda _: Path(shutil.copy(folder / "videos" / "b.avi", folder / "new")).replace(video)
                   if video.stat().st_size > 50_000 else None)
    assert copies(folder) == []


def test_copy_resamples_to_the_same_frames_as_the_original(tmp_path):
    path = write_video(tmp_path / "v.avi", range(100), "mpeg4", unit=Fraction(1, 25), options={"bf": "2"})
    copy = make_proxy(path, tmp_path)
    both = [[read_number(picture) for picture in iter_frames(video, 40)] for video in (path, copy)]
    assert both[0] == both[1]
