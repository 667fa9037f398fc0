"""Stage 2: completeness and boundary offsets of proposals (docs/method.md, section 5; paper section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hrpro.models.attention import Dropout


class InstanceModel(nn.Module):
    """Scores a proposal's completeness and moves its ends, from the features of its left, centre and right."""

    def __init__(self, dim: int, dropout: float = .7):
        super().__init__()
        self.start_reg_conv = _mlp(dim)
        self.end_reg_conv = _mlp(dim)
        self.prop_fusion = nn.Sequential(nn.Linear(3 * dim, dim), nn.ReLU(), Dropout(dropout))
        self.prop_completeness = _mlp(dim)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """pooled: left, centre, right of M proposals [M, 3, D] -> completeness [M], offsets (start, end) [M, 2].

        Offsets are in units of the proposal's length.
        """
        left, _, right = pooled.unbind(dim=1)
        offsets = torch.cat([self.start_reg_conv(left), self.end_reg_conv(right)], dim=1)
        return self.completeness(pooled), offsets.float()

    def completeness(self, pooled: Tensor) -> Tensor:
        """Completeness alone, [M] in 0 .. 1."""
        left, centre, right = pooled.unbind(dim=1)
        fused = self.prop_fusion(torch.cat([centre - left, centre, centre - right], dim=1))
        return torch.sigmoid(self.prop_completeness(fused).float()).squeeze(1)


def _mlp(dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, dim // 2), nn.ReLU(), nn.Linear(dim // 2, 1))


def refine(segments: Tensor, offsets: Tensor) -> Tensor:
    """Move the ends of segments [M, 2] by `offsets` [M, 2] of their length."""
    return segments + offsets * (segments[:, 1:] - segments[:, :1])


def segment_iou(segments: Tensor, others: Tensor) -> Tensor:
    """IoU of segments [M, 2] with others [M, R, 2], [M, R]; 0 where they are apart."""
    start, end = segments[:, None].unbind(dim=2)
    inter = torch.minimum(end, others[..., 1]) - torch.maximum(start, others[..., 0])
    union = (end - start) + (others[..., 1] - others[..., 0]) - inter
    return (inter / (union + 1e-6)).clamp(min=0)
