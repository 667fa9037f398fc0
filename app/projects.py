"""Data set cards and the ways to create a data set; used by the Projects page."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import orjson
import streamlit as st

from app.checks import PATIENCE, checked, last_report
from app.paths import ckpt_root, data_root, data_sets, unusable_folders
from app.runs import job_button, job_of, job_progress, part, relative_to_cwd, show_command
from app.state import choose
from app.text import plain, said_of
from hrpro.create import VIDEO_SUFFIXES, create_project
from hrpro.data.validate import FIX, LEVELS, Report
from hrpro.errors import InputError, number_of
from hrpro.jobs.background import Job, hrpro_command, read_jobs, running_on, start, status
from hrpro.jobs.train import option, shell
from hrpro.labels.operations import LabelStore, label_store, log_file
from hrpro.labels.segments import accepted_segments, segments_to_csv, segments_to_json

ICONS = {"error": ":red[:material/error:]", "to do": ":orange[:material/arrow_forward:]",
         "left out": ":orange[:material/warning:]", "note": ":gray[:material/info:]"}
LABELS = {"error": ("error", "errors"), "to do": ("step to do", "steps to do"), "left out": ("warning", "warnings"),
          "note": ("note", "notes")}
SHOWN = 30                                              # findings shown per card; the command line prints them all


@st.fragment(run_every="5s")
def overview() -> None:
    """Running trainings, data set cards and the demo offer; redrawn as jobs and files change.

    Background events redraw fragments and never rerun the page: a rerun drops a click that arrives at the same time,
    and a field that moves on the page loses the text being typed.
    """
    patience_ends = time.monotonic() + PATIENCE
    names = data_sets()
    with st.container():
        _trainings()
    with st.container():
        if not names:
            st.info("There is no data set yet. Make the demo to see everything at work, or create a project from your "
                    "own videos. A data set in the layout of dataset/README.md appears here on its own.")
    with st.container():
        for sentence in unusable_folders():
            st.error(plain(sentence))
    with st.container():
        for name in names:
            root = data_root() / name
            part(_card, root,
                 live=_working(root) or checked(root, max(0., patience_ends - time.monotonic())) is None)
    with st.container():
        _demo_offer(data_root() / "demo")


def _working(target: Path) -> bool:
    """Whether a job is changing the data set."""
    return running_on(ckpt_root(), target) is not None


def _card(root: Path) -> None:
    """One data set: state, counts, findings with their remedies, and links to the other pages.

    Each part has its own container, so that nothing moves when a job starts or ends.
    """
    job, working = job_of(root), _working(root)
    report = None if working else checked(root, 0)
    shown = report or last_report(root)
    with st.container(border=True, key=f"card {root.name}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(plain(root.name), anchor=False, width="content")
            label, color = ("Running", "blue") if working else _state(report) if report else ("Checking", "gray")
            st.badge(label, color=color)
        with st.container():
            if job:
                job_progress(job)
        with st.container():
            if shown:
                _counts(shown)
        with st.container():
            _actions(root, report, job)
        with st.container():
            if shown:
                _findings(root, shown)


def _state(report: Report) -> tuple[str, str]:
    """Text and colour of the badge."""
    if report.ready:
        gaps = any(finding.level == "left out" for finding in report.findings)
        return ("Ready, with gaps", "yellow") if gaps else ("Ready", "green")
    if report.next_step == FIX:
        return "Broken", "red"
    return f"Next: {report.next_step}", "orange"


def _counts(report: Report) -> None:
    counts, train, test = report.counts, report.counts["splits"]["train"], report.counts["splits"]["test"]
    missing = counts["videos"] - counts["video_files"]
    files = (f"{number_of(missing, 'video file')} missing" if counts["video_files"] and missing
             else "all video files found" if counts["video_files"] else "no video files")
    st.markdown(f"**{number_of(counts['videos'], 'video')}**, {files} · "
                f"**{number_of(counts['classes'], 'class', 'classes')}** · "
                f"**{number_of(counts['points'], 'point')}** · "
                f"**{number_of(counts['segments'], 'annotated action')}**")
    st.caption(f"Train: {number_of(train['videos'], 'video')}, {train['features']:,} with features, "
               f"{number_of(train['points'], 'point')} · Test: {number_of(test['videos'], 'video')}, "
               f"{test['features']:,} with features, {number_of(test['segments'], 'annotated action')}")


def _actions(root: Path, report: Report | None, job: Job | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        for page, label, icon in (("annotate", "Annotate", "edit"), ("train", "Train", "model_training"),
                                  ("explore", "Explore", "search"), ("evaluate", "Evaluate", "monitoring")):
            st.page_link(f"pages/{page}.py", label=label, icon=f":material/{icon}:",
                         query_params={"dataset": root.name})
        if report and report.counts["video_files"] and not all(
                of["features"] for of in report.counts["splits"].values()):
            arguments = ["extract", str(root)]
            job_button("Extract features", partial(_start, arguments, f"extract {root.name}", root), job,
                       key=f"extract {root}", icon=":material/memory:", type="primary",
                       help=plain(shell(relative_to_cwd(arguments))))
        if report and not report.broken and log_file(root).exists():
            _exports(root)


def _exports(root: Path) -> None:
    """Downloads of points and accepted segments, and the commands that write the same files."""
    kinds = (("Points (CSV)", "points.csv", "export-csv", lambda store: store.table(store.points()).to_csv(
        store.dataset.fps)),
             ("Accepted segments (JSON)", "segments.json", "export-segments", lambda store: orjson.dumps(
                 segments_to_json(store, accepted_segments(store)), option=orjson.OPT_INDENT_2).decode()),
             ("Accepted segments (CSV)", "segments.csv", "export-segments",
              lambda store: segments_to_csv(accepted_segments(store))))
    with st.popover("Export labels", icon=":material/download:", key=f"export {root}"):
        for label, name, command, text in kinds:
            st.download_button(label, partial(_exported, root, text), f"{root.name} {name}", on_click="ignore",
                               key=f"export {name} {root}")
            show_command(["labels", command, str(root), "-o", name])


def _exported(root: Path, text: Callable[[LabelStore], str]) -> str:
    """Labels as text, generated when the button is pressed."""
    store = label_store(root)
    store.refresh()
    return text(store)


def _start(arguments: list[str], label: str, target: Path) -> None:
    start(ckpt_root(), hrpro_command(*arguments), label, target)


def _findings(root: Path, report: Report) -> None:
    number = {level: sum(finding.level == level for finding in report.findings) for level in LEVELS}
    summary = ", ".join(f"{count} {LABELS[level][0 if count == 1 else 1]}" for level, count in number.items() if count)
    with st.expander(f"Checks: {summary}" if summary else "Checks passed", expanded=bool(number["error"]),
                     key=f"checks {root.name}"):
        lines = [f"{ICONS[finding.level]} {said_of(root, finding.message)}" for finding in report.findings[:SHOWN]]
        if len(report.findings) > SHOWN:
            lines.append(f"… and {len(report.findings) - SHOWN} more; the command below prints them all.")
        st.markdown("\n\n".join(lines))
        show_command(["validate", str(root)])


def _trainings() -> None:
    """Running trainings with links to them, and job records that cannot be read."""
    found, broken = read_jobs(ckpt_root())
    for faults in broken.values():
        st.warning(plain(faults))
    running = [job for job in found if job.label.startswith("train ") and status(job).running]
    for job in running:
        dataset, run = Path(job.target).parent.name, Path(job.target).name
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge("Training", icon=":material/play_circle:", color="blue")
            st.page_link("pages/train.py", label=f"{plain(dataset)} / {plain(run)}",
                         query_params={"dataset": dataset, "run": run})


def _demo_offer(root: Path) -> None:
    """Offer to make the demo if there is none."""
    if not root.is_dir():
        part(_make_demo, root, live=_working(root))


def _make_demo(root: Path) -> None:
    job, arguments = job_of(root), ["demo", "--out", str(root)]
    with st.container(border=True):
        st.subheader("Demo", anchor=False)
        st.caption("Short drawn videos with exact annotations and features, made on this machine in about a minute.")
        with st.container():
            if job:
                job_progress(job)
        if not _working(root) and not root.is_dir():
            job_button("Make the demo", partial(_start, arguments, "demo", root), job, key="demo",
                       icon=":material/movie:", type="primary")
            show_command(arguments)


def notes() -> None:
    """Messages about the project that was just created, always in the same place on the page."""
    with st.container():
        for message in st.session_state.pop("project notes", []):
            st.info(plain(message))


def new_project() -> None:
    """A form that creates a project from videos on this machine or from uploads.

    It is emptied and collapsed after each project; nothing else resets it.
    """
    number = st.session_state.setdefault("projects created", 0)
    open_at_first = st.session_state.setdefault("new project open", not data_sets())
    with st.expander("New project from videos", icon=":material/create_new_folder:",
                     expanded=open_at_first and not number, key=f"new project {number}"):
        _new_project(number)


@st.fragment
def _new_project(number: int) -> None:
    name = st.text_input("Name", placeholder="my-project", key=f"new project name {number}").strip()
    folder = st.text_input("Folder of videos on this machine", placeholder="/home/me/videos",
                           key=f"new project folder {number}",
                           help="The videos are linked, not moved; copied if they are on another disk.").strip()
    uploads = st.file_uploader("Or upload videos", accept_multiple_files=True, key=f"new project uploads {number}",
                               type=sorted(suffix[1:] for suffix in VIDEO_SUFFIXES))
    classes = st.text_area("Action classes (one per line)", placeholder="pour\nstir",
                           key=f"new project classes {number}",
                           help="More can be added while annotating.").split("\n")
    place = f"./{folder}" if folder.startswith("-") else folder or "VIDEOS_FOLDER"
    words = ["create", name or "NAME", place, "--data_path", str(data_root()),
             *(option("--classes", *filter(None, classes)) if any(classes) else [])]
    show_command(words)
    count = f" ({number_of(len(uploads), 'video')})" if uploads else ""     # more may still be uploading
    if st.button(f"Create project{count}", type="primary", key=f"new project create {number}"):
        _create(name, folder, uploads, classes)


def _create(name: str, folder: str, uploads: list, classes: list[str]) -> None:
    notes: list[str] = []
    try:
        if bool(folder) == bool(uploads):
            raise InputError("Give either a folder or uploaded videos.")
        with st.spinner("Reading the videos"), tempfile.TemporaryDirectory() as received:
            for upload in uploads:
                path = Path(received, Path(upload.name).name)
                while path.exists():
                    path = path.with_stem(f"{path.stem}_")
                path.write_bytes(upload.getbuffer())
            create_project(data_root(), name, Path(folder or received), classes, notes.append)
    except InputError as error:
        st.error("\n\n".join(plain(fault) for fault in error.faults))
        return
    except OSError as error:
        st.error(plain(f"{error.filename or data_root()}: {error.strerror}. Free some space or make the folder "
                       "writable."))
        return
    choose("dataset", name)
    st.session_state["project notes"] = [f'Project "{name}" created. Next: extract features.', *notes]
    st.session_state["projects created"] += 1
    st.rerun()
