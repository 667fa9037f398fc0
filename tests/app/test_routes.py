"""The server's own routes over real HTTP: what they serve, what they refuse, and with which messages."""

import csv
import json
import os
import shutil
import time
from fractions import Fraction

import httpx
import numpy as np
import pytest
from numbered_video import write_video
from serving import serving
from streamlit import config

from app.routes import routes

HOSTILE = ["..", "%2e%2e", "..%2f..%2fetc", "a%00b", "%5c%5cserver", "..%5c..", "no such", "%F0%9F%92%A5"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A data folder with one data set `Small` (video v1 with a file, v2 without), and a folder of runs."""
    root = tmp_path_factory.mktemp("world")
    small = root / "dataset" / "Small"
    (small / "videos").mkdir(parents=True)
    write_video(small / "videos" / "v1.mp4", range(0, 6000, 40))
    info = {"subset": "train", "duration": 6.0, "fps": 25.0, "annotations": [{"label": "jump", "segment": [1, 2]}]}
    (small / "gt_full.json").write_text(json.dumps({"version": "1", "database": {"v1": info, "v2": info}}))
    for split in ("train", "test"):
        (small / f"split_{split}.txt").write_text("v1\nv2\n")
    outputs = root / "ckpt" / "Small" / "HR-Pro" / "stage1" / "outputs"
    outputs.mkdir(parents=True)
    scores = np.linspace(0, 1, 20, dtype=np.float32).reshape(10, 2)
    np.savez(outputs / "snippet_scores_test.npz", **{"names/classes": ["jump"], "v1": scores,
                                                     "similarity/v1": scores[:, :1]})
    (root / "secret.txt").write_text("secret")
    return root


@pytest.fixture(scope="module")
def http(world):
    with serving(world) as url, httpx.Client(base_url=url, headers={"accept-encoding": "identity"}) as client:
        yield client


def test_projects_address_redirects_to_the_root(http):
    answer = http.get("/projects?dataset=a%26b")
    assert (answer.status_code, answer.headers["location"]) == (307, "./?dataset=a%26b")


def test_video_is_served_by_range(http, world):
    whole = (world / "dataset" / "Small" / "videos" / "v1.mp4").read_bytes()
    part = http.get("/videos/Small/v1", headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole)}"
    assert http.get("/videos/Small/v1", headers={"range": f"bytes={len(whole)}-"}).status_code == 416
    everything = http.get("/videos/Small/v1")
    assert everything.content == whole and everything.headers["content-type"] == "video/mp4"
    assert http.head("/videos/Small/v1").headers["accept-ranges"] == "bytes"


def test_frame_times_come_from_the_file(http):
    answer = http.get("/frames/Small/v1")
    about = json.loads(answer.headers["x-video"])
    assert np.frombuffer(answer.content, "<f8") == pytest.approx(np.arange(150) / 25)
    assert (about["fps"], about["duration"], about["even"], about["playable"]) == (25, 6, True, True)
    assert about["copy"] is None


def test_known_frame_times_are_not_sent_again(http, world):
    version = json.loads(http.get("/frames/Small/v1").headers["x-video"])["version"]
    assert http.get(f"/frames/Small/v1?known={version}").content == b""
    os.utime(world / "dataset" / "Small" / "videos" / "v1.mp4")
    again = http.get(f"/frames/Small/v1?known={version}")
    assert len(again.content) == 8 * 150 and json.loads(again.headers["x-video"])["version"] != version


@pytest.mark.parametrize(("name", "codec", "ask"), [("old.avi", "mpeg4", ""), ("new.mp4", "libx264", "?copy")])
def test_copy_is_made_for_unplayable_files_or_on_request(http, world, name, codec, ask):
    video = name[:3]
    path = write_video(world / "dataset" / "Small" / "videos" / name, range(50), codec, unit=Fraction(1, 25))
    assert "no such copy" in http.get(f"/videos/Small/{video}?copy").text
    foreign = http.get(f"/frames/Small/{video}{ask}", headers={"sec-fetch-site": "cross-site"})
    assert foreign.status_code == 403 and not list(world.glob(f"dataset/Small/cache/proxies/{name}*"))
    deadline, known = time.monotonic() + 30, ""
    while True:
        answer = http.get(f"/frames/Small/{video}{ask or '?'}&known={known}")
        about = json.loads(answer.headers["x-video"])
        assert len(answer.content) == (0 if known else 8 * 50)
        if about["copy"]["ready"]:
            break
        assert not about["copy"]["fault"] and time.monotonic() < deadline
        known = about["version"]
        time.sleep(.05)
    assert (about["start"], about["playable"]) == (0, ask != "")
    whole = http.get(f"/videos/Small/{video}?copy")
    assert whole.headers["content-type"] == "video/mp4" and whole.content != path.read_bytes()
    part = http.get(f"/videos/Small/{video}?copy", headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    assert http.get(f"/videos/Small/{video}").content == path.read_bytes()


def test_filmstrip_has_a_layout_and_an_image(http):
    strip = http.get("/thumbs/Small/v1").json()
    assert len(strip["times"]) == 100 and strip["times"] == sorted(strip["times"])
    picture = http.get("/thumbs/Small/v1?sprite")
    assert picture.headers["content-type"] == "image/jpeg" and picture.content[:2] == b"\xff\xd8"


def test_scores_are_float32_with_their_shape(http):
    for kind, columns in (("cas", 2), ("similarity", 1)):
        answer = http.get(f"/scores/Small/HR-Pro/test/{kind}/v1")
        assert answer.headers["x-shape"] == f"10,{columns}"
        expected = np.linspace(0, 1, 20, dtype=np.float32).reshape(10, 2)[:, :columns]
        assert np.frombuffer(answer.content, "<f4").reshape(10, columns) == pytest.approx(expected)
    assert http.get("/scores/Small/HR-Pro/test/cas/v2").text == "HR-Pro: has no scores of 'v2'. Test stage 1 first."
    assert http.get("/scores/Small/HR-Pro/valid/cas/v1").status_code == 404


def test_run_proposals_or_why_there_are_none(http, world):
    assert http.get("/models/Small/nope/v1").text == "There is no run 'nope' any more. Choose another."
    for address in ("/models/Small/HR-Pro", "/models/Small/HR-Pro/v1"):
        answer = http.get(address)
        assert answer.status_code == 422 and "proposals.json: no such file. Run stage 1" in answer.text
    stage = world / "ckpt" / "Small" / "HR-Pro" / "stage1"
    (stage / "config.json").write_text("{}")
    proposals = {"PP": {"jump": [[1, 2, .5]]}, "RP": {}, "NP": []}
    (stage / "outputs" / "proposals.json").write_text(json.dumps({"train": {}, "test": {"v1": proposals}}))
    said = http.get("/models/Small/HR-Pro/v1").json()
    assert said["proposals"] == [[1, 2, 1, "jump"]]
    assert said["curves"]["columns"] == ["jump", ""] and round(said["curves"]["step"], 9) == .64
    assert http.get(said["curves"]["url"]).headers["X-Shape"] == "10,2"
    assert http.get("/models/Small/HR-Pro").json() == {"count": 1, "moments": [
        {"video": "v1", "time": 1.5, "label": "jump", "why": "unlabelled detection", "worth": 1}]}


def copy_run(world, name: str, *videos: str) -> None:
    """Copy the run's first stage, with one proposal for each of the videos."""
    outputs = world / "ckpt" / "Small" / name / "stage1" / "outputs"
    shutil.copytree(world / "ckpt" / "Small" / "HR-Pro" / "stage1" / "outputs", outputs)
    (outputs.parent / "config.json").write_text("{}")
    proposals = {"PP": {"jump": [[1, 2, .5]]}, "RP": {}, "NP": []}
    (outputs / "proposals.json").write_text(json.dumps({"train": {}, "test": dict.fromkeys(videos, proposals)}))


def test_outputs_of_a_run_are_named_as_the_classes_are_now(http, fresh, world):
    small = world / "dataset" / "Small"
    copy_run(world, "named", "v1")
    before = (small / "gt_full.json").read_text()
    document = json.loads(before)
    for info in document["database"].values():
        info["annotations"] = []                        # classes that annotations use keep their names
    steps = [{"id": "r", "video": "v1", "kind": "rename", "before": {"jump": {}}, "after": {"leap": {}}},
             {"id": "u", "video": "v1", "kind": "undo"}]
    try:
        (small / "classes.txt").write_text("jump\n")
        (small / "gt_full.json").write_text(json.dumps(document))
        for seq, name in enumerate(("jump", "leap", "jump"), 1):
            said = http.get("/models/Small/named/v1").json()
            assert (said["proposals"], said["curves"]["columns"]) == ([[1, 2, 1, name]], [name, ""])
            assert [moment["label"] for moment in http.get("/models/Small/named").json()["moments"]] == [name]
            for step in steps[seq - 1:seq]:
                assert post(http, [step]).json()["acks"][0]["seq"] == seq
    finally:
        (small / "classes.txt").unlink()
        (small / "gt_full.json").write_text(before)


def test_proposals_include_a_video_added_while_the_app_runs(http, fresh, world):
    small = world / "dataset" / "Small"
    copy_run(world, "again", "v1", "v3")
    assert http.get("/models/Small/again").json()["count"] == 1
    before = (small / "gt_full.json").read_text()
    document = json.loads(before)
    document["database"]["v3"] = document["database"]["v1"]
    try:
        (small / "gt_full.json").write_text(json.dumps(document))
        point = {"video": "v3", "label": "jump", "time": 5, "frame": 125}
        added = {"id": "op-c", "video": "v3", "kind": "add", "before": {}, "after": {"c": point}}
        assert post(http, [added]).json()["acks"] == [{"id": "op-c", "seq": 1}]
        assert http.get("/models/Small/again").json()["count"] == 1, "it is not in the training split"
        assert http.get("/models/Small/again?all").json()["count"] == 2
    finally:
        (small / "gt_full.json").write_text(before)


def test_scripts_are_revalidated_each_time(http):
    answer = http.get("/assets/timeline/main.js")
    assert answer.status_code == 200 and "javascript" in answer.headers["content-type"]
    assert answer.headers["cache-control"] == "no-cache"
    again = http.get("/assets/timeline/main.js", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("path", ["/videos/{}/v1", "/videos/Small/{}", "/frames/Small/{}", "/thumbs/Small/{}",
                                  "/labels/{}", "/labels/Small/{}", "/scores/{}/HR-Pro/test/cas/v1",
                                  "/scores/Small/{}/test/cas/v1", "/scores/Small/HR-Pro/test/cas/{}", "/assets/{}"])
def test_hostile_names_get_a_short_error(http, path, name):
    answer = http.get(path.format(name))
    assert answer.status_code in (400, 404)
    assert 0 < len(answer.text) < 300 and "Traceback" not in answer.text and "secret" not in answer.text


def test_link_out_of_the_data_set_is_not_followed(http, world):
    videos = world / "dataset" / "Small" / "videos"
    (videos / "leak.mp4").symlink_to(world / "secret.txt")
    try:
        answer = http.get("/videos/Small/leak")
    finally:
        (videos / "leak.mp4").unlink()
    assert answer.status_code == 404 and "leads out of" in answer.text


def test_error_for_a_missing_video_file_says_where_to_put_it(http):
    answer = http.get("/videos/Small/v2")
    assert answer.status_code == 404 and "Put it into Small/videos, named v2.mp4." in answer.text


def test_damaged_video_is_reported(http, world):
    (world / "dataset" / "Small" / "videos" / "broken.mp4").write_bytes(b"not a video")
    for kind in ("frames", "thumbs"):
        answer = http.get(f"/{kind}/Small/broken")
        assert answer.status_code == 422 and "cannot be read as a video" in answer.text


@pytest.fixture
def fresh(world, monkeypatch):
    """Without the data set's log and point files. Nothing writes these a second later, during another test."""
    async def never(*_):
        pass

    monkeypatch.setattr("app.routes._project", never)
    remove_labels(world)


def remove_labels(world):
    from hrpro.labels import operations
    for name in ("labels", "point_labels"):
        shutil.rmtree(world / "dataset" / "Small" / name, ignore_errors=True)
    operations._store.cache_clear()


def add(key: str, seconds: float = 1.0) -> dict:
    return {"id": f"op-{key}", "video": "v1", "kind": "add", "before": {},
            "after": {key: {"video": "v1", "label": "jump", "time": seconds, "frame": int(seconds * 25)}}}


def post(http, operations: list, since: int = 0, **more):
    body = {"who": "Ann", "video": "v1", "since": since, "operations": operations}
    return http.post("/labels/Small", json=body, **more)


def test_labels_come_back_as_they_were_sent(http, fresh, world):
    desk = http.get("/labels/Small").json()
    assert desk["classes"] == [{"name": "jump", "index": 0, "count": 0, "style": {}}] and desk["seq"] == 0
    assert [(video["id"], video["file"], video["count"]) for video in desk["videos"]] == \
        [("v1", True, 0), ("v2", False, 0)]
    answer = post(http, [add("a"), add("b", 2)]).json()
    assert answer["acks"] == [{"id": "op-a", "seq": 1}, {"id": "op-b", "seq": 2}]
    assert [list(operation["after"]) for operation in answer["operations"]] == [["a"], ["b"]]
    state = http.get("/labels/Small/v1").json()
    assert state["seq"] == 2 and state["truth"] == [[1, 2, "jump"]]
    assert [(row["id"], row["time"], row["who"]) for row in state["points"]] == [("a", 1, "Ann"), ("b", 2, "Ann")]
    assert http.get("/labels/Small/v1?since=2&last=op-b").json() == {"seq": 2, "last": "op-b"}
    news = http.get("/labels/Small/v1?since=1&last=op-a").json()
    assert [operation["id"] for operation in news["operations"]] == ["op-b"] and news["counts"] == {"v1": 2}
    assert http.get("/labels/Small/v2?since=0&last=").json()["operations"] == []


def test_news_of_a_changed_point_names_who_placed_it(http, fresh):
    post(http, [add("a")])
    moved = {"id": "op-m", "video": "v1", "kind": "move", "before": add("a")["after"], "after": add("a", 1.2)["after"]}
    answer = http.post("/labels/Small", json={"who": "Bob", "video": "v1", "since": 1, "operations": [moved]}).json()
    assert [operation["who"] for operation in answer["operations"]] == ["Bob"] and answer["authors"] == {"a": "Ann"}
    assert [row["who"] for row in http.get("/labels/Small/v1").json()["points"]] == ["Ann"]


@pytest.mark.parametrize("known", ["since=2&last=op-a", "since=1&last=op-b", "since=0&last=op-a"])
def test_client_with_another_log_is_told_to_reload(http, fresh, known):
    post(http, [add("a")])
    assert http.get(f"/labels/Small/v1?{known}").json() == {"seq": 1, "reload": True}


def test_point_file_is_updated_after_a_label(http, world):
    remove_labels(world)
    post(http, [add("a", 2)])
    path = world / "dataset" / "Small" / "point_labels" / "points.csv"
    deadline = time.monotonic() + 5
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(.02)
    assert [row["point"] for row in csv.DictReader(path.open())] == ["50"]


def test_resent_operation_is_acknowledged_again(http, fresh):
    first = post(http, [add("a")]).json()["acks"]
    assert post(http, [add("a")]).json()["acks"] == first
    assert http.get("/labels/Small").json()["seq"] == 1


def test_refused_operation_is_not_an_error(http, fresh):
    acks = post(http, [add("a"), add("late", 99)]).json()["acks"]
    assert acks == [{"id": "op-a", "seq": 1}, {"id": "op-late", "refused": "99 s lies outside the video (6 s)."}]


def test_malformed_operations_do_not_block_others(http, fresh):
    """A browser's queue may contain entries from an older version, an extension or a person."""
    poison = [{"id": "x"}, 5, None, [], {"id": 7, "video": "v1", "kind": "add"},
              {"id": "y", "video": "v1", "kind": "add", "before": {}, "after": {"p": {"label": "jump"}}},
              {"id": "z", "video": "v1", "kind": "add", "before": {}, "after": {"p": add("q")["after"]["q"] | {
                  "label": {"a": 1}}}}]
    answer = post(http, [add("a"), *poison, add("b", 2)])
    acks = answer.json()["acks"]
    assert answer.status_code == 200 and [ack.get("seq") for ack in acks] == [1, *[None] * len(poison), 2]
    assert [ack["id"] for ack in acks] == ["op-a", "x", "", "", "", "", "y", "z", "op-b"]
    assert acks[1] == {"id": "x", "refused": "The operation has no video.", "malformed": True}
    assert all(ack["malformed"] and ack["refused"].startswith("The operation ") for ack in acks[1:-1])
    assert {point["id"] for point in http.get("/labels/Small/v1").json()["points"]} == {"a", "b"}


@pytest.mark.parametrize(("headers", "status"), [
    ({"sec-fetch-site": "cross-site"}, 403), ({"sec-fetch-site": "same-site"}, 403), ({"sec-fetch-site": "none"}, 403),
    ({"origin": "http://evil.example"}, 403), ({"origin": "null"}, 403),
    ({"sec-fetch-site": "same-origin"}, 200), ({}, 200)])
def test_labels_are_accepted_from_the_apps_own_pages_only(http, fresh, headers, status):
    assert post(http, [add("a")], headers=headers).status_code == status
    assert http.get("/labels/Small").json()["seq"] == (status == 200)


@pytest.mark.parametrize(("body", "kind", "status"), [
    (b"{", "application/json", 400), (b"[]", "application/json", 400), (b"{}", "application/json", 400),
    (b'{"who":"A","video":"v1","operations":[],"since":"x"}', "application/json", 400),
    (b'{"who":" ","video":"v1","operations":[1],"since":0}', "application/json", 400),
    (b"{}", "text/plain", 415), (b" " * (17 << 20), "application/json", 413)])
def test_bad_body_gets_a_short_error(http, fresh, body, kind, status):
    answer = http.post("/labels/Small", content=body, headers={"content-type": kind})
    assert answer.status_code == status and 0 < len(answer.text) < 200
    assert http.get("/labels/Small").json()["seq"] == 0


def test_nothing_is_acknowledged_if_the_log_cannot_be_written(http, fresh, world):
    (world / "dataset" / "Small" / "labels").write_text("in the way")
    answer = post(http, [add("a")])
    (world / "dataset" / "Small" / "labels").unlink()
    assert answer.status_code == 503 and "operations.jsonl: cannot be written (File exists)" in answer.text
    assert post(http, [add("a")]).json()["acks"] == [{"id": "op-a", "seq": 1}]


def test_unreadable_log_is_reported(http, fresh, world):
    (world / "dataset" / "Small" / "labels" / "operations.jsonl").mkdir(parents=True)
    for answer in (post(http, [add("a")]), http.get("/labels/Small"), http.get("/labels/Small/v1")):
        assert answer.status_code == 422 and "operations.jsonl: cannot be read (Is a directory)" in answer.text


def test_routes_are_under_the_base_path():
    config.set_option("server.baseUrlPath", "/some/base/")
    try:
        assert all(route.path.startswith("/some/base/") for route in routes())
    finally:
        config.set_option("server.baseUrlPath", "")


def test_files_other_than_videos_are_served_as_binary(http, world):
    videos = world / "dataset" / "Small" / "videos"
    for name in ("page.html", "drawing.svg"):
        (videos / name).write_text("<script>alert(1)</script>")
        try:
            answer = http.get(f"/videos/Small/{name.partition('.')[0]}")
        finally:
            (videos / name).unlink()
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("part", ["videos", "cache"])
def test_folder_linked_from_outside_is_not_served(http, world, tmp_path, part):
    small = world / "dataset" / "Small"
    (small / "cache").mkdir(exist_ok=True)
    (small / part).rename(tmp_path / part)
    (small / part).symlink_to(tmp_path / part)
    before = sorted(tmp_path.rglob("*"))
    try:
        for address in ("/videos/Small/v1", "/thumbs/Small/v1", "/frames/Small/v1?copy")[part == "cache":]:
            answer = http.get(address)
            assert answer.status_code in (404, 422) and "leads out of" in answer.text
        assert sorted(tmp_path.rglob("*")) == before
    finally:
        (small / part).unlink()
        (tmp_path / part).rename(small / part)


@pytest.mark.parametrize("ranges", ["bytes=" + ",".join(f"{i}-{i}" for i in range(0, 2000, 2)), "bytes=5-2", "bytes=-0",
                                    "bytes=a-b", "lines=1-2", "bytes=" + "9" * 5000 + "-"])
def test_odd_ranges_get_a_response(http, ranges):
    answer = http.get("/videos/Small/v1", headers={"range": ranges})
    assert answer.status_code in (200, 206, 400, 416)


@pytest.mark.parametrize("body", [
    b"[" * 100_000, b'{"operations":' * 2000, b'{"who":"A","video":"v1","operations":[],"since":1e308}',
    b'{"who":"A","video":"v1","operations":[],"since":1e999}',
    b'{"who":"A","video":"\\ud800","operations":[],"since":0}'])
def test_odd_bodies_get_a_response(http, fresh, body):
    answer = http.post("/labels/Small", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (200, 400, 422) and "Traceback" not in answer.text
