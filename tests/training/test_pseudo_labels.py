import numpy as np
import pytest

from hrpro.training.pseudo_labels import pseudo_labels


@pytest.fixture(scope="module")
def cases(reference):
    arrays = np.load(reference / "pseudo_labels.npz")
    return [{name: arrays[f"{i}_{name}"] for name in ("background", "points", "action_out", "background_out")}
            for i in range(len(arrays.files) // 4)]


def test_pseudo_labels_match_the_published_program(cases):
    assert len(cases) == 24
    for case in cases:
        action, background = pseudo_labels(case["background"], case["points"])
        np.testing.assert_array_equal(action, case["action_out"])
        np.testing.assert_array_equal(background, case["background_out"])


def test_concatenated_videos_do_not_affect_each_other(cases):
    def joined(name):
        return np.concatenate([case[name] for case in cases])

    lengths = [len(case["points"]) for case in cases]
    action, background = pseudo_labels(joined("background"), joined("points"), lengths)
    np.testing.assert_array_equal(action, joined("action_out"))
    np.testing.assert_array_equal(background, joined("background_out"))


#   snippet      0    1    2    3    4    5    6    7    8
#   point                  A                   B
#   b           .96  .05   0   .05  .97  .5    0   .05  .3
#   background   x                   x                   x
#   action            A    A    A              B    B
def test_small_timeline_matches_hand_computed_labels():
    background = np.array([.96, .05, 0, .05, .97, .5, 0, .05, .3])
    points = np.zeros((9, 2))
    points[2, 0] = points[6, 1] = 1
    action, is_background = pseudo_labels(background, points)
    np.testing.assert_array_equal(is_background, [1, 0, 0, 0, 1, 0, 0, 0, 1])
    np.testing.assert_array_equal(action[:, 0], [0, 1, 1, 1, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(action[:, 1], [0, 0, 0, 0, 0, 0, 1, 1, 0])


@pytest.mark.parametrize("points", [np.zeros((4, 1)), np.ones((4, 1)), np.ones((1, 3)), np.zeros((1, 2))])
def test_videos_without_points_or_gaps_have_no_background(points):
    action, background = pseudo_labels(np.full(len(points), .5), points)
    np.testing.assert_array_equal(action, points)
    assert not background.any()


def test_video_without_points_between_others_stays_unlabelled():
    points = np.zeros((9, 1))
    points[1] = points[7] = 1
    action, background = pseudo_labels(np.full(9, .99), points, [3, 3, 3])
    np.testing.assert_array_equal(background, [1, 0, 1, 0, 0, 0, 1, 0, 1])
    np.testing.assert_array_equal(action[:, 0], points[:, 0])


#   snippet      0    1    2    3    4    5    6    7    8
#   point                  A                   B
#   accepted               A    A    A
#   b           .05  .05   0   .05  .97  .05   0   .05  .3
#   background   x                        x             x     5: a gap keeps one background snippet
#   action                 A    A    A         B    B
def test_accepted_segment_is_action_up_to_its_ends_and_no_further():
    background = np.array([.05, .05, 0, .05, .97, .05, 0, .05, .3])
    points, certain = np.zeros((9, 2)), np.zeros((9, 2))
    points[2, 0] = points[6, 1] = certain[2:5, 0] = 1
    action, is_background = pseudo_labels(background, points, certain=certain)
    assert action[:, 0].tolist() == [0, 0, 1, 1, 1, 0, 0, 0, 0]
    assert action[:, 1].tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 0]
    assert is_background.tolist() == [1, 0, 0, 0, 0, 1, 0, 0, 1]
    without, _ = pseudo_labels(background, points)
    assert without[:, 0].tolist() == [0, 1, 1, 1, 0, 0, 0, 0, 0]
    for one, other in zip(pseudo_labels(background, points, certain=0 * certain), pseudo_labels(background, points),
                          strict=True):
        np.testing.assert_array_equal(one, other)
