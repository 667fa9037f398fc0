"""Typed settings: defaults here, then one YAML per data set, then `KEY=VALUE`; all checked before anything runs."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hrpro.errors import InputError, raise_if
from hrpro.files import inside, is_file_name, real_path
from hrpro.schema import short_repr
from hrpro.timebase import Timebase
from hrpro.yaml_files import parse_yaml, read_yaml

CONFIG_DIR = Path(__file__).parent / "configs"


def _key(default: Any, help_: str, low: float | None = None, high: float | None = None,
         choices: Sequence[str] | None = None) -> Any:
    """A setting with its default, its meaning, and its range or choices."""
    metadata = {"help": help_, "low": low, "high": high, "choices": choices}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass
class Config:
    """All settings of a run. The defaults are THUMOS14's (docs/method.md, section 8); names are as published."""

    dataset: str = _key("THUMOS14", "name of the data set; also the folder of its runs")
    data_path: str = _key("", "folder of the data set; dataset/<dataset> if empty")
    ckpt_path: str = _key("ckpt", "folder of the runs")
    task_info: str = _key("HR-Pro", "name of this run")
    seed: int = _key(0, "seed of every random generator", 0, 2**31 - 1)
    device: str = _key("auto", "device to compute on; auto uses a GPU if there is one",
                       choices=DEVICES)
    mixed_precision: bool = _key(True, "mixed precision; bfloat16 matrix products on CUDA")
    num_threads: int = _key(0, "CPU threads; 0 leaves the choice to torch", 0, 1024)
    reference_quirks: bool = _key(False, "quirks of the published program; reproduces all four (docs/method.md, "
                                         "section 7)")
    checkpoint: str = _key("last", "checkpoint that test and infer use; best is chosen on the test set, as published",
                           choices=("last", "best"))

    points: str = _key("auto", "point file under point_labels; auto is points.csv (labelled in the app), else "
                               "point_gaussian.csv")
    blocked_videos: list[str] = _key([], "test videos left out of the evaluation")
    tiou_thresholds: list[float] = _key([.1, .2, .3, .4, .5, .6, .7], "evaluation thresholds; tIoU", 0, 1)

    frames_per_sec: float = _key(25.0, "frame rate of the features; in frames per second", 1e-3)
    segment_frames_num: int = _key(16, "frames from one snippet to the next", 1)
    feature_dim: int = _key(2048, "feature size D; numbers per snippet", 8, 2**20)
    num_segments: int = _key(-1, "snippets sampled per video; -1 uses all", -1)

    rab_layers: int = _key(2, "reliability-aware attention blocks", 0, 64)
    rab_heads: int = _key(8, "attention heads", 1, 1024)
    rab_dim_feedforward: int = _key(128, "hidden size of the blocks' feed-forward part", 1, 2**16)
    rab_dropout: float = _key(.3, "dropout in the blocks", 0, .99)
    dropout: float = _key(.7, "dropout before the classifier and in stage 2's fusion", 0, .99)
    r_act: int = _key(8, "divisor r of the video score; the mean over the best T // r snippets", 1)
    memory_momentum: float = _key(.001, "weight of a step's features in the reliable prototypes", 0, 1)
    act_thresh: float = _key(.1, "highest background score of a pseudo action", 0, 1)
    bkg_thresh: float = _key(.95, "lowest background score of a pseudo background", 0, 1)
    temperature: float = _key(.1, "temperature of the contrast loss", .02)

    num_iters: int = _key(1000, "stage 1 steps", 1)
    test_iter: int = _key(50, "stage 1 steps between tests", 1)
    batch_size: int = _key(16, "videos per step of stage 1", 1)
    lr: float = _key(1e-4, "learning rate of stage 1", 0)
    weight_decay: float = _key(5e-4, "weight decay of both stages", 0)
    averaging: float = _key(.3, "weight averaging; the model that is tested and saved is the running mean of the "
                                "weights over about this share of the steps so far, and 0 uses the last weights", 0, 1)
    lambdas: list[float] = _key([0, .5, 1, 1], "weights of the video, action, background and contrast loss", 0)

    max_epochs: int = _key(20, "stage 2 epochs", 1)
    test_epoch: int = _key(1, "stage 2 epochs between tests", 1)
    batch_size2: int = _key(10, "videos per step of stage 2", 1)
    lr2: float = _key(5e-5, "learning rate of stage 2", 0)
    max_proposal: int = _key(1000, "proposals per video in a step of stage 2", 1)
    roi_size: int = _key(12, "bins of RoI align; a multiple of 6", 6, 600)
    completeness_iou: float = _key(.3, "lowest tIoU of a positive proposal; with a reliable proposal", 0, 1)
    weight_loss_reg: float = _key(1.0, "weight of the boundary loss", 0)
    weight_loss_score: float = _key(1.0, "weight of the completeness loss", 0)

    class_thresh: float = _key(.5, "lowest video score of a proposed class", 0, 1)
    act_thresh_cas: list[float] = _key([i * .025 for i in range(10)], "thresholds on P that make proposals", 0, 1)
    act_thresh_agnostic: list[float] = _key([.5 + i * .025 for i in range(9)],
                                            "thresholds on 1 - b that make proposals", 0, 1)
    scale: int = _key(2, "upsampling of the CAS before it is cut into proposals", 1, 64)
    margin: float = _key(.25, "margin of the outer-inner contrast; as a share of the proposal's length", 0)
    gamma: float = _key(.0, "weight of the video score in a proposal's score")
    nms_sigma: float = _key(.3, "sigma of Gaussian soft-NMS", 1e-6)

    @property
    def data_root(self) -> Path:
        """The data set's folder."""
        return Path(self.data_path or Path("dataset") / self.dataset)

    @property
    def run_root(self) -> Path:
        """The run's folder, `<ckpt_path>/<dataset>/<task_info>`."""
        return Path(self.ckpt_path) / self.dataset / self.task_info

    @property
    def timebase(self) -> Timebase:
        """The features' timebase according to the settings; a feature set's own timebase.yaml takes precedence."""
        return Timebase(self.frames_per_sec, self.segment_frames_num, self.segment_frames_num)

    def loss_weights(self, stage: int) -> dict[str, float]:
        """Weight of each term in a stage's loss (docs/method.md, sections 2 and 5)."""
        if stage == 1:
            return dict(zip(("video", "action", "background", "contrast"), self.lambdas, strict=True))
        return {"boundary": self.weight_loss_reg, "completeness": self.weight_loss_score}

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def check(values: Any, where: str, places: Mapping[str, str] = types.MappingProxyType({})) -> Config:
    """Check settings and apply them over the defaults.

    Args:
        values: {setting: value}.
        where: source of the values, for messages.
        places: {setting: source} of those that come from elsewhere.

    Raises:
        InputError: unknown keys (with the nearest valid one), wrong types and values out of range, all together.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: must hold settings by name, not {short_repr(values)}. Put back a copy.")
    fields = {entry.name: entry for entry in dataclasses.fields(Config)}
    hints = typing.get_type_hints(Config)
    faults, accepted = [], {}
    for key, value in values.items():
        place = places.get(key, where)
        if key not in fields:
            near = difflib.get_close_matches(str(key)[:60], fields, n=1, cutoff=0)
            faults.append(f"{place}: unknown setting {short_repr(str(key))}. Did you mean {near[0]!r}?")
            continue
        value, problem = _coerce(value, hints[key], fields[key].metadata)
        if problem:
            faults.append(f"{place}: setting {key!r} is {short_repr(values[key])}, but must be {problem}.")
        else:
            accepted[key] = value
    config = Config(**accepted)
    where += f" with {', '.join(places)} given" if places else ""
    faults += [f"{where}: {problem}" for problem in _inconsistencies(config)]
    raise_if(faults)
    return config


def _coerce(value: Any, kind: Any, limits: Mapping[str, Any]) -> tuple[Any, str]:
    """(the value as `kind`, ""), or (unusable, what it must be instead)."""
    if typing.get_origin(kind) is list or isinstance(kind, types.GenericAlias):
        inner = typing.get_args(kind)[0]
        if not isinstance(value, list | tuple):
            return None, f"a list, such as {'[a, b]' if inner is str else '[.1, .2]'}"
        pairs = [_coerce(entry, inner, limits) for entry in value]
        problems = [problem for _, problem in pairs if problem]
        return [entry for entry, _ in pairs], f"a list, each {problems[0]}" if problems else ""
    if kind is float and isinstance(value, int | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):     # YAML 1.1 reads 1e-4 as text
            value = float(value)
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
        value = str(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        return None, _name(kind)
    if kind in (int, float) and not -2**31 < value < 2**31:              # NaN fails too
        return None, "a finite number" if kind is float and not math.isfinite(value) else "below 2^31 in size"
    if limits["choices"] and value not in limits["choices"]:
        return None, "one of " + ", ".join(limits["choices"])
    if kind in (int, float):
        low, high = limits["low"], limits["high"]
        if low is not None and value < low:
            return None, f"{low:g} or more"
        if high is not None and value > high:
            return None, f"{high:g} or less"
    return value, ""


def _name(kind: type) -> str:
    return {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}[kind]


def _inconsistencies(config: Config) -> list[str]:
    """Problems beyond the type and range of a single setting."""
    problems = []
    if config.feature_dim % config.rab_heads:
        problems.append(f"feature_dim {config.feature_dim} is not a multiple of rab_heads {config.rab_heads}. "
                        "Change one.")
    if config.roi_size % 6:
        problems.append(f"roi_size {config.roi_size} is not a multiple of 6. Use 12.")
    if len(config.lambdas) != 4:
        problems.append("lambdas needs four weights: video, action, background, contrast.")
    tiou = config.tiou_thresholds
    if not tiou or tiou != sorted(set(tiou)) or tiou[0] <= 0:
        problems.append("tiou_thresholds must rise from above 0. Write them as [.1, .2, .3].")
    if not config.act_thresh_cas and not config.act_thresh_agnostic:
        problems.append("act_thresh_cas and act_thresh_agnostic are both empty. Give at least one threshold.")
    if config.num_segments == 0:
        problems.append("num_segments is 0. Use -1 for all snippets, or a positive number.")
    if any("\0" in getattr(config, key) for key in ("points", "data_path", "ckpt_path")):
        problems.append("points, data_path or ckpt_path holds a NUL character. Remove it.")
    for key in ("dataset", "task_info"):
        name = getattr(config, key)
        if not is_file_name(name):
            problems.append(f"{key} {name[:80]!r} cannot name a folder. Use a plain name without slashes, 200 bytes at "
                            "most.")
    return problems


def config_names() -> list[str]:
    """Names that `--cfg` accepts."""
    return sorted(path.stem for path in CONFIG_DIR.glob("*.yaml"))


def _read_settings(path: Path) -> dict[str, Any]:
    values = read_yaml(path)
    if not isinstance(values, dict | None):
        raise InputError(f"{path}: holds no settings. Write one `key: value` per line.")
    return values or {}


def load_config(cfg: str | Path, overrides: Sequence[str] = (), **given: Any) -> Config:
    """Load settings from a YAML file and apply overrides.

    A YAML file in a data set's folder is for that data set unless it names another.

    Args:
        cfg: name of a configuration (`thumos`) or path of a YAML file.
        overrides: `KEY=VALUE` texts.
        given: values that take precedence over all others.

    Raises:
        InputError: unknown configuration, unknown keys or wrong values, all together.
    """
    path = Path(cfg)
    if path.suffix not in (".yaml", ".yml"):
        path = CONFIG_DIR / f"{cfg}.yaml"
        if str(cfg) not in config_names():
            near = difflib.get_close_matches(str(cfg), config_names(), n=1, cutoff=0)
            raise InputError(f"--cfg {cfg}: no such configuration. Did you mean {near[0]!r}? "
                             f"Known are {', '.join(config_names())}, or give the path of a YAML file.")
    values, faults, places = _read_settings(path), [], {key: f"--{key}" for key in given}
    if (path.parent / "gt_full.json").exists():
        inside(path.parent, path.name)
        values = {"dataset": path.absolute().parent.name, "data_path": str(path.parent)} | values
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            faults.append(f"--set {text[:100]}: has no '='. Write KEY=VALUE.")
            continue
        try:
            values[key.strip()] = parse_yaml(value, place := f"--set {text[:100]}")
            places.setdefault(key.strip(), place)
        except InputError as error:
            faults += error.faults
    try:
        config = check(values | given, str(path), places)
    except InputError as error:
        raise InputError(faults + error.faults) from None
    raise_if(faults)
    return config


def cfg_of(data_root: Path) -> str:
    """The value of `--cfg` for a data set: its own config.yaml, else the configuration named after it, else thumos."""
    own = inside(data_root, "config.yaml")
    named = (name for name in config_names()
             if _read_settings(CONFIG_DIR / f"{name}.yaml").get("dataset") == real_path(data_root).name)
    return str(own) if own.exists() else next(named, "thumos")


def config_of(data_root: Path) -> Config:
    """The settings of a data set, found by `cfg_of`; InputError if they are invalid."""
    return load_config(cfg_of(data_root), dataset=real_path(data_root).name, data_path=str(data_root))
