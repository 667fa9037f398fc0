"""A small data set to label, and operations for it."""

import json
from pathlib import Path

FPS = 30000 / 1001


def write_small(root: Path, train: str = "v1\nv2\n", test: str = "v1\nv2\n") -> Path:
    """Write a data set with two videos of 100 s and two classes, without points."""
    root.mkdir()
    info = {"subset": "train", "duration": 100.0, "fps": FPS, "annotations": []}
    (root / "gt_full.json").write_text(json.dumps({"version": "1", "database": {"v1": info, "v2": info}}))
    (root / "classes.txt").write_text("jump\nrun\n")
    (root / "split_train.txt").write_text(train)
    (root / "split_test.txt").write_text(test)
    return root


def point(seconds: float, label: str = "jump", video: str = "v1") -> dict:
    return {"video": video, "label": label, "time": seconds, "frame": int(seconds * FPS)}


def change(kind: str, name: str, before: dict, after: dict, video: str = "v1") -> dict:
    return {"id": f"op-{name}", "video": video, "kind": kind, "before": before, "after": after}


def add(key: str, seconds: float, label: str = "jump", video: str = "v1") -> dict:
    return change("add", key, {}, {key: point(seconds, label, video)}, video)
