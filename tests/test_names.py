"""Which known name an unknown one is matched with."""

import time

import numpy as np
import pytest

from hrpro.names import nearest

VIDEOS = ("ZZVrH3Hv1fM", "F_EHrfbYsRE", "video_test_0000004", "Zoë")
CLASSES = ("Washing hands", "Running a marathon", "CleanAndJerk", "Long jump", "Jump")


@pytest.mark.parametrize(("name", "known", "expected"), [
    ("v_ZZVrH3Hv1fM", VIDEOS, "ZZVrH3Hv1fM"),           # as in half of ActivityNet's tools
    ("v_F_EHrfbYsRE", VIDEOS, "F_EHrfbYsRE"),
    ("ZZVrH3Hv1fM.mp4", VIDEOS, "ZZVrH3Hv1fM"),
    ("rgb/ZZVrH3Hv1fM.npy", VIDEOS, "ZZVrH3Hv1fM"),
    ("ZZVrH3Hv1fM_resized", VIDEOS, "ZZVrH3Hv1fM"),
    ("zzvrh3hv1fm", VIDEOS, "ZZVrH3Hv1fM"),
    ("ZZVrH3Hv1fM", ("v_ZZVrH3Hv1fM", "v_F_EHrfbYsRE"), "v_ZZVrH3Hv1fM"),
    ("video_test_4", VIDEOS, "video_test_0000004"),
    ("Zoe\u0308", VIDEOS, "Zoë"),                       # the accent as a separate character
    ("video_test_0000005", VIDEOS, None),               # one different digit means another video
    ("video_test_0000040", VIDEOS, None),
    ("video_test_40", ("video_test_4", "video_test_400", "1video_test_40"), "1video_test_40"),
    ("v_a", ("a", "b"), "a"),
    ("a_rgb", ("a", "b"), "a"),
    ("a", VIDEOS, None),
    ("...", VIDEOS, None),
    ("washing_hands", CLASSES, "Washing hands"),
    ("WashingHands", CLASSES, "Washing hands"),
    ("Wahsing hands", CLASSES, "Washing hands"),
    ("Runing a marathon", CLASSES, "Running a marathon"),
    ("Clean and Jerk", CLASSES, "CleanAndJerk"),
    ("high jump", CLASSES, "Jump"),
    ("Swimming", CLASSES, None),
])
def test_name_is_matched_with_the_intended_one(name, known, expected):
    assert nearest([name], known) == ({} if expected is None else {name: expected})


def test_matching_against_20000_names_is_fast():
    rng = np.random.default_rng(0)
    known = ["".join(rng.choice(list("abcdefghijklmnop"), 11)) for _ in range(20_000)]
    names = [f"v_{known[3]}", known[4][::-1], "abcabcabcab", known[5][:5] + "z" + known[5][6:], "no such video"]
    began = time.process_time()
    found = nearest(names, known)
    assert time.process_time() - began < 2              # .2 s on an idle machine
    assert (found[names[0]], found[names[3]]) == (known[3], known[5])


def test_a_whole_file_in_place_of_a_name_is_not_compared():
    began = time.process_time()
    assert nearest(["ab" * 10**6], ["run", "jump" * 10**5]) == {}
    assert time.process_time() - began < .5
