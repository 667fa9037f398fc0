"""Shared parts of both training stages: setup and checks, the training loop, checkpoints, evaluation, stopping."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from hrpro.config import Config
from hrpro.data.dataset import DataSet, open_dataset, read_points
from hrpro.data.run import Run, StageFolder
from hrpro.data.segments import Segments
from hrpro.errors import Cancelled, InputError
from hrpro.evaluation.average_precision import AveragePrecision, average_precision
from hrpro.files import open_archive, open_regular, read_bytes, read_json, write_atomic, write_json
from hrpro.labels.operations import project_points
from hrpro.proposals.soft_nms import drop_ambiguous, soft_nms
from hrpro.schema import Number, mismatch, short_repr
from hrpro.training.events import EventLog

Batch = TypeVar("Batch")
Model = TypeVar("Model", bound=torch.nn.Module)
# Settings that a checkpoint's weights depend on.
SHAPING = ("feature_dim", "rab_layers", "rab_heads", "rab_dim_feedforward", "roi_size", "reference_quirks")


@dataclass
class Session:
    """State of one running stage."""

    config: Config
    stage: int
    dataset: DataSet
    folder: StageFolder
    device: torch.device
    events: EventLog
    state: dict[str, Any] | None = None
    prepared: Any = None
    stopping: bool = False
    began: float = field(default_factory=time.monotonic)

    @property
    def autocast(self) -> torch.autocast:
        """Autocast to bfloat16 on CUDA if the settings allow it."""
        enabled = self.device.type == "cuda" and self.config.mixed_precision
        return torch.autocast("cuda" if enabled else "cpu", torch.bfloat16, enabled=enabled)

    def generator(self, *purpose: int) -> np.random.Generator:
        """Random generator that depends only on the seed, the stage and the purpose, not on earlier draws."""
        return np.random.default_rng([self.config.seed, self.stage, *purpose])

    def step_videos(self, videos: Sequence[str], size: int, step: int) -> list[str]:
        """Videos of a step (counted from 1); every epoch reshuffles them and drops an incomplete last batch."""
        epoch, part = divmod(step - 1, len(videos) // size)
        order = self.generator(0, epoch).permutation(len(videos))[part * size:(part + 1) * size]
        return [videos[index] for index in order]

    def final(self, raw: Segments) -> Segments:
        """Turn raw proposals into detections: soft-NMS, then the ambiguity filter (docs/method.md, section 3)."""
        quirks = self.config.reference_quirks
        device = self.device if self.device.type == "cuda" else None
        kept = soft_nms(raw, self.config.nms_sigma, one_second_added=quirks, device=device)
        return drop_ambiguous(kept, self.dataset.ambiguous, whole_seconds=quirks)

    def evaluate(self, detections: Segments) -> AveragePrecision | None:
        """Average precision on the test split without the blocked videos; None without ground truth."""
        truth = self.dataset.test_truth(self.config.blocked_videos)
        return average_precision(truth, detections, self.config.tiou_thresholds) if len(truth) else None

    def measure(self, raw: Segments, step: int, *, best: float = math.inf, accuracy: float | None = None) -> float:
        """Write the detections made from raw proposals, and report their average precision.

        Args:
            raw: raw proposals of the test split.
            step: step or epoch of the model.
            best: best score so far; only given in training. The report is then stored as `last`, and also as `best` if
                its score is higher; otherwise it is stored under the name of the checkpoint in use.
            accuracy: share of videos whose classes were predicted correctly.

        Returns:
            The score: the mean mAP over the tIoU thresholds, -1 without ground truth.
        """
        detections = self.final(raw)
        detections.save(self.folder.final_result)
        precision = self.evaluate(detections)
        report = precision.to_json() if precision else {}
        score = float(np.mean(precision.mAP)) if precision else -1.
        metrics = {}
        with contextlib.suppress(InputError):       # a broken report is overwritten
            metrics = self.folder.reports()
        names = ["last", *(["best"] if score > best else [])] if best < math.inf else [self.config.checkpoint]
        write_json(self.folder.metrics_file, metrics | {name: {"step": step, **report} for name in names})
        self.events.test(step, report, accuracy, score > best)
        return score


class Clock:
    """Emits step events with the training rate and the time left."""

    def __init__(self, events: EventLog, total: int):
        self._events, self._total = events, total
        self._began, self._steps, self._videos = time.monotonic(), 0, 0

    def tick(self, step: int, losses: dict[str, Tensor], videos: int, at: float) -> None:
        """Count a step and, if a step event is due, record its losses.

        Args:
            step: optimiser step.
            losses: the losses and "total".
            videos: number of videos in the step.
            at: the step in the unit of the start event's total.

        Raises:
            InputError: a loss is not finite.
        """
        self._steps += 1
        self._videos += videos
        if not self._events.step_due() and self._steps < self._total:
            return
        values = {name: loss.item() for name, loss in losses.items()}
        if not math.isfinite(values["total"]):
            raise InputError(f"step {step}: the loss is not finite. Lower the learning rate, or check the features.")
        spent = time.monotonic() - self._began
        self._events.step(step, at, values, self._videos / spent,
                          spent / self._steps * (self._total - self._steps))


def choose_device(name: str) -> torch.device:
    """Return the device that the setting names; `auto` prefers CUDA, then MPS, then the CPU.

    Raises:
        InputError: this machine does not have the named device.
    """
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if present[kind])
    if not present[name]:
        raise InputError(f"device={name}: not available on this machine. Use device=auto, or one of "
                         f"{', '.join(kind for kind, here in present.items() if here)}.")
    return torch.device(name)


@contextlib.contextmanager
def open_session(config: Config, stage: int, mode: str, *, total: int = 0, unit: str = "",
                 resume: bool = False, prepare: Callable[[DataSet], Any] = lambda _: None) -> Iterator[Session]:
    """Check everything, then open a stage's folder and log; SIGTERM and SIGINT ask the session to stop.

    Unless training starts from scratch, `Session.state` holds the loaded checkpoint.

    Args:
        config: settings.
        stage: 1 or 2.
        mode: "train", "test" or "infer".
        total: length of the training in `unit`s.
        unit: "step" or "epoch".
        resume: continue from the last checkpoint, if there is one.
        prepare: called with the data set before the stage's folder is touched; its result becomes `Session.prepared`.

    Raises:
        InputError: invalid settings, data, device or checkpoint; found before the stage's folder is touched.
    """
    device = choose_device(config.device)
    run = Run.of(config)
    folder = run.stage(stage)
    if resume and not folder.checkpoint("last").exists():
        if folder.checkpoint("best").exists():
            raise InputError(f"{folder.checkpoint('last')}: no such checkpoint. Train afresh, without --resume.")
        resume = False                                  # the run was killed before its first checkpoint
    fresh = mode == "train" and not resume
    frozen = None if fresh and stage == 1 else run.stage(1).points_file
    if frozen and not frozen.exists():
        raise InputError(f"{frozen}: no such file. Run stage 1 with --mode train first.")
    if frozen is None:
        project_points(config.data_root)
    # Classes may have been added in the app since stage 1 started.
    dataset = open_dataset(config, points_file=frozen, classes_file=run.stage(1).classes_file if frozen else None)
    dataset.raise_errors()
    state = None
    if not fresh:
        checkpoint = folder.checkpoint("last" if resume else config.checkpoint)
        state = load_checkpoint(checkpoint, config, dataset.classes, resume=resume)
    if resume:
        _check_same_settings(folder, config)
    prepared = prepare(dataset)
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    torch.manual_seed(config.seed)
    with run.exclusive_lock():
        if fresh:
            _start_afresh(folder, config, dataset)
        with EventLog(folder, resume=not fresh) as events:
            session = Session(config, stage, dataset, folder, device, events, state, prepared)
            events.emit("start", stage=stage, mode=mode, device=_name(device), total=total, unit=unit, seed=config.seed,
                        dataset=dataset.name, n_train=len(dataset.splits["train"]), n_test=len(dataset.splits["test"]),
                        left_out=[finding.message for finding in dataset.findings if finding.level == "left out"],
                        resumed_from=state.get("at") if resume else None)
            for finding in dataset.findings:
                events.emit("note", message=f"{finding.level}: {finding.message}")
            with _stoppable(session):
                yield session
                metrics = folder.reports()
                events.emit("finish", seconds=time.monotonic() - session.began, last=metrics.get("last"),
                            best=metrics.get("best"))


def _check_same_settings(folder: StageFolder, config: Config) -> None:
    """A resumed run must keep its settings; only its length, device, threads and paths may change."""
    free = {"num_iters", "max_epochs", "device", "num_threads", "data_path", "ckpt_path"}
    began = read_json(folder.config_file)
    if not isinstance(began, dict):
        raise InputError(f"{folder.config_file}: contains no settings. Train again without --resume.")
    differing = [f"{key} was {began.get(key)!r}, now {value!r}" for key, value in config.to_dict().items()
                 if key not in free and began.get(key) != value]
    if differing:
        raise InputError(f"{folder.config_file}: --resume needs the settings of the run's start; "
                         f"{'; '.join(differing)}. Set them back, or train afresh without --resume.")


def _start_afresh(folder: StageFolder, config: Config, dataset: DataSet) -> None:
    """Delete what an earlier training left in this stage and the next, then write the settings and, in stage 1, a
    frozen copy of the labels."""
    following = [StageFolder(folder.root.with_name("stage2"))] if folder.root.name == "stage1" else []
    for old in (*following, folder):                    # next stage first: a kill in between leaves no orphaned results
        parts = [old.root / part for part in ("models", "outputs", "logs")]
        if any(part.exists() for part in parts) and not old.config_file.exists():       # training writes it first
            raise InputError(f"{old.root}: holds files but no config.json, so they are not deleted for a new training. "
                             "Move them away, or give the run another name (task_info).")
        for part in parts:
            shutil.rmtree(part, ignore_errors=True)
        old.config_file.unlink(missing_ok=True)
    write_json(folder.config_file, config.to_dict(), indent=True)
    if following:
        write_atomic(folder.classes_file, "".join(f"{name}\n" for name in dataset.classes))
        folder.root.joinpath("points.txt").unlink(missing_ok=True)
        copy = folder.root / ("points.csv" if dataset.points_file.suffix == ".csv" else "points.txt")
        write_atomic(copy, read_bytes(dataset.points_file))
        # The labels may have changed since the data set was read.
        dataset.points = read_points(copy, dataset.classes, dataset.fps, dataset.duration, [])


def _name(device: torch.device) -> str:
    return f"cuda ({torch.cuda.get_device_name()})" if device.type == "cuda" else device.type


@contextlib.contextmanager
def _stoppable(session: Session) -> Iterator[None]:
    def stop(*_: Any) -> None:
        session.stopping = True

    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:                                  # signal handlers can only be set in the main thread
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def train_steps(session: Session, model: torch.nn.Module, steps: int, load: Callable[[int], Batch],
                work: Callable[[torch.optim.Optimizer, Batch], dict[str, Tensor]],
                test: Callable[[torch.nn.Module, int, float], float], *, lr: float, videos: int, test_every: int,
                per_epoch: int = 1) -> None:
    """Train up to `steps` with regular tests, from scratch or from the session's checkpoint.

    `last.pt` is saved after each test.

    Args:
        session: the running session.
        model: model to train.
        steps: total number of optimiser steps.
        load: returns the batch of a step (counted from 1); called in a thread, one step ahead.
        work: performs one step on a batch; returns the losses and "total".
        test: returns the score, given the running mean of the model, the time of the test and the best score so far.
        lr: learning rate.
        videos: number of videos per step.
        test_every: time between tests; time is measured in units of `per_epoch` steps.
        per_epoch: steps per unit of time.

    Raises:
        Cancelled: a signal asked to stop; `last.pt` is up to date.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=session.config.weight_decay)
    mean = running_mean(model, session.config.averaging)
    step, best, untested = 0, -1., False
    if state := session.state:
        with checkpoint_errors(session.folder.checkpoint("last")):
            step = _restore(state, mean, model, optimizer, session.device)
        best, untested = state["best"], state["untested"]
    clock = Clock(session.events, steps - step)
    with ThreadPoolExecutor(1) as loader:
        upcoming = loader.submit(load, step + 1) if step < steps else None
        while True:
            at = step // per_epoch
            if testing := untested and not session.stopping:
                if not session.folder.checkpoint("last").exists():      # a run cannot resume from best.pt alone
                    _save(session, "last", step, mean, model, optimizer, best=best, untested=True, at=at)
                score = test(mean.module, at, best)
                if score > best:
                    best = score
                    _save(session, "best", step, mean, at=at)
                untested = False
            if testing or session.stopping:
                _save(session, "last", step, mean, model, optimizer, best=best, untested=untested, at=at)
            if session.stopping:
                session.events.emit("cancelled", step=at)
                raise Cancelled
            if step >= steps:
                return
            batch, step = upcoming.result(), step + 1
            if step < steps:
                upcoming = loader.submit(load, step + 1)
            losses = work(optimizer, batch)
            mean.update_parameters(model)
            clock.tick(step, losses, videos, step if per_epoch == 1 else step / per_epoch)
            epochs, rest = divmod(step, per_epoch)
            untested = rest == 0 and (epochs % test_every == 0 or step == steps)


def running_mean(model: torch.nn.Module, share: float) -> AveragedModel:
    """Running mean of a model's weights, to be updated after each step; `module` holds the mean.

    The mAP of the current weights varies by whole points from test to test, that of the mean hardly at all.

    Args:
        model: model in training.
        share: share of the steps so far that the mean covers, approximately; 0 for the current weights.
    """
    def move(means: list[Tensor], weights: list[Tensor], count: Tensor) -> None:
        torch._foreach_lerp_(means, weights, 1 / max(1., share * int(count)))

    return AveragedModel(model, multi_avg_fn=move)


def _save(session: Session, name: str, step: int, mean: AveragedModel, model: torch.nn.Module | None = None,
          optimizer: torch.optim.Optimizer | None = None, **extra: Any) -> None:
    """Write a checkpoint atomically; given the model in training and its optimiser, a resumable one."""
    state = {"model": mean.module.state_dict(), "step": step, "classes": list(session.dataset.classes),
             "shape": {key: getattr(session.config, key) for key in SHAPING}, **extra}
    if model and optimizer:
        state["training"], state["optimizer"] = model.state_dict(), optimizer.state_dict()
        state["generators"] = {"torch": torch.get_rng_state()}
        if session.device.type == "cuda":
            state["generators"]["cuda"] = torch.cuda.get_rng_state()
    def write(file: IO[bytes]) -> None:
        try:
            torch.save(state, file)
        except RuntimeError as error:                   # the archive is unfinished; the disk's error is its context
            raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None

    write_atomic(session.folder.checkpoint(name), write)


_MOMENTS = {"step": Tensor, "exp_avg": Tensor, "exp_avg_sq": Tensor}
_WEIGHTS, _STEP = {str: Tensor}, Number(0, 2**31, whole=True)
CHECKPOINT = {"model": _WEIGHTS, "step": _STEP, "at": Number(0, 2**31), "classes": [str],
              "shape": {str: (bool, Number())}}
RESUMABLE = {"training": _WEIGHTS, "best": Number(-1, 1 + 1e-6), "untested": bool, "generators": {"torch": Tensor},
             "optimizer": {"state": dict}}


def load_checkpoint(path: Path, config: Config, classes: tuple[str, ...], *, resume: bool = False) -> dict[str, Any]:
    """Read a checkpoint without running code from it, and check that it is complete and fits settings and classes.

    Args:
        path: checkpoint file.
        config: settings that the checkpoint must fit.
        classes: class names of the data set.
        resume: also check the parts that training resumes from.

    Raises:
        InputError: the checkpoint is missing or broken, or has a different shape or different classes.
    """
    if not path.exists():
        raise InputError(f"{path}: no such checkpoint. Run this stage with --mode train first.")
    try:
        with open_regular(path, None) as file:
            size = os.fstat(file.fileno()).st_size
            if sum(entry.file_size for entry in open_archive(file).infolist()) > size:
                raise ValueError("unpacks to more than its size")
            file.seek(0)
            state = torch.load(file, map_location="cpu", weights_only=True)
        fault = _checkpoint_fault(state, size, resume)
    except Exception as error:                          # torch raises many types of errors for a broken archive
        fault = f"cannot be read: {type(error).__name__}"
    if fault:
        raise InputError(f"{path}: is not a valid checkpoint of this stage ({fault}). Train this stage again.")
    shape, trained = state["shape"], tuple(state["classes"])
    differing = [f"{key} {shape.get(key)} in the checkpoint, {getattr(config, key)} in the settings" for key in SHAPING
                 if shape.get(key) != getattr(config, key)]
    if trained != classes:
        differing.append(f"{len(trained)} classes in the checkpoint ({', '.join(trained[:3])} …), {len(classes)} in "
                         f"the data set ({', '.join(classes[:3])} …)")
    if differing:
        raise InputError(f"{path}: does not fit: {'; '.join(differing)}. Use its settings, or train again.")
    return state


def _checkpoint_fault(state: Any, size: int, resume: bool) -> str:
    """What is wrong with a checkpoint of `size` bytes; empty if it is valid."""
    if fault := mismatch(state, CHECKPOINT) or (mismatch(state, RESUMABLE) if resume else ""):
        return fault
    for number, kept in state["optimizer"]["state"].items() if resume else ():
        if fault := mismatch(kept, _MOMENTS, f"optimizer.state.{short_repr(number)[1:-1]}"):
            return fault
    for part in ("model", "training") if resume else ("model",):
        for name, weight in state[part].items():
            if weight.layout != torch.strided or weight.numel() * weight.element_size() > size:     # expanded tensor
                return f"{part}.{short_repr(name)[1:-1]} is larger than the file"
            if not torch.isfinite(weight).all():
                return f"{part}.{short_repr(name)[1:-1]} is not finite"
    return ""


@contextlib.contextmanager
def checkpoint_errors(path: Path) -> Iterator[None]:
    """Raise InputError if a checkpoint's content belongs to a different model or lacks a part."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is not a valid checkpoint of this stage ({str(error).splitlines()[0][:120]}). "
                         "Train this stage again.") from None


def load_weights(session: Session, model: Model) -> Model:
    """Load the weights of the session's checkpoint, and return the model in eval mode.

    Raises:
        InputError: the weights belong to a different model.
    """
    with checkpoint_errors(session.folder.checkpoint(session.config.checkpoint)):
        _put(session.state["model"], model)
    return model.eval()


def _put(weights: dict[str, Tensor], model: torch.nn.Module) -> None:
    """Load weights into a model; raises an error if a name, shape or dtype differs."""
    own = model.state_dict()
    if wrong := [name for name, weight in weights.items() if name in own and weight.dtype != own[name].dtype]:
        raise ValueError(f"{wrong[0]} is of {weights[wrong[0]].dtype}")
    model.load_state_dict(weights)


def _restore(state: dict[str, Any], mean: AveragedModel, model: torch.nn.Module, optimizer: torch.optim.Optimizer,
            device: torch.device) -> int:
    """Restore weights, their mean, optimiser and random generators; returns the step they were saved at."""
    _put(state["training"], model)
    _put(state["model"], mean.module)
    mean.n_averaged.fill_(state["step"])
    # The param groups hold settings, which have not changed; the current ones are known to have the right types.
    optimizer.load_state_dict({"state": state["optimizer"]["state"],
                               "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(state["generators"]["torch"])
    if device.type == "cuda" and "cuda" in state["generators"]:
        torch.cuda.set_rng_state(state["generators"]["cuda"])
    for weight, kept in optimizer.state.items():
        if kept["step"].shape != () or kept["step"] < 1 \
                or any(kept[key].shape != weight.shape or not torch.isfinite(kept[key]).all()
                       for key in ("exp_avg", "exp_avg_sq")) or (kept["exp_avg_sq"] < 0).any():
            raise ValueError("the optimiser's state does not fit this model")
    return state["step"]
