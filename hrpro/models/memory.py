"""Reliable prototype memory: one vector per class (paper section 3.2; docs/method.md, section 2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ReliablePrototypeMemory(nn.Module):
    """Prototypes [C, D], saved with the model but not trained by gradient; a class without points keeps zeros."""

    def __init__(self, num_classes: int, dim: int, momentum: float = .001):
        super().__init__()
        self.momentum = momentum
        self.register_buffer("prototypes", torch.zeros(num_classes, dim))
        self.prototypes: Tensor

    def tokens(self, reference_quirks: bool) -> Tensor:
        """Return the prototypes as attention tokens [C, D]; quirk 1 reads the [C, D] memory as [D, C]."""
        if reference_quirks:
            return self.prototypes.reshape(self.prototypes.shape[::-1]).T
        return self.prototypes

    def similarity(self, embedded: Tensor) -> Tensor:
        """Cosine similarity of features [N, D] to each prototype, [N, C]; 0 for a class without a prototype."""
        return functional.normalize(embedded, dim=-1) @ functional.normalize(self.prototypes, dim=-1).T

    @torch.no_grad()
    def update(self, embedded: Tensor, action: Tensor, video: Tensor) -> None:
        """Move each prototype towards the mean feature of its class's pseudo-action snippets, video by video.

        Args:
            embedded: embedded features, [N, D].
            action: pseudo-action labels, 0/1, [N, C].
            video: index of each snippet's video, in ascending order, [N].
        """
        count = torch.zeros(int(video[-1]) + 1, action.shape[1], device=action.device).index_add_(0, video, action)
        for index, classes in enumerate((count > 0).cpu()):
            if not classes.any():
                continue
            mine = video == index
            mean = (action[mine].T @ embedded[mine]) / count[index].clamp(min=1)[:, None]
            classes = classes.to(mean.device)
            self.prototypes[classes] = torch.lerp(self.prototypes[classes], mean[classes], self.momentum)
