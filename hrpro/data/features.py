"""Snippet features on disk: checked by their headers, read through memory maps."""

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
MOST = 1e15                                             # squares of larger numbers leave float32


class FeatureError(InputError):
    """A feature file that cannot be used.

    Attributes:
        kind: equal for files with the same fault and remedy.
        what, remedy: the fault without the file's path, and what to do about it.
    """

    def __init__(self, path: Path, kind: str, what: str, remedy: str):
        super().__init__(f"{path}: {what}. {remedy}")
        self.kind, self.what, self.remedy = kind, what, remedy


def feature_file(root: Path, video: str) -> Path:
    """The features of a video: `<root>/<video>.npy`, or beside the split's folder where they are kept in one folder."""
    own, shared = root / f"{video}.npy", root.parent / f"{video}.npy"
    return shared if shared.exists() and not own.exists() else own


def read_header(path: Path, dim: int | None = None, expected: int | None = None) -> tuple[tuple[int, int], np.dtype]:
    """Shape [T, D] and type of a feature file, from its header and size alone.

    Args:
        dim: what D must be; None allows any.
        expected: T as the video's length makes it, for the advice where the shape is wrong; None if not known.

    Raises:
        FeatureError: missing, not .npy, cut off, not [T, dim] floats.
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
    path = feature_file(root / "features" / split, video)
    header = inside(root, path.relative_to(root))
    return read_header(header)[0][0] if header.exists() else default


def score_timebase(timebase: Timebase, length: int, rows: int) -> Timebase:
    """The rate of a run's `rows` score rows: the features', or slower where it sampled `num_segments` of `length`."""
    return replace(timebase, stride=timebase.stride * length / rows)


@dataclass(frozen=True)
class FeatureSet:
    """Features of one split: files of [T, D] floats (`feature_file`), with the rate they were made at.

    lengths: {video: T} of the videos whose file is sound.
    """

    root: Path
    timebase: Timebase
    dim: int
    lengths: dict[str, int] = field(repr=False)

    def load(self, video: str) -> NDArray:
        """Features of one video, [T, D], memory-mapped in their own float type."""
        return np.load(feature_file(self.root, video), mmap_mode="r", allow_pickle=False)


def open_features(root: Path, timebase: Timebase, dim: int, videos: Iterable[str],
                  expected: Mapping[str, int] = MappingProxyType({})) -> tuple[FeatureSet, dict[str, FeatureError]]:
    """The features of `videos` under `root`, and what is wrong with the files that cannot be used.

    Args:
        dim: size D that the settings expect; a file of another size is a fault, as are values that are not finite.
        expected: {video: T} as the videos' lengths make it, where known.
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
    """`number` of a video's snippets, one from each of as many equal parts; None where all are used (number -1)."""
    if number == -1 or length <= number:
        return None
    edges = np.arange(number + 1) * length // number
    return edges[:-1] if random is None else random.integers(edges[:-1], edges[1:])
