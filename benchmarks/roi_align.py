"""RoI align of 1,000 proposals into 12 bins of 2048 values; the limit is 60 ms on one core."""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import torch

from hrpro.models.roi_align import roi_align_1d, roi_pool_1d


def milliseconds(function: Callable[[], object], device: str, repeats: int) -> float:
    """Median time of a call, after a few warm-up calls."""
    spent = []
    for _ in range(repeats + 3):
        began = time.perf_counter()
        function()
        if device != "cpu":
            torch.accelerator.synchronize()
        spent.append(1000 * (time.perf_counter() - began))
    return statistics.median(spent[3:])


def one_by_one(features: torch.Tensor, start: torch.Tensor, end: torch.Tensor, bins: int = 12) -> torch.Tensor:
    """Reference: a loop over proposals and bins."""
    padded = torch.cat([features, features.new_zeros(1, features.shape[1])])
    out = features.new_empty(len(start), bins, features.shape[1])
    for region, (first, last) in enumerate(zip((start - .5).tolist(), (end - .5).tolist(), strict=True)):
        length = max(1., last - first) / bins
        number = math.ceil(length)
        for part in range(bins):
            at = first + length * (part + (torch.arange(number) + .5) / number)
            below = at.floor()
            index = torch.stack([below, below + 1]).long()
            index[(index < 0) | (index >= len(features))] = len(features)
            share = (at - below)[:, None]
            out[region, part] = (padded[index[0]] * (1 - share) + padded[index[1]] * share).mean(dim=0)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proposals", type=int, default=1000)
    parser.add_argument("--snippets", type=int, default=500)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    features = torch.randn(args.snippets, args.dim, device=args.device)
    length = torch.randn(args.proposals, device=args.device).mul_(.8).add_(2.3).exp_()  # half are at least ten snippets
    start = torch.rand(args.proposals, device=args.device) * (args.snippets - length)
    regions = start - length / 4, start + length * 5 / 4
    out = torch.empty(args.proposals, 12, args.dim, device=args.device)
    pooled = milliseconds(lambda: roi_pool_1d(features, *regions), args.device, args.repeats)
    kept = milliseconds(lambda: roi_align_1d(features, *regions, out=out), args.device, args.repeats)
    fresh = milliseconds(lambda: roi_align_1d(features, *regions), args.device, args.repeats)
    plain = milliseconds(lambda: one_by_one(features.cpu(), *(edge.cpu() for edge in regions)), "cpu", 1)
    print(f"RoI align, {args.proposals} proposals x 12 bins x {args.dim}: {pooled:.0f} ms with their maxima, as in "
          f"stage 2, {plain / pooled:.0f} x a loop over proposals; {kept:.0f} ms into memory at hand, {fresh:.0f} ms "
          f"into new memory (medians, "
          f"{args.threads} thread, {args.device})")


if __name__ == "__main__":
    main()
