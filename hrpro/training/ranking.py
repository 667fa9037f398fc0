"""Point-based proposals ranked by reliability: PP, RP and NP of every video (docs/method.md, section 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrpro.data.features import sample_rows
from hrpro.data.segments import Segments
from hrpro.files import write_json
from hrpro.proposals.reliability import negative_proposals, reliable_proposals
from hrpro.training.pseudo_labels import pseudo_labels
from hrpro.training.session import Session


def rank(session: Session, raw: dict[str, Segments], background: dict[str, NDArray]) -> None:
    """Write proposals.json.

    For each split and video, the file holds PP {class: [[start, end, score], …]} in seconds; for training videos also
    RP {class: [[start, end, score], or null, per point]} in seconds and NP [[start, end, score], …] in snippets. For a
    point with an accepted segment, RP is that segment with score 1.

    Args:
        session: the running session.
        raw: {split: raw proposals}.
        background: {training video: background score, [T]}.
    """
    ranked: dict[str, dict[str, Any]] = {}
    for split, proposals in raw.items():
        ranked[split] = {}
        for number, (video, mine) in enumerate(proposals.by_video()):
            if video not in session.dataset.features[split].lengths:
                continue
            entry = ranked[split][video] = {"PP": _by_class(mine)}
            if split == "train":
                entry["RP"] = _reliable(session, video, mine)
                entry["NP"] = _negative(session, video, background[video], len(mine) // 2, number)
    write_json(session.folder.proposals_file, ranked)


def _rows(segments: Segments) -> NDArray[np.float64]:
    return np.stack([segments.start, segments.end, segments.score], axis=1)


def _by_class(segments: Segments) -> dict[str, NDArray[np.float64]]:
    return {segments.classes[label]: _rows(segments[segments.label == label]) for label in np.unique(segments.label)}


def _reliable(session: Session, video: str, proposals: Segments) -> dict[str, list[NDArray | None]]:
    points = session.dataset.points.of_video(video)
    rows = _rows(proposals)
    chosen: dict[str, list[NDArray | None]] = {}
    for label, best, accepted, segment in zip(points.label, reliable_proposals(proposals, points), points.accepted,
                                              points.segment, strict=True):
        row = np.append(segment, 1.) if accepted else None if best is None else rows[best]
        chosen.setdefault(points.classes[label], []).append(row)
    return chosen


def _negative(session: Session, video: str, background: NDArray, count: int, number: int) -> NDArray[np.float64]:
    features, config = session.dataset.features["train"], session.config
    points, length = session.dataset.points, features.lengths[video]
    certain = points.certain(video, features.timebase, length, sample_rows(length, len(background)))
    _, is_background = pseudo_labels(background, points.matrix(video, features.timebase, length, len(background)),
                                     act_thresh=config.act_thresh, bkg_thresh=config.bkg_thresh, certain=certain)
    edges = np.diff(np.pad(is_background, 1))
    runs = np.stack([np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)], axis=1)
    sampled = negative_proposals(runs, count, session.generator(number))
    sampled[:, :2] *= length / len(background)         # from sampled rows to snippets of the video
    return sampled
