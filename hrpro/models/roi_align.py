"""One-dimensional RoI align in plain torch: proposal features in a fixed number of bins."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def roi_align_1d(features: Tensor, start: Tensor, end: Tensor, bins: int = 12, *, out: Tensor | None = None) -> Tensor:
    """Average linear samples in each of `bins` equal parts of M regions (docs/method.md, section 5).

    A region is at least one snippet long, and a bin takes ceil(length / bins) samples. Everything outside the video is
    zero. This matches the published use of torchvision's roi_align, which pads the features with zeros and also reads
    zeros beyond the padding, so regions that reach past it make no difference.

    Args:
        features: [T, D], row i centred on i + .5.
        start: region starts in snippets, already stretched, [M].
        end: region ends in snippets, already stretched, [M].
        bins: number of bins per region.
        out: tensor to write to, [M, bins, D]; on a CPU, allocating that much memory takes longer than the computation.

    Returns:
        [M, bins, D].
    """
    if out is None:
        out = features.new_empty(len(start), bins, features.shape[1])
    for rows, chunk in _aligned_chunks(features, start, end, bins):
        out[rows] = chunk
    return out


@torch.no_grad()
def roi_pool_1d(features: Tensor, start: Tensor, end: Tensor, bins: int = 12) -> Tensor:
    """Take the maxima over the first sixth, the middle and the last sixth of the bins of `roi_align_1d`.

    Much faster on a CPU than returning the bins, which here never leave the cache.

    Returns:
        [M, 3, D].
    """
    pooled = features.new_empty(len(start), 3, features.shape[1])
    side = bins // 6
    for rows, chunk in _aligned_chunks(features, start, end, bins):
        for index, part in enumerate(chunk.split([side, bins - 2 * side, side], dim=1)):
            torch.amax(part, dim=1, out=pooled[rows, index])
    return pooled


def _aligned_chunks(features: Tensor, start: Tensor, end: Tensor, bins: int) -> Iterator[tuple[slice, Tensor]]:
    """Yield (rows, their bins [m, bins, D]) in chunks of regions that fit the processor's cache."""
    index, weight, offsets = _samples(len(features), start, end, bins)
    numbers = 1 << 19 if features.device.type == "cpu" else 1 << 28
    size = max(1, numbers // (bins * features.shape[1]))
    bounds = torch.cat([offsets[::bins * size], offsets.new_tensor([len(index)])]).tolist()
    for chunk, first in enumerate(range(0, len(start), size)):
        samples = slice(*bounds[chunk:chunk + 2])
        aligned = F.embedding_bag(index[samples], features, offsets[first * bins:(first + size) * bins] - samples.start,
                                  mode="sum", per_sample_weights=weight[samples].to(features.dtype))
        yield slice(first, first + size), aligned.view(-1, bins, features.shape[1])


def _samples(length: int, start: Tensor, end: Tensor, bins: int) -> tuple[Tensor, Tensor, Tensor]:
    """Feature rows and weights of all bins, concatenated, and the offset at which each bin begins.

    A sample between two rows uses both. Samples outside the video are left out, so regions may have any length.
    """
    start, end = start[:, None] - .5, end[:, None] - .5
    bin_length = (end - start).clamp_min(1) / bins
    grid = bin_length.ceil()
    bin_start = start + torch.arange(bins, device=start.device) * bin_length
    first = ((-1 - bin_start) * grid / bin_length - .5).floor().clamp_min(0)
    stop = ((length - bin_start) * grid / bin_length + .5).ceil().minimum(grid)
    count = (stop - first).clamp_min(0).long().flatten()
    offsets = count.cumsum(0) - count
    bin_ = torch.repeat_interleave(count)
    region = bin_ // bins
    sample = torch.arange(len(bin_), device=start.device) - offsets[bin_] + first.flatten()[bin_]
    bin_length, grid = bin_length[region, 0], grid[region, 0]
    position = bin_start.flatten()[bin_] + (sample + .5) * bin_length / grid
    below = position.floor()
    above = position - below
    index = torch.stack([below, below + 1], dim=1)
    inside = (index >= 0) & (index < length)
    weight = torch.stack([1 - above, above], dim=1) / grid[:, None] * inside
    return index.clamp(0, length - 1).long().flatten(), weight.flatten(), 2 * offsets
