"""The server's own routes: video by range, labels, frame times, filmstrips, score arrays and the timeline's scripts.

    GET  /videos/{dataset}/{video}          the file, by range; with ?copy the copy that browsers can play
    GET  /frames/{dataset}/{video}          float64: seconds at which each frame appears; header X-Video: properties of
                                            the video and state of its copy; with ?known=VERSION no times if the file
                                            still has that version; with ?copy a copy is made in any case
    GET  /thumbs/{dataset}/{video}          the filmstrip's layout; with ?sprite its image
    GET  /labels/{dataset}                  classes, videos with their counts, number of the last operation
    GET  /labels/{dataset}/{video}          points, segments, ground truth; with ?since=N&last=ID what came after
                                            operation N, or "reload" if N's id is not ID: the log was replaced
    POST /labels/{dataset}                  {"who", "video", "since", "last", "operations"} -> acknowledgements and what
                                            is new
    GET  /models/{dataset}/{run}/{video}    a run's proposals for a video, and where its score curves are
    GET  /models/{dataset}/{run}            moments most worth labelling next, the best first
    GET  /scores/{dataset}/{run}/{split}/{kind}/{video}   float32 [T, C], header X-Shape; kind: cas or similarity
    GET  /assets/…                          scripts and style sheets
    GET  /projects                          redirects to /, the only address that Streamlit gives its first page

Streamlit applies neither its XSRF check nor its base path to custom routes, so both are handled here. `app.guard`
checks the host of every request. Anyone who reaches the port can read what the routes serve, so the app binds to
localhost only.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import json
import mimetypes
import os
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import orjson
import psutil
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from streamlit import config

from app.paths import ASSETS, ckpt_root, data_set, inside, video_file
from hrpro.data.dataset import SPLITS, timebase_of
from hrpro.data.features import feature_length, score_timebase
from hrpro.data.folder import video_files
from hrpro.data.run import STAGES, Run
from hrpro.data.segments import Segments
from hrpro.errors import InputError
from hrpro.labels.operations import LabelStore, label_store
from hrpro.labels.suggestions import current_names, next_labels, proposed
from hrpro.video.probe import VideoInfo, probe, version_of
from hrpro.video.proxy import order_proxy, proxy_path
from hrpro.video.thumbnails import filmstrip

FRESH = {"Cache-Control": "no-cache"}
MAX_BODY = 16 << 20
MOMENTS = 300                                           # suggestions sent at most
_reading = threading.Lock()                             # concurrent requests read proposals only once


def base_path() -> str:
    """The prefix under which the app is served: "" or "/some/base"."""
    base = (config.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}" if base else ""


def scores_url(run: Run, split: str, kind: str, video: str) -> str:
    """URL of a run's score array of one video, relative to the app's.

    Args:
        kind: "cas" ([P, b], C + 1 columns) or "similarity" (C columns).
    """
    changed = run.stage(1).snippet_scores_file(split).stat().st_mtime_ns            # arrays are cached by URL
    place = "/".join(quote(part, safe="") for part in (run.dataset, run.name, split, kind, video))
    return f"scores/{place}?{changed}"


def routes() -> list[BaseRoute]:
    """All of our own routes, under the app's base path."""
    base = base_path()
    return [Route(f"{base}/projects", _projects),
            Route(f"{base}/videos/{{dataset}}/{{video}}", _video),
            Route(f"{base}/frames/{{dataset}}/{{video}}", _frames),
            Route(f"{base}/thumbs/{{dataset}}/{{video}}", _thumbs),
            Route(f"{base}/labels/{{dataset}}", _desk),
            Route(f"{base}/labels/{{dataset}}", _apply, methods=["POST"]),
            Route(f"{base}/labels/{{dataset}}/{{video}}", _labels),
            Route(f"{base}/models/{{dataset}}/{{run}}", _next),
            Route(f"{base}/models/{{dataset}}/{{run}}/{{video}}", _model),
            Route(f"{base}/scores/{{dataset}}/{{run}}/{{split}}/{{kind}}/{{video}}", _scores),
            Mount(f"{base}/assets", _Assets(directory=ASSETS))]


@contextlib.asynccontextmanager
async def answer_at_once(_app: Any) -> AsyncIterator[None]:
    """Server lifespan that sets TCP_NODELAY, so that small responses are sent at once.

    Connections inherit the option from Streamlit's listening socket, which lacks it: the second packet of each
    response would wait about 40 ms for the browser to acknowledge the first.
    """
    with contextlib.suppress(psutil.Error, OSError):    # without the permission, responses are just slower
        for connection in psutil.Process().net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                with socket.socket(fileno=os.dup(connection.fd)) as listener:
                    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    yield


class _Assets(StaticFiles):
    """Scripts that the browser revalidates each time, so that modules of two app versions never mix."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(FRESH)
        return response


@contextlib.contextmanager
def http_error(status: int) -> Iterator[None]:
    """Turn an InputError into a response with `status` and the error's sentences as text."""
    try:
        yield
    except InputError as error:
        raise HTTPException(status, str(error)) from None


def _json(value: Any, background: BackgroundTask | None = None) -> Response:
    return Response(orjson.dumps(value), media_type="application/json", headers=FRESH, background=background)


def _file_of(request: Request) -> Path:
    """The video file that the request's path names.

    Raises:
        InputError: there is no such data set or file.
    """
    root, video = data_set(request.path_params["dataset"]), request.path_params["video"]
    path = video_file(root, video)
    if path is None:
        raise InputError(f"{root.name}: there is no file of video {video!r}. Put it into {root.name}/videos, named "
                         f"{video}.mp4.")
    return path


def _projects(request: Request) -> Response:
    return RedirectResponse(f"./?{request.url.query}" if request.url.query else "./")


def _video(request: Request) -> Response:
    with http_error(404):
        path = _file_of(request)
        if "copy" in request.query_params:
            path = proxy_path(path, _cache_of(path))
            if not path.is_file():
                raise InputError(f"{path}: no such copy. Ask /frames for it first.")
    kind = mimetypes.guess_type(path)[0] or ""
    if not kind.startswith(("video/", "audio/")):       # HTML and SVG could run scripts
        kind = "application/octet-stream"
    return FileResponse(path, media_type=kind, headers=FRESH)


def _frames(request: Request) -> Response:
    with http_error(404):
        path = _file_of(request)
    with http_error(422):
        version, info = version_of(path), _info(path)
        known = request.query_params.get("known", "")
        copy, start, plain = None, info.start, info.plain
        if "copy" in request.query_params or info.needs_copy:
            _refuse_foreign(request)                    # making a copy is expensive
            copy = order_proxy(path, _cache_of(path), again=not known)
            if copy["ready"]:
                made = _info(proxy_path(path, _cache_of(path)))
                start, plain = made.start, made.plain
    about = {"start": start, "duration": info.duration, "fps": info.fps, "even": info.even, "width": info.width,
             "height": info.height, "playable": info.browser_playable, "codec": info.codec, "version": version,
             "copy": copy, "plain": plain}
    return Response(b"" if known == version else info.times.astype("<f8").tobytes(),
                    media_type="application/octet-stream", headers={"X-Video": json.dumps(about), **FRESH})


def _info(path: Path) -> VideoInfo:
    return _probe(path, version_of(path))


@functools.lru_cache(maxsize=32)
def _probe(path: Path, version: str) -> VideoInfo:
    return probe(path)


def _cache_of(video: Path) -> Path:
    return video.parents[1] / "cache"


def _thumbs(request: Request) -> Response:
    with http_error(404):
        path = _file_of(request)
    with http_error(422):
        strip = filmstrip(path, _cache_of(path), info_of=_info)
    if "sprite" in request.query_params:
        return FileResponse(strip.path, media_type="image/jpeg", headers=FRESH)
    return _json({"times": strip.times, "tile_width": strip.tile_width, "tile_height": strip.tile_height,
                  "columns": strip.columns})


def _store(request: Request) -> LabelStore:
    with http_error(404):
        root = data_set(request.path_params["dataset"])
    with http_error(422):
        store = label_store(root)
        store.refresh()
    return store


def _desk(request: Request) -> Response:
    store = _store(request)
    dataset, counts, done = store.dataset, store.counts(), store.done()
    split = dataset.split_of
    with http_error(422):
        files = {path.stem for path in video_files(store.root)}
    videos = [{"id": video, "duration": seconds, "fps": dataset.fps[video], "file": video in files,
               "split": split[video],
               "count": counts[video], "done": video in done} for video, seconds in dataset.duration.items()]
    return _json({"seq": store.seq, "classes": _classes(store), "videos": videos, "notices": store.notices})


def _classes(store: LabelStore) -> list[dict[str, Any]]:
    """Classes in display order. index: position for training and the palette; count: points in all videos."""
    styles, counts = store.styles, store.counts("label")
    index = {name: position for position, name in enumerate(store.class_order)}
    return [{"name": name, "index": index[name], "count": counts[name], "style": styles.get(name, {})}
            for name in store.classes]


def _labels(request: Request) -> Response:
    store, video = _store(request), request.path_params["video"]
    if video not in store.dataset.fps:
        raise HTTPException(404, f"{store.root.name}: has no video {video!r}.")
    if "since" in request.query_params:
        return _json(_news(store, video, _whole(request.query_params["since"]), request.query_params.get("last")))
    seq, points = store.seq, store.points(video)
    truth = store.dataset.ground_truth.of_video(video)
    segments = zip(truth.start.tolist(), truth.end.tolist(), truth.label.tolist(), strict=True)
    return _json({"seq": seq, "last": store.id_of(seq), "points": points, "segments": store.segments(video),
                  "truth": [[start, end, truth.classes[label]] for start, end, label in segments]})


async def _apply(request: Request) -> Response:
    _check_origin(request)
    body = await _body(request)
    store = await run_in_threadpool(_store, request)
    video, operations, who = body.get("video"), body.get("operations"), body.get("who")
    if not isinstance(operations, list) or not isinstance(who, str) or not isinstance(video, str):
        raise HTTPException(400, "`who`, `video` or the list `operations` is missing in the body.")
    if not 0 < len(who.strip()) <= len(who) <= 200:
        raise HTTPException(400, f"{who[:40]!r} cannot be a person's name. Give one of 1 to 200 characters.")
    since = _whole(body.get("since"))
    with http_error(503):
        acknowledgements = await run_in_threadpool(store.apply, operations, who)
    news = await run_in_threadpool(_news, store, video, since, body.get("last"))
    acks = [{key: value for key, value in dataclasses.asdict(ack).items() if value not in (None, False)}
            for ack in acknowledgements]
    return _json({"acks": acks, **news}, BackgroundTask(_project, store, news["seq"]))


def _news(store: LabelStore, video: str, since: int, last: str | None) -> dict[str, Any]:
    """What happened after operation number `since` with id `last`, as far as a client showing `video` needs it."""
    seq = store.seq
    if last is not None and store.id_of(since) != last:
        return {"seq": seq, "reload": True}
    if seq == since:
        return {"seq": seq, "last": last}
    operations = store.operations(since, video)
    return {"seq": seq, "last": store.id_of(seq), "operations": operations, "authors": store.authors(operations),
            "classes": _classes(store), "counts": store.counts(), "done": sorted(store.done())}


async def _project(store: LabelStore, seq: int) -> None:
    """Update the point file once a second has passed without a label after operation number `seq`.

    Updating it for each label would take as long as many responses. If it fails, the log still has everything, and
    training reports the fault.
    """
    await asyncio.sleep(1)
    await run_in_threadpool(_project_unless_newer, store, seq)


def _project_unless_newer(store: LabelStore, seq: int) -> None:
    if store.seq == seq:
        with contextlib.suppress(InputError):
            store.project()


def _run(request: Request) -> Run:
    with http_error(404):
        root = inside(ckpt_root(), request.path_params["dataset"], request.path_params["run"])
    if not root.is_dir():
        raise HTTPException(404, f"There is no run {root.name!r} any more. Choose another.")
    return Run(root)


def _model(request: Request) -> Response:
    run, store, video = _run(request), _store(request), request.path_params["video"]
    with http_error(422):
        mine = _proposed(run, store).of_video(video)
        curves = _curves(run, store, video)
    columns = (np.round(column, 3).tolist() for column in (mine.start, mine.end, mine.score))
    items = zip(*columns, [mine.classes[label] for label in mine.label], strict=True)
    return _json({"proposals": list(items), "curves": curves})


def _curves(run: Run, store: LabelStore, video: str) -> dict[str, Any] | None:
    for split in SPLITS:
        scores = run.snippet_scores(split, video)
        if scores is not None:
            length = feature_length(store.root, split, video, len(scores))
            timebase = score_timebase(timebase_of(store.root), length, len(scores))
            start, second = timebase.seconds([.5, 1.5]).tolist()
            return {"url": scores_url(run, split, "cas", video), "start": start, "step": second - start,
                    "columns": [*current_names(run.score_classes(split), store), ""]}
    return None


def _next(request: Request) -> Response:
    run, store = _run(request), _store(request)
    with http_error(422):
        moments = next_labels(store, run, _proposed(run, store), all_videos="all" in request.query_params)
    return _json({"count": len(moments), "moments": [dataclasses.asdict(moment) for moment in moments[:MOMENTS]]})


def _proposed(run: Run, store: LabelStore) -> Segments:
    """A run's proposals for all videos, read once per state of its files, set of videos and naming of its classes."""
    folders = [run.stage(stage) for stage in STAGES]
    files = [folders[0].proposals_file, *(folder.final_result for folder in folders)]
    stamps = tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in files)
    names = tuple(current_names(run.score_classes(split), store) for split in SPLITS)
    with _reading:
        return _read_proposed(run, store, stamps, tuple(store.dataset.duration), names)


@functools.lru_cache(maxsize=4)
def _read_proposed(run: Run, store: LabelStore, stamps: tuple[int, ...], videos: tuple[str, ...],
                   names: tuple[tuple[str, ...], ...]) -> Segments:
    return proposed(run, store)


def _scores(request: Request) -> Response:
    names = request.path_params
    if names["kind"] not in ("cas", "similarity") or names["split"] not in ("train", "test"):
        raise HTTPException(404, "Scores are cas or similarity, of the train or test split.")
    run = _run(request)
    read = run.snippet_scores if names["kind"] == "cas" else run.similarity
    with http_error(422):
        array = read(names["split"], names["video"])
    if array is None:
        raise HTTPException(404, f"{run.name}: has no scores of {names['video']!r}. Test stage 1 first.")
    return Response(np.ascontiguousarray(array, "<f4").tobytes(), media_type="application/octet-stream",
                    headers={"X-Shape": ",".join(map(str, array.shape)), **FRESH})


def _check_origin(request: Request) -> None:
    """Refuse labels sent by another site's page or form."""
    _refuse_foreign(request)
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "Send JSON.")


def _refuse_foreign(request: Request) -> None:
    """Refuse requests from another site's page; a page cannot forge these headers."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    foreign = site != "same-origin" if site else \
        origin is not None and origin.partition("://")[2] != request.headers.get("host")
    if foreign:
        raise HTTPException(403, "This is done for the app's own pages only.")


async def _body(request: Request) -> dict[str, Any]:
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > MAX_BODY:
            raise HTTPException(413, f"More than {MAX_BODY >> 20} MiB at once. Send fewer operations.")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise HTTPException(400, "The body is not a JSON object.")
    return body


def _whole(value: Any) -> int:
    try:
        return max(0, int(value))
    except (OverflowError, TypeError, ValueError):
        raise HTTPException(400, "`since` must be a whole number.") from None
