"""What YAML settings files may contain; everything else is refused quickly."""

import time
import tracemalloc

import pytest

from hrpro.config import check, load_config
from hrpro.data.features import read_timebase
from hrpro.errors import InputError
from hrpro.timebase import Timebase
from hrpro.yaml_files import DEEPEST, LONGEST, parse_yaml

BOMB = "".join(["a: &a [x, x, x, x, x, x, x, x, x]\n",
                *(f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
                  for old, new in zip("abcdefgh", "bcdefghi", strict=True)),
                "blocked_videos: *i\n"])
HOSTILE = {
    "aliases that multiply": (BOMB, "the alias *a is not allowed"),
    "an alias of itself": ("blocked_videos: &a [*a]", "the alias *a is not allowed"),
    "deep nesting": ("blocked_videos: " + "[" * 100_000, f"nested more than {DEEPEST} deep"),
    "deep nesting in blocks": ("".join(" " * depth + f"k{depth}:\n" for depth in range(500)), "nested more than"),
    "deep nesting in dashes": ("- " * 5000 + "x", "nested more than"),
    "a date that is none": ("dataset: !!timestamp x", "the tag !!timestamp is not allowed"),
    "bytes": ("dataset: !!binary aGFsbG8=", "the tag !!binary is not allowed"),
    "a set": ("dataset: !!set {a, b}", "the tag !!set is not allowed"),
    "an object": ("dataset: !!python/object/apply:os.system [true]", "python/object"),
    "a tag of its own": ("dataset: !mine x", "the tag !mine is not allowed"),
    "a merge key": ("<<: {seed: 1}", "the merge key << is not allowed"),
    "a key twice": ("seed: 1\nlr: .1\nseed: 2", "line 3: cannot be read as YAML (the key 'seed' is listed twice"),
    "a key twice further in": ("dataset: {a: 1, a: 2}", "the key 'a' is listed twice"),
    "a list as key": ("? [a, b]\n: 1", "a key must be a string"),
    "a number beyond 64 bits": ("seed: 99999999999999999999", "not a whole number below 2^63"),
    "a number of thousands of digits": ("seed: " + "9" * 5000, "not a whole number below 2^63"),
    "a long hexadecimal": ("seed: 0x" + "f" * 9999, "not a whole number below 2^63"),
    "half a character": ('dataset: "\\ud800"', "half of a surrogate pair"),
    "a control character": ("dataset: a\x00b", "special characters are not allowed"),
    "two documents": ("seed: 1\n---\nseed: 2", "but found another document"),
    "cut off": ("blocked_videos: [a, b", "line 1"),
    "a file of another kind": ("x" * (LONGEST + 1), "settings may have 262,144"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_every_yaml_reader_refuses_hostile_files_quickly(tmp_path, case):
    text, said = HOSTILE[case]
    (tmp_path / "config.yaml").write_text(text)
    (tmp_path / "timebase.yaml").write_text(text)
    began = time.process_time()
    for read in (lambda: load_config(tmp_path / "config.yaml"), lambda: read_timebase(tmp_path, Timebase()),
                 lambda: load_config("thumos", [f"seed={text}"])):
        with pytest.raises(InputError) as caught:
            read()
        fault, = caught.value.faults
        assert said in fault and len(fault) < 500
        assert fault.startswith((f"{tmp_path}/config.yaml: ", f"{tmp_path}/timebase.yaml: ", "--set seed="))
    assert time.process_time() - began < 2


def test_aliases_take_no_memory():
    tracemalloc.start()
    with pytest.raises(InputError):
        parse_yaml(BOMB, "config.yaml")
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


@pytest.mark.parametrize(("text", "value"), [
    ("", None), ("a: 1", {"a": 1}), ("[.1, 1e-4]", [.1, "1e-4"]),
    ("1: 2\ntrue: 3\nnull: 4", {"1": 2, "true": 3, "null": 4}),
    ("a: 2024-01-31", {"a": "2024-01-31"}), ("a: .inf", {"a": float("inf")}), ("a: 0x10", {"a": 16}),
    ("a: [{b: [c]}]", {"a": [{"b": ["c"]}]}), ("a: =", {"a": "="}), ("# nothing", None)])
def test_ordinary_yaml_is_read(text, value):
    assert parse_yaml(text, "here") == value


@pytest.mark.parametrize("value", [[["x"] * 9] * 100_000, {"a": {"b": {"c": "d"}}}, "x" * 10**7, 1 << 100_000,
                                   10**400, float("nan"), float("inf"), None, True, b"x" * 10**6, {1: 2},
                                   object()], ids=range(12))
def test_invalid_setting_gives_a_short_message(value):
    with pytest.raises(InputError) as caught:
        check({"num_iters": value, "lr": value, "dataset": [value], "tiou_thresholds": value}, "config.yaml")
    assert all(fault.startswith("config.yaml: ") and len(fault) < 300 for fault in caught.value.faults)


@pytest.mark.parametrize("values", [[], [1], "text", None, 5])
def test_settings_that_are_not_an_object_are_refused(values):
    with pytest.raises(InputError, match="must hold settings by name"):
        check(values, "config.json")
