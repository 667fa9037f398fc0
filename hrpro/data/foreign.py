"""Explain how to convert features that are not [T, D] floats in `<split>/<video>.npy`."""

from __future__ import annotations

import contextlib
import os
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from hrpro.errors import number_of
from hrpro.files import open_archive, open_regular
from hrpro.names import nearest
from hrpro.timebase import Timebase

ARRAYS = frozenset((".npz", ".pt", ".pth", ".pkl", ".h5", ".hdf5", ".mat", ".csv", ".txt", ".json", ".bin",
                    ".tar", ".zip", ".gz", ".lmdb", ".mdb", ".parquet", ".safetensors", ".tfrecord"))
STREAMS = re.compile(r"(.+?)[_.-]?(rgb|flow|audio|spatial|temporal)", re.IGNORECASE)
RATES = (5, 8, 10, 12, 15, 16, 20, 24, 25, 30, 48, 50, 60)
MOST_FILES, COMPARED = 50_000, 20                       # files looked at; file names compared with the videos' names


def fits(length: int, expected: int | None) -> bool:
    """Whether a number of snippets is close to the expected number; False if that is unknown."""
    return expected is not None and abs(length - expected) <= max(3, .1 * expected)


def misfit(shape: tuple[int, ...], dtype: np.dtype, dim: int, expected: int | None) -> tuple[str, str, str] | None:
    """Explain why an array is not a video's [T, dim] floats.

    Args:
        shape, dtype: of the array.
        dim: required feature size D.
        expected: T according to the video's length; None if unknown.

    Returns:
        The kind of fault, the fault and the remedy; None if nothing is wrong.
    """
    if dtype.kind in "iu":
        return "type", f"holds {dtype} of shape {list(shape)}, not floats", "Save array.astype('float32')."
    if dtype.kind != "f" or not shape:
        return ("type", f"holds {dtype} of shape {list(shape)}, not floats [snippets, features]",
                "Save one [T, D] float array per video.")
    if 0 in shape:
        return "empty", f"holds no snippet (shape {list(shape)})", "Extract the features again."
    if len(shape) == 2:
        return None if shape[1] == dim else _misfit_matrix(shape, dim, expected)
    return _misfit_axes(shape, dim, expected)


def _misfit_matrix(shape: tuple[int, int], dim: int, expected: int | None) -> tuple[str, str, str]:
    rows, columns = shape
    length = f"the video's length makes {expected} snippets" if expected else "the video's length is not known"
    if rows == dim and (fits(columns, expected) or not fits(rows, expected)):
        proof = f"; {length}" if fits(columns, expected) else ""
        return ("transposed", f"is transposed, {list(shape)} instead of {[columns, rows]}{proof}",
                "Save its transpose: np.save(path, array.T).")
    if fits(rows, expected):
        return (f"dim {columns}", f"features have {columns} values per snippet, the settings say {dim}",
                f"Set feature_dim={columns}, or extract the features again.")
    if fits(columns, expected):
        return (f"transposed {rows}", f"is transposed, {list(shape)} instead of {[columns, rows]}; {length}, "
                f"and the settings say {dim} values",
                f"Save its transpose, np.save(path, array.T), and set feature_dim={rows}.")
    return ("size", f"holds {list(shape)}: the second axis is not feature_dim={dim}, and the first does not fit the "
            f"video ({length})", "Save one [T, D] array per video, one row per snippet, or extract the features again.")


def _misfit_axes(shape: tuple[int, ...], dim: int, expected: int | None) -> tuple[str, str, str]:
    """The fault of an array with one axis, or with more than two."""
    core = [length for length in shape if length != 1]
    array = "array" if len(core) == len(shape) else "np.squeeze(array)"
    holds = f"holds {list(shape)}, not [T, {dim}]"
    if len(core) == 2 and dim in core:
        turned = ".T" if core[1] != dim else ""
        return f"squeeze{turned}", f"{holds}: axes of length 1 are left over", f"Save {array}{turned}."
    if len(core) == 3 and dim in core:
        features = core.index(dim)
        first, second = (axis for axis in range(3) if axis != features)
        time = next((axis for axis in (second, first) if fits(core[axis], expected)),
                    first if core[first] > core[second] else second)
        crops = second if time == first else first
        turned = ".T" if time > features else ""
        return ("crops", f"{holds}: it seems to hold {core[crops]} crops or streams of each snippet",
                f"Save their mean: {array}.mean(axis={crops}){turned}.")
    if core == [dim] and len(shape) == 1:
        return "vector", f"{holds}: one vector for the whole video", "Extract the features again, one row per snippet."
    if len(core) <= 1 and np.prod(shape) % dim == 0:
        return "flat", f"{holds}: the rows are concatenated", f"Save array.reshape(-1, {dim})."
    return "axes", f"{holds}", "Save one [T, D] array per video."


def explain_lengths(lengths: Mapping[str, int], duration: Mapping[str, float], fps: Mapping[str, float],
                    timebase: Timebase, keys: tuple[str, str]) -> str:
    """Suggest why the number of snippets does not fit the videos.

    Args:
        lengths: {video: snippets}.
        duration: {video: seconds}.
        fps: {video: frames per second}.
        timebase: the features' timebase according to the settings.
        keys: names of the settings for its fps and stride.

    Returns:
        Sentences with the cause and the remedy; empty if no cause is likely.
    """
    count = np.array(list(lengths.values()), float)
    seconds = np.array([duration[video] for video in lengths])
    if len(set(count.tolist())) == 1 and seconds.max() > 1.1 * seconds.min():
        return (f"All have {count[0]:.0f} snippets whatever the video's length: they were rescaled to a fixed number, "
                "but a snippet must last equally long in every video. Use the features before rescaling.")
    rate = count / seconds
    if rate.max() < 1.1 * rate.min():
        every = float(np.median(rate))
        stride, rows = timebase.fps / every, every * timebase.stride
        options = [f"{keys[1]}={round(stride)}"] * (256 >= round(stride) >= 1 and abs(stride / round(stride) - 1) < .04)
        near = min(RATES, key=lambda known: abs(known / rows - 1))
        options += [f"{keys[0]}={near:.6g}"] * (abs(near / rows - 1) < .03)
        if options:
            return f"This fits {' or '.join(options)}. Set what the features were made at, or correct the durations."
    own = count * timebase.stride / (seconds * np.array([fps[video] for video in lengths]))
    if (np.abs(own - 1) < .1).all():
        return ("The lengths fit each video's own frame rate; a snippet must last equally long in every video. Extract "
                "the features again at one rate.")
    return ""


def elsewhere(folder: Path, target: str, videos: Sequence[str]) -> str:
    """Find files that exist instead of `<split>/<video>.npy`.

    Args:
        folder: the data set's `features` folder, which need not exist.
        target: where the files belong.
        videos: videos whose file is missing.

    Returns:
        Sentences that say what was found and what to do with it; empty if nothing was found.
    """
    root = folder if folder.is_dir() else next(
        (path for path in sorted(folder.parent.iterdir()) if path.is_dir() and path.name.casefold() in
         ("features", "feature", "feats")), folder)
    exact, wanted = set(videos), {video.casefold() for video in videos}
    placed: dict[Path, list[Path]] = defaultdict(list)      # .npy of these videos, by folder
    named: dict[str, list[Path]] = defaultdict(list)        # other files of these videos, by suffix
    rest: dict[str, list[Path]] = defaultdict(list)
    streams: list[Path] = []
    for path in islice(_files(root), MOST_FILES):
        suffix, stem = path.suffix.lower(), path.stem.casefold()
        if suffix != ".npy" and suffix not in ARRAYS:
            continue
        if stem in wanted:
            (placed[path.parent] if path.suffix == ".npy" and path.stem in exact else named[suffix]).append(path)
        elif (match := STREAMS.fullmatch(stem)) and match[1] in wanted:
            streams.append(path)
        else:
            rest[suffix].append(path)
    if placed:
        place, found = max(placed.items(), key=lambda item: len(item[1]))
        verb = "Copy" if place.parent == folder and place.name in ("train", "test") else "Move"
        return f"{_many(found)} of these videos in {place}. {verb} them to {target}."
    if streams:
        return (f"{_many(streams)} of single streams, {_such(streams, root)}. Join those of each video: "
                "np.save('<video>.npy', np.concatenate([rgb, flow], axis=1)).")
    if likely := nearest([path.stem for path in rest[".npy"][:COMPARED]], videos):
        stem, video = next(iter(likely.items()))
        return f"{_many(rest['.npy'])} of other names. Rename them as in the split, such as {stem}.npy to {video}.npy."
    suffix, found = max((named or rest).items(), key=lambda item: len(item[1]), default=("", []))
    if suffix == ".npy" and named:
        return f"{_many(found)} of similar names, {_such(found, root)}. Rename them as in the split."
    return f"{_many(found)}, {_such(found, root)}. {_saving(found[0])}" if suffix not in ("", ".npy") else ""


def _files(folder: Path, depth: int = 4) -> Iterator[Path]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry), depth - 1) if depth else ()
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry)


def _many(files: Sequence[Path]) -> str:
    return number_of(len(files), f"{files[0].suffix} file")


def _such(files: Sequence[Path], root: Path) -> str:
    return f"such as {files[0].relative_to(root)}"


def _saving(path: Path) -> str:
    """How to convert files like this one."""
    read = ""
    if path.suffix == ".npz":
        unreadable = OSError, ValueError, NotImplementedError, zipfile.BadZipFile
        with contextlib.suppress(*unreadable), open_regular(path, None) as file:
            names = [name.removesuffix(".npy") for name in open_archive(file).namelist()]
            key = names[0] if len(names) == 1 and len(names[0]) < 40 else "…"
            read = f": np.save(new, np.load(old)[{key!r}])"
    elif path.suffix in (".pt", ".pth"):
        read = ": np.save(new, torch.load(old, weights_only=True).numpy())"
    return f"Save the [T, D] array in each as <video>.npy{read}."
