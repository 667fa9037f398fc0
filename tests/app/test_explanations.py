"""The app's explanation of every kind of mistake."""

import numpy as np
import pytest

from app.mistakes import Mistakes, explanation
from hrpro.data.segments import Segments
from hrpro.evaluation.average_precision import average_precision
from hrpro.evaluation.mistakes import KINDS, MISS_KINDS, best_overlap

CLASSES = ("bow", "wave*")


def segments(*rows):
    """Rows (start, end, label, score) of one video."""
    start, end, label, score = zip(*rows, strict=True)
    return Segments.make(start, end, label, CLASSES, ("v",), score)


#   |bow 0 - 10|      |wave* 20 - 30|      |bow 40 - 50|      |bow 60 - 70|   |wave* 80 - 90|
#                                          |bow 44 - 54|
TRUTH = segments((0, 10, 0, 1), (20, 30, 1, 1), (40, 50, 0, 1), (44, 54, 0, 1), (60, 70, 0, 1), (80, 90, 1, 1))
FOUND = segments((0, 10, 0, .9), (1, 10, 0, .85), (20, 29, 0, .8), (41, 51, 0, .7), (60, 64, 0, .6), (80, 84, 0, .5),
                 (55, 58, 0, .4), (60, 70, 0, .1))
WRONG = {1: "**Double detection.** The true *bow* that it overlaps (tIoU 0.90) is already found by a detection with a "
            "higher score (duplicate).",
         2: "**Wrong label.** Overlaps the true *wave\\** (tIoU 0.90): wrong class. Best overlap with a true *bow*: "
            "0.00.",
         4: "**Localization.** Overlaps its true *bow* by 0.40; 0.5 is needed: badly localised.",
         5: "**Confusion.** Overlaps the true *wave\\** by 0.40; 0.5 is needed: wrong class, and badly localised. Best "
            "overlap with a true *bow*: 0.00.",
         6: "**Background.** No annotated action here: background. Best overlap with a true *bow*: 0.00."}
MISSED = {1: "**Wrong label.** Detected as *bow* (tIoU 0.90, score 0.8000): wrong class.",
          3: "**Shared detection.** The detection that overlaps it most (tIoU 0.54, score 0.7000) finds another *bow*.",
          4: "**Low score.** A detection finds it (tIoU 1.00), but with the score 0.1000, below the chosen 0.3.",
          5: "**Confusion.** Best overlap with any detection: 0.40, with one of *bow* (score 0.5000)."}


@pytest.mark.parametrize(("kind", "expected"), [("wrong", WRONG), ("missed", MISSED)])
def test_every_mistake_is_explained(kind, expected):
    precision = average_precision(TRUTH, FOUND, [.5])
    chosen = Mistakes(kind, 2, .5, least=.3)
    rows = chosen.rows(precision)
    assert sorted(rows) == sorted(expected)
    others = precision.ground_truth if chosen.wrong else precision.predictions
    for row in rows:
        explained = chosen.explain(precision, np.array([row]))
        one = chosen.pool(precision)[row:row + 1]
        other = others[explained.other[explained.other >= 0]]
        own = best_overlap(one, precision.ground_truth, same_class=True)[1][0]
        assert explanation(chosen, one, explained, other, own) == expected[row]


@pytest.mark.parametrize(("wrong", "kind"), [*((True, kind) for kind in KINDS),
                                             *((False, kind) for kind in MISS_KINDS)])
def test_every_kind_has_an_explanation(wrong, kind):
    precision = average_precision(TRUTH, FOUND, [.5])
    chosen = Mistakes("wrong" if wrong else "missed", 2, .5, least=.3)
    explained = chosen.explain(precision, np.array([1]))
    explained.kind[0] = kind
    assert explanation(chosen, TRUTH[1:2], explained, FOUND[2:3], 0.).startswith(f"**{kind.capitalize()}.** ")
