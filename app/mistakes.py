"""Mistakes one by one: a list of false positives or misses, with the current position in the URL."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from app.results import result
from app.state import previous_next
from app.text import plain
from hrpro.data.dataset import DataSet
from hrpro.data.run import Run
from hrpro.data.segments import Segments
from hrpro.errors import InputError
from hrpro.evaluation.average_precision import AveragePrecision
from hrpro.evaluation.mistakes import (
    Explained,
    best_overlap,
    detection_costs,
    explain_false_positives,
    explain_misses,
    false_positives,
    miss_costs,
    misses,
)

KINDS = {"wrong": "False positive", "missed": "Miss"}
ORDERS = {"cost": "mAP cost", "score": "score, or length of a miss"}


@dataclass(frozen=True)
class Mistakes:
    """A list of mistakes of a stage's detections at one tIoU.

    Attributes:
        kind: a key of KINDS.
        label: class that the list is limited to.
        least: lowest score of the detections that count.
        order: a key of ORDERS.
    """

    kind: str
    stage: int
    tiou: float
    label: str | None = None
    least: float = -np.inf
    order: str = "score"

    @property
    def wrong(self) -> bool:
        return self.kind == "wrong"

    def pool(self, precision: AveragePrecision) -> Segments:
        """The segments that `rows` indexes: predictions or ground truth."""
        return precision.predictions if self.wrong else precision.ground_truth

    def rows(self, precision: AveragePrecision) -> NDArray[np.intp]:
        """The mistakes in order, as rows of `pool`; none if the tIoU or the class was not measured."""
        k = self._k(precision)
        if k is None or self.label not in (None, *precision.classes):
            return np.zeros(0, np.intp)
        rows = (false_positives if self.wrong else misses)(precision, k, self.label, self.least)
        return rows[np.argsort(-self.costs(precision)[rows], kind="stable")] if self.order == "cost" else rows

    def costs(self, precision: AveragePrecision) -> NDArray[np.float64]:
        """mAP cost of every row of `pool`. A miss that a detection with a lower score finds costs nothing."""
        return (detection_costs if self.wrong else miss_costs)(precision, self._k(precision))

    def explain(self, precision: AveragePrecision, rows: NDArray[np.intp]) -> Explained:
        """Classify the mistakes at these rows of `pool`."""
        k = self._k(precision)
        return explain_false_positives(precision, k, rows) if self.wrong else \
            explain_misses(precision, k, rows, self.least)

    def address(self, precision: AveragePrecision, rows: NDArray[np.intp], at: int) -> dict[str, str]:
        """URL parameters that open mistake `at` of `rows`."""
        one = self.pool(precision)[rows[at]]
        return {"video": one.videos[one.video[0]], "t": f"{max(0, one.start[0]):.2f}",
                "class": one.classes[one.label[0]], "mistake": f"{self.kind}-{self.stage}-{self.tiou:g}-{at + 1}",
                **self.choices}

    @property
    def choices(self) -> dict[str, str]:
        """URL parameters of the list's filters: class, lowest score and order."""
        return {**({"of": self.label} if self.label else {}),
                **({"least": repr(float(self.least))} if np.isfinite(self.least) else {}), "by": self.order}

    def _k(self, precision: AveragePrecision) -> int | None:
        at = np.flatnonzero(np.isclose(precision.tiou, self.tiou))
        return int(at[0]) if len(at) else None


@dataclass(frozen=True, eq=False)
class Watched:
    """The mistake being watched.

    Attributes:
        segment: one row.
        title: label of its lane.
        wrong: whether it is a false positive.
        first: class whose lanes come first.
        then: class whose lanes come after those of the mistake's own class.
        least: lowest score that must be shown.
    """

    segment: Segments
    title: str
    wrong: bool
    first: str | None
    then: str | None
    least: float


def watched(dataset: DataSet, run: Run | None) -> Watched | None:
    """Show the mistake that the URL names, with buttons to the previous and next one; None if it names none."""
    query = st.query_params
    try:
        kind, stage, tiou, number = query["mistake"].split("-")
        mistakes = Mistakes(kind, int(stage), float(tiou), query.get("of"), float(query.get("least", -np.inf)),
                            query.get("by", "score"))
        at, measured = int(number) - 1, result(dataset, run, mistakes.stage) if run and kind in KINDS else None
    except (InputError, KeyError, ValueError):
        return None
    if measured is None or measured.precision is None:
        return None
    precision = measured.precision
    rows, pool = mistakes.rows(precision), mistakes.pool(precision)
    if not 0 <= at < len(rows) or pool.videos[pool.video[rows[at]]] != query.get("video"):
        return None
    row = rows[at:at + 1]
    one, explained = pool[row], mistakes.explain(precision, row)
    other = (precision.ground_truth if mistakes.wrong else precision.predictions)[explained.other[explained.other >= 0]]
    with st.container(border=True):
        st.markdown(f"**{KINDS[kind]} {at + 1:,} of {len(rows):,}** at tIoU {mistakes.tiou:g}"
                    + (f", scores from {mistakes.least:.4g}" if np.isfinite(mistakes.least) else "") + "  \n"
                    f"{plain(one.classes[one.label[0]])}, {one.start[0]:.2f} to {one.end[0]:.2f} s"
                    + (f", score {one.score[0]:.4f}" if mistakes.wrong else "")
                    + f", mAP cost {mistakes.costs(precision)[row[0]]:.2%}")
        st.markdown(explanation(mistakes, one, explained, other, best_overlap(one, precision.ground_truth,
                                                                              same_class=True)[1][0]))
        previous_next(("Previous", "Next"), "mistake", at, len(rows),
                      lambda to: query.update(mistakes.address(precision, rows, to)),
                      ("This is the first.", "This is the last."))
        st.page_link("pages/evaluate.py", label="Back to the list", icon=":material/list:",
                     query_params={"dataset": dataset.name, "run": run.name, "tab": "Mistakes",
                                   "stage": f"{mistakes.stage}", "tiou": f"{mistakes.tiou:g}", **mistakes.choices})
    overlapped = other.classes[other.label[0]] if len(other) else None
    lowest = one.score[0] if mistakes.wrong else other.score[0] if len(other) else np.inf
    return Watched(one, f"{KINDS[kind].lower()} · {one.classes[one.label[0]]}", mistakes.wrong,
                   *((overlapped, None) if mistakes.wrong else (None, overlapped)), float(lowest))


def explanation(mistakes: Mistakes, one: Segments, explained: Explained, other: Segments, with_own: float) -> str:
    """Explain a mistake in Markdown.

    Args:
        one: the mistake, one row.
        explained: its classification, one row.
        other: the segment that explains it, one row or none.
        with_own: best overlap of a false positive with a true action of its class.
    """
    kind, tiou = str(explained.kind[0]), f"{explained.tiou[0]:.2f}"
    own = f"*{plain(one.classes[one.label[0]])}*"
    theirs = f"*{plain(other.classes[other.label[0]])}*" if len(other) else ""
    needed = f"{mistakes.tiou:g} is needed"
    if mistakes.wrong:
        best = f" Best overlap with a true {own}: {with_own:.2f}."
        said = {"double detection": f"The true {own} that it overlaps (tIoU {tiou}) is already found by a detection "
                                    "with a higher score (duplicate).",
                "wrong label": f"Overlaps the true {theirs} (tIoU {tiou}): wrong class.{best}",
                "localization": f"Overlaps its true {own} by {tiou}; {needed}: badly localised.",
                "confusion": f"Overlaps the true {theirs} by {tiou}; {needed}: wrong class, and badly localised.{best}",
                "background": f"No annotated action here: background.{best}"}
    else:
        score = f"score {other.score[0]:.4f}" if len(other) else ""
        said = {"low score": f"A detection finds it (tIoU {tiou}), but with the {score}, below the chosen "
                             f"{mistakes.least:.4g}.",
                "shared detection": f"The detection that overlaps it most (tIoU {tiou}, {score}) finds another {own}.",
                "wrong label": f"Detected as {theirs} (tIoU {tiou}, {score}): wrong class.",
                "localization": f"Best overlap with a detection of {own}: {tiou} ({score}); {needed}: badly localised.",
                "confusion": f"Best overlap with any detection: {tiou}, with one of {theirs} ({score}).",
                "not detected": "No detection here." + (f" Best overlap: {tiou}, with a detection of {theirs}."
                                                        if theirs else "")}
    return f"**{kind.capitalize()}.** {said[kind]}"
