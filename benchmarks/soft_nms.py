"""Soft-NMS over the proposals of all test videos at once, compared with a numpy loop over groups and segments."""

from __future__ import annotations

import argparse
import time

import numpy as np

from benchmarks import synthetic
from hrpro.data.segments import Segments
from hrpro.proposals.soft_nms import soft_nms


def soft_nms_by_segment(segments: Segments, sigma: float = .3) -> np.ndarray:
    """Decayed scores of one group, one selection at a time."""
    score, left = segments.score.copy(), np.arange(len(segments))
    while len(left):
        best = left[score[left].argmax()]
        left = left[left != best]
        shared = np.maximum(0, np.minimum(segments.end[left], segments.end[best])
                            - np.maximum(segments.start[left], segments.start[best]))
        iou = shared / (segments.length[left] + segments.length[best] - shared)
        score[left] *= np.exp(-iou ** 2 / sigma)
    return score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    synthetic.add_arguments(parser)
    parser.add_argument("--device", help="a torch device; numpy on the CPU without it")
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    segments = synthetic.detections(synthetic.ground_truth(rng), args.predictions, rng)
    group = segments.video * len(segments.classes) + segments.label
    groups = [np.flatnonzero(group == index) for index in np.unique(group)]

    spent = []
    for _ in range(3):
        began = time.perf_counter()
        found = soft_nms(segments, one_second_added=False, device=args.device).score
        spent.append(time.perf_counter() - began)
    began = time.perf_counter()
    by_segment = np.empty(len(segments))
    for rows in groups:
        by_segment[rows] = soft_nms_by_segment(segments[rows])
    theirs = time.perf_counter() - began
    print(f"soft-NMS, {len(segments)} proposals in {len(groups)} groups of up to {max(map(len, groups))}: "
          f"{min(spent):.2f} s, by segment {theirs:.1f} s, {theirs / min(spent):.1f} x (best of three; greatest "
          f"difference {np.abs(found - by_segment).max():.0e})")


if __name__ == "__main__":
    main()
