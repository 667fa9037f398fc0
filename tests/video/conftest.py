"""One small video file of each common kind."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numbered_video import cut, hide_a_picture, write_video


@pytest.fixture(scope="session")
def clips(tmp_path_factory) -> dict[str, Path]:
    """Files, keyed by what is special about them."""
    root = tmp_path_factory.mktemp("clips")
    even = range(0, 4000, 40)
    uneven = np.cumsum(np.random.default_rng(0).integers(20, 90, 100)).tolist()
    faststart = {"movflags": "faststart"}
    made = {
        "even": write_video(root / "even.mp4", even, options={"bf": "0"}, container_options=faststart),
        "b_frames": write_video(root / "b_frames.mp4", even, options={"bf": "3", "b-adapt": "0"}),
        "uneven": write_video(root / "uneven.mp4", uneven, options={"bf": "3", "b-adapt": "0"}),
        "fragmented": write_video(root / "fragmented.mp4", even,
                                  container_options={"movflags": "frag_keyframe+empty_moov"}),
        "one_frame": write_video(root / "one_frame.mp4", [0]),
        "vp9": write_video(root / "vp9.webm", even, "libvpx-vp9", {"cpu-used": "8", "deadline": "realtime"}),
        "vp8": write_video(root / "vp8.webm", even, "libvpx", {"cpu-used": "8", "deadline": "realtime"}),
        "matroska": write_video(root / "matroska.mkv", even),
        "avi": write_video(root / "avi.avi", range(100), options={"bf": "3", "b-adapt": "0"}, unit=Fraction(1, 25)),
        "turned": write_video(root / "turned.mp4", even, rotation=90),
    }
    made["hidden"] = hide_a_picture(made["vp8"], root / "hidden.webm", 5)
    made["cut"] = cut(made["b_frames"], root / "cut.mp4", 1.2)
    return made
