"""The history in the log: descriptions of all kinds of operations, and class names after renames and merges."""

import pytest

from hrpro.labels.history import class_successors, describe


def point(seconds: float = 10, label: str = "jmp", **more) -> dict:
    return {"video": "v1", "label": label, "time": seconds, "frame": int(seconds * 30)} | more


def segment(**more) -> dict:
    return {"video": "v1", "label": "jump", "start": 9.5, "end": 12, "point": "p", "model": "first"} | more


def operation(before: dict, after: dict, **more) -> dict:
    return {"id": "op", "seq": 8, "who": "Ann", "video": "v1", "kind": "add", "before": before, "after": after} | more


@pytest.mark.parametrize(("before", "after", "said"), [
    ({"p": point()}, {"p": point(doubt="too dark")}, "changed jmp at 10.00 s (too dark)"),
    ({"p": point(doubt="too dark")}, {"p": point()}, "changed jmp at 10.00 s (no longer in doubt)"),
    ({"p": point()}, {"p": point(12, "run")}, "changed jmp at 10.00 s to run to 12.00 s"),
    ({"p": point(), "q": point(11)}, {"p": point(12), "q": point(13)}, "changed 2 points of jmp"),
    ({"p": point(), "q": point(11, "x")}, {"p": point(12), "q": point(13)}, "changed 2 points to jmp"),
    ({"p": point(), "q": point(11, "x")}, {}, "removed 2 points"),
    ({}, {"p": point(), "q": point() | {"video": "v2"}}, "set 2 points of jmp in 2 videos"),
    ({}, {"s": segment()}, "set jump 9.50 to 12.00 s"),
    ({"s": segment()}, {"s": segment(end=13)}, "changed jump 9.50 to 12.00 s to 9.50 to 13.00 s"),
    ({}, {"jump": {}, "run": {}}, "added classes jump, run"), ({"jump": {}}, {}, "removed class jump"),
    ({"jump": {}}, {"jump": {"colour": "#ff0000"}}, "changed class jump"),
    ({"jmp": {}}, {"jump": {}}, "renamed class jmp to jump"),
    ({"jmp": {}, "p": point(), "q": point()}, {"jump": {}, "p": point(label="jump"), "q": point(label="jump")},
     "renamed class jmp to jump, changed 2 points of jmp to jump"),
    ({"jmp": {}, "jump": {}, "p": point()}, {"jump": {}, "p": point(label="jump")},
     "merged class jmp into jump, changed jmp at 10.00 s to jump"),
    ({"v1": {"done": True}}, {}, "marked not done"), ({}, {}, "changed nothing")])
def test_every_change_is_described(before, after, said):
    assert describe(operation(before, after), {}) == said
    assert describe(operation(before, after, kind="undo", of="x"), {"x": 3}) == f"undo of #3: {said}"


def test_class_successors_follow_renames_and_merges():
    def rename(old: str, new: str) -> dict:
        return operation({old: {}}, {new: {}})

    assert class_successors([rename("a", "b"), rename("b", "c"), operation({"d": {}, "c": {}}, {"c": {}})]) == \
        {"a": "c", "b": "c", "d": "c"}
    assert class_successors([rename("a", "b"), rename("b", "a")]) == {"b": "a"}
    assert class_successors([rename("a", "b"), operation({}, {"a": {}}), operation({"x": {}}, {})]) == {}
