"""Stage 2: instance-level completeness learning on stage 1's ranked proposals (docs/method.md, section 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hrpro.config import Config
from hrpro.data.dataset import DataSet
from hrpro.data.ranked import Ranked, read_ranked
from hrpro.data.run import Run
from hrpro.data.segments import Segments
from hrpro.errors import InputError, number_of, preview
from hrpro.models.instance import InstanceModel, refine, segment_iou
from hrpro.models.roi_align import roi_pool_1d
from hrpro.timebase import Timebase
from hrpro.training.session import Session, load_weights, open_session, train_steps

STRETCH = .25                                           # on each side, relative to the proposal's length


@dataclass
class VideoProposals:
    """Proposals of one video, in snippets.

    Attributes:
        segments: PP, then NP, [M, 2].
        score: [M].
        label: class index, -1 for NP, [M].
        reliable: RP, [R, 2].
    """

    segments: NDArray[np.float32]
    score: NDArray[np.float64]
    label: NDArray[np.intp]
    reliable: NDArray[np.float32]


@dataclass
class Batch:
    """Concatenated proposals of V videos, in snippets.

    Attributes:
        pooled: features of left, centre and right, [M, 3, D].
        segments: [M, 2].
        video: index of each proposal's video, [M].
        reliable: RP of each video, [V, R, 2]; padded with empty segments, whose IoU is 0.
    """

    pooled: Tensor
    segments: Tensor
    video: Tensor
    reliable: Tensor


def train(config: Config, *, resume: bool = False) -> None:
    """Train the instance model; writes `last.pt`, `best.pt` and their test reports.

    Raises:
        InputError: invalid settings, data, device, proposals or checkpoint to resume from.
        Cancelled: a signal asked to stop; `last.pt` is up to date.
    """
    with open_session(config, 2, "train", total=config.max_epochs, unit="epoch", resume=resume,
                      prepare=partial(read_proposals, config, ("train", "test"))) as session:
        known, tested = session.prepared
        videos = sorted(known)
        size = min(config.batch_size2, len(videos))
        per_epoch = len(videos) // size
        model = build_model(session)

        def load(step: int) -> Batch:
            return load_batch(session, known, session.step_videos(videos, size, step), session.generator(1, step))

        train_steps(session, model, config.max_epochs * per_epoch, load,
                    lambda optimizer, batch: train_step(session, model, optimizer, batch),
                    lambda mean, epoch, best: session.measure(detect(session, mean, tested), epoch, best=best),
                    lr=config.lr2, videos=size, test_every=config.test_epoch, per_epoch=per_epoch)


def test(config: Config) -> None:
    """Write detections on the test split: original and refined proposals, scored with their completeness."""
    with open_session(config, 2, "test", prepare=partial(read_proposals, config, ("test",))) as session:
        model = load_weights(session, build_model(session))
        proposals, = session.prepared
        session.measure(detect(session, model, proposals), session.state["at"])


infer = test                                            # stage 2's test produces only detections


def build_model(session: Session) -> InstanceModel:
    return InstanceModel(session.config.feature_dim, session.config.dropout).to(session.device)


def read_proposals(config: Config, splits: Sequence[str], dataset: DataSet) -> list[dict[str, VideoProposals]]:
    """Read stage 1's ranked proposals.

    Args:
        config: settings.
        splits: splits to read.
        dataset: data set of the proposals.

    Returns:
        Per split, {video: proposals}; PP and NP for training videos, PP only for test videos.

    Raises:
        InputError: there are no proposals yet, or they belong to a different data set.
    """
    path = Run.of(config).stage(1).proposals_file
    timebases = {split: dataset.features[split].timebase for split in splits}
    ranked = read_ranked(path, dataset.classes, timebases)
    return [_in_snippets(path, dataset, split, ranked[split], timebases[split]) for split in splits]


def _in_snippets(path: Path, dataset: DataSet, split: str, ranked: Mapping[str, Ranked],
                 timebase: Timebase) -> dict[str, VideoProposals]:
    videos = dataset.splits[split]
    if missing := [video for video in videos if video not in ranked]:
        dataset.find("left out", f"{path}: {number_of(len(missing), 'video')} of the {split} split without proposals: "
                     f"{preview(missing)}. Run stage 1 with --mode test again to add them.")
    found = {}
    for video in videos:
        if video not in ranked or not (count := len(ranked[video].positive) + len(ranked[video].negative)):
            continue
        mine = ranked[video]
        bounds = [timebase.snippets(np.stack([part.start, part.end], axis=1)).astype(np.float32)
                  for part in (mine.positive, mine.negative, mine.reliable)]
        reach = 2 * dataset.features[split].lengths[video] + 2
        if any(len(part) and not (-reach <= part.min() <= part.max() <= reach) for part in bounds):
            raise InputError(f"{path}: {video!r} has proposals far outside the video. "
                             "Run stage 1 with --mode test again.")
        label = np.full(count, -1)
        label[:len(mine.positive)] = mine.positive.label
        found[video] = VideoProposals(np.concatenate(bounds[:2]), np.append(mine.positive.score, mine.negative.score),
                                      label, bounds[2])
    if not found:
        raise InputError(f"{path}: has no proposal for the {split} split. Train stage 1 longer, then test it again.")
    return found


def pool(features: Tensor, segments: Tensor, bins: int) -> Tensor:
    """Stretch segments and pool the features of their left, centre and right.

    Args:
        features: [T, D].
        segments: in snippets, [M, 2].
        bins: number of RoI-align bins.

    Returns:
        [M, 3, D].
    """
    start, end = segments.unbind(dim=1)
    reach = STRETCH * (end - start)
    return roi_pool_1d(features, start - reach, end + reach, bins)


def _features(session: Session, split: str, video: str) -> Tensor:
    array = np.asarray(session.dataset.features[split].load(video), np.float32)
    return torch.from_numpy(np.array(array)).to(session.device)


def load_batch(session: Session, proposals: dict[str, VideoProposals], videos: Sequence[str],
               random: np.random.Generator) -> Batch:
    """Sample up to `max_proposal` proposals per video, and pool their features."""
    most = max(1, *(len(proposals[video].reliable) for video in videos))
    reliable = torch.zeros(len(videos), most, 2)
    pooled, segments, owner = [], [], []
    for index, video in enumerate(videos):
        mine = proposals[video]
        chosen = torch.from_numpy(mine.segments)
        if len(chosen) > session.config.max_proposal:
            chosen = chosen[random.choice(len(chosen), session.config.max_proposal, replace=False)]
        pooled.append(pool(_features(session, "train", video), chosen.to(session.device), session.config.roi_size))
        segments.append(chosen)
        owner.append(torch.full((len(chosen),), index))
        reliable[index, :len(mine.reliable)] = torch.from_numpy(mine.reliable)
    place = session.device
    return Batch(torch.cat(pooled), torch.cat(segments).to(place), torch.cat(owner).to(place), reliable.to(place))


def train_step(session: Session, model: InstanceModel, optimizer: torch.optim.Optimizer,
               batch: Batch) -> dict[str, Tensor]:
    """Perform one step on a batch; returns the boundary and completeness losses and their weighted total."""
    config = session.config
    model.train()
    with session.autocast:
        completeness, offsets = model(batch.pooled)
    losses = instance_losses(completeness, refine(batch.segments, offsets), batch, config.completeness_iou)
    total = sum(weight * losses[name] for name, weight in config.loss_weights(2).items())
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    return {"total": total.detach(), **{name: loss.detach() for name, loss in losses.items()}}


def instance_losses(completeness: Tensor, refined: Tensor, batch: Batch, threshold: float) -> dict[str, Tensor]:
    """Compute the boundary and completeness losses, each a mean over videos (paper equations 11 and 12).

    Args:
        completeness: predicted completeness, [M].
        refined: refined segments, [M, 2].
        batch: the proposals.
        threshold: best IoU with a reliable proposal from which a proposal is positive; about as many of the others are
            sampled as negatives.

    Returns:
        {"boundary", "completeness"}, before weighting.
    """
    reliable = batch.reliable[batch.video]
    iou = segment_iou(batch.segments, reliable).amax(dim=1)
    positive = (iou >= threshold).float()
    videos = len(batch.reliable)

    def per_video(values: Tensor) -> Tensor:
        return values.new_zeros(videos).index_add(0, batch.video, values)

    ratio = (per_video(positive) / per_video(1 - positive).clamp(min=1)).clamp(max=1)
    drawn = positive + (1 - positive) * (torch.rand_like(iou) < ratio[batch.video])
    refined_iou = segment_iou(refined, reliable).amax(dim=1)
    boundary = functional.smooth_l1_loss(refined_iou, torch.ones_like(refined_iou), reduction="none")
    score = functional.smooth_l1_loss(completeness, iou, reduction="none")
    return {"boundary": (per_video(boundary * positive) / per_video(positive).clamp(min=1)).mean(),
            "completeness": (per_video(score * drawn) / per_video(drawn).clamp(min=1)).mean()}


@torch.no_grad()
def detect(session: Session, model: InstanceModel, proposals: dict[str, VideoProposals]) -> Segments:
    """Score original and refined proposals of the test split: proposal score + predicted completeness.

    Args:
        session: the running session.
        model: the trained model.
        proposals: {video: proposals}.

    Returns:
        Raw proposals, before soft-NMS.

    Raises:
        InputError: the scores or boundaries are not finite.
    """
    model.eval()
    dataset, videos = session.dataset, tuple(session.dataset.splits["test"])
    timebase, columns = dataset.features["test"].timebase, []
    for index, video in enumerate(videos):
        if video not in proposals:
            continue
        mine = proposals[video]
        features, segments = _features(session, "test", video), torch.from_numpy(mine.segments).to(session.device)
        with session.autocast:
            completeness, offsets = model(pool(features, segments, session.config.roi_size))
            refined = refine(segments, offsets)
            again = model.completeness(pool(features, refined, session.config.roi_size))
        both = timebase.seconds(torch.cat([segments, refined]).cpu().numpy())
        score = np.tile(mine.score, 2) + torch.cat([completeness, again]).cpu().numpy()
        columns.append((both[:, 0], both[:, 1], np.tile(mine.label, 2), score, np.full(len(score), index)))
        session.events.emit("progress", what="test", done=index + 1, total=len(videos))
    merged: tuple[Any, ...] = tuple(map(np.concatenate, zip(*columns, strict=True)))
    if not all(np.isfinite(column).all() for column in merged):
        raise InputError("the model's scores or boundaries are not finite. Lower the learning rate lr2 and train "
                         "again, or check the features.")
    return Segments(*merged, dataset.classes, videos)
