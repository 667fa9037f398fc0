"""Snippet features on disk: checked by their headers, read as memory maps."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hrpro.data.foreign import misfit
from hrpro.errors import InputError
from hrpro.files import inside, leads_out, open_regular, read_array_header
from hrpro.schema import Number, mismatch
from hrpro.timebase import Timebase
from hrpro.yaml_files import read_yaml

TIMEBASE = {"fps": Number(1e-3, 1e6), "stride": Number(1, 1e6, whole=True), "clip": Number(1, 1e6, whole=True),
            "offset": Number(-1e9, 1e9, whole=True)}
MOST = 1e15                                             # squares of larger values could overflow float32


class FeatureError(InputError):
    """A feature file that cannot be used.

    Attributes:
        kind: the same for files with the same fault and remedy.
        what, remedy: the fault without the file's path, and the remedy.
    """

    def __init__(self, path: Path, kind: str, what: str, remedy: str):
        super().__init__(f"{path}: {what}. {remedy}")
        self.kind, self.what, self.remedy = kind, what, remedy


def feature_file(root: Path, video: str) -> Path:
    """The feature file of a video: `<root>/<video>.npy`, else in the parent folder, which both splits may share."""
    own, shared = root / f"{video}.npy", root.parent / f"{video}.npy"
    return shared if shared.exists() and not own.exists() else own


def read_header(path: Path, dim: int | None = None, expected: int | None = None) -> tuple[tuple[int, int], np.dtype]:
    """Shape [T, D] and dtype of a feature file, from its header and size alone.

    Args:
        path: the file.
        dim: required D; None allows any.
        expected: T according to the video's length, for the remedy if the shape is wrong; None if unknown.

    Raises:
        FeatureError: the file is missing, not .npy, cut off, or not [T, dim] floats.
    """
    try:
        with open_regular(path, None) as file:
            shape, _, dtype = read_array_header(file)
            begin, size = file.tell(), os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise FeatureError(path, "missing", "no such file", "Extract the video's features.") from None
    except OSError as error:
        raise FeatureError(path, "unreadable", f"cannot be read ({error.strerror})",
                           "Make it a readable file.") from None
    except ValueError as error:
        raise FeatureError(path, "not npy", str(error), "Extract the features again.") from None
    if fault := misfit(shape, dtype, dim or (shape[-1] if shape else 1), expected):
        raise FeatureError(path, *fault)
    needed = begin + dtype.itemsize * shape[0] * shape[1]
    if size < needed:
        raise FeatureError(path, "cut off", f"is cut off ({size} of {needed} bytes)", "Copy or extract it again.")
    return shape, dtype


def read_timebase(root: Path, default: Timebase) -> Timebase:
    """The timebase of the features in `root` according to its timebase.yaml, or `default` if there is none.

    Raises:
        InputError: the file exists but is invalid.
    """
    path = inside(root.parent, root.name, "timebase.yaml")
    if not path.exists():
        return default
    values = read_yaml(path)
    if isinstance(values, dict):                        # accept 16.0 as a whole number
        values = {key: int(value) if isinstance(value, float) and value.is_integer() else value
                  for key, value in values.items()}
    if fault := mismatch(values, TIMEBASE):
        raise InputError(f"{path}: {fault}. Write fps, stride, clip and offset as numbers, or remove the file to use "
                         "the settings' rate.")
    return Timebase(float(values["fps"]), *(values[key] for key in ("stride", "clip", "offset")))


def feature_length(root: Path, split: str, video: str, default: int) -> int:
    """Number of feature rows of a video in the data set in `root`; `default` if it has no features."""
    path = feature_file(root / "features" / split, video)
    header = inside(root, path.relative_to(root))
    return read_header(header)[0][0] if header.exists() else default


def score_timebase(timebase: Timebase, length: int, rows: int) -> Timebase:
    """The timebase of a run's scores: slower than the features' if it sampled `rows` of the `length` snippets."""
    return replace(timebase, stride=timebase.stride * length / rows)


@dataclass(frozen=True)
class FeatureSet:
    """Features of one split: files of [T, D] floats (`feature_file`) and their timebase.

    Attributes:
        dim: feature size D.
        lengths: {video: T} of the videos with a valid file.
    """

    root: Path
    timebase: Timebase
    dim: int
    lengths: dict[str, int] = field(repr=False)

    def load(self, video: str) -> NDArray:
        """Features of one video, [T, D], memory-mapped in their own float dtype."""
        return np.load(feature_file(self.root, video), mmap_mode="r", allow_pickle=False)


def open_features(root: Path, timebase: Timebase, dim: int, videos: Iterable[str],
                  expected: Mapping[str, int] = MappingProxyType({})) -> tuple[FeatureSet, dict[str, FeatureError]]:
    """Check and open the features of `videos` in `root`.

    Args:
        root: the split's feature folder.
        timebase: the features' timebase.
        dim: required feature size D; other sizes are faults, as are values that are not finite.
        videos: the split's videos.
        expected: {video: T} according to the videos' lengths, where known.

    Returns:
        The valid features, and {video: fault} of the others.
    """
    lengths, faults = {}, {}
    for video in videos:
        path = feature_file(root, video)
        try:
            if path.is_symlink() and leads_out(path, root.parent.parent):
                raise FeatureError(path, "linked", "is a link that leads out of the data set",
                                   "Put the file itself there, or a hard link.")
            (length, _), _ = read_header(path, dim, expected.get(video))
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            if not max(float(array.max()), -float(array.min())) <= MOST:            # NaN fails too
                row = int(np.flatnonzero(~(np.abs(array).max(axis=1).astype(float) <= MOST))[0])
                what = "not finite" if not np.isfinite(array[row]).all() else f"beyond {MOST:g}"
                raise FeatureError(path, what, f"snippet {row} holds a value that is {what}",
                                   "Extract the features again.")
            lengths[video] = length
        except FeatureError as error:
            faults[video] = error
    return FeatureSet(root, timebase, dim, lengths), faults


def sample_rows(length: int, number: int, random: np.random.Generator | None = None) -> NDArray[np.intp] | None:
    """Sample `number` of a video's snippets, one from each of `number` equal parts.

    Args:
        length: number of snippets T.
        number: how many to sample; -1 for all.
        random: draws a snippet from each part; without it, the first one is taken.

    Returns:
        Rows of the sampled snippets, [number]; None if all are used.
    """
    if number == -1 or length <= number:
        return None
    edges = np.arange(number + 1) * length // number
    return edges[:-1] if random is None else random.integers(edges[:-1], edges[1:])
