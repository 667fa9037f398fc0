"""Suggestions of a run for labelling: its segments, and the moments most worth labelling next."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hrpro.data.dataset import SPLITS, timebase_of
from hrpro.data.features import feature_length, score_timebase
from hrpro.data.points import Points
from hrpro.data.ranked import read_ranked
from hrpro.data.run import STAGES, Run
from hrpro.data.segments import Segments
from hrpro.labels.history import class_successors
from hrpro.labels.operations import LabelStore
from hrpro.proposals.soft_nms import soft_nms
from hrpro.timebase import Timebase

LEAST = .3                                              # share of the best score below which proposals are hidden
APART = .3                                              # tIoU from which two proposals count as the same
BESIDE = 1.                                             # seconds by which a person may miss a proposal
LOW = .2                                                # class score below which the model sees something else


def current_names(classes: Iterable[str], store: LabelStore) -> tuple[str, ...]:
    """What a run's classes are called now; those that were merged since have one name."""
    changes = {"class", "rename", "merge", "undo", "redo"}
    names = class_successors(operation for operation in store.operations() if operation["kind"] in changes)
    return tuple(names.get(name, name) for name in classes)


def proposed(run: Run, store: LabelStore) -> Segments:
    """Proposals of a run for every video: detections of its last stage, otherwise PP after soft-NMS; scores up to 1.

    Detections exist for the test split only, PP for both splits. The classes are the run's own, by their current names.

    Raises:
        InputError: the run has no proposals yet, or they belong to another data set.
    """
    classes = next(filter(None, (run.score_classes(split) for split in SPLITS)), ())
    videos = tuple(store.dataset.duration)
    ranked = read_ranked(run.stage(1).proposals_file, classes, dict.fromkeys(SPLITS, Timebase()))
    place = {video: index for index, video in enumerate(videos)}
    parts = {video: part.positive for split in SPLITS for video, part in ranked[split].items() if video in place}
    columns = [(part.start, part.end, part.label, part.score, np.full(len(part), place[video]))
               for video, part in parts.items()]
    found = Segments(*map(np.concatenate, zip(*columns, strict=True)), classes, videos) if columns else \
        Segments.empty(classes, videos)
    found = soft_nms(found, run.config(1).nms_sigma, one_second_added=False)
    for stage in reversed(STAGES):
        if run.stage(stage).final_result.exists():
            final = run.detections(stage, classes)
            index = np.array([place.get(video, -1) for video in final.videos], np.intp)[final.video]
            final = Segments(*(column[index >= 0] for column in (final.start, final.end, final.label, final.score)),
                             index[index >= 0], classes, videos)
            found = Segments.concatenate([_scaled(found[~np.isin(found.video, final.video)]), _scaled(final)])
            break
    names = current_names(classes, store)
    merged = tuple(dict.fromkeys(names))
    label = np.array([merged.index(name) for name in names], np.intp)[found.label]
    return _scaled(dataclasses.replace(found, label=label, classes=merged))


def _scaled(segments: Segments) -> Segments:
    """Segments with scores as a share of the best; those below `LEAST` are dropped."""
    best = segments.score.max(initial=1e-9)
    kept = segments[segments.score >= LEAST * best]
    return dataclasses.replace(kept, score=kept.score / best)


@dataclass(frozen=True)
class Moment:
    """A moment worth looking at: video, time in seconds, class, reason, and priority from 0 to 1."""

    video: str
    time: float
    label: str
    why: str
    worth: float


def next_labels(store: LabelStore, run: Run, found: Segments | None = None, *,
                all_videos: bool = False) -> list[Moment]:
    """The moments most worth labelling or checking next, best first.

    These are confident proposals without a point of their class (except refused ones, those in videos marked as done,
    and those of removed classes), points whose class scores low, several points in one proposal, and points just
    outside a proposal. A proposal is confident if its score is at least the median of the best proposals around points,
    or half of the best score if there are few points.

    Args:
        found: the result of `proposed`, if already known.
        all_videos: also suggest videos outside the training split, where points are not used in training.

    Raises:
        InputError: the run has no proposals yet, or they belong to another data set.
    """
    dataset = store.dataset
    found = proposed(run, store) if found is None else found
    wanted = {video for video, split in dataset.split_of.items() if all_videos or "train" in split}
    classes = set(store.classes)
    found = found[np.isin(found.video, [index for index, video in enumerate(found.videos) if video in wanted])
                  & np.isin(found.label, [index for index, name in enumerate(found.classes) if name in classes])]
    rows = [row for row in store.points() if row["label"] in found.classes and row["video"] in wanted]
    label, video = ({name: index for index, name in enumerate(names)} for names in (found.classes, found.videos))
    points = Points([row["time"] for row in rows], [label[row["label"]] for row in rows],
                    [video[row["video"]] for row in rows], found.classes, found.videos)
    refused = {(row["video"], row["label"], row["start"], row["end"]) for row in store.segments() if "refused" in row}
    moments = [*_about_proposals(found, points, store.done(), refused), *_about_scores(run, points, store)]
    return sorted(moments, key=lambda moment: -moment.worth)


def _about_proposals(found: Segments, points: Points, done: set[str], refused: set[tuple]) -> Iterator[Moment]:
    # Put all points on one time line, with a separate stretch for each group (video and class).
    stretch = max(found.end.max(initial=0), points.seconds.max(initial=0)) + 2 * BESIDE
    line = np.sort((points.video * len(points.classes) + points.label) * stretch + points.seconds)
    group = found.video * len(found.classes) + found.label
    begin = group * stretch

    def within(margin: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """For each proposal, the range [first, last) of points on the line that lie within `margin` seconds of it."""
        return (np.searchsorted(line, begin + np.maximum(found.start - margin, 0)),
                np.searchsorted(line, begin + found.end + margin, "right"))

    (first, last), (near, far) = within(0), within(BESIDE)
    best = np.zeros(len(line))
    for row in np.flatnonzero(first < last):
        best[first[row]:last[row]] = np.maximum(best[first[row]:last[row]], found.score[row])
    confident = np.median(best[best > 0]) if (best > 0).sum() >= 5 else .5
    ranked = np.lexsort((-found.score, group))
    for row in _apart(found, ranked[found.score[ranked] >= confident]):
        video, label = found.videos[found.video[row]], found.classes[found.label[row]]
        start, end, score = found.start[row], found.end[row], float(found.score[row])
        if last[row] - first[row] > 1:
            yield Moment(video, float(line[first[row] + 1] - begin[row]), label,
                         f"{last[row] - first[row]} points in one detection", .9 * score)
        elif last[row] == first[row] and near[row] < far[row]:
            times = line[near[row]:far[row]] - begin[row]
            away = np.maximum(start - times, times - end)
            yield Moment(video, float(times[away.argmin()]), label,
                         f"point {away.min():.1f} s outside a detection", .8 * score)
        elif last[row] == first[row] and video not in done and not _is_refused(refused, video, label, start, end):
            yield Moment(video, float((start + end) / 2), label, "unlabelled detection", score)


def _apart(found: Segments, ranked: NDArray[np.intp]) -> Iterator[int]:
    """Rows, best first within video and class, without those that overlap a better one."""
    kept: list[int] = []
    group = None
    for row in ranked.tolist():
        mine = found.video[row], found.label[row]
        if mine != group:
            kept, group = [], mine
        shared = np.minimum(found.end[row], found.end[kept]) - np.maximum(found.start[row], found.start[kept])
        if (shared < APART * (found.length[row] + found.length[kept] - shared)).all():
            kept.append(row)
            yield row


def _is_refused(refused: set[tuple], video: str, label: str, start: float, end: float) -> bool:
    return any(min(end, stop) - max(start, begin) > .5 * (max(end, stop) - min(start, begin))
               for where, what, begin, stop in refused if (where, what) == (video, label))


def _about_scores(run: Run, points: Points, store: LabelStore) -> Iterator[Moment]:
    """Points at which the score of their class is low."""
    timebase = timebase_of(store.root)
    columns = {split: np.array(current_names(run.score_classes(split), store)) for split in SPLITS}
    for index in np.unique(points.video).tolist():
        video, mine = points.videos[index], points[points.video == index]
        for split in SPLITS:
            scores = run.snippet_scores(split, video)
            if scores is not None and set(points.classes) <= set(columns[split].tolist()):
                length = feature_length(store.root, split, video, len(scores))
                rows = score_timebase(timebase, length, len(scores)).rows(mine.seconds, len(scores))
                score = np.array([scores[row, :-1][columns[split] == points.classes[label]].max()
                                  for row, label in zip(rows, mine.label, strict=True)])
                for row in np.flatnonzero(score < LOW).tolist():
                    name = mine.classes[mine.label[row]]
                    yield Moment(video, float(mine.seconds[row]), name, f"low score for {name} ({score[row]:.2f})",
                                 float(1 - score[row] / LOW) * .95)
                break

