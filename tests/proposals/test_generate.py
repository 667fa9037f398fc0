import numpy as np
import pytest

from hrpro.errors import InputError
from hrpro.proposals.generate import snippet_proposals
from hrpro.timebase import Timebase

SECONDS = Timebase(fps=16)  # one snippet is one second
PUBLISHED = {"class_thresh": .5, "act_thresh_cas": np.arange(0, .25, .025),
             "act_thresh_agnostic": np.arange(.5, .725, .025)}


def proposals(P, background, video_score, timebase=SECONDS, **settings):
    classes = [f"class {index}" for index in range(len(video_score))]
    return snippet_proposals(np.asarray(P), np.asarray(background), np.asarray(video_score), timebase,
                             classes=classes, video="v", videos=["u", "v"], **settings)


def rows(segments):
    columns = np.column_stack([segments.start, segments.end, segments.label, segments.score])
    return columns[np.lexsort(columns.round(6).T)]


@pytest.mark.parametrize("case", range(6))
def test_proposals_match_the_published_program(reference, case):
    golden = np.load(reference / "proposals.npz")
    inputs = (golden[f"{case}_{name}"] for name in ("P", "background", "video_score"))
    expected = golden[f"{case}_proposals"]
    found = proposals(*inputs, Timebase(), **PUBLISHED)
    np.testing.assert_allclose(rows(found), expected[np.lexsort(expected.round(6).T)], rtol=0, atol=1e-9)
    assert set(found.video) == {1}


def test_outer_inner_contrast_matches_hand_computed_scores():
    """Upsampling by 1 keeps the rows:   P  .1 .1 .8 .6 .8 .7 .1 .2 .1 .1
    threshold .15 gives two runs                   |_________|  |__|       (rows 2-5 and 7)
    margins read 0 below the threshold             0 0 ... 0 .2            (one row on each side of the four)
    threshold .5 on 1 - b, b = .4 in rows 2-4, gives   |_____|             margins: a quarter of three rows is less than
    one, so none on the right, but the left bound is rounded down to row 1.
    """
    P = np.array([.1, .1, .8, .6, .8, .7, .1, .2, .1, .1])[:, None]
    background = np.full(10, .9)
    background[2:5] = .4
    found = proposals(P, background, [.9], class_thresh=.5, act_thresh_cas=[.15], act_thresh_agnostic=[.5], upsample=1)
    np.testing.assert_allclose(np.column_stack([found.start, found.end, found.score]), [
        [2, 6, (.8 + .6 + .8 + .7) / 4 - 0 / 2],
        [7, 8, .2 - 0],
        [2, 5, (.8 + .6 + .8) / 3 - .1 / 1]])


def test_margin_includes_a_neighbouring_run_above_the_threshold():
    """A gap of one row separates a run of eight rows from the next:  .5 ... .5 .1 .9
    A quarter of eight rows is a margin of two: .1 is below the threshold and reads as 0, .9 is included.
    """
    P = np.array([.5] * 8 + [.1, .9])[:, None]
    found = proposals(P, np.ones(10), [1.], class_thresh=.5, act_thresh_cas=[.2], act_thresh_agnostic=[.5], upsample=1)
    np.testing.assert_allclose(found.score, [.5 - .9 / 2, .9 - 0])


def test_upsampling_extrapolates_at_the_end_and_times_follow_the_timebase():
    found = proposals([[0.], [.2], [.4]], [1., 1., 1.], [1.], Timebase(fps=25, stride=16, offset=8), class_thresh=.5,
                      act_thresh_cas=[.45], act_thresh_agnostic=[.5])
    # rows 0, .1, .2, .3, .4 and the extrapolated .5: only the last half snippet reaches .45
    np.testing.assert_allclose([found.start[0], found.end[0]], [(2.5 * 16 + 8) / 25, (3 * 16 + 8) / 25])
    np.testing.assert_allclose(found.score, .5 - 0)


def test_best_class_is_used_if_none_reaches_the_threshold_and_gamma_adds_its_score():
    P, background = np.full((4, 3), .3), np.ones(4)
    settings = {"class_thresh": .5, "act_thresh_cas": [0.], "act_thresh_agnostic": []}
    found = proposals(P, background, [.1, .4, .2], gamma=.5, **settings)
    assert found.label.tolist() == [1]
    np.testing.assert_allclose(found.score, .3 + .5 * .4)
    assert proposals(P, background, [.5, .4, .7], **settings).label.tolist() == [0, 2]


def test_sampled_scores_are_stretched_over_the_whole_video():
    found = proposals(np.full((4, 1), .3), np.ones(4), [1.], class_thresh=.5, act_thresh_cas=[0.],
                      act_thresh_agnostic=[], snippets=10)
    assert (found.start[0], found.end[0]) == (0, 10)


@pytest.mark.parametrize("length", [0, 1])
def test_empty_and_one_snippet_videos_work(length):
    found = proposals(np.full((length, 2), .3), np.full(length, .2), [.9, .1], **PUBLISHED)
    assert len(found) == length * (10 + 9)


def test_error_for_non_finite_scores_names_the_video():
    with pytest.raises(InputError, match="v: the model's scores are not finite"):
        proposals([[np.nan], [.2]], [.1, .1], [.9], **PUBLISHED)
