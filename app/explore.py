"""The list of videos and the viewer; used by the Explore page."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from app.evidence import Evidence
from app.lanes import KINDS, highest_score, lanes, likely_classes, lowest_score
from app.mistakes import Watched
from app.results import Result, result
from app.runs import relative_to_cwd
from app.state import MOMENT, moment, previous_next
from app.text import plain
from app.timeline import segments_layer, timeline
from hrpro.data.dataset import SPLITS, DataSet
from hrpro.data.run import STAGES, Run
from hrpro.errors import InputError
from hrpro.evaluation.mistakes import video_mistakes

TIOU = .5                                               # tIoU at which the list of videos counts an action as found
HIDDEN = ("similarity", "NP")                           # lanes that are off by default
ORDERS = {"mAP cost": "Highest mAP cost first", "misses": "Most misses first",
          "false positives": "Most false positives first", "seconds": "Longest first", "video": "By name"}
HELP = {"mAP cost": "The mAP that the video's false positives and misses take; all videos together take what it lacks "
                    "to 100%.",
        "misses": "Annotated actions that no detection finds, at the score with the best F1.",
        "false positives": "Detections that find no action, at the score with the best F1.",
        "split": "Training or test split, or both."}


def choose_video(dataset: DataSet, run: Run | None) -> str | None:
    """Show the list of videos with its filters and order.

    Returns:
        The video that the URL names, else the first of the list; None if the data set has no video.
    """
    measured = _latest(dataset, run)
    table = video_table(dataset, measured)
    if table.empty:
        st.info("The data set has no video yet. Add some on the Projects page.")
        return None
    with st.expander("Filter and order"):
        split = st.segmented_control("Split", ["all", *SPLITS], default="all", required=True, key="explore split",
                                     persist_state="session")
        text = st.text_input("Name contains", key="explore name", persist_state="session").strip()
        label = st.selectbox("Shows the class", dataset.classes, index=None, placeholder="any",
                             key=f"explore class {dataset.name}")
        orders = [name for name in ORDERS if name in table]
        order = st.selectbox("Order", orders, format_func=ORDERS.get, key=f"explore order {bool(measured)}",
                             persist_state="session")
    table = table.sort_values(order, ascending=order == "video", kind="stable")
    shown = table[_chosen(dataset, table, split, text, label)]
    wanted = st.query_params.get("video")
    if wanted not in dataset.duration:
        if wanted and st.session_state.get("explored", dataset.name) == dataset.name:
            st.warning(plain(f"{dataset.name} has no video {wanted!r}; another one is shown."))
        wanted = (shown if len(shown) else table)["video"].iloc[0]
        _open(wanted)
    st.session_state["explored"] = dataset.name
    _list(shown, wanted, table["video"].tolist(),
          key=f"videos {dataset.name} {split} {text} {label} {order} {measured and measured.name}")
    about = f"{len(shown)} of {len(table)} videos"
    if measured:
        k, tiou = _threshold(measured)
        least = measured.precision.best_f1(k).score
        counted = f"false positives and misses at scores from {least:.4g} (best F1)" if np.isfinite(least) else \
            "there are no detections, so every action is a miss"
        about += f". Mistakes of {plain(measured.name)} on the test split at tIoU {tiou:g}; {counted}"
    st.caption(f"{about}.")
    return wanted


def video_table(dataset: DataSet, measured: Result | None) -> pd.DataFrame:
    """One row per video: its contents and, if detections were measured, its mistakes."""
    videos = list(dataset.duration)
    table = pd.DataFrame({
        "video": videos,
        "split": list(dataset.split_of.values()),
        "seconds": list(dataset.duration.values()),
        "actions": np.bincount(dataset.ground_truth.video, minlength=len(videos)),
        "points": np.bincount(dataset.points.video, minlength=len(videos))})
    if measured and measured.precision:
        k = _threshold(measured)[0]
        mistakes = video_mistakes(measured.precision, k, measured.precision.best_f1(k).score)
        table = table.join(pd.DataFrame({"mAP cost": mistakes.cost, "misses": mistakes.misses,
                                         "false positives": mistakes.false_positives}, index=mistakes.videos),
                           on="video")
    return table


def _latest(dataset: DataSet, run: Run | None) -> Result | None:
    """The measured detections of the run's last stage that has any."""
    for stage in sorted(STAGES, reverse=True):
        if run and run.stage(stage).final_result.exists():
            try:
                measured = result(dataset, run, stage)
            except InputError:                          # the viewer reports it
                continue
            if measured.precision:
                return measured
    return None


def _threshold(measured: Result) -> tuple[int, float]:
    """Index and value of the measured threshold nearest to TIOU."""
    k = int(np.abs(measured.precision.tiou - TIOU).argmin())
    return k, float(measured.precision.tiou[k])


def _chosen(dataset: DataSet, table: pd.DataFrame, split: str, text: str, label: str | None) -> pd.Series:
    keep = table["video"].str.contains(text, case=False, regex=False)
    if split != "all":
        keep &= table["split"].str.contains(split, regex=False)
    if label is not None:
        index = dataset.classes.index(label)
        rows = [part.video[part.label == index] for part in (dataset.ground_truth, dataset.points)]
        keep &= np.isin(table.index, np.concatenate(rows))
    return keep


def _open(video: str) -> None:
    """Put a video into the URL, without a moment in it."""
    st.query_params["video"] = video
    for of_another in MOMENT:
        st.query_params.pop(of_another, None)


def _list(shown: pd.DataFrame, current: str, every: list[str], key: str) -> None:
    """The table, in which a row's box or name opens its video, and the buttons to the previous and the next one.

    Args:
        every: all videos in the table's order, also those that the filter hides.
    """
    videos, button = shown["video"].tolist(), f"open {key}"
    here = videos.index(current) if current in videos else -1

    def open_row() -> None:
        clicked, rows = st.session_state[button], st.session_state[key]["selection"]["rows"]
        if clicked:
            rows = [clicked["row"]]
        if rows:
            _open(videos[rows[0]])

    columns: dict[str, Any] = {name: st.column_config.Column(help=HELP.get(name)) for name in shown}
    columns["video"] = st.column_config.ButtonColumn(type="tertiary", alignment="left", on_click=open_row, key=button)
    columns["seconds"] = st.column_config.NumberColumn("length", format="%.0f s")
    if "mAP cost" in shown:
        columns["mAP cost"] = st.column_config.NumberColumn(format="percent", help=HELP["mAP cost"])
    order = ["video", *(name for name in ("mAP cost", "misses", "false positives") if name in shown), "split",
             "actions", "points", "seconds"]
    selected = {"selection": {"rows": [here] if here >= 0 else []}}
    if st.session_state.get(key, selected)["selection"]["rows"] != selected["selection"]["rows"]:
        st.session_state[key] = selected                # the video was not opened from the table
    st.dataframe(shown, key=key, height=330, hide_index=True, column_order=order, column_config=columns,
                 on_select=open_row, selection_mode="single-row", selection_default=selected, placeholder="",
                 alt="Videos of the data set; the box or the name of a row opens its video")
    before = len(set(every[:every.index(current)]) & set(videos))
    previous_next(("Previous video", "Next video"), "video", before, len(videos), lambda to: _open(videos[to]),
                  listed=here >= 0)


@st.fragment
def viewer(dataset: DataSet, known: Evidence, mistake: Watched | None = None) -> None:
    """The video above its lanes, with controls for what is shown; the class that `?class=` names comes first.

    Args:
        mistake: shown in a lane above all others, with the action or detection that explains it.
    """
    place, asked = f"{dataset.name} {known.video}", st.query_params.get("class")
    names = (mistake.first, asked, mistake.then) if mistake else (asked,)
    first = list(dict.fromkeys(known.classes.index(name) for name in names if name in known.classes))
    classes, score, number, more = st.columns([5, 3, 2, 2], vertical_alignment="bottom")
    indices = classes.multiselect("Classes", range(len(known.classes)),
                                  list(dict.fromkeys(first + likely_classes(known))),
                                  format_func=lambda index: known.classes[index], key=f"classes {place} {first}")
    top = math.ceil(highest_score(known) * 100) / 100
    bottom = min(0., math.floor(lowest_score(known) * 100) / 100)
    low = round(top / 5, 2) if top > 0 else bottom
    if mistake and np.isfinite(mistake.least):          # keep the detection in question visible
        low = max(bottom, min(low, math.floor(mistake.least * 100) / 100))
    least = score.slider("Detections scored at least", bottom, max(top, .01), low, .01,
                         key=f"least {place} {top} {low}", disabled=not known.detections,
                         help=None if known.detections else "The run has no detections in this video.")
    keep = number.number_input("Best proposals", 1, 5000, 50, key="explore keep", persist_state="session",
                               help="How many PP a class, and NP, are shown: the best by score.")
    with more.popover("Lanes", width="stretch"):
        kinds = st.pills("Show", list(KINDS), selection_mode="multi", format_func=KINDS.get,
                         default=[kind for kind in KINDS if kind not in HIDDEN], key="explore kinds",
                         persist_state="session")
    above = [{"id": "mistake", "label": mistake.title, "height": 22, "colour": int(mistake.segment.label[0]),
              "layers": [segments_layer(mistake.segment, "hatched" if mistake.wrong else "solid")]}] if mistake else []
    timeline(dataset, known.video, above + lanes(known, indices, kinds, keep=int(keep), least=least), key="explore",
             seek=moment(), mistake=st.query_params.get("mistake", "") if mistake else "")


def missing(known: Evidence) -> None:
    """List what is not available for the video, with what to do."""
    if known.missing:
        reasons = "\n".join(f"- {plain(reason)}" for reason in relative_to_cwd(known.missing))
        st.markdown(f"**Not shown, and why**\n{reasons}")
