"""Reading proposals.json: what ranking writes, and other contents."""

import numpy as np
import pytest

from hrpro.data.ranked import read_ranked
from hrpro.errors import InputError
from hrpro.files import write_json
from hrpro.timebase import Timebase

CLASSES = ("jump", "run")
TIMEBASES = dict.fromkeys(("train", "test"), Timebase(25, 16, 16, 0))
DOCUMENT = {"train": {"a": {"PP": {"run": [[0, 4, .5], [1, 2, -.25]], "jump": [[8, 9, .75]]},
                            "RP": {"run": [None, [0, 4, .5]], "jump": [None]}, "NP": [[10, 20, -.5]]}},
            "test": {"b": {"PP": {}}}}


def test_reads_what_ranking_writes(tmp_path):
    write_json(tmp_path / "proposals.json", DOCUMENT)
    ranked = read_ranked(tmp_path / "proposals.json", CLASSES, TIMEBASES)
    mine = ranked["train"]["a"]
    assert mine.positive.label.tolist() == [1, 1, 0]
    assert mine.positive.score.tolist() == [.5, -.25, .75]
    assert mine.reliable.start.tolist() == [0] and mine.reliable.label.tolist() == [1]
    assert mine.negative.classes == ("background",)
    np.testing.assert_allclose([mine.negative.start, mine.negative.end], [[6.4], [12.8]])   # 16 frames at 25 fps each
    assert [len(part) for part in (ranked["test"]["b"].positive, ranked["test"]["b"].reliable)] == [0, 0]


@pytest.mark.parametrize("document", [[], {"train": {}}, {"train": {"a": {"PP": {"swim": [[0, 1, 1]]}}}, "test": {}},
                                      {"train": {"a": {"PP": {"run": [[0, 1]]}}}, "test": {}}])
def test_other_contents_are_refused(tmp_path, document):
    write_json(tmp_path / "proposals.json", document)
    with pytest.raises(InputError, match=r"proposals\.json: does not hold this data set's proposals .* again"):
        read_ranked(tmp_path / "proposals.json", CLASSES, TIMEBASES)
