"""Stage 1: snippet-level discrimination learning, from features and points to proposals (docs/method.md, 2 to 4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hrpro.config import Config
from hrpro.data.features import sample_rows
from hrpro.data.run import CLASSES
from hrpro.data.segments import Segments
from hrpro.errors import InputError
from hrpro.files import write_arrays
from hrpro.models.snippet import SnippetModel, SnippetOutput
from hrpro.proposals.generate import snippet_proposals
from hrpro.training.pseudo_labels import pseudo_labels
from hrpro.training.ranking import rank
from hrpro.training.session import Session, load_weights, open_session, train_steps
from hrpro.training.snippet_losses import SnippetTargets, snippet_losses

PASS_SNIPPETS = 8192                                    # per batch outside training, unless one video is longer


@dataclass
class Batch:
    """N packed snippets of V videos.

    Attributes:
        videos: video names, [V].
        features: [N, D].
        points: 0/1, [N, C].
        certain: snippets in accepted segments, 0/1, [N, C].
        video_label: 0/1, [V, C].
        lengths: number of snippets of each video, adding up to N.
    """

    videos: list[str]
    features: Tensor
    points: NDArray[np.float32]
    certain: NDArray[np.float32]
    video_label: Tensor
    lengths: list[int]


def train(config: Config, *, resume: bool = False) -> None:
    """Train the snippet model; writes `last.pt`, `best.pt` and their test reports.

    Raises:
        InputError: invalid settings, data, device or checkpoint to resume from.
        Cancelled: a signal asked to stop; `last.pt` is up to date.
    """
    with open_session(config, 1, "train", total=config.num_iters, unit="step", resume=resume) as session:
        model = build_model(session)
        if not session.state:
            initialise_memory(session, model)

        def score(mean: SnippetModel, step: int, best: float) -> float:
            proposals = propose(session, mean, "test")
            return session.measure(proposals.segments, step, best=best, accuracy=proposals.accuracy)

        train_steps(session, model, config.num_iters, lambda step: load_step(session, step),
                    lambda optimizer, batch: train_step(session, model, optimizer, batch), score, lr=config.lr,
                    videos=min(config.batch_size, len(session.dataset.splits["train"])), test_every=config.test_iter)


def test(config: Config) -> None:
    """Score both splits with the trained model; writes raw proposals, snippet scores and ranked PP, RP and NP."""
    with open_session(config, 1, "test") as session:
        model = load_weights(session, build_model(session))
        made = {split: propose(session, model, split, keep_scores=True) for split in ("test", "train")}
        for split, proposals in made.items():
            proposals.segments.save(session.folder.snippet_result(split))
            write_arrays(session.folder.snippet_scores_file(split),
                         {CLASSES: np.array(session.dataset.classes)} | proposals.scores)
        rank(session, {split: proposals.segments for split, proposals in made.items()},
             {video: made["train"].scores[video][:, -1] for video in session.dataset.splits["train"]})
        session.measure(made["test"].segments, session.state["at"], accuracy=made["test"].accuracy)


def infer(config: Config) -> None:
    """Write detections on the test split only."""
    with open_session(config, 1, "infer") as session:
        proposals = propose(session, load_weights(session, build_model(session)), "test")
        session.measure(proposals.segments, session.state["at"], accuracy=proposals.accuracy)


def build_model(session: Session) -> SnippetModel:
    config = session.config
    model = SnippetModel(len(session.dataset.classes), config.feature_dim, layers=config.rab_layers,
                         heads=config.rab_heads, hidden=config.rab_dim_feedforward, rab_dropout=config.rab_dropout,
                         dropout=config.dropout, momentum=config.memory_momentum,
                         reference_quirks=config.reference_quirks)
    return model.to(session.device)


def train_step(session: Session, model: SnippetModel, optimizer: torch.optim.Optimizer,
               batch: Batch) -> dict[str, Tensor]:
    """Perform one step on a batch: pseudo labels, losses, weights, then the memory.

    Returns:
        The losses before weighting, and their weighted "total".

    Raises:
        InputError: the model's scores are not finite.
    """
    config, device = session.config, session.device
    model.train()
    with session.autocast:
        output = model(batch.features.to(device, non_blocking=True), batch.lengths)
    score = output.background.detach().cpu().numpy()
    if not np.isfinite(score).all():
        raise InputError("the model's scores are not finite. Lower the learning rate lr, or check the features.")
    action, background = pseudo_labels(score, batch.points, batch.lengths, act_thresh=config.act_thresh,
                                       bkg_thresh=config.bkg_thresh, certain=batch.certain)
    targets = SnippetTargets(*(torch.from_numpy(array).to(device) for array in (batch.points, action, background)),
                             batch.video_label.to(device))
    losses = snippet_losses(output, targets, model.memory, r_act=config.r_act, temperature=config.temperature,
                            reference_quirks=config.reference_quirks)
    total = sum(weight * losses[name] for name, weight in config.loss_weights(1).items())
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    model.memory.update(output.embedded.detach(), targets.action * targets.video_label[output.video], output.video)
    return {"total": total.detach(), **{name: loss.detach() for name, loss in losses.items()}}


def load_step(session: Session, step: int) -> Batch:
    """Load the training videos of a step."""
    videos = session.dataset.splits["train"]
    chosen = session.step_videos(videos, min(session.config.batch_size, len(videos)), step)
    return load_batch(session, "train", chosen, session.generator(1, step))


def load_batch(session: Session, split: str, videos: Sequence[str],
               random: np.random.Generator | None = None) -> Batch:
    """Read and pack videos; with `random`, snippets are sampled as in training, otherwise uniformly spaced."""
    dataset, config = session.dataset, session.config
    features, points, certain, timebase = [], [], [], dataset.features[split].timebase
    for video in videos:
        array = dataset.features[split].load(video)
        rows = sample_rows(len(array), config.num_segments, random)
        features.append(array if rows is None else array[rows])
        points.append(dataset.points.matrix(video, timebase, len(array), len(features[-1])))
        certain.append(dataset.points.certain(video, timebase, len(array), rows))
    label = np.stack([dataset.video_label(video) for video in videos])
    packed = torch.from_numpy(np.concatenate(features, dtype=np.float32))
    if session.device.type == "cuda":
        packed = packed.pin_memory()
    return Batch(list(videos), packed, np.concatenate(points), np.concatenate(certain), torch.from_numpy(label),
                 [len(f) for f in features])


@torch.no_grad()
def score_split(session: Session, model: SnippetModel, split: str) -> Iterator[tuple[Batch, SnippetOutput]]:
    """Yield the model's output for all videos of a split, in batches and in eval mode."""
    model.eval()
    lengths, batches, room = session.dataset.features[split].lengths, [], 0
    for video in session.dataset.splits[split]:
        if lengths[video] > room:
            batches.append([])
            room = PASS_SNIPPETS
        batches[-1].append(video)
        room -= lengths[video]
    for videos in batches:
        batch = load_batch(session, split, videos)
        with session.autocast:
            output = model(batch.features.to(session.device), batch.lengths)
        yield batch, output


def initialise_memory(session: Session, model: SnippetModel) -> None:
    """Set the prototypes to the mean embedded feature at each class's points, computed with the memory at zero."""
    classes = len(session.dataset.classes)
    total, count = torch.zeros(classes, session.config.feature_dim), torch.zeros(classes, 1)
    done = 0
    for batch, output in score_split(session, model, "train"):
        points = torch.from_numpy(batch.points) * batch.video_label[output.video.cpu()]
        total += points.T @ output.embedded.cpu()
        count += points.sum(dim=0)[:, None]
        done += len(batch.videos)
        session.events.emit("progress", what="memory", done=done, total=len(session.dataset.splits["train"]))
    model.memory.prototypes.copy_(total / count.clamp(min=1))


@dataclass
class Proposals:
    """Raw proposals of a split.

    Attributes:
        segments: raw proposals.
        accuracy: share of videos whose classes were predicted correctly.
        scores: if kept, {video: fused CAS, [T, C + 1]} and {"similarity/" + video: prototype similarity, [T, C]}.
    """

    segments: Segments
    accuracy: float
    scores: dict[str, NDArray[np.float32]] = field(default_factory=dict)


def propose(session: Session, model: SnippetModel, split: str, *, keep_scores: bool = False) -> Proposals:
    """Score a split and generate raw proposals from its snippet scores (docs/method.md, section 3)."""
    config, dataset = session.config, session.dataset
    features, videos = dataset.features[split], tuple(dataset.splits[split])
    parts, scores, correct = [Segments.empty(dataset.classes, videos)], {}, 0
    for batch, output in score_split(session, model, split):
        video_score = output.video_score(config.r_act).cpu().numpy()
        fused = output.fused.cpu().numpy()
        bounds = np.cumsum([0, *batch.lengths])
        similarity = model.memory.similarity(output.embedded).cpu().numpy() if keep_scores else None
        for index, video in enumerate(batch.videos):
            rows = slice(bounds[index], bounds[index + 1])
            parts.append(snippet_proposals(
                fused[rows, :-1], fused[rows, -1], video_score[index], features.timebase,
                class_thresh=config.class_thresh, act_thresh_cas=config.act_thresh_cas,
                act_thresh_agnostic=config.act_thresh_agnostic, upsample=config.scale, margin=config.margin,
                gamma=config.gamma, classes=dataset.classes, video=video, videos=videos,
                snippets=features.lengths[video]))
            if keep_scores:
                scores |= {video: fused[rows], f"similarity/{video}": similarity[rows]}
        predicted = video_score >= config.class_thresh
        predicted[np.arange(len(predicted)), video_score.argmax(axis=1)] |= ~predicted.any(axis=1)
        correct += (predicted == (batch.video_label.numpy() > 0)).all(axis=1).sum()
        session.events.emit("progress", what=split, done=int(len(parts) - 1), total=len(videos))
    return Proposals(Segments.concatenate(parts), float(correct) / max(1, len(videos)), scores)
