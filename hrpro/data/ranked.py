"""Stage 1's proposals ranked by reliability, read back from proposals.json (docs/method.md, section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hrpro.data.segments import Segments
from hrpro.errors import InputError
from hrpro.files import read_json
from hrpro.timebase import Timebase


@dataclass(frozen=True, eq=False)
class Ranked:
    """Proposals of one video, in seconds.

    Attributes:
        positive: PP; the only ones in videos of the test split.
        reliable: RP, for the points that have one.
        negative: NP, all of the class "background".
    """

    positive: Segments
    reliable: Segments
    negative: Segments


def read_ranked(path: Path, classes: Sequence[str],
                timebases: Mapping[str, Timebase]) -> dict[str, dict[str, Ranked]]:
    """Read the proposals of the splits in `timebases`.

    Args:
        path: proposals.json.
        classes: the run's classes.
        timebases: {split: timebase}, which converts NP from snippets to seconds.

    Returns:
        {split: {video: proposals}}.

    Raises:
        InputError: the file is missing or belongs to another data set.
    """
    document = read_json(path, "Run stage 1 with --mode test first.", "Run stage 1 with --mode test again.")
    lookup = {name: index for index, name in enumerate(classes)}
    try:
        return {split: {video: _ranked(entry, video, lookup, timebase, split)
                        for video, entry in document[split].items()}
                for split, timebase in timebases.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: does not hold this data set's proposals ({error!r}). "
                         "Run stage 1 with --mode test again.") from None


def _ranked(entry: Mapping[str, Any], video: str, lookup: Mapping[str, int], timebase: Timebase,
            split: str) -> Ranked:
    def by_class(of: Mapping[str, list]) -> Segments:
        kept = {name: [row for row in rows if row] for name, rows in of.items()}
        rows = np.array([row for part in kept.values() for row in part], float).reshape(-1, 3)
        label = np.repeat([lookup[name] for name in kept], [len(part) for part in kept.values()])
        return Segments.make(rows[:, 0], rows[:, 1], label, tuple(lookup), (video,), rows[:, 2])

    if split == "train" and not entry.keys() >= {"RP", "NP"}:
        raise KeyError("RP, NP")
    negative = np.array(entry.get("NP", []), float).reshape(-1, 3)
    start, end = timebase.seconds(negative[:, :2].T)
    return Ranked(by_class(entry["PP"]), by_class(entry.get("RP", {})),
                  Segments.make(start, end, np.zeros(len(negative)), ("background",), (video,), negative[:, 2]))
