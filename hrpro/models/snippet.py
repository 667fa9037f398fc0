"""Stage 1: attention with reliable prototypes and the snippet classifier (docs/method.md, section 2).

The videos of a step are *packed*: their snippets are concatenated to [N, D] with `lengths`, so no time is spent on
padding. Only attention and the convolution need to know where a video ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from hrpro.models.attention import Dropout, attention
from hrpro.models.memory import ReliablePrototypeMemory


@dataclass
class SnippetOutput:
    """Model output for N packed snippets of V videos.

    Attributes:
        specific: class-specific activation S, [N, C].
        background: background score b, [N].
        embedded: embedded features, [N, D].
        video: index of each snippet's video, [N].
        lengths: number of snippets of each video, [V].
    """

    specific: Tensor
    background: Tensor
    embedded: Tensor
    video: Tensor
    lengths: list[int]

    @property
    def actions(self) -> Tensor:
        """P = S · (1 − b), [N, C]."""
        return self.specific * (1 - self.background[:, None])

    @property
    def fused(self) -> Tensor:
        """Fused CAS [P, b], [N, C + 1]."""
        return torch.cat([self.actions, self.background[:, None]], dim=1)

    def video_score(self, r_act: int, video_label: Tensor | None = None) -> Tensor:
        """Mean of the top max(1, T // r_act) snippets of S, per video and class.

        Args:
            r_act: divisor of the number of snippets.
            video_label: 0/1, [V, C]; given in training, where classes that a video does not have take the plain mean.

        Returns:
            [V, C].
        """
        scores = []
        for index, part in enumerate(self.specific.split(self.lengths)):
            best = part.topk(max(1, len(part) // r_act), dim=0).values.mean(dim=0)
            if video_label is not None:
                best = torch.where(video_label[index] > 0, best, part.mean(dim=0))
            scores.append(best)
        return torch.stack(scores)


class ReliabilityAwareBlock(nn.Module):
    """Reliability-aware attention block (RAB): maps packed tokens [N, D] of several sequences to [N, D]."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.conv_query = nn.Linear(dim, dim)               # 1×1 convolutions
        self.conv_key = nn.Linear(dim, dim)
        self.self_atten = nn.MultiheadAttention(dim, heads, dropout=.1)     # only holds the weights; see _attend
        self.linear1 = nn.Linear(dim, hidden)
        self.linear2 = nn.Linear(hidden, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor, lengths: Sequence[int]) -> Tensor:
        tokens = self.norm1(tokens + self.dropout(self._attend(tokens, lengths)))
        hidden = self.dropout(functional.relu(self.linear1(tokens)))
        return self.norm2(tokens + self.dropout(self.linear2(hidden)))

    def _attend(self, tokens: Tensor, lengths: Sequence[int]) -> Tensor:
        held = self.self_atten
        weights = held.in_proj_weight.chunk(3)
        biases = held.in_proj_bias.chunk(3)
        # Two consecutive linear maps are merged into one: D³ operations instead of N·D².
        query = functional.linear(tokens, weights[0] @ self.conv_query.weight,
                                  weights[0] @ self.conv_query.bias + biases[0])
        key = functional.linear(tokens, weights[1] @ self.conv_key.weight,
                                weights[1] @ self.conv_key.bias + biases[1])
        value = functional.linear(tokens, weights[2], biases[2])
        shape = (len(tokens), held.num_heads, held.head_dim)
        parts = zip(*(part.view(shape).transpose(0, 1).split(list(lengths), dim=1) for part in (query, key, value)),
                    strict=True)
        dropout = held.dropout if self.training else 0.
        attended = [attention(*part, dropout) for part in parts]
        mixed = torch.cat(attended, dim=1).transpose(0, 1).reshape(tokens.shape)
        return held.out_proj(mixed)


class SnippetEncoder(nn.Module):
    """Attention blocks over a video's snippets and the prototypes, then a temporal convolution with kernel size 3."""

    def __init__(self, dim: int, layers: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.RAB = nn.ModuleList(ReliabilityAwareBlock(dim, heads, hidden, dropout) for _ in range(layers))
        self.feature_embedding = nn.Linear(3 * dim, dim)    # Conv1d(D → D, kernel 3, padding 1) as one matrix product

    def forward(self, features: Tensor, lengths: Sequence[int], prototypes: Tensor, video: Tensor) -> Tensor:
        """Embed packed snippets.

        Args:
            features: packed snippets, [N, D].
            lengths: number of snippets of each video.
            prototypes: prototypes as attention tokens, [C, D].
            video: index of each snippet's video, [N].

        Returns:
            Embedded features, [N, D].
        """
        extra = len(prototypes)
        if self.RAB:
            joined = torch.cat([part for own in features.split(list(lengths)) for part in (own, prototypes)])
            spans = [length + extra for length in lengths]
            for block in self.RAB:
                joined = block(joined, spans)
            features = joined[torch.arange(len(features), device=features.device) + video * extra]
        padded = features.new_zeros(len(features) + len(lengths) + 1, features.shape[1])
        place = torch.arange(len(features), device=features.device) + video + 1     # a zero row between videos
        padded = padded.index_copy(0, place, features)
        window = torch.cat([padded[place - 1], features, padded[place + 1]], dim=1)
        return functional.relu(self.feature_embedding(window))


class SnippetModel(nn.Module):
    """Stage 1's network: memory, encoder and classifier."""

    def __init__(self, num_classes: int, dim: int, *, layers: int = 2, heads: int = 8, hidden: int = 128,
                 rab_dropout: float = .3, dropout: float = .7, momentum: float = .001, reference_quirks: bool = False):
        super().__init__()
        self.reference_quirks = reference_quirks
        self.memory = ReliablePrototypeMemory(num_classes, dim, momentum)
        self.encoder = SnippetEncoder(dim, layers, heads, hidden, rab_dropout)
        self.classifier = nn.Sequential(Dropout(dropout), nn.Linear(dim, num_classes + 1, bias=False))

    def forward(self, features: Tensor, lengths: Sequence[int]) -> SnippetOutput:
        """Score packed snippets.

        Args:
            features: packed snippets, [N, D].
            lengths: number of snippets of each of V videos, adding up to N.
        """
        device = features.device
        video = torch.arange(len(lengths), device=device).repeat_interleave(torch.tensor(lengths, device=device),
                                                                            output_size=len(features))
        embedded = self.encoder(features, lengths, self.memory.tokens(self.reference_quirks), video)
        scores = torch.sigmoid(self.classifier(embedded).float())
        return SnippetOutput(scores[:, :-1], scores[:, -1], embedded.float(), video, list(lengths))
