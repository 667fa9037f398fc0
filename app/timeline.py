"""The video with its timeline: one Streamlit component, whose JavaScript is in assets/timeline/.

`timeline` shows one video read-only; a click on any lane seeks. `desk` is the annotation desk: the same stage with the
data set's videos and classes beside it, and labels that it manages itself through the routes of app/routes.py.

A lane is a dict that describes one row on the canvas:
    id      unique among the lanes
    label   text on its left
    colour  class index (colour of the palette, the same on all pages) or CSS colour; default: the text's colour
    height  pixels, 22 by default
    layers  list of what is painted in it, bottom first:
        {"kind": "points", "items": [[seconds, text], …]}
        {"kind": "segments", "style": "solid" | "hatched", "items": [[start, end, score, text], …]}
            start and end in seconds; the score (0 to 1) is the opacity
        {"kind": "curve", "url": …, "column": c, "start": seconds of row 0, "step": seconds per row,
         "range": [low, high]}
            column c of an array [T, C] of float32 that a route serves; each URL is fetched once
      A layer may have its own "colour". Make layers with `points_layer`, `segments_layer` and `curve_layer`.
The component itself draws overview, ruler and filmstrip above the lanes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import streamlit as st

from app.colours import colour, palette
from app.paths import ASSETS, video_file
from app.text import plain
from hrpro.data.dataset import DataSet
from hrpro.data.points import Points
from hrpro.data.segments import Segments
from hrpro.errors import InputError
from hrpro.timebase import Timebase

Lane = Mapping[str, Any]
Layer = dict[str, Any]

# Streamlit runs a component's script as a blob, which can load other modules only by a dynamic import of an absolute
# URL. A page's own URL is one level below the app's, also behind a proxy that adds a prefix unknown to the server.
_LOADER = """
const mounted = new WeakMap();
export default function ({ data, parentElement }) {
  if (mounted.has(parentElement)) mounted.get(parentElement).then((component) => component.update(data));
  else {
    const address = new URL("assets/timeline/main.js", document.baseURI).href;
    mounted.set(parentElement, import(address).then(({ mount }) => mount(parentElement, data), () => {
      const notice = document.createElement("p");
      notice.className = "refusal";
      notice.role = "alert";
      notice.textContent = `The scripts of this page could not be loaded from ${address}. Reload the page. If the app `
        + "is behind a proxy, the proxy must pass on every path under its prefix; if it keeps the prefix, start the "
        + "app with --server.baseUrlPath=PREFIX. See docs/reverse-proxy.md.";
      parentElement.append(notice);
      return { update() {}, dispose: () => notice.remove() };
    }));
  }
  return () => {
    mounted.get(parentElement)?.then((component) => component.dispose());
    mounted.delete(parentElement);
  };
}
"""


@cache
def _component() -> Any:
    return st.components.v2.component("hrpro_timeline", js=_LOADER, css=(ASSETS / "timeline/timeline.css").read_text())


def desk(dataset: str, runs: Sequence[str] = (), *, video: str | None = None, seek: float = 0) -> None:
    """The annotation desk of a data set.

    Args:
        runs: names of the runs that have proposals, newest first.
        video, seek: video and time in seconds to open; by default where this browser tab was last.
    """
    _component()(key=f"desk-{dataset}", data={
        "mode": "desk", "dataset": dataset, "video": video, "seek": seek, "palette": palette(),
        "runs": list(runs), "who": os.environ.get("USER", "annotator")})


def timeline(dataset: DataSet, video: str, lanes: Sequence[Lane], *, key: str, seek: float = 0,
             mistake: str = "") -> None:
    """One video over read-only lanes, at `seek` seconds; a rerun with another video, `seek` or `mistake` goes there.

    Args:
        mistake: identity of the mistake that is shown; empty if none is.
    """
    try:
        has_file = video_file(dataset.root, video) is not None
    except InputError as error:
        st.warning(plain(str(error)))
        has_file = False
    painted = [{**_painted(lane), "layers": [_painted(layer) for layer in lane["layers"]]} for lane in lanes]
    _component()(key=key, data={
        "mode": "viewer", "dataset": dataset.name, "lanes": painted, "seek": seek, "mistake": mistake,
        "video": {"id": video, "duration": dataset.duration[video], "fps": dataset.fps[video],
                  "file": has_file}})


def _painted(thing: Mapping[str, Any]) -> dict[str, Any]:
    """A lane or layer with a class index replaced by the class's colour."""
    index = thing.get("colour")
    return {**thing, "colour": colour(index)} if isinstance(index, int) else dict(thing)


def points_layer(points: Points) -> Layer:
    """Points of one video as a layer."""
    names = (points.classes[label] for label in points.label)
    return {"kind": "points", "items": [list(row) for row in zip(points.seconds.tolist(), names, strict=True)]}


def segments_layer(segments: Segments, style: str = "solid") -> Layer:
    """Segments of one video as a layer; style: "solid", or "hatched" for a model's output."""
    names = [segments.classes[label] for label in segments.label]
    columns = (np.round(column, 4).tolist() for column in (segments.start, segments.end, segments.score))
    return {"kind": "segments", "style": style, "items": [list(row) for row in zip(*columns, names, strict=True)]}


def curve_layer(url: str, column: int, timebase: Timebase, low: float = 0, high: float = 1) -> Layer:
    """A column of a snippet array [T, C] that a route serves (`routes.scores_url`), drawn at the snippets' centres."""
    start, second = timebase.seconds([.5, 1.5]).tolist()
    return {"kind": "curve", "url": url, "column": column, "start": start, "step": second - start, "range": [low, high]}
