"""Figures of evaluation results: pure functions from measurements to a figure and its description in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.colours import colour
from app.text import plain_in_figure
from hrpro.evaluation.average_precision import AveragePrecision

_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
ROW = 20                                                # pixels per class in the heat map
# The dark half of viridis: white numbers are readable on all of it (WCAG contrast at least 4.5).
SCALE = ("#440154", "#3b528b", "#218189")
FEW = 5                                                 # up to this many classes there is no room for a colour bar
FAINT = .35                                             # opacity of the raw curve
CELLS = 60                                              # above this number of classes, values show on hover only


class Drawn(NamedTuple):
    """A figure and its description for people who cannot see it."""

    figure: go.Figure
    words: str


def map_figure(reports: Mapping[str, Mapping[str, Any]]) -> Drawn:
    """mAP against tIoU, one line per report.

    Args:
        reports: {name: what `evaluate --json` prints}.
    """
    figure, words = _figure("mAP against tIoU", "tIoU threshold", "mAP"), []
    for index, (name, report) in enumerate(reports.items()):
        tiou, values = [float(key) for key in report["mAP"]], list(report["mAP"].values())
        figure.add_scatter(x=tiou, y=values, name=plain_in_figure(name), mode="lines+markers", marker={"size": 7},
                           line=_line(index), hovertemplate="%{y:.1%}")
        words.append(f"{name}: from {values[0]:.1%} at tIoU {tiou[0]:g} to {values[-1]:.1%} at {tiou[-1]:g}")
    figure.update_layout(hovermode="x unified")
    figure.update_yaxes(tickformat=".2~%", rangemode="tozero")
    return Drawn(figure, f"Mean average precision against tIoU. {'; '.join(words)}.")


def class_order(per_class: Mapping[str, Sequence[float]], actions: Mapping[str, int], by: str,
                other: Mapping[str, Sequence[float]] | None = None) -> list[str]:
    """Sort classes by "AP", "actions", "difference" or "name".

    Args:
        per_class: {class: AP at each threshold}.
        actions: {class: number of annotated actions}.
        by: "AP" (mean over thresholds, highest first), "actions" (most first), "difference" to `other` (largest gain
            first) or "name".
        other: AP of the result to compare with.
    """
    def mean(of: Mapping[str, Sequence[float]], name: str) -> float:
        return float(np.mean(of[name])) if name in of else 0.

    keys = {"AP": lambda name: -mean(per_class, name), "actions": lambda name: -actions.get(name, 0),
            "difference": lambda name: mean(other or {}, name) - mean(per_class, name), "name": lambda name: name}
    return sorted(sorted(per_class), key=keys[by])


def per_class_figure(title: str, tiou: Sequence[float], per_class: Mapping[str, Sequence[float]], order: Sequence[str],
                     actions: Mapping[str, int]) -> Drawn:
    """AP of every class at every tIoU as a heat map.

    Args:
        per_class: {class: AP at each threshold}.
        order: classes, the first on top.
        actions: {class: number of annotated actions}.
    """
    names = [name for name in order if name in per_class]
    values = np.array([per_class[name] for name in names]).reshape(len(names), len(tiou))
    figure = _figure(title, "tIoU threshold", "")
    text = "%{z:.0%}" if len(names) <= CELLS else None
    figure.add_heatmap(
        z=values, x=[f"{threshold:g}" for threshold in tiou], y=[plain_in_figure(name) for name in names],
        zmin=0, zmax=1, texttemplate=text, textfont={"color": "#fff"}, colorscale=SCALE, xgap=1, ygap=1,
        colorbar={"title": "AP", "tickformat": ".0%", "thickness": 12}, showscale=len(names) > FEW,
        customdata=np.broadcast_to([[actions.get(name, 0)] for name in names] or 0, values.shape),
        hovertemplate="%{y}, %{customdata} actions<br>AP %{z:.1%} at tIoU %{x}<extra></extra>")
    figure.update_layout(height=110 + ROW * len(names))
    figure.update_xaxes(type="category")
    figure.update_yaxes(type="category", autorange="reversed", dtick=1, ticksuffix="  ", title=None)
    if not names:
        return Drawn(figure, "No class was measured.")
    means = values.mean(axis=1)
    best, worst = names[int(means.argmax())], names[int(means.argmin())]
    return Drawn(figure, f"Average precision of {len(names)} classes at {values.shape[1]} tIoU thresholds. Highest "
                         f"mean: {best} with {means.max():.1%}; lowest: {worst} with {means.min():.1%}.")


def precision_recall_figure(precision: AveragePrecision, label: str, thresholds: Sequence[int]) -> Drawn:
    """Interpolated precision-recall curve of one class, whose area is the AP, with the raw curve faint behind it.

    Args:
        thresholds: indices into precision.tiou, one curve each.
    """
    figure, words = _figure(f"Precision and recall of {label}", "recall", "precision"), []
    for index, k in enumerate(thresholds):
        ap = precision.per_class[precision.classes.index(label), k]
        name = f"tIoU {precision.tiou[k]:g}"
        recall, height, _ = precision.curve(label, k)
        kept = corners(recall)
        figure.add_scatter(x=recall[kept], y=height[kept], mode="lines", name=f"{name}, not interpolated",
                           line={**_line(index), "width": 1, "dash": "solid"}, opacity=FAINT, showlegend=False,
                           legendgroup=name, hoverinfo="skip")
        x, y, at = staircase(*precision.envelope(label, k))
        figure.add_scatter(x=x, y=y, customdata=at, mode="lines", line=_line(index), legendgroup=name,
                           name=f"{name}, AP {ap:.1%}",
                           hovertemplate="precision %{y:.1%} up to recall %{x:.1%}<br>score ≥ %{customdata:.3f}")
        reached = f", recall up to {recall[-1]:.1%}" if len(recall) else ", never detected"
        words.append(f"{name}: AP {ap:.1%}{reached}")
    figure.update_xaxes(range=[0, 1.01], tickformat=".0%")
    figure.update_yaxes(range=[0, 1.03], tickformat=".0%")
    return Drawn(figure, f"Interpolated precision against recall of {label}. {'; '.join(words)}.")


def staircase(recall: NDArray[np.float64], precision: NDArray[np.float64],
              score: NDArray[np.float64]) -> tuple[NDArray, NDArray, NDArray]:
    """Corners of an interpolated curve (`AveragePrecision.envelope`): recall, precision and score, each [2 H + 1].

    Each step spans from the previous recall to its own, so that the area under the line is the AP; the line ends on
    the axis.
    """
    if not len(recall):
        return recall, precision, score
    edges = np.repeat(np.append(0, recall), 2)[1:]
    return edges, np.append(np.repeat(precision, 2), 0), np.append(np.repeat(score, 2), score[-1])


def corners(recall: NDArray[np.float64]) -> NDArray[np.intp]:
    """Rows of a precision-recall curve that are needed to draw it: around each rise of recall, and the ends.

    Precision only falls between two rises, so the shape is kept with at most two rows per action.
    """
    rises = np.flatnonzero(np.diff(recall, prepend=0) > 0)
    ends = [0, len(recall) - 1] if len(recall) else []
    return np.unique(np.concatenate([rises, rises - 1, ends]).clip(0)).astype(np.intp)


def _figure(title: str, x: str, y: str) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(height=380, margin={"l": 8, "r": 8, "t": 44, "b": 8}, showlegend=True,
                         title={"text": plain_in_figure(title), "font": {"size": 15}},
                         legend={"orientation": "h", "y": -.2, "font": {"size": 12}})
    figure.update_xaxes(title=x)
    figure.update_yaxes(title=y)
    return figure


def _line(index: int) -> dict[str, object]:
    """Line style; lines differ in colour and dash."""
    return {"color": colour(index), "width": 2, "dash": _DASHES[index % len(_DASHES)]}
