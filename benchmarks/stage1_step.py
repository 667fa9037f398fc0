"""One stage 1 training step on 16 videos, compared with the same step taken video by video with stock attention."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import simulated
from hrpro.models import snippet
from hrpro.training import stage1
from hrpro.training.session import Session, open_session


def stock_attention(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor:
    """Compute attention as nn.MultiheadAttention does, which also stores and averages its weights."""
    weights = torch.softmax(torch.bmm(query * query.shape[-1] ** -.5, key.transpose(1, 2)), dim=-1)
    weights = torch.nn.functional.dropout(weights, dropout)
    weights.mean(dim=0)
    return torch.bmm(weights, value)


def step(session: Session, model: snippet.SnippetModel, optimizer: torch.optim.Optimizer, number: int) -> None:
    stage1.train_step(session, model, optimizer, stage1.load_step(session, number))


def step_by_video(session: Session, model: snippet.SnippetModel, optimizer: torch.optim.Optimizer, number: int) -> None:
    """Process the same videos one by one, accumulating gradients for one update."""
    zero, update = optimizer.zero_grad, optimizer.step
    optimizer.zero_grad = optimizer.step = lambda: None
    ours, snippet.attention = snippet.attention, stock_attention
    for video in stage1.load_step(session, number).videos:
        stage1.train_step(session, model, optimizer, stage1.load_batch(session, "train", [video]))
    optimizer.zero_grad, optimizer.step, snippet.attention = zero, update, ours
    optimizer.step()
    optimizer.zero_grad()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    simulated.add_arguments(parser)
    parser.add_argument("--steps", type=int, default=12)
    args = parser.parse_args()
    with (tempfile.TemporaryDirectory() as ckpt,
          open_session(simulated.thumos(args, Path(ckpt)), 1, "train") as session):
        model = stage1.build_model(session)
        stage1.initialise_memory(session, model)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=5e-4)
        spent: dict[str, list[float]] = {"packed": [], "video by video": []}
        for number in range(1, args.steps + 2):
            for name, take in (("packed", step), ("video by video", step_by_video)):
                began = time.perf_counter()
                take(session, model, optimizer, number)
                spent[name].append(time.perf_counter() - began)
    ours, theirs = (statistics.median(times[1:]) for times in spent.values())
    print(f"stage 1 step, 16 videos, {args.dim}-d: {ours:.2f} s packed, {theirs:.2f} s video by video, "
          f"{theirs / ours:.1f} x (medians of {args.steps}, {torch.get_num_threads()} threads)")


if __name__ == "__main__":
    main()
