"""Training curves: pure functions from a stage's log to a figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray

from app.colours import colour
from app.run_log import StageLog
from app.text import plain_in_figure

MAX_POINTS = 1000
HEIGHT = 300
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


def loss_figure(log: StageLog, weights: Mapping[str, float]) -> go.Figure:
    """The total loss over the steps, and its weighted terms, which add up to it.

    Args:
        weights: {term: weight in the total}. Terms with weight 0 or an unknown weight are drawn unweighted, and only
            when selected in the legend.
    """
    figure = _figure(log, "Loss")
    for index, (name, values) in enumerate(log.losses.items()):
        weight = 1. if name == "total" else weights.get(name)
        steps, shown = thin(log.steps, np.multiply(values, weight or 1.))
        figure.add_scatter(x=steps, y=shown, name=plain_in_figure(_loss_label(name, weight)), mode="lines",
                           line=_line(index), hovertemplate="%{y:.4f}", visible=True if weight else "legendonly")
    if not log.steps:
        _say(figure, "No step yet")
    return figure


def _loss_label(name: str, weight: float | None) -> str:
    if weight is None:
        return f"{name} (unweighted)"
    return name if weight == 1 else f"{weight:g} × {name}" if weight else f"{name} (not in the total)"


def map_figure(log: StageLog) -> go.Figure:
    """mAP on the test split over the steps, with the best one marked."""
    figure = _figure(log, "mAP on test")
    figure.update_yaxes(tickformat=".2~%", rangemode="tozero")
    measured = [test for test in log.tests if test["mAP"]]
    if not measured:
        _say(figure, "No test yet")
        return figure
    steps = [test["step"] for test in measured]
    names = list(reversed(averages(measured[0])))
    for index, name in enumerate(names):
        shown, values = thin(steps, [averages(test).get(name, math.nan) for test in measured])
        figure.add_scatter(x=shown, y=values, name=plain_in_figure(name), mode="lines+markers", line=_line(index),
                           marker={"size": 5}, hovertemplate="%{y:.1%}")
    if best := [test for test in measured if test["best"]]:
        mean = np.mean(list(best[-1]["mAP"].values()))
        figure.add_scatter(x=[best[-1]["step"]], y=[mean], name="best on test", mode="markers",
                           marker={"symbol": "star", "size": 14, "color": colour(len(names))},
                           hovertemplate="mean over tIoU %{y:.1%}")
    return figure


def averages(report: Mapping[str, Any]) -> dict[str, float]:
    """{title: average mAP} of a report; its mAP at each tIoU if the thresholds have none of the usual averages."""
    if report.get("average"):
        return {f"AVG {span}": value for span, value in report["average"].items()}
    return {f"mAP@{tiou}": value for tiou, value in (report.get("mAP") or {}).items()}


def thin(x: Sequence[float], y: ArrayLike, limit: int = MAX_POINTS) -> tuple[NDArray, NDArray]:
    """Reduce a curve to at most `limit` points: means over runs of equal length, and the last point unchanged."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if len(x) <= limit:
        return x, y
    starts = np.linspace(0, len(x) - 1, limit).astype(int)
    counts = np.diff(np.append(starts, len(x)))
    return np.add.reduceat(x, starts) / counts, np.add.reduceat(y, starts) / counts


def _figure(log: StageLog, title: str) -> go.Figure:
    figure = go.Figure()
    text = plain_in_figure(f"Stage {log.stage} · {title} by {log.unit}")
    figure.update_layout(height=HEIGHT, margin={"l": 8, "r": 8, "t": 40, "b": 8}, hovermode="x unified",
                         title={"text": text, "font": {"size": 15}},
                         legend={"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0,
                                 "font": {"size": 12}},
                         uirevision="kept")             # keep the zoom while points arrive
    figure.update_xaxes(rangemode="tozero")
    return figure


def _line(index: int) -> dict[str, object]:
    """Line style; lines differ in colour and dash, the first one also in width."""
    return {"color": colour(index), "width": 1.5 if index else 2.5, "dash": _DASHES[index % len(_DASHES)]}


def _say(figure: go.Figure, text: str) -> None:
    figure.update_yaxes(range=[0, 1])
    figure.add_annotation(text=text, xref="paper", yref="paper", x=.5, y=.5, showarrow=False)
