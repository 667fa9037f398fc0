"""With one bad folder among data sets or runs, all pages still open, and the Projects page says what is wrong."""

import os
from pathlib import Path

import pytest
from driving import open_page
from test_yaml_files import BOMB

from app.paths import data_sets, unusable_folders
from app.text import plain
from hrpro.data.run import find_runs

PAGES = (None, "annotate", "train", "explore", "evaluate")


def written(value: str) -> str:
    return value.replace("\\", "")


def shown(test) -> str:
    return written("\n".join(each.value for kind in ("error", "markdown", "warning", "info") for each in
                             getattr(test, kind)))


def loop(root: Path) -> None:
    (root / "loop").symlink_to(root / "loop")


def dangling(root: Path) -> None:
    (root / "gone").symlink_to(root / "nowhere")


def not_utf8(root: Path) -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe")).mkdir()


def control(root: Path) -> None:
    (root / "a\nb").mkdir()


def long(root: Path) -> None:
    (root / ("n" * 250)).mkdir()


@pytest.mark.parametrize("spoil", [loop, dangling, not_utf8, control, long])
def test_unusable_folder_is_reported_and_hides_no_other(world, spoil):
    spoil(world / "dataset")
    assert data_sets() == ["small"]
    sentence, = unusable_folders()
    assert sentence.isprintable()
    for page in PAGES:
        test = open_page(page) if page else open_page()
        assert not test.exception, (page, test.exception)
    assert written(plain(sentence)) in shown(open_page())


def put(place: str, content: bytes | None):
    def spoil(root: Path) -> None:
        root.mkdir()
        path = root / place
        path.parent.mkdir(exist_ok=True)
        path.mkdir() if content is None else path.write_bytes(content)
    return spoil


def looping_videos(root: Path) -> None:
    root.mkdir()
    (root / "videos").symlink_to("videos")


BAD = {"settings that multiply": put("config.yaml", BOMB.encode()),
       "settings that are a folder": put("config.yaml", None),
       "annotations of another kind": put("gt_full.json", b'{"database": [1]}'),
       "annotations that are a folder": put("gt_full.json", None),
       "labels in the way": put("labels", b""),
       "a log of nonsense": put("labels/operations.jsonl", b'{"id": 1}\n'),
       "a list of rates": put("features/timebase.yaml", b"[1]"),
       "videos that loop": looping_videos,
       "nothing": lambda root: root.mkdir()}


@pytest.mark.parametrize("case", BAD)
def test_bad_data_set_breaks_no_page_and_hides_no_other(world, case):
    BAD[case](world / "dataset" / "bad")
    assert data_sets() == ["bad", "small"]
    for page in PAGES:
        for dataset in ("bad", "small"):
            test = open_page(page, dataset=dataset) if page else open_page()
            assert not test.exception, (page, dataset, test.exception)


def test_run_with_an_invalid_name_hides_no_other(world):
    stage = Path(os.fsdecode(os.fsencode(world / "ckpt" / "small") + b"/\xff")) / "stage1"
    stage.mkdir(parents=True)
    (stage / "config.json").write_text("{}")
    (world / "ckpt" / "small" / "loop").symlink_to("loop")
    assert [run.name for run in find_runs(world / "ckpt", "small")] == ["first"]
    for page in PAGES[2:]:
        assert not open_page(page).exception
