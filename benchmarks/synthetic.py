"""Synthetic detections and ground truth of THUMOS14's size: 210 videos, 20 classes, 180,000 detections."""

from __future__ import annotations

import argparse

import numpy as np

from hrpro.data.segments import Segments

CLASSES = tuple(f"class {index}" for index in range(20))
VIDEOS = tuple(f"video {index}" for index in range(210))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--predictions", type=int, default=180_000)
    parser.add_argument("--seed", type=int, default=0)


def ground_truth(rng: np.random.Generator) -> Segments:
    """Draw 3,300 actions; a sixth of the videos show a second class; action and video lengths vary as in real data."""
    shown = [(video, label) for video in range(len(VIDEOS))
             for label in rng.choice(len(CLASSES), 1 + (rng.random() < 1 / 6), replace=False)]
    duration = rng.lognormal(5, .7, len(VIDEOS))
    weight = np.array([duration[video] for video, _ in shown])
    video, label = np.array(shown)[rng.choice(len(shown), 3300, p=weight / weight.sum())].T
    length = np.minimum(rng.lognormal(1.1, .7, 3300), duration[video] / 2)
    start = rng.uniform(0, duration[video] - length)
    return Segments(start, start + length, label, np.ones(3300), video, CLASSES, VIDEOS)


def detections(truth: Segments, count: int, rng: np.random.Generator) -> Segments:
    """Draw detections: two thirds around an action, more accurate at higher scores, the rest anywhere in the video."""
    row = rng.integers(0, len(truth), count)
    near = rng.random(count) < 2 / 3
    spread = rng.gamma(1, .3, count)
    length = truth.length[row]
    last = np.zeros(len(VIDEOS))
    np.maximum.at(last, truth.video, truth.end)
    start = np.where(near, truth.start[row] + spread * rng.normal(size=count) * length,
                     rng.uniform(0, last[truth.video[row]]))
    end = np.where(near, truth.end[row] + spread * rng.normal(size=count) * length, start + rng.lognormal(1, 1, count))
    score = 1 - spread + rng.normal(0, .3, count) - ~near
    return Segments(np.minimum(start, end), np.maximum(start, end), truth.label[row], score, truth.video[row],
                    CLASSES, VIDEOS)
