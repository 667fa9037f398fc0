"""Which annotated segments count: the single rule for training, its metrics and `evaluate`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrpro.data.segments import Segments
from hrpro.errors import preview

SLACK = .5                                              # seconds past the video's end that are not reported


@dataclass(frozen=True, eq=False)
class Truth:
    """The annotated segments of a file, and their faults.

    A segment without length ([5, 5]) matches no prediction. It is left out of training and of all metrics but stays in
    the file. A segment that ends before it starts is a fault. All others count, even if they lie outside their video or
    are listed more than once.

    Attributes:
        path: the file, for messages.
        annotated: all N segments of the file.
        strict: count segments without length as actions that cannot be found, as ActivityNet's evaluator does.
    """

    path: Path
    annotated: Segments = field(repr=False)
    strict: bool = False

    @cached_property
    def counted(self) -> Segments:
        """The segments to train on and to evaluate against."""
        length = self.annotated.length
        return self.annotated[length >= 0 if self.strict else length > 0]

    def fault(self, videos: Collection[str]) -> str | None:
        """A sentence on the segments of these videos that end before they start; None if there are none."""
        chosen = np.array([video in videos for video in self.annotated.videos], bool)
        rows = self.annotated[(self.annotated.length < 0) & chosen[self.annotated.video]]
        if not len(rows):
            return None
        return (f"{self.path}: {_count(len(rows), 'ends', 'end')} before the start, the first {_place(rows)}"
                f"{_also(rows)}. Swap the ends or remove the segment.")

    def left_out(self) -> str | None:
        """A sentence on the segments without length and what happens to them; None if there are none."""
        empty = self.annotated[self.annotated.length == 0]
        if not len(empty):
            return None
        one = len(empty) == 1
        what = f"{self.path}: {_count(len(empty), 'has', 'have')} no length (the first: {_place(empty)}{_also(empty)})"
        if self.strict:
            return f"{what} and {'counts as an action' if one else 'count as actions'} that no prediction can find."
        return (f"{what}; {'it stays' if one else 'they stay'} in the file, but training and evaluation leave "
                f"{'it' if one else 'them'} out. Correct the ends, or remove the segment.")

    def notes(self, duration: Mapping[str, float]) -> list[str]:
        """Sentences on segments outside their video and on duplicates, which count nevertheless.

        Args:
            duration: {video: seconds}; other videos are not checked.
        """
        rows, notes = self.counted, []
        limit = np.array([duration.get(video, np.inf) for video in rows.videos])[rows.video] if len(rows) else 0
        outside = rows[(rows.end > limit + SLACK) | (rows.start < 0)]
        if len(outside):
            seconds = duration.get(outside.videos[outside.video[0]])
            notes.append(f"{self.path}: {_count(len(outside), 'lies', 'lie')} outside the video, the first "
                         f"{_place(outside)}{f' of {seconds:g} s' if seconds else ''}{_also(outside)}. Correct the "
                         "segment or the duration.")
        repeated = rows[_repeated(rows)]
        if len(repeated):
            notes.append(f"{self.path}: {_count(len(repeated), 'repeats', 'repeat')} an earlier one, the "
                         f"first {_place(repeated)}{_also(repeated)}. Each copy counts as an action of its own; remove "
                         "the copies.")
        return notes


def _repeated(rows: Segments) -> NDArray[np.bool_]:
    """Mask of the rows with the same video, class, start and end as an earlier one, [N]."""
    order = np.lexsort((rows.end, rows.start, rows.label, rows.video))
    columns = np.stack([rows.end, rows.start, rows.label, rows.video])[:, order]
    repeated = np.zeros(len(rows), bool)
    repeated[order[1:]] = (columns[:, 1:] == columns[:, :-1]).all(axis=0)
    return repeated


def _count(number: int, does: str, do: str) -> str:
    return f"1 segment {does}" if number == 1 else f"{number:,} segments {do}"


def _place(rows: Segments) -> str:
    """The first row, for use in a sentence."""
    return f"[{rows.start[0]:g}, {rows.end[0]:g}] in video {rows.videos[rows.video[0]]!r}"


def _also(rows: Segments) -> str:
    """The videos of these rows except the first row's, for use in a sentence."""
    others = [rows.videos[index] for index in dict.fromkeys(rows.video.tolist())][1:]
    return f"; also in {preview(others)}" if others else ""
