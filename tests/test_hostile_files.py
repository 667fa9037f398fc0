"""The shared hostile files, each put into a data set and run made by an earlier version.

Every reader, command and page returns a value or a message that names the file.
"""

import json
import os
import shutil
from pathlib import Path

import pytest
from driving import open_page

from hrpro.cli import main, run_command
from hrpro.data.run import Run

CASES = Path(os.environ.get("HRPRO_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "cases" / "hostile"
LISTED = json.loads((CASES / "cases.json").read_text()) if (CASES / "cases.json").exists() else []
PAGES = {"app: Train page": "train", "app: Evaluate page": "evaluate"}


@pytest.fixture
def base(shared, tmp_path, monkeypatch) -> Path:
    root = shutil.copytree(shared / "cases" / "hostile" / "base", tmp_path / "base")
    monkeypatch.setenv("HRPRO_DATA", str(root / "data"))
    monkeypatch.setenv("HRPRO_CKPT", str(root / "ckpt"))
    return root


def place(base: Path, case: dict) -> Path:
    """Copy a case's file to its target."""
    target = base / case["goes_to"]
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(CASES / "files" / f"{case['case']}.bin", target)
    return target


def sentences(test) -> str:
    """The texts of a page, without Markdown escapes."""
    said = [each.value for kind in ("error", "warning", "info", "markdown") for each in getattr(test, kind)]
    return "\n".join(said).replace("\\", "")


def run(base: Path, words: list[str]) -> int:
    """`python main.py …` or `python -m hrpro …`, in this process."""
    words = [word.replace("BASE", str(base)) for word in words]
    return run_command("hrpro.training.command", "main.py", "", words[2:]) if words[1] == "main.py" else main(words[3:])


@pytest.mark.parametrize("case", [case for case in LISTED if case["command"] not in PAGES],
                         ids=lambda case: case["case"])
def test_command_gives_a_message_that_names_the_file(base, capsys, case):
    target = place(base, case)
    code = run(base, case["command"].split())
    out, said = capsys.readouterr()
    assert code in (0, 2) and "Traceback" not in said
    assert target.name in out + said or target.stem in out + said or code == 0
    assert all(len(line) < 1500 for line in said.splitlines())


@pytest.mark.parametrize("case", [case for case in LISTED if case["command"] in PAGES], ids=lambda case: case["case"])
def test_page_opens_and_names_the_file(base, case):
    target = place(base, case)
    test = open_page(PAGES[case["command"]], dataset="tiny", run="HR-Pro", stage="1")
    if target.name == "events.jsonl":
        faults: list[str] = []
        Run(base / "ckpt/tiny/HR-Pro").events(1, faults=faults)
        assert not faults or "events.jsonl: an event is left out" in sentences(test)
    else:
        train = open_page("train", dataset="tiny", run="HR-Pro")
        assert "metrics.json: " in sentences(train)


def test_run_of_an_earlier_version_works(base, capsys):
    for words in ("python -m hrpro validate BASE/data/tiny", "python -m hrpro labels log BASE/data/tiny",
                  "python -m hrpro labels next BASE/data/tiny BASE/ckpt/tiny/HR-Pro",
                  "python -m hrpro jobs --ckpt_path BASE/ckpt",
                  "python main.py --cfg BASE/data/tiny/config.yaml --ckpt_path BASE/ckpt --stage 1 --mode infer",
                  "python main.py --cfg BASE/data/tiny/config.yaml --ckpt_path BASE/ckpt --stage 2 --mode test"):
        assert run(base, words.split()) == 0, (words, capsys.readouterr())
    for page in (None, "annotate", "train", "explore", "evaluate"):
        test = open_page(page, dataset="tiny", run="HR-Pro")
        assert "cannot be read" not in sentences(test) and "event is left out" not in sentences(test)
        assert not test.error
