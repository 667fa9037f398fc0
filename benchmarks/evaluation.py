"""Average precision at seven thresholds, compared with a loop over table rows as in the usual evaluation scripts."""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from benchmarks import synthetic
from hrpro.data.segments import Segments
from hrpro.evaluation.average_precision import average_precision

TIOU = np.arange(1, 8) / 10


def table(segments: Segments) -> pd.DataFrame:
    return pd.DataFrame({"video": np.array(segments.videos, object)[segments.video], "start": segments.start,
                         "end": segments.end, "label": segments.label, "score": segments.score})


def average_precision_by_row(truth: pd.DataFrame, found: pd.DataFrame) -> np.ndarray:
    """AP of one class at each threshold, one prediction at a time."""
    found = found.sort_values("score", ascending=False, kind="stable")
    by_video = truth.reset_index(drop=True).groupby("video")
    hit = np.zeros((len(found), len(TIOU)), bool)
    taken = np.zeros((len(truth), len(TIOU)), bool)
    for position, (_, row) in enumerate(found.iterrows()):
        if row["video"] not in by_video.groups:
            continue
        candidates = by_video.get_group(row["video"])
        start, end = candidates["start"].to_numpy(), candidates["end"].to_numpy()
        shared = (np.minimum(end, row["end"]) - np.maximum(start, row["start"])).clip(0)
        iou = shared / ((end - start) + (row["end"] - row["start"]) - shared)
        best_first = np.argsort(-iou, kind="stable")
        for k, threshold in enumerate(TIOU):
            for index in best_first:
                if iou[index] < threshold:
                    break
                candidate = candidates.index[index]
                if not taken[candidate, k]:
                    taken[candidate, k] = hit[position, k] = True
                    break
    precision = hit.cumsum(axis=0) / np.arange(1, len(hit) + 1)[:, None]
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return (envelope * hit).sum(axis=0) / len(truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    synthetic.add_arguments(parser)
    parser.add_argument("--by-row", type=int, default=10_000, help="predictions that the loop gets")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    truth = synthetic.ground_truth(rng)
    found = synthetic.detections(truth, args.predictions, rng)
    some = found[rng.permutation(len(found))[:args.by_row]]

    spent = []
    for _ in range(5):
        began = time.perf_counter()
        average_precision(truth, found, TIOU)
        spent.append(time.perf_counter() - began)
    ours = min(spent) / len(found)

    began = time.perf_counter()
    truths, founds = table(truth).groupby("label"), dict(iter(table(some).groupby("label")))
    by_row = np.array([average_precision_by_row(rows, founds[label]) for label, rows in truths])
    theirs = (time.perf_counter() - began) / len(some)
    difference = np.abs(by_row - average_precision(truth, some, TIOU).per_class).max()
    print(f"average precision, {len(found)} predictions, seven thresholds: {ours * 1e6:.1f} µs a prediction, "
          f"by row {theirs * 1e6:.0f} µs, {theirs / ours:.0f} x (best of five; greatest difference in AP "
          f"{difference:.0e} on {len(some)})")


if __name__ == "__main__":
    main()
