"""Runs the timeline's unit tests with node's test runner, against the real routes."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from serving import serving

HERE = Path(__file__).parent
DATA_SETS = ("quick", "before", "behind", "later", "closed", "two", "full", "bulk", "other", "names",
             "undo", "captive", "narrow", "poison", "malformed", "large")


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """URL of a server with data sets of one video each."""
    world = tmp_path_factory.mktemp("world")
    for name in DATA_SETS:
        folder = world / "dataset" / name
        folder.mkdir(parents=True)
        info = {"subset": "train", "duration": 10.0, "fps": 25.0, "annotations": []}
        (folder / "gt_full.json").write_text(json.dumps({"version": "1", "database": {"v1": info}}))
        (folder / "classes.txt").write_text("jump\n")
        for split in ("train", "test"):
            (folder / f"split_{split}.txt").write_text("v1\n")
    with serving(world) as url:
        yield url


@pytest.mark.parametrize("path", sorted(HERE.glob("*.test.js")), ids=lambda path: path.stem)
def test_timeline_javascript(path, url):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; install nodejs 20 or later to run the timeline's unit tests")
    run = subprocess.run([node, "--test", path], capture_output=True, text=True, timeout=240,
                         env={**os.environ, "HRPRO_URL": url})
    assert run.returncode == 0, run.stdout + run.stderr
    assert "# fail 0" in run.stdout and "# pass 0" not in run.stdout
