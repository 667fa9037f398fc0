"""Stage 2: completeness and boundary offsets of proposals (docs/method.md, section 5; paper section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hrpro.models.attention import Dropout


class InstanceModel(nn.Module):
    """Predicts a proposal's completeness and boundary offsets from the features of its left, centre and right."""

    def __init__(self, dim: int, dropout: float = .7):
        super().__init__()
        self.start_reg_conv = _mlp(dim)
        self.end_reg_conv = _mlp(dim)
        self.prop_fusion = nn.Sequential(nn.Linear(3 * dim, dim), nn.ReLU(), Dropout(dropout))
        self.prop_completeness = _mlp(dim)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Predict completeness and boundary offsets.

        Args:
            pooled: features of the left, centre and right of M proposals, [M, 3, D].

        Returns:
            Completeness [M], and (start, end) offsets [M, 2] in units of the proposal's length.
        """
        left, _, right = pooled.unbind(dim=1)
        offsets = torch.cat([self.start_reg_conv(left), self.end_reg_conv(right)], dim=1)
        return self.completeness(pooled), offsets.float()

    def completeness(self, pooled: Tensor) -> Tensor:
        """Predict completeness only, [M] in 0 .. 1."""
        left, centre, right = pooled.unbind(dim=1)
        fused = self.prop_fusion(torch.cat([centre - left, centre, centre - right], dim=1))
        return torch.sigmoid(self.prop_completeness(fused).float()).squeeze(1)


def _mlp(dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, dim // 2), nn.ReLU(), nn.Linear(dim // 2, 1))


def refine(segments: Tensor, offsets: Tensor) -> Tensor:
    """Move the ends of segments [M, 2] by `offsets` [M, 2], given in units of the segment's length."""
    return segments + offsets * (segments[:, 1:] - segments[:, :1])


def segment_iou(segments: Tensor, others: Tensor) -> Tensor:
    """IoU of each segment with its R others; 0 where they do not overlap.

    Args:
        segments: [M, 2].
        others: [M, R, 2].

    Returns:
        [M, R].
    """
    start, end = segments[:, None].unbind(dim=2)
    inter = torch.minimum(end, others[..., 1]) - torch.maximum(start, others[..., 0])
    union = (end - start) + (others[..., 1] - others[..., 0]) - inter
    return (inter / (union + 1e-6)).clamp(min=0)
