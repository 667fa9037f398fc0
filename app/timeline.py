"""The video with its timeline: one Streamlit component, whose JavaScript is in assets/timeline/.

`timeline` shows one video read-only; a click on any lane seeks it. `desk` is the annotation desk: the same stage with
the data set's videos and classes beside it, and labels that it keeps itself, through the routes of app/routes.py.

A lane is a dict that makes one row on the canvas:
    id      unique among the lanes
    label   text at its left
    colour  class index (a colour of the palette, stable over pages) or a CSS colour; omitted: the text's colour
    height  pixels, 22 by default
    layers  list of what is painted in it, first below:
        {"kind": "points", "items": [[seconds, text], …]}
        {"kind": "segments", "style": "solid" | "hatched", "items": [[start, end, score, text], …]}
            start and end in seconds; the score (0 to 1) is the opacity
        {"kind": "curve", "url": …, "column": c, "start": seconds of row 0, "step": seconds a row, "range": [low, high]}
            column c of an array [T, C] of float32 that a route serves; the same url is fetched once
      A layer may have its own "colour". Make layers with `points_layer`, `segments_layer` and `curve_layer`.
Overview, ruler and filmstrip stand above the lanes by themselves.
"""
