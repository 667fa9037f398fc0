"""The segments that people accepted, as ground truth in ActivityNet's format and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

from hrpro.files import inside, read_json
from hrpro.labels.operations import LabelStore

COLUMNS = ("video_id", "class", "start", "end", "who", "model")
Row = dict[str, Any]


def accepted_segments(store: LabelStore, who: str | None = None) -> list[Row]:
    """Segments that people (or only `who`) accepted or corrected, sorted by video and time."""
    rows = [row for row in store.segments() if not row.get("refused") and who in (None, row["who"])]
    return sorted(rows, key=lambda row: (row["video"], row["start"], row["end"]))


def segments_to_json(store: LabelStore, rows: Iterable[Row]) -> dict[str, Any]:
    """Ground truth of the videos with accepted segments, for `evaluate --gt`.

    Subset, duration and fps come from gt_full.json. Videos that the data set no longer has are left out.
    """
    known, database = read_json(inside(store.root, "gt_full.json"))["database"], {}
    for row in rows:
        if row["video"] in store.dataset.duration:
            video = row["video"]
            entry = database.setdefault(video, {
                "subset": known[video].get("subset", "accepted"), "duration": store.dataset.duration[video],
                "fps": store.dataset.fps[video], "annotations": []})
            entry["annotations"].append({"label": row["label"], "segment": [row["start"], row["end"]]})
    return {"version": "1", "database": database}


def segments_to_csv(rows: Iterable[Row]) -> str:
    """One line per segment, times in seconds: video_id,class,start,end,who,model."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((row["video"], row["label"], row["start"], row["end"], row["who"], row["model"]) for row in rows)
    return out.getvalue()
