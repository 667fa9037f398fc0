"""Final detections: Gaussian soft-NMS per video and class, and the filter for ambiguous segments."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrpro.data.segments import Segments

_BATCH = 1 << 17  # segments side by side in one batch: few enough for a processor's cache, many enough for numpy


def soft_nms(segments: Segments, sigma: float = .3, *, one_second_added: bool, device: Any = None) -> Segments:
    """Scores after soft-NMS within each video and class; rows and their order stay (docs/method.md, section 3).

    Each step takes the best segment left and multiplies the others' scores by exp(-IoU^2 / sigma).
    one_second_added: lengths and overlaps count a second more, as published (section 7, quirk 3).
    device: a torch device to work on, such as "cuda"; without it numpy does, which a CPU is faster with.
    """
    group = segments.video * len(segments.classes) + segments.label
    order = np.argsort(group, kind="stable")
    sizes = np.unique(group, return_counts=True)[1]
    begins = np.cumsum(sizes) - sizes
    end = segments.end + one_second_added
    score = np.empty(len(segments))
    largest_first = np.argsort(-sizes, kind="stable")
    capacity = _BATCH if device is None else 64 * _BATCH  # a GPU waits for kernels to start, not for memory
    while len(largest_first):
        width = int(sizes[largest_first[0]])
        batch, largest_first = np.split(largest_first, [max(1, capacity // width)])
        slot = (begins + sizes)[batch, None] + np.arange(-width, 0)                       # right-aligned, [G, n]
        rows, real = order[np.maximum(slot, 0)], slot >= begins[batch, None]
        decayed = _decayed(segments.start[rows], end[rows], segments.score[rows], sizes[batch], sigma, device)
        score[rows[real]] = decayed[real]
    return dataclasses.replace(segments, score=score)


def _decayed(start: NDArray, end: NDArray, score: NDArray, sizes: NDArray[np.intp], sigma: float,
             device: Any) -> NDArray[np.float64]:
    """Scores after soft-NMS of groups side by side, all [G, n]; group g fills the last sizes[g] columns.

    The first group is the largest and fills all. Works on a key that orders as the scores do: log s where positive
    and, far below it, -log(-s) where negative. A product with exp(-IoU^2 / sigma) is then a difference (a sum where
    negative): no exp, and nothing underflows.
    """
    width = score.shape[1]
    tiny = np.finfo(float).tiny
    sign = np.where(score < 0, -1., 1.)
    far = 2 * (width / sigma + 1500) * (sign < 0)
    key = sign * np.log(np.maximum(np.abs(score), tiny)) - far
    # An empty segment shares nothing with another; its length only must not make 0 / 0.
    length = np.maximum(end - start, tiny)
    column = np.broadcast_to(np.arange(width), score.shape)
    state = np.stack([start, end, length, -sign / sigma, key, column])
    if device is None:
        _select(np, state, sizes)
    else:
        import torch
        on_device = torch.from_numpy(state).to(device)
        _select(torch, on_device, sizes)
        state = on_device.cpu().numpy()
    final = np.empty_like(score)
    np.put_along_axis(final, state[5].astype(np.intp), state[4], axis=1)
    return np.where(score == 0, 0, sign * np.exp(sign * (final + far)))


def _select(xp: Any, state: Any, sizes: NDArray[np.intp]) -> None:
    """Bring each group's segments into the order of selection, with their keys at that moment, in place.

    state: start, end, length, rate of decay, key, column of origin [6, G, n], an array of xp (numpy or torch). A group
    enters when the window [step, n) reaches it, so that all in it have equally many left and none works on padding.
    """
    _, groups, width = state.shape
    entered = np.searchsorted(-sizes, np.arange(width) - width, side="right").tolist()
    every = xp.arange(groups, device=state.device)
    zero = xp.zeros_like(state[0, :1, :1])
    buffers = xp.empty_like(state[:2]).reshape(2, groups * width)
    for step in range(width - 1):
        inside = entered[step]
        row = every[:inside]
        best = state[4, :inside, step:].argmax(axis=1) + step
        chosen = state[:, row, best]
        state[:, row, best] = state[:, row, step]
        state[:, row, step] = chosen
        start, end, length, rate, key, _ = state[:, :inside, step + 1:]
        iou, union = buffers[:, :inside * (width - step - 1)].reshape(2, *key.shape)
        xp.minimum(end, chosen[1][:, None], out=iou)
        iou -= xp.maximum(start, chosen[0][:, None], out=union)
        xp.maximum(iou, zero, out=iou)
        xp.add(length, chosen[2][:, None], out=union)
        union -= iou
        iou /= union
        iou *= iou
        iou *= rate
        key += iou


def drop_ambiguous(segments: Segments, ambiguous: Segments, *, whole_seconds: bool) -> Segments:
    """The segments that share no time with an ambiguous segment of their video (docs/method.md, section 3).

    whole_seconds: measure in whole seconds, ambiguous ones rounded and the others cut off, as published (section 7,
    quirk 4).
    """
    begins, ends = ambiguous.start, ambiguous.end
    start, end = segments.start, segments.end
    if whole_seconds:
        begins, ends, start, end = np.rint(begins), np.rint(ends), np.trunc(start), np.trunc(end)
    dropped = np.zeros(len(segments), bool)
    index = {video: position for position, video in enumerate(segments.videos)}
    for name in np.unique(ambiguous.video).tolist():
        rows = np.flatnonzero(segments.video == index.get(ambiguous.videos[name], -1))
        mine = ambiguous.video == name
        shared = np.minimum(end[rows, None], ends[mine]) - np.maximum(start[rows, None], begins[mine])
        dropped[rows] = (shared > 0).any(axis=1)
    return segments[~dropped]
