"""Data sets and the results of runs, read once per state of their files and shared by all tabs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from hrpro.config import Config, config_of
from hrpro.data.dataset import SPLITS, DataSet, open_dataset, timebase_of
from hrpro.data.ranked import Ranked, read_ranked
from hrpro.data.run import Run
from hrpro.data.segments import Segments
from hrpro.evaluation.average_precision import AveragePrecision, average_precision

Stamp = tuple[tuple[str, int, int], ...]
NO_TRUTH = ("mAP cannot be measured: no video of the test split has an annotated action. Add `annotations` with "
            "`label` and `segment` to its videos in gt_full.json. Until then, look at the detections in Explore.")
CHECKPOINTS = {"last": "last", "best": "best on test"}


@dataclass(frozen=True, eq=False)
class Result:
    """Evaluation of one stage of a run.

    Attributes:
        config: settings that the stage ran with.
        precision: of the saved detections, measured now; None without ground truth.
        checkpoint: "last" or "best", whichever scores the same as the saved detections; "" if neither does.
        reports: {"last", "best"} -> what training measured, as `evaluate --json` prints it, with "step".
    """

    run: Run
    stage: int
    config: Config
    precision: AveragePrecision | None
    checkpoint: str
    reports: Mapping[str, Mapping[str, Any]]

    @property
    def name(self) -> str:
        return f"{self.run.name}, stage {self.stage}"


def stamp(*paths: Path) -> Stamp:
    """Path, modification time and size of each existing file; changes whenever one of them does."""
    found = ((path, path.stat()) for path in paths if path.exists())
    return tuple((str(path), status.st_mtime_ns, status.st_size) for path, status in found)


def data_stamp(root: Path) -> Stamp:
    """The state of a data set's text files, that is of everything but videos and features."""
    names = ("gt_full.json", "classes.txt", "split_train.txt", "split_test.txt", "config.yaml", "Ambiguous_test.txt",
             "features/timebase.yaml")
    return stamp(*(root / name for name in names), *sorted((root / "point_labels").rglob("*.*")))


def load_dataset(root: Path) -> DataSet:
    """The data set, without its features.

    Raises:
        InputError: its settings or files are invalid; lists all faults.
    """
    return _load_dataset(root, data_stamp(root))


@st.cache_resource(max_entries=8, show_spinner="Reading the data set")
def _load_dataset(root: Path, state: Stamp) -> DataSet:
    return open_dataset(config_of(root), features=False)


def detections(run: Run, stage: int, dataset: DataSet) -> Segments:
    """Final detections of a stage.

    Raises:
        InputError: there are none yet, or they do not belong to this data set.
    """
    path = run.stage(stage).final_result
    return _detections(run, stage, dataset.classes, stamp(path))


@st.cache_resource(max_entries=8, show_spinner="Reading detections")
def _detections(run: Run, stage: int, classes: tuple[str, ...], state: Stamp) -> Segments:
    return run.detections(stage, classes)


def ranked(run: Run, dataset: DataSet) -> dict[str, dict[str, Ranked]]:
    """PP, RP and NP of every video, {split: {video: …}}.

    Raises:
        InputError: there are none yet, or they do not belong to this data set.
    """
    path, root = run.stage(1).proposals_file, dataset.root
    return _ranked(path, root, dataset.classes, stamp(path, root / "config.yaml", root / "features" / "timebase.yaml"))


@st.cache_resource(max_entries=2, show_spinner="Reading proposals")
def _ranked(path: Path, root: Path, classes: tuple[str, ...], state: Stamp) -> dict[str, dict[str, Ranked]]:
    return read_ranked(path, classes, dict.fromkeys(SPLITS, timebase_of(root)))


def result(dataset: DataSet, run: Run, stage: int) -> Result:
    """Evaluate a stage's detections on the data set's test split.

    Raises:
        InputError: there are no detections yet, or files do not belong together.
    """
    folder = run.stage(stage)
    return _result(dataset.root, run, stage, data_stamp(dataset.root),
                   stamp(folder.final_result, folder.metrics_file, folder.config_file))


@st.cache_resource(max_entries=16, show_spinner="Measuring detections")
def _result(root: Path, run: Run, stage: int, data: Stamp, files: Stamp) -> Result:
    dataset, config = load_dataset(root), run.config(stage)
    found = detections(run, stage, dataset)
    truth = dataset.test_truth(config.blocked_videos)
    precision = average_precision(truth, found, config.tiou_thresholds) if len(truth) else None
    reports = run.stage(stage).reports()
    reports = {name: reports[name] for name in CHECKPOINTS if reports.get(name, {}).get("per_class")}
    return Result(run, stage, config, precision, _checkpoint(precision, reports, config.checkpoint), reports)


def _checkpoint(precision: AveragePrecision | None, reports: Mapping[str, Mapping[str, Any]], wish: str) -> str:
    """The checkpoint that scores the same as the saved detections, `wish` if both do; "" if none does."""
    if precision is None:
        return ""
    measured = list(precision.mAP)
    return next((name for name in sorted(reports, key=lambda name: name != wish)
                 if len(reports[name]["mAP"]) == len(measured)
                 and np.allclose(list(reports[name]["mAP"].values()), measured, atol=1e-6)), "")
