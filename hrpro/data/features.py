"""Snippet features on disk: checked by their headers, read through memory maps."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrpro.errors import InputError
from hrpro.files import inside, open_regular, read_array_header
from hrpro.schema import Number, mismatch
from hrpro.timebase import Timebase
from hrpro.yaml_files import read_yaml

TIMEBASE = {"fps": Number(1e-3, 1e6), "stride": Number(1, 1e6, whole=True), "clip": Number(1, 1e6, whole=True),
            "offset": Number(-1e9, 1e9, whole=True)}
MOST = 1e15                                             # squares of larger numbers leave float32


def read_header(path: Path) -> tuple[tuple[int, int], np.dtype]:
    """Shape [T, D] and type of a feature file, from its header and size alone.

    Raises:
        InputError: missing, not .npy, cut off, not two-dimensional, not floating point, or without a snippet.
    """
    try:
        with open_regular(path, None) as file:
            shape, _, dtype = read_array_header(file)
            begin, size = file.tell(), os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise InputError(f"{path}: no such file. Extract the video's features.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Make it a readable file.") from None
    except ValueError as error:
        raise InputError(f"{path}: {error}. Extract the video's features again.") from None
    if dtype.kind != "f" or len(shape) != 2:
        raise InputError(f"{path}: holds {dtype} of shape {list(shape)}, not floats [snippets, features]. "
                         "Save one [T, D] float array a video.")
    needed = begin + dtype.itemsize * shape[0] * shape[1]
    if size < needed:
        raise InputError(f"{path}: is cut off ({size} of {needed} bytes). Copy or extract it again.")
    if 0 in shape:
        raise InputError(f"{path}: holds no snippet (shape {list(shape)}). Extract the video's features again.")
    return shape, dtype


def read_timebase(root: Path, default: Timebase) -> Timebase:
    """The rate that `<root>/timebase.yaml` gives the features under it, else `default`.

    Raises:
        InputError: the file is there but at fault.
    """
    path = inside(root.parent, root.name, "timebase.yaml")
    if not path.exists():
        return default
    values = read_yaml(path)
    if isinstance(values, dict):                        # 16.0 is a whole number too
        values = {key: int(value) if isinstance(value, float) and value.is_integer() else value
                  for key, value in values.items()}
    if fault := mismatch(values, TIMEBASE):
        raise InputError(f"{path}: {fault}. Write fps, stride, clip and offset as numbers, or remove the file to use "
                         "the settings' rate.")
    return Timebase(float(values["fps"]), *(values[key] for key in ("stride", "clip", "offset")))


def feature_length(root: Path, split: str, video: str, default: int) -> int:
    """Number of feature rows that the data set under `root` has of a video; `default` where it has no such file."""
    header = inside(root, "features", split, f"{video}.npy")
    return read_header(header)[0][0] if header.exists() else default


def score_timebase(timebase: Timebase, length: int, rows: int) -> Timebase:
    """The rate of a run's `rows` score rows: the features', or slower where it sampled `num_segments` of `length`."""
    return replace(timebase, stride=timebase.stride * length / rows)


@dataclass(frozen=True)
class FeatureSet:
    """Features of one split: `<root>/<video>.npy`, [T, D] floats, with the rate they were made at.

    lengths: {video: T} of the videos whose file is sound.
    """

    root: Path
    timebase: Timebase
    dim: int
    lengths: dict[str, int] = field(repr=False)

    def load(self, video: str) -> NDArray:
        """Features of one video, [T, D], memory-mapped in their own float type."""
        return np.load(self.root / f"{video}.npy", mmap_mode="r", allow_pickle=False)


def open_features(root: Path, timebase: Timebase, dim: int,
                  videos: Iterable[str]) -> tuple[FeatureSet, dict[str, str]]:
    """The features of `videos` under `root`, and {video: fault} for those that cannot be used.

    dim: size D that the settings expect; a file of another size is a fault, as are values that are not finite.
    """
    lengths, faults = {}, {}
    for video in videos:
        path = root / f"{video}.npy"
        try:
            if path.is_symlink():
                inside(root.parent.parent, root.parent.name, root.name, path.name)
            (length, width), _ = read_header(path)
        except InputError as error:
            faults[video] = str(error)
            continue
        if width != dim:
            faults[video] = (f"{path}: features have {width} values a snippet, the settings say {dim}. "
                             f"Set feature_dim={width}, or extract the features again.")
            continue
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not max(float(array.max()), -float(array.min())) <= MOST:    # NaN fails too
            row = int(np.flatnonzero(~(np.abs(array).max(axis=1).astype(float) <= MOST))[0])
            what = "not finite" if not np.isfinite(array[row]).all() else f"beyond {MOST:g}"
            faults[video] = f"{path}: snippet {row} holds a value that is {what}. Extract the features again."
            continue
        lengths[video] = length
    return FeatureSet(root, timebase, dim, lengths), faults


def sample_rows(length: int, number: int, random: np.random.Generator | None = None) -> NDArray[np.intp] | None:
    """`number` of a video's snippets, one from each of as many equal parts; None where all are used (number -1)."""
    if number == -1 or length <= number:
        return None
    edges = np.arange(number + 1) * length // number
    return edges[:-1] if random is None else random.integers(edges[:-1], edges[1:])
