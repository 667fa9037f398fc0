"""Final detections: Gaussian soft-NMS per video and class, and the ambiguous-segment filter."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrpro.data.segments import Segments

_BATCH = 1 << 17  # segments per batch: few enough for the processor's cache, many enough to amortise numpy's overhead


def soft_nms(segments: Segments, sigma: float = .3, *, one_second_added: bool, device: Any = None) -> Segments:
    """Apply Gaussian soft-NMS within each video and class (docs/method.md, section 3).

    Each step selects the highest-scoring remaining segment and multiplies the scores of the others by
    exp(-IoU^2 / sigma).

    Args:
        segments: raw proposals.
        sigma: width of the Gaussian.
        one_second_added: add one second to lengths and overlaps, as published (section 7, quirk 3).
        device: torch device to run on, such as "cuda"; without one, numpy is used, which is faster on a CPU.

    Returns:
        The same segments in the same order, with new scores.
    """
    group = segments.video * len(segments.classes) + segments.label
    order = np.argsort(group, kind="stable")
    sizes = np.unique(group, return_counts=True)[1]
    begins = np.cumsum(sizes) - sizes
    end = segments.end + one_second_added
    score = np.empty(len(segments))
    largest_first = np.argsort(-sizes, kind="stable")
    capacity = _BATCH if device is None else 64 * _BATCH  # a GPU is bound by kernel launches, not by memory
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
    """Scores after soft-NMS of G groups in parallel, all [G, n]; group g fills the last sizes[g] columns.

    The first group is the largest and fills all columns. Scores are replaced by a key with the same order: log s for
    positive scores and, far below it, -log(-s) for negative ones. Multiplying by exp(-IoU^2 / sigma) is then a
    subtraction (an addition for negative scores): no exp is needed, and nothing underflows.
    """
    width = score.shape[1]
    tiny = np.finfo(float).tiny
    sign = np.where(score < 0, -1., 1.)
    far = 2 * (width / sigma + 1500) * (sign < 0)
    key = sign * np.log(np.maximum(np.abs(score), tiny)) - far
    # An empty segment overlaps nothing; its length only has to avoid 0 / 0.
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
    """Sort each group's segments by order of selection, in place, with their keys when they were selected.

    `state` is an array of xp (numpy or torch), [6, G, n]: start, end, length, decay rate, key, original column. A group
    joins when the window [step, n) reaches it, so all groups inside have the same number of segments left and no time
    is spent on padding.
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
    """Drop segments that overlap an ambiguous segment of their video (docs/method.md, section 3).

    Args:
        segments: detections.
        ambiguous: ambiguous segments.
        whole_seconds: compare whole seconds, with ambiguous segments rounded and the others truncated, as published
            (section 7, quirk 4).
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
