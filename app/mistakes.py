"""One mistake after the other: a list of wrong detections or of missed actions, and the place in it in the URL."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from app.results import Result, result
from app.state import previous_next
from app.text import plain
from hrpro.data.dataset import DataSet
from hrpro.data.run import Run
from hrpro.data.segments import Segments
from hrpro.errors import InputError
from hrpro.evaluation.average_precision import AveragePrecision
from hrpro.evaluation.mistakes import best_tiou, false_positives, misses

KINDS = {"wrong": "False positive", "missed": "Miss"}
ASIDE = ("t", "class", "mistake", "of")                 # what a URL says of a moment, beside its video


@dataclass(frozen=True)
class Mistakes:
    """Mistakes of a stage's detections at a tIoU; kind: a key of KINDS; label: of one class only."""

    kind: str
    stage: int
    tiou: float
    label: str | None = None

    def of(self, precision: AveragePrecision) -> Segments:
        """False positives by falling score, or misses, longest first; none if the tIoU was not measured."""
        at = np.flatnonzero(np.isclose(precision.tiou, self.tiou))
        if not len(at) or self.label not in (None, *precision.classes):
            return Segments.empty(precision.ground_truth.classes, precision.ground_truth.videos)
        return {"wrong": false_positives, "missed": misses}[self.kind](precision, int(at[0]), self.label)

    def address(self, listed: Segments, row: int) -> dict[str, str]:
        """The URL parameters of the moment of a row."""
        return {"video": listed.videos[listed.video[row]], "t": f"{max(0, listed.start[row]):.2f}",
                "class": listed.classes[listed.label[row]],
                "mistake": f"{self.kind}-{self.stage}-{self.tiou:g}-{row + 1}",
                **({"of": self.label} if self.label else {})}


@dataclass(frozen=True, eq=False)
class Watched:
    """The mistake that is being watched: its segment (one row), and what it is called."""

    segment: Segments
    title: str
    wrong: bool


def watched(dataset: DataSet, run: Run | None) -> Watched | None:
    """The mistake that the URL names, with the way to the one before and the one after; None if it names none."""
    try:
        kind, stage, tiou, number = st.query_params["mistake"].split("-")
        mistakes = Mistakes(kind, int(stage), float(tiou), st.query_params.get("of"))
        row, measured = int(number) - 1, result(dataset, run, mistakes.stage) if run and kind in KINDS else None
    except (InputError, KeyError, ValueError):
        return None
    if measured is None or measured.precision is None:
        return None
    listed = mistakes.of(measured.precision)
    if not 0 <= row < len(listed) or listed.videos[listed.video[row]] != st.query_params.get("video"):
        return None
    one = listed[row:row + 1]
    with st.container(border=True):
        _say(mistakes, measured, one, row, len(listed))
        previous_next(("Previous", "Next"), "mistake", row, len(listed),
              lambda to: st.query_params.update(mistakes.address(listed, to)),
              ("This is the first.", "This is the last."))
        st.page_link("pages/evaluate.py", label="Back to the list", icon=":material/list:",
                     query_params={"dataset": dataset.name, "run": run.name})
    return Watched(one, f"{KINDS[kind].lower()} · {one.classes[one.label[0]]}", kind == "wrong")


def _say(mistakes: Mistakes, measured: Result, one: Segments, row: int, count: int) -> None:
    precision, wrong = measured.precision, mistakes.kind == "wrong"
    met = best_tiou(one, precision.ground_truth if wrong else precision.predictions)[0]
    with_what = "an action" if wrong else "a detection"
    st.markdown(f"**{KINDS[mistakes.kind]} {row + 1:,} of {count:,}** at tIoU {mistakes.tiou:g}  \n"
                f"{plain(one.classes[one.label[0]])}, {one.start[0]:.2f} to {one.end[0]:.2f} s"
                + (f", score {one.score[0]:.4f}" if wrong else "")
                + f"; best tIoU with {with_what} of its class {met:.2f}")
