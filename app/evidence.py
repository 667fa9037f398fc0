"""Everything known about one video: its labels and a run's outputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.results import detections, ranked
from app.routes import scores_url
from hrpro.data.dataset import DataSet, read_points, timebase_of
from hrpro.data.features import feature_length, sample_rows, score_timebase
from hrpro.data.points import Points
from hrpro.data.ranked import Ranked
from hrpro.data.run import STAGES, Run
from hrpro.data.segments import Segments
from hrpro.errors import InputError
from hrpro.timebase import Timebase
from hrpro.training.pseudo_labels import pseudo_labels


@dataclass(frozen=True, eq=False)
class PseudoLabels:
    """Stage 1's pseudo labels of a training video: action [T, C] and background [T], both 0/1."""

    action: NDArray[np.float32]
    background: NDArray[np.float32]


@dataclass(eq=False)
class Evidence:
    """What is known about one video.

    Attributes:
        timebase: of the rows of the score arrays.
        detections: {stage: segments}.
        cas, similarity: URLs of the score arrays (app/routes.py), "" if there are none.
        pseudo, ranked: None if there are none.
        missing: what is not available, each as a sentence with what to do.
    """

    video: str
    truth: Segments
    points: Points
    timebase: Timebase
    detections: dict[int, Segments] = field(default_factory=dict)
    cas: str = ""
    similarity: str = ""
    pseudo: PseudoLabels | None = None
    ranked: Ranked | None = None
    missing: list[str] = field(default_factory=list)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.truth.classes


def evidence(dataset: DataSet, run: Run | None, video: str) -> Evidence:
    """Collect everything on disk about a video; what is missing or invalid is listed in `missing`.

    Raises:
        InputError: the data set's settings are invalid.
    """
    known = Evidence(video, dataset.ground_truth.of_video(video), dataset.points.of_video(video),
                     timebase_of(dataset.root))
    if not len(known.truth):
        known.missing.append("The video has no annotated action in gt_full.json.")
    if not len(known.points) and video in dataset.listed["train"]:
        known.missing.append("This training video has no point. Label some on the Annotate page.")
    if run is None:
        known.missing.append("There is no run yet. Train stage 1 on the Train page to see scores and proposals.")
        return known
    splits = [split for split in ("test", "train") if video in dataset.listed[split]]
    if not splits:
        known.missing.append("The video is in neither split, so no run has looked at it. List it in split_train.txt or "
                             "split_test.txt.")
        return known
    with _said(known.missing):
        _scores(known, dataset, run, splits)
    with _said(known.missing):
        _proposals(known, dataset, run, splits)
    for stage in STAGES:
        with _said(known.missing):
            _detections(known, dataset, run, stage, splits)
    return known


@contextmanager
def _said(missing: list[str]) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        missing.extend(error.faults)


def _scores(known: Evidence, dataset: DataSet, run: Run, splits: list[str]) -> None:
    video = known.video
    for split in splits:
        scores, similarity = run.snippet_scores(split, video), run.similarity(split, video)
        if scores is None:
            continue
        if run.score_classes(split) != dataset.classes:
            raise InputError("The run was trained on other classes than the data set has now. Train again to see its "
                             "scores.")
        length = feature_length(dataset.root, split, video, len(scores))
        if "train" in splits and run.stage(1).points_file.exists():
            known.pseudo = _pseudo(known, dataset, run, length, scores[:, -1])
        known.timebase = score_timebase(known.timebase, length, len(scores))
        known.cas = scores_url(run, split, "cas", video)
        known.similarity = scores_url(run, split, "similarity", video) if similarity is not None else ""
        return
    known.missing.append(f"Stage 1 has no scores of this video yet. They are written when its training ends: "
                         f"test stage 1 of {run.name}.")


def _pseudo(known: Evidence, dataset: DataSet, run: Run, length: int, background: NDArray) -> PseudoLabels:
    config = run.config(1)
    points = read_points(run.stage(1).points_file, dataset.classes, dataset.fps, dataset.duration, [])
    matrix = points.matrix(known.video, known.timebase, length, len(background))
    certain = points.certain(known.video, known.timebase, length, sample_rows(length, len(background)))
    return PseudoLabels(*pseudo_labels(background, matrix, act_thresh=config.act_thresh, bkg_thresh=config.bkg_thresh,
                                       certain=certain))


def _proposals(known: Evidence, dataset: DataSet, run: Run, splits: list[str]) -> None:
    if not run.stage(1).proposals_file.exists():
        return
    document = ranked(run, dataset)
    for split in sorted(splits, reverse=True):          # a video in both splits has RP and NP under train only
        known.ranked = known.ranked or document[split].get(known.video)


def _detections(known: Evidence, dataset: DataSet, run: Run, stage: int, splits: list[str]) -> None:
    if not run.stage(stage).final_result.exists():
        known.missing.append(f"Stage {stage} has no detections yet. Train it on the Train page.")
    elif "test" not in splits:
        if stage == 1:
            known.missing.append("Detections are made of the test split; this is a training video.")
    else:
        known.detections[stage] = detections(run, stage, dataset).of_video(known.video)
