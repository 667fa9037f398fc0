"""Tables, figures and lists of mistakes of measured detections; used by the Evaluate page."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from app.figures.evaluation import Drawn, class_order, map_figure, per_class_figure, precision_recall_figure
from app.mistakes import Mistakes
from app.paths import ckpt_root
from app.results import CHECKPOINTS, Result, result
from app.runs import relative_to_cwd
from app.text import plain
from hrpro.config import cfg_of
from hrpro.data.dataset import DataSet
from hrpro.data.run import STAGES, Run, find_runs
from hrpro.data.segments import Segments
from hrpro.errors import InputError
from hrpro.evaluation.average_precision import AveragePrecision
from hrpro.evaluation.command import DEFAULT_TIOU
from hrpro.evaluation.mistakes import best_tiou
from hrpro.evaluation.report import notes, parse_tiou
from hrpro.files import read_json
from hrpro.jobs.train import shell, train_arguments

LISTED = 1000                                           # rows of a list of mistakes
TIOU = .5                                               # where lists and curves begin
ORDERS = {"AP": "Highest AP first", "name": "By name", "actions": "Most actions first",
          "difference": "Largest gain over the other first"}
COLUMNS = {"start": st.column_config.NumberColumn(format="%.2f s"),
           "end": st.column_config.NumberColumn(format="%.2f s"),
           "length": st.column_config.NumberColumn(format="%.2f s"),
           "score": st.column_config.NumberColumn(format="%.4f"),
           "best tIoU": st.column_config.NumberColumn(format="%.2f", help="The highest tIoU with any annotated action "
                                                      "(of a miss: with any detection) of its class and video.")}


def choose_stage(run: Run) -> int | None:
    """One of the run's stages that has detections, the last by default; None if none has."""
    ready = [stage for stage in STAGES if run.stage(stage).final_result.exists()]
    if not ready:
        return None
    return st.segmented_control("Stage", ready, default=ready[-1], required=True, key=f"stage {run.root} {ready}",
                                persist_state="session",
                                help="Stage 1: snippet scores cut into proposals. Stage 2: proposals refined and "
                                     "scored again.")


def choose_other(dataset: DataSet, mine: Result) -> Result | None:
    """Another stage or run to compare with, if one is chosen."""
    others = {f"{run.name}, stage {stage}": (run, stage) for run in find_runs(ckpt_root(), dataset.name)
              for stage in STAGES if run.stage(stage).final_result.exists()
              and (run.name, stage) != (mine.run.name, mine.stage)}
    chosen = st.selectbox("Compare with", list(others), index=None, placeholder="nothing", disabled=not others,
                          help=None if others else "There is no other stage or run with detections yet.",
                          key=f"other {mine.run.root} {mine.stage}", persist_state="session")
    if chosen is None:
        return None
    try:
        return result(dataset, *others[chosen])
    except InputError as error:
        st.error("\n\n".join(plain(fault) for fault in error.faults))
        return None


def all_reports(results: list[Result]) -> dict[str, Mapping[str, Any]]:
    """{name: report} of all that was measured: of each result last and best on test, by these names and together where
    they are one, and what lies on disk where it is neither."""
    found = {}
    for each in results:
        unit = "epoch" if each.stage == 2 else "step"
        by_step: dict[float, list[str]] = {}
        for name, report in each.reports.items():
            by_step.setdefault(report["step"], []).append(name)
        for step, names in by_step.items():
            titles = " and ".join(CHECKPOINTS[name] for name in names)
            found[f"{each.name}, {titles} ({unit} {step:g})"] = each.reports[names[0]]
        if not each.checkpoint and each.precision:
            found[f"{each.name}, detections on disk"] = each.precision.to_json()
    return found


def map_table(reports: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """A row a report: mAP at each threshold, then the averages, in percent."""
    rows = [{"mAP in %": name, **{f"@{threshold}": 100 * value for threshold, value in report["mAP"].items()},
             **{f"AVG {span}": 100 * value for span, value in report["average"].items()}}
            for name, report in reports.items()]
    return pd.DataFrame(rows)


def measured_on(dataset: DataSet, measured: Result) -> list[str]:
    """What the figures were measured on and what flatters them, as sentences in Markdown."""
    precision = measured.precision
    truth, left_out = precision.ground_truth, [video for video in measured.config.blocked_videos
                                               if video in dataset.listed["test"]]
    said = [f"Measured on the **test** split of {plain(dataset.name)}: {len(truth.videos):,} videos with "
            f"{len(truth):,} annotated actions of {len(precision.classes)} classes; {len(precision.predictions):,} "
            f"detections of {plain(measured.name)}."]
    if left_out:
        said.append(f"{len(left_out)} videos are left out by the setting blocked\\_videos.")
    if seen := len(set(dataset.listed["train"]) & set(truth.videos)):
        said.append(f"**{seen:,} of these videos are in the training split too: figures on them say nothing of new "
                    "videos.**")
    if len(measured.reports) > 1:
        said.append("*Best on test* is the checkpoint that scored best on these very videos, as papers report it; it "
                    "flatters. *Last* was not chosen.")
    if measured.reports and not measured.checkpoint:
        said.append("The detections on disk have the figures of neither checkpoint: labels or settings have changed "
                    "since, or training is under way.")
    return said + [plain(note) for note in notes(precision)]


def command(dataset: DataSet, measured: Result) -> str | None:
    """The command line that prints the same figures; None where the test split is no part of one subset."""
    path, mine = dataset.root / "gt_full.json", set(measured.precision.ground_truth.videos)
    subsets = {video: str(info.get("subset")) for video, info in read_json(path)["database"].items()}
    subset = Counter(subsets[video] for video in mine).most_common(1)[0][0]
    inside = [video for video, of in subsets.items() if of == subset]
    if not mine <= set(inside):
        return None
    ignored = [video for video in inside if video not in mine]
    words = ["evaluate", "--gt", str(path), "--pred", str(measured.run.stage(measured.stage).final_result),
             "--subset", subset]
    if measured.config.tiou_thresholds != parse_tiou(DEFAULT_TIOU):
        words += ["--tiou", ",".join(f"{threshold:g}" for threshold in measured.config.tiou_thresholds)]
    return shell(relative_to_cwd(words + (["--ignore-video", *ignored] if ignored else [])))


def test_command(dataset: DataSet, measured: Result, checkpoint: str) -> str:
    """The command line that writes the detections of a checkpoint."""
    config = replace(measured.config, checkpoint=checkpoint, data_path=str(dataset.root), ckpt_path=str(ckpt_root()))
    words = train_arguments(cfg_of(dataset.root), config)[1:]
    return shlex.join(["python", "main.py", "--stage", str(measured.stage), "--mode", "test", *relative_to_cwd(words)])


def overview(dataset: DataSet, results: list[Result]) -> None:
    """mAP of all that is compared, what it was measured on, and how to print it."""
    reports = all_reports(results)
    table = map_table(reports)
    columns = {name: st.column_config.NumberColumn(format="%.1f %%") for name in table.columns[1:]}
    st.dataframe(table, hide_index=True, placeholder="", alt="mAP at each tIoU threshold, and averaged",
                 column_config={"mAP in %": st.column_config.TextColumn(pinned=True), **columns})
    left, right = st.columns([3, 2], gap="large")
    with left:
        show(map_figure(reports), "mAP")
    with right:
        for said in measured_on(dataset, results[0]):
            st.markdown(said)
        _commands(dataset, results[0])


def _commands(dataset: DataSet, measured: Result) -> None:
    line = command(dataset, measured)
    if line:
        st.caption("The figures of the detections on disk, on the command line:")
        st.code(line, language=None, wrap_lines=True)
    else:
        st.caption("The test split spans several subsets of gt_full.json, so no one command prints these figures.")
    steps = {name: report["step"] for name, report in measured.reports.items()}
    if measured.checkpoint and len(set(steps.values())) > 1:
        other = next(name for name in steps if name != measured.checkpoint)
        st.caption(f"Curves and mistakes below are of *{CHECKPOINTS[measured.checkpoint]}*, whose detections lie on "
                   f"disk. This puts those of *{CHECKPOINTS[other]}* there:")
        st.code(test_command(dataset, measured, other), language=None, wrap_lines=True)


def per_class(results: list[Result]) -> None:
    """AP of every class, as heat maps side by side."""
    names = [name for name in CHECKPOINTS if any(name in each.reports for each in results)]
    right, left, _ = st.columns([2, 2, 3])
    checkpoint = results[0].checkpoint
    if any(len({report["step"] for report in each.reports.values()}) > 1 for each in results):
        checkpoint = left.segmented_control("Checkpoint", names, default=checkpoint or names[0], required=True,
                                            format_func=CHECKPOINTS.get, key=f"checkpoint {names}",
                                            persist_state="session")
    reports = {each.name: each.reports.get(checkpoint) or each.precision.to_json() for each in results
               if checkpoint in each.reports or each.precision}
    orders = [order for order in ORDERS if order != "difference" or len(reports) > 1]
    order = right.selectbox("Order", orders, format_func=ORDERS.get, key=f"class order {len(orders)}",
                            persist_state="session")
    first, other = [*(report["per_class"] for report in reports.values()), None][:2]
    truth = results[0].precision.ground_truth
    actions = dict(zip(truth.classes, np.bincount(truth.label, minlength=len(truth.classes)).tolist(), strict=True))
    listed = class_order(first, actions, order, other)
    for column, (name, report) in zip(st.columns(len(reports)), reports.items(), strict=True):
        with column:
            show(per_class_figure(f"AP by class, {name}", [float(key) for key in report["mAP"]], report["per_class"],
                                  listed, actions), f"classes {name}")


def curves(dataset: DataSet, precision: AveragePrecision) -> None:
    """Precision against recall of one class at the chosen thresholds."""
    left, right = st.columns([1, 2])
    label = left.selectbox("Class", precision.classes, key=f"curve class {dataset.name}", persist_state="session")
    names = [f"{threshold:g}" for threshold in precision.tiou]
    chosen = right.pills("tIoU", range(len(names)), selection_mode="multi", default=range(0, len(names), 2),
                         format_func=names.__getitem__, key=f"curve tIoU {names}", persist_state="session")
    if chosen:
        show(precision_recall_figure(precision, label, sorted(chosen)), "curves")
    else:
        st.caption("Choose at least one tIoU threshold.")


def mistakes(dataset: DataSet, measured: Result) -> None:
    """Lists of wrong detections and of missed actions, to be watched in Explore one after the other."""
    precision = measured.precision
    left, right, _ = st.columns([2, 2, 3])
    k = left.selectbox("tIoU", range(len(precision.tiou)), int(np.abs(precision.tiou - TIOU).argmin()),
                       format_func=lambda k: f"{precision.tiou[k]:g}", key=f"list tIoU {len(precision.tiou)}",
                       persist_state="session")
    label = right.selectbox("Class", precision.classes, index=None, placeholder="all",
                            key=f"list class {dataset.name}", persist_state="session")
    for kind, title, order in (("wrong", "False positives", "highest score first"),
                               ("missed", "Misses", "longest first")):
        chosen = Mistakes(kind, measured.stage, float(precision.tiou[k]), label)
        found = chosen.of(precision)
        table = listed(found, precision, LISTED, of_detections=kind == "wrong")
        st.subheader(f"{title}: {len(found):,}", anchor=False)
        if not len(found):
            st.caption("None.")
            continue
        shown = f"The first {LISTED:,}" if len(found) > LISTED else "All"
        key = f"{title} {measured.run.root} {measured.stage} {k} {label}"
        row = 0 if st.button("Watch them one by one", icon=":material/play_circle:", key=f"watch {key}") else None
        st.caption(f"{shown}, {order}, at tIoU {precision.tiou[k]:g}. A click on a video begins there.")
        button = st.column_config.ButtonColumn(type="tertiary", alignment="left", key=f"open {key}")
        st.dataframe(table, key=key, height=min(420, 38 + 35 * len(table)), hide_index=True,
                     column_config={**COLUMNS, "video": button}, alt=f"{title}, {order}; a video opens in Explore")
        if clicked := st.session_state[f"open {key}"]:
            row = clicked["row"]
        if row is not None:
            st.switch_page("pages/explore.py", query_params={"dataset": dataset.name, "run": measured.run.name,
                                                             **chosen.address(found, row)})


def listed(segments: Segments, precision: AveragePrecision, limit: int, *, of_detections: bool) -> pd.DataFrame:
    """The first `limit` segments as a table, with the best tIoU with what they should have met."""
    first = segments[:limit]
    met = best_tiou(first, precision.ground_truth if of_detections else precision.predictions)
    table = pd.DataFrame({"video": np.array(first.videos, object)[first.video],
                          "class": np.array(first.classes, object)[first.label],
                          "start": first.start, "end": first.end, "length": first.length})
    return table.assign(**({"score": first.score} if of_detections else {}), **{"best tIoU": met})


def kept_tabs(names: Sequence[str]) -> Sequence[DeltaGenerator]:
    """Tabs; the open one is so again when a person comes back from another page."""
    def keep() -> None:
        st.session_state["evaluate tab"] = st.session_state["tab"]

    if "tab" not in st.session_state:                   # just come; another default later would draw all anew
        st.session_state["evaluate tab at first"] = st.session_state.get("evaluate tab")
    return st.tabs(names, default=st.session_state["evaluate tab at first"], key="tab", on_change=keep)


def show(drawn: Drawn, key: str) -> None:
    """A figure with its words for those who cannot see it."""
    st.plotly_chart(drawn.figure, key=key, alt=drawn.words, config={"displaylogo": False})
