"""What pages read is cached until the files change."""

import shutil
from pathlib import Path

import yaml

from app.results import load_dataset, ranked
from hrpro.data.run import Run


def test_changed_annotator_file_is_read_again(make_dataset, tmp_path):
    root = make_dataset(tmp_path / "small", points="human/annotator_1.txt")
    text = root / "point_labels" / "human" / "annotator_1.txt"
    text.parent.mkdir()
    text.write_text("train_0,5,run\n")
    assert load_dataset(root).points.seconds.tolist() == [5]
    text.write_text("train_0,5,run\ntrain_0,7.5,run\n")
    assert load_dataset(root).points.seconds.tolist() == [5, 7.5]


def test_changed_feature_rate_moves_proposals(trained_world: Path, tmp_path):
    world = shutil.copytree(trained_world, tmp_path / "world")
    root, run = world / "dataset" / "small", Run(world / "ckpt" / "small" / "first")

    def ends() -> float:
        return sum(part.negative.end.sum() for part in ranked(run, load_dataset(root))["train"].values())

    before = ends()
    rate = {"fps": 50., "stride": 16, "clip": 16, "offset": 0}
    (root / "features" / "timebase.yaml").write_text(yaml.safe_dump(rate))
    assert before > 0 and ends() == before / 2
