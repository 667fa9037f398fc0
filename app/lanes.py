"""The lanes below a video in Explore: pure functions from `Evidence` to what the timeline paints."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from app.evidence import Evidence
from app.timeline import Lane, Layer, curve_layer, points_layer, segments_layer
from hrpro.data.segments import Segments
from hrpro.timebase import Timebase

# What can be shown, in the order of the lanes: {key: title}.
KINDS = {"truth": "Ground truth and points", "stage 2": "Stage 2 detections", "stage 1": "Stage 1 detections",
         "cas": "CAS", "pseudo": "Pseudo labels", "similarity": "Prototype similarity", "PP": "PP", "RP": "RP",
         "NP": "NP", "background": "Background score"}
NEUTRAL = "#7d8791"                                     # of lanes without a class; stands out on both backgrounds
CURVE, SEGMENTS = 40, 22                                # heights in pixels


def lanes(known: Evidence, classes: Sequence[int], kinds: Collection[str], *, keep: int, least: float) -> list[Lane]:
    """Lanes of the chosen classes, one class after the other, then those without a class.

    Args:
        classes: indices of the classes.
        kinds: keys of KINDS.
        keep: number of proposals to show per class, the best by score.
        least: lowest score of a detection to show.
    """
    made = [lane for index in classes for lane in _class_lanes(known, index, kinds, keep, least)]
    made += _common_lanes(known, kinds, keep)
    return made


def likely_classes(known: Evidence, limit: int = 3) -> list[int]:
    """At most `limit` classes to show initially.

    They are the annotated ones, else those of the points, and that of the best detection; the data set's first class
    if none of these is known.
    """
    labelled = known.truth.label if len(known.truth) else known.points.label
    best = [found.label[found.score.argmax()] for _, found in sorted(known.detections.items()) if len(found)]
    chosen = list(dict.fromkeys(labelled.tolist()))[:limit - 1 if best else limit] + [int(label) for label in best[-1:]]
    return list(dict.fromkeys(chosen)) or list(range(len(known.classes)))[:1]


def highest_score(known: Evidence) -> float:
    """The highest score among the video's detections, 1 if there are none."""
    return max((float(found.score.max()) for found in known.detections.values() if len(found)), default=1.)


def lowest_score(known: Evidence) -> float:
    """The lowest score among the video's detections, 0 if there are none."""
    return min((float(found.score.min()) for found in known.detections.values() if len(found)), default=0.)


def _class_lanes(known: Evidence, index: int, kinds: Collection[str], keep: int, least: float) -> Iterator[Lane]:
    name = known.classes[index]

    def lane(kind: str, label: str, height: int, *layers: Layer) -> Lane:
        return {"id": f"{kind} {index}", "label": label, "colour": index, "height": height, "layers": list(layers)}

    if "truth" in kinds:
        truth, points = known.truth, known.points
        yield lane("truth", name, SEGMENTS + 4, segments_layer(truth[truth.label == index]),
                   points_layer(points[points.label == index]))
    whole = max(0., highest_score(known))
    for stage in sorted(known.detections, reverse=True):
        if f"stage {stage}" in kinds:
            found = known.detections[stage]
            found = found[(found.label == index) & (found.score >= least)]
            yield lane(f"stage {stage}", f"stage {stage} · {name}", SEGMENTS, _scored(found, whole))
    pseudo = _runs(known.pseudo.action[:, index], known.timebase, f"pseudo {name}") \
        if known.pseudo and "pseudo" in kinds else None
    if known.cas and "cas" in kinds:
        curve = curve_layer(known.cas, index, known.timebase)
        yield lane("cas", f"CAS · {name}", CURVE, *filter(None, [pseudo]), curve)
    elif pseudo:
        yield lane("pseudo", f"pseudo · {name}", SEGMENTS, pseudo)
    if known.similarity and "similarity" in kinds:
        yield lane("similarity", f"similarity · {name}", CURVE,
                   curve_layer(known.similarity, index, known.timebase, -1, 1))
    if known.ranked:
        for kind, proposals, style in (("PP", known.ranked.positive, "hatched"),
                                       ("RP", known.ranked.reliable, "solid")):
            mine = proposals[proposals.label == index]
            if kind in kinds and (len(mine) or kind == "PP"):
                kept = mine[np.argsort(-mine.score, kind="stable")[:keep]]
                count = f"{len(kept)}/{len(mine)}" if len(kept) < len(mine) else f"{len(mine)}"
                yield lane(kind, f"{kind} {count} · {name}", SEGMENTS, _scored(kept, 1, style))


def _common_lanes(known: Evidence, kinds: Collection[str], keep: int) -> Iterator[Lane]:
    common = {"colour": NEUTRAL}
    pseudo = _runs(known.pseudo.background, known.timebase, "pseudo background") \
        if known.pseudo and "pseudo" in kinds else None
    if known.cas and "background" in kinds:
        curve = curve_layer(known.cas, len(known.classes), known.timebase)
        yield {**common, "id": "background", "label": "background", "height": CURVE,
               "layers": [*filter(None, [pseudo]), curve]}
    elif pseudo:
        yield {**common, "id": "pseudo", "label": "pseudo background", "height": SEGMENTS, "layers": [pseudo]}
    if known.ranked and "NP" in kinds and len(known.ranked.negative):
        negative = known.ranked.negative
        kept = negative[np.argsort(negative.score, kind="stable")[:keep]]      # longest share of their run first
        yield {**common, "id": "NP", "label": f"NP {len(kept)}/{len(negative)}", "height": SEGMENTS,
               "layers": [_scored(kept, -1, "hatched")]}


def _scored(segments: Segments, whole: float, style: str = "hatched") -> Layer:
    """Segments with their score in the text; a score of `whole` is painted opaque, one of 0 or beyond it faint."""
    opacity = np.clip(segments.score, min(whole, 0), max(whole, 0)) / (whole or 1)
    layer = segments_layer(replace(segments, score=opacity), style)
    for item, score in zip(layer["items"], segments.score.tolist(), strict=True):
        item[3] = f"{item[3]} {score:.2f}"
    return layer


def _runs(labels: NDArray, timebase: Timebase, name: str) -> Layer:
    """Runs of ones among snippet labels [T], as segments."""
    edges = np.diff(np.pad(labels > 0, 1).astype(np.int8))
    start, end = (timebase.seconds(np.flatnonzero(edges == sign)) for sign in (1, -1))
    return segments_layer(Segments.make(start, end, np.zeros(len(start), int), (name,), ("",)))
