"""Tables, figures and lists of mistakes for evaluated detections; used by the Evaluate page."""

from __future__ import annotations

import contextlib
import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from app.figures.evaluation import Drawn, class_order, map_figure, per_class_figure, precision_recall_figure
from app.mistakes import ORDERS as ORDERS_OF_MISTAKES
from app.mistakes import Mistakes
from app.paths import ckpt_root
from app.results import CHECKPOINTS, Result, result
from app.runs import relative_to_cwd
from app.state import in_address
from app.text import plain, said_of
from hrpro.config import cfg_of
from hrpro.data.dataset import DataSet
from hrpro.data.run import STAGES, Run, find_runs
from hrpro.errors import InputError, number_of
from hrpro.evaluation.average_precision import AveragePrecision, Counts
from hrpro.evaluation.command import DEFAULT_TIOU
from hrpro.evaluation.mistakes import KINDS as FALSE_POSITIVE_KINDS
from hrpro.evaluation.mistakes import MISS_KINDS
from hrpro.evaluation.report import notes, parse_tiou
from hrpro.files import read_json
from hrpro.jobs.train import option, shell, train_arguments

LISTED = 1000                                           # rows shown of a list of mistakes
SAME = 1e-12                                            # scores that differ by less need no slider
TIOU = .5                                               # default threshold of the lists
ORDERS = {"AP": "Highest AP first", "name": "By name", "actions": "Most actions first",
          "difference": "Largest gain over the other first"}
COLUMNS = {"start": st.column_config.NumberColumn(format="%.2f s"),
           "end": st.column_config.NumberColumn(format="%.2f s"),
           "length": st.column_config.NumberColumn(format="%.2f s"),
           "score": st.column_config.NumberColumn(format="%.4f"),
           "tIoU": st.column_config.NumberColumn(format="%.2f", help="The overlap with it."),
           "mAP cost": st.column_config.NumberColumn(format="%.2f%%", help="The mAP that it takes. All false "
                                                     "positives, at any score, and all misses take 100% - mAP.")}


def choose_stage(run: Run) -> int | None:
    """Let the user choose one of the run's stages with detections, by default the last; None if no stage has any."""
    ready = [stage for stage in STAGES if run.stage(stage).final_result.exists()]
    if not ready:
        return None
    key = f"stage {run.root} {ready}"
    changed = in_address("stage", key, {f"{stage}": stage for stage in ready}.get, default=ready[-1], drop="least")
    return st.segmented_control("Stage", ready, required=True, key=key, persist_state="session", on_change=changed,
                                help="Stage 1: snippet scores cut into proposals. Stage 2: proposals refined and "
                                     "scored again.")


def choose_other(dataset: DataSet, mine: Result) -> Result | None:
    """Let the user choose another stage or run to compare with; None if nothing is chosen."""
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
    """Collect the reports of all results.

    Returns:
        {name: report}: for each result "last" and "best on test", merged if they are the same checkpoint, and the
        saved detections if they belong to neither.
    """
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
            found[f"{each.name}, saved detections"] = each.precision.to_json()
    return found


def map_table(reports: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """One row per report: mAP at each threshold, then the averages, in percent."""
    rows = [{"mAP in %": name, **{f"@{threshold}": 100 * value for threshold, value in report["mAP"].items()},
             **{f"AVG {span}": 100 * value for span, value in report["average"].items()}}
            for name, report in reports.items()]
    return pd.DataFrame(rows)


def measured_on(dataset: DataSet, measured: Result) -> list[str]:
    """Sentences in Markdown: what the figures were measured on, and what makes them optimistic."""
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
        said.append("*Best on test* is the checkpoint that scored best on these very videos, as papers report it, so "
                    "it is optimistic; *last* is unbiased.")
    if measured.reports and not measured.checkpoint:
        said.append("The saved detections have the figures of neither checkpoint: labels or settings have changed "
                    "since, or training is under way.")
    if left_out := dataset.truth.left_out():
        said.append(said_of(dataset.root, left_out))
    return said + [plain(note) for note in notes(precision)]


def command(dataset: DataSet, measured: Result) -> str | None:
    """The command line that prints the same figures; None if the test split spans several subsets."""
    path, mine = dataset.root / "gt_full.json", set(measured.precision.ground_truth.videos)
    subsets = {video: str(info.get("subset")) for video, info in read_json(path)["database"].items()}
    subset = Counter(subsets[video] for video in mine).most_common(1)[0][0]
    inside = [video for video, of in subsets.items() if of == subset]
    if not mine <= set(inside):
        return None
    ignored = [video for video in inside if video not in mine]
    words = ["evaluate", "--gt", str(path), "--pred", str(measured.run.stage(measured.stage).final_result),
             *option("--subset", subset)]
    if measured.config.tiou_thresholds != parse_tiou(DEFAULT_TIOU):
        words += ["--tiou", ",".join(f"{threshold:g}" for threshold in measured.config.tiou_thresholds)]
    return shell(relative_to_cwd(words + (option("--ignore-video", *ignored) if ignored else [])))


def test_command(dataset: DataSet, measured: Result, checkpoint: str) -> str:
    """The command line that saves the detections of `checkpoint`, "last" or "best"."""
    config = replace(measured.config, checkpoint=checkpoint, data_path=str(dataset.root), ckpt_path=str(ckpt_root()))
    words = train_arguments(cfg_of(dataset.root), config)[1:]
    return shlex.join(["python", "main.py", "--stage", str(measured.stage), "--mode", "test", *relative_to_cwd(words)])


def overview(dataset: DataSet, results: list[Result]) -> None:
    """mAP of all compared results, what it was measured on, and the command that prints it."""
    reports = all_reports(results)
    table = map_table(reports)
    columns = {name: st.column_config.NumberColumn(format="%.1f%%") for name in table.columns[1:]}
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
        st.caption("The figures of the saved detections, on the command line:")
        st.code(line, language=None, wrap_lines=True)
    else:
        st.caption("The test split spans several subsets of gt_full.json, so no one command prints these figures.")
    steps = {name: report["step"] for name, report in measured.reports.items()}
    if measured.checkpoint and len(set(steps.values())) > 1:
        other = next(name for name in steps if name != measured.checkpoint)
        st.caption(f"Curves and mistakes below are of *{CHECKPOINTS[measured.checkpoint]}*, whose detections are "
                   f"saved. This saves those of *{CHECKPOINTS[other]}* instead:")
        st.code(test_command(dataset, measured, other), language=None, wrap_lines=True)


def per_class(results: list[Result]) -> None:
    """AP of every class, as heat maps side by side."""
    names = [name for name in CHECKPOINTS if any(name in each.reports for each in results)]
    right, left, _ = st.columns([2, 2, 3])
    checkpoint = results[0].checkpoint
    if any(len({report["step"] for report in each.reports.values()}) > 1 for each in results):
        checkpoint = left.segmented_control("Checkpoint", names, default=checkpoint or names[0], required=True,
                                            format_func=CHECKPOINTS.get, key=f"checkpoint {names} {checkpoint}",
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
    """Precision-recall curves of one class at the chosen thresholds."""
    left, right = st.columns([1, 2])
    label = left.selectbox("Class", precision.classes, key=f"curve class {dataset.name}", persist_state="session")
    names = [f"{threshold:g}" for threshold in precision.tiou]
    chosen = right.pills("tIoU", range(len(names)), selection_mode="multi", default=range(0, len(names), 2),
                         format_func=names.__getitem__, key=f"curve tIoU {names}", persist_state="session")
    if chosen:
        show(precision_recall_figure(precision, label, sorted(chosen)), "curves")
        st.caption("The line is the interpolated precision: the highest at this recall or beyond. The area under it is "
                   "the AP. The faint line is the precision as measured.")
    else:
        st.caption("Choose at least one tIoU threshold.")


def mistakes(dataset: DataSet, measured: Result) -> None:
    """Lists of false positives and misses, which can be watched one by one in Explore."""
    precision = measured.precision
    first, second, third, fourth = st.columns([1, 2, 2, 3], vertical_alignment="bottom", gap="medium")
    names = [f"{tiou:g}" for tiou in precision.tiou]
    at, of = f"list tIoU {names}", f"list class {dataset.name}"
    tiou_changed = in_address("tiou", at, {name: k for k, name in enumerate(names)}.get, names.__getitem__,
                              default=int(np.abs(precision.tiou - TIOU).argmin()), drop="least")
    class_changed = in_address("of", of, {name: name for name in precision.classes}.get, lambda label: label or "")
    order_changed = in_address("by", "list order", {name: name for name in ORDERS_OF_MISTAKES}.get)
    k = first.selectbox("tIoU", range(len(names)), format_func=names.__getitem__, key=at, persist_state="session",
                        on_change=tiou_changed)
    label = second.selectbox("Class", precision.classes, index=None, placeholder="all", key=of,
                             persist_state="session", on_change=class_changed)
    order = third.selectbox("Sort by", ORDERS_OF_MISTAKES, format_func=ORDERS_OF_MISTAKES.get, key="list order",
                            persist_state="session", on_change=order_changed)
    with fourth:
        least = _least_score(precision, k, key=f"list score {measured.run.root} {measured.stage}")
    lists = [(title, Mistakes(kind, measured.stage, float(precision.tiou[k]), label, least, order))
             for kind, title in (("wrong", "False positives"), ("missed", "Misses"))]
    wrong, missed = (chosen.rows(precision) for _, chosen in lists)
    kept = precision.predictions.label[:precision.kept(least)]
    detections = len(kept) if label is None else np.count_nonzero(kept == precision.ground_truth.classes.index(label))
    counts = Counts(least, detections - len(wrong), len(wrong), len(missed))
    scores = f"with a score of at least {least:.4g}" if np.isfinite(least) else "(there are none)"
    st.markdown(f"Detections{f' of *{plain(label)}*' if label else ''} {scores}: **{counts.found:,} found, "
                f"{number_of(counts.false_positives, 'false positive')}, "
                f"{number_of(counts.misses, 'miss', 'misses')}** · "
                f"precision {counts.precision:.1%}, recall {counts.recall:.1%}, F1 {counts.f1:.1%}")
    for (title, chosen), rows in zip(lists, (wrong, missed), strict=True):
        _list(dataset, measured, title, chosen, rows)


def _least_score(precision: AveragePrecision, k: int, *, key: str) -> float:
    """The lowest score of the detections that count, set with a slider that starts at the best F1."""
    best, score = precision.best_f1(k), precision.predictions.score
    if not len(score) or score[0] - score[-1] < SAME:
        return best.score
    step = 10. ** math.floor(math.log10((score[0] - score[-1]) / 100))
    digits = max(0, round(-math.log10(step)))
    key = f"{key} {k} {score[0]} {score[-1]} {best.score}"

    def read(text: str) -> float | None:
        with contextlib.suppress(ValueError):
            return float(text) if score[-1] <= float(text) <= score[0] else None
        return None

    changed = in_address("least", key, read, repr, default=best.score)
    return st.slider("Scores from", float(score[-1]), float(score[0]), None, step, f"%.{digits}f", key=key,
                     on_change=changed,
                     help=f"Detections with a lower score are not counted. It starts at {best.score:.4g}, where F1 is "
                          "highest at this tIoU. mAP counts all detections.")


def _list(dataset: DataSet, measured: Result, title: str, chosen: Mistakes, rows: NDArray[np.intp]) -> None:
    """One list of mistakes, with the buttons that open them in Explore."""
    precision = measured.precision
    st.subheader(f"{title}: {len(rows):,}", anchor=False)
    if not len(rows):
        st.caption("None.")
        return
    table = listed(chosen, precision, rows[:LISTED])
    key = f"{title} {measured.run.root} {measured.stage} {chosen}"
    at = 0 if st.button("Watch them one by one", icon=":material/play_circle:", key=f"watch {key}") else None
    shown = f"The first {LISTED:,}" if len(rows) > LISTED else "All"
    st.caption(f"{shown} at tIoU {chosen.tiou:g}. Click a video to start there.")
    button = st.column_config.ButtonColumn(type="tertiary", alignment="left", key=f"open {key}")
    with_help = {"kind": st.column_config.TextColumn(help=" · ".join(
        f"{kind}: {what}" for kind, what in (FALSE_POSITIVE_KINDS if chosen.wrong else MISS_KINDS).items())),
        "overlaps": st.column_config.TextColumn(help="Class of the true action that it overlaps most." if chosen.wrong
                                                else "Class of the detection that overlaps it most."),
        **({} if chosen.wrong else {"mAP cost": st.column_config.NumberColumn(
            format="%.2f%%", help="The mAP that it takes. An action that a detection with a lower score finds takes "
                                   "nothing; false positives with higher scores do.")})}
    st.dataframe(table, key=key, height=min(420, 38 + 35 * len(table)), hide_index=True, placeholder="",
                 column_config={**COLUMNS, **with_help, "video": button}, alt=f"{title}; a video opens in Explore")
    if clicked := st.session_state[f"open {key}"]:
        at = clicked["row"]
    if at is not None:
        st.switch_page("pages/explore.py", query_params={"dataset": dataset.name, "run": measured.run.name,
                                                         **chosen.address(precision, rows, at)})


def listed(chosen: Mistakes, precision: AveragePrecision, rows: NDArray[np.intp]) -> pd.DataFrame:
    """Table of mistakes: where each is, its kind, and its mAP cost in percent."""
    segments, explained = chosen.pool(precision)[rows], chosen.explain(precision, rows)
    others = precision.ground_truth if chosen.wrong else precision.predictions
    names = np.array([*segments.classes, ""], object)
    overlapped = np.where(explained.other >= 0, np.append(others.label, -1)[explained.other], -1)
    return pd.DataFrame({"video": np.array(segments.videos, object)[segments.video],
                         "class": names[segments.label], "start": segments.start, "end": segments.end,
                         "length": segments.length, **({"score": segments.score} if chosen.wrong else {}),
                         "kind": explained.kind, "overlaps": names[overlapped], "tIoU": explained.tiou,
                         "mAP cost": 100 * chosen.costs(precision)[rows]})


def kept_tabs(names: Sequence[str]) -> Sequence[DeltaGenerator]:
    """Tabs; the open one is kept in the URL (`?tab=`) and reopened when the user returns from another page."""
    def keep() -> None:
        st.session_state["evaluate tab"] = st.query_params["tab"] = st.session_state["tab"]

    if "tab" not in st.session_state:                   # first run only: changing the default later redraws everything
        wanted = st.query_params.get("tab")
        st.session_state["evaluate tab at first"] = wanted if wanted in names else st.session_state.get("evaluate tab")
    return st.tabs(names, default=st.session_state["evaluate tab at first"], key="tab", on_change=keep)


def show(drawn: Drawn, key: str) -> None:
    """Draw a figure with its description as alternative text."""
    st.plotly_chart(drawn.figure, key=key, alt=drawn.words, config={"displaylogo": False})
