"""Stage 1's losses, for all snippets of a step at once (docs/method.md, section 2; paper equations 4 to 8)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hrpro.models.memory import ReliablePrototypeMemory
from hrpro.models.snippet import SnippetOutput


@dataclass
class SnippetTargets:
    """Labels of N packed snippets of V videos, all 0/1.

    Attributes:
        points: point labels, [N, C].
        action: pseudo-action labels, [N, C].
        background: pseudo-background labels, [N].
        video_label: [V, C].
    """

    points: Tensor
    action: Tensor
    background: Tensor
    video_label: Tensor


def snippet_losses(output: SnippetOutput, targets: SnippetTargets, memory: ReliablePrototypeMemory, *, r_act: int,
                   temperature: float, reference_quirks: bool) -> dict[str, Tensor]:
    """Compute the four losses, each a mean over the step's videos.

    Args:
        output: model output.
        targets: labels of the same snippets.
        memory: reliable prototypes.
        r_act: divisor of the number of snippets in the video score.
        temperature: temperature of the contrast loss.
        reference_quirks: reproduce the published program (docs/method.md, section 7).

    Returns:
        {"video", "action", "background", "contrast"}, before weighting.
    """
    label = targets.video_label
    fused = output.fused
    background_target = functional.one_hot(torch.tensor(fused.shape[1] - 1), fused.shape[1]).to(fused)
    return {
        "video": functional.binary_cross_entropy(output.video_score(r_act, label), label),
        "action": _focal(fused, functional.pad(targets.points, (0, 1)), targets.points.amax(dim=1), output.video,
                         len(label)),
        "background": _focal(fused, background_target.expand_as(fused), targets.background, output.video, len(label)),
        "contrast": _contrast(output, targets, memory, temperature, reference_quirks),
    }


def _video_sum(values: Tensor, video: Tensor, count: int) -> Tensor:
    """Sum of `values` [N, …] over the snippets of each video, [V, …]."""
    return values.new_zeros(count, *values.shape[1:]).index_add(0, video, values)


def _focal(fused: Tensor, target: Tensor, chosen: Tensor, video: Tensor, videos: int) -> Tensor:
    """Focal binary cross entropy of the chosen snippets [N], divided by their number per video (equations 4 and 5)."""
    weight = ((1 - fused) * target + fused * (1 - target)) ** 2
    loss = (weight * functional.binary_cross_entropy(fused, target, reduction="none")).sum(dim=1) * chosen
    return (_video_sum(loss, video, videos) / (_video_sum(chosen, video, videos) + 1e-6)).mean()


def _contrast(output: SnippetOutput, targets: SnippetTargets, memory: ReliablePrototypeMemory, temperature: float,
              reference_quirks: bool) -> Tensor:
    """Pull snippets towards their class's prototype, away from other prototypes and background (equations 6 to 8)."""
    label, video = targets.video_label, output.video
    videos, classes = label.shape
    action, background = targets.action * label[video], targets.background
    if reference_quirks:
        action, background = _lose_last_snippet(action, background, output)
    affinity = torch.exp(memory.similarity(output.embedded) / temperature)              # [N, C]
    row, own = action.nonzero(as_tuple=True)
    group = video[row] * classes + own                                                  # (video, class) of each row
    near = affinity.new_zeros(videos * classes, classes).index_add(0, group, affinity[row])
    size = affinity.new_zeros(videos * classes).index_add(0, group, torch.ones_like(affinity[row, 0]))
    near = (near / size.clamp(min=1)[:, None]).view(videos, classes, classes)           # a_k of each class
    away_size = _video_sum(background, video, videos)
    away = _video_sum(affinity * background[:, None], video, videos) / away_size.clamp(min=1)[:, None]   # g
    valid = (size.view(videos, classes) > 0) & (away_size > 0)[:, None]
    match = near.diagonal(dim1=1, dim2=2)
    match, total, away = (torch.where(valid, part, 1.) for part in (match, near.sum(dim=2), away))
    loss = .5 * (total / match).log() + .5 * ((match + away) / match).log()
    return ((loss * valid).sum(dim=1) / label.sum(dim=1).clamp(min=1)).mean()


def _lose_last_snippet(action: Tensor, background: Tensor, output: SnippetOutput) -> tuple[Tensor, Tensor]:
    """Quirk 2: regions lose a video's last snippet, and a region that fills the whole video vanishes."""
    regions = torch.cat([action, background[:, None]], dim=1)
    lengths = torch.tensor(output.lengths, device=regions.device)
    whole = _video_sum(regions, output.video, len(lengths)) == lengths[:, None]
    regions = regions * ~whole[output.video]
    regions[lengths.cumsum(0) - 1] = 0
    return regions[:, :-1], regions[:, -1]
