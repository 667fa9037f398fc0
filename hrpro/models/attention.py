"""Dropout, and attention with dropout on its weights, both faster on a CPU than PyTorch's.

Each value takes sixteen random bits. Attention processes each head in blocks of queries that fit a core's cache and
marks dropped weights by their sign, so that the backward pass needs no mask.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn.functional import scaled_dot_product_attention

BLOCK = 1 << 18                                             # weights per block: one megabyte


class Dropout(torch.nn.Dropout):
    """Dropout that draws its random bits in whole words on a CPU, several times as fast as PyTorch's."""

    def forward(self, values: Tensor) -> Tensor:
        if not (self.training and self.p and values.device.type == "cpu"):
            return super().forward(values)
        kept = _random_signs(_generator(), self.p, values.shape) < 0
        return values * kept.to(values.dtype).div_(1 - self.p)


def _generator() -> np.random.SFC64:
    """Fast bit generator, seeded from torch's generator."""
    return np.random.SFC64(int(torch.randint(1 << 62, ())))


def attention(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor:
    """softmax(q kᵀ / √d) v per head, with dropout on the softmax weights.

    Args:
        query: [H, L, d].
        key: [H, L, d].
        value: [H, L, d].
        dropout: dropout probability; 0 outside training.

    Returns:
        [H, L, d].
    """
    if dropout and query.device.type == "cpu":
        return _DropoutAttention.apply(query.contiguous(), key.contiguous(), value.contiguous(), dropout)
    return scaled_dot_product_attention(query[None], key[None], value[None], dropout_p=dropout)[0]


class _DropoutAttention(torch.autograd.Function):

    @staticmethod
    def forward(ctx: FunctionCtx, query: Tensor, key: Tensor, value: Tensor, dropout: float) -> Tensor:
        heads, length, size = query.shape
        random = _generator()
        weights = query.new_empty(heads, length, length)    # negative where kept, positive where dropped
        out = torch.empty_like(value)
        scaled = query * size ** -.5
        for head in range(heads):
            for rows in _blocks(length):
                weight = weights[head, rows]
                torch.mm(scaled[head, rows], key[head].T, out=weight)
                torch.softmax(weight, dim=1, out=weight)
                weight.copysign_(_random_signs(random, dropout, weight.shape))
                torch.mm(weight.clamp(max=0), value[head], out=out[head, rows])
        ctx.save_for_backward(query, key, value, weights)
        ctx.keep = 1 - dropout
        return out.mul_(-1 / ctx.keep)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, weights = ctx.saved_tensors
        heads, length, size = query.shape
        grad = grad * (-1 / ctx.keep)
        d_query, d_key, d_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        for head in range(heads):
            for rows in _blocks(length):
                weight = weights[head, rows]
                kept = weight.clamp(max=0)
                d_value[head].addmm_(kept.T, grad[head, rows])
                d_score = torch.mm(grad[head, rows], value[head].T).mul_(kept)
                d_score.addcmul_(weight.abs(), d_score.sum(dim=1, keepdim=True), value=-1)
                torch.mm(d_score, key[head], out=d_query[head, rows])
                d_key[head].addmm_(d_score.T, query[head, rows])
        scale = size ** -.5
        return d_query.mul_(scale), d_key.mul_(scale), d_value, None


def _blocks(length: int) -> list[slice]:
    """Ranges of queries that are processed together."""
    step = max(1, BLOCK // length)
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def _random_signs(random: np.random.SFC64, dropout: float, shape: torch.Size) -> Tensor:
    """Random numbers of `shape`: 0 or more with probability `dropout` (to within 2⁻¹⁵), otherwise negative.

    Four 15-bit draws share a 64-bit word. The top bit of each lane is set before the threshold is subtracted: it
    survives exactly where the draw is not below the threshold, and no lane borrows from its neighbour.
    """
    count = shape.numel()
    words = random.random_raw((count + 3) // 4)
    words |= np.uint64(0x8000_8000_8000_8000)
    words -= np.uint64(round(dropout * 0x8000) * 0x0001_0001_0001_0001)
    return torch.from_numpy(words.view(np.int16)[:count]).view(shape).to(torch.float32)
