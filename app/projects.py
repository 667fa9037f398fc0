"""Cards of the data sets and ways to make one; used by the Projects page."""

from __future__ import annotations

import tempfile
from pathlib import Path

import streamlit as st

from app.checks import checked
from app.paths import ckpt_root, data_root
from app.runs import job_of, job_progress, relative_to_cwd
from app.state import choose
from app.text import plain, said_of
from hrpro.create import VIDEO_SUFFIXES, create_project
from hrpro.data.validate import LEVELS, Report
from hrpro.errors import InputError
from hrpro.jobs.background import hrpro_command, jobs, start, status
from hrpro.jobs.train import shell

ICONS = {"error": ":red[:material/error:]", "left out": ":orange[:material/warning:]",
         "note": ":gray[:material/info:]"}
SHOWN = 30                                              # findings of a card; the command line prints them all


def card(root: Path) -> None:
    """One data set: state, counts, findings with their remedies, and where to go from here."""
    settled = _settled(root) is not None
    st.fragment(_card, run_every=None if settled else "1s")(root, settled)


def _settled(root: Path) -> Report | None:
    """The data set's report, once no job changes its files any more and they have been checked."""
    job = job_of(root)
    return None if job and status(job).running else checked(root)


def _card(root: Path, was_settled: bool) -> None:
    job, report = job_of(root), _settled(root)
    if report and not was_settled:
        st.rerun()
    with st.container(border=True, key=f"card {root.name}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(plain(root.name), anchor=False, width="content")
            label, color = _state(report) if report else ("Checking", "gray")
            st.badge("At work" if job and status(job).running else label, color=color)
        if job:
            job_progress(job)
        if report:
            _counts(report)
        _actions(root, report)
        if report:
            _findings(root, report)


def _state(report: Report) -> tuple[str, str]:
    """What the badge says, and its colour."""
    if report.ready:
        gaps = any(finding.level == "left out" for finding in report.findings)
        return ("Ready, with gaps", "yellow") if gaps else ("Ready", "green")
    have = report.counts | {"features": sum(of["features"] for of in report.counts["splits"].values())}
    needs = [name for name in ("classes", "points", "features") if not have[name]]
    if report.broken or not needs:
        return "At fault", "red"
    return f"Needs {' and '.join(filter(None, (', '.join(needs[:-1]), needs[-1])))}", "orange"


def _counts(report: Report) -> None:
    counts, train, test = report.counts, report.counts["splits"]["train"], report.counts["splits"]["test"]
    st.markdown(f"{_number(counts['videos'], 'video')}, {counts['video_files']:,} with a file · "
                f"{_number(counts['classes'], 'class', 'classes')} · {_number(counts['points'], 'point')} · "
                f"{_number(counts['segments'], 'annotated action')}")
    st.caption(f"Train: {train['videos']:,} videos, {train['features']:,} with features, {train['points']:,} points · "
               f"Test: {test['videos']:,} videos, {test['features']:,} with features, {test['segments']:,} annotated "
               "actions")


def _number(count: int, one: str, many: str = "") -> str:
    return f"**{count:,}** {one if count == 1 else many or f'{one}s'}"


def _actions(root: Path, report: Report | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        for page, label, icon in (("annotate", "Annotate", "edit"), ("train", "Train", "model_training"),
                                  ("explore", "Explore", "search"), ("evaluate", "Evaluate", "monitoring")):
            st.page_link(f"pages/{page}.py", label=label, icon=f":material/{icon}:",
                         query_params={"dataset": root.name})
        if report and report.counts["video_files"] and not all(
                of["features"] for of in report.counts["splits"].values()):
            arguments = ["extract", str(root)]
            if st.button("Extract features", icon=":material/memory:", key=f"extract {root}", type="primary",
                         help=plain(shell(relative_to_cwd(arguments)))):
                _start(arguments, f"extract {root.name}", root)


def _start(arguments: list[str], label: str, target: Path) -> None:
    try:
        start(ckpt_root(), hrpro_command(*arguments), label, target)
    except InputError as error:
        st.error(plain(str(error)))
    else:
        st.rerun()


def _findings(root: Path, report: Report) -> None:
    number = {level: sum(finding.level == level for finding in report.findings) for level in LEVELS}
    said = ", ".join(f"{count} {level}{'s' if count > 1 and level != 'left out' else ''}"
                     for level, count in number.items() if count)
    with st.expander(f"Check: {said or 'nothing to mend'}", expanded=bool(number["error"])):
        lines = [f"{ICONS[finding.level]} {said_of(root, finding.message)}" for finding in report.findings[:SHOWN]]
        if len(report.findings) > SHOWN:
            lines.append(f"… and {len(report.findings) - SHOWN} more; the command below prints them all.")
        st.markdown("\n\n".join(lines))
        st.code(shell(relative_to_cwd(["validate", str(root)])), language=None)


def working() -> None:
    """Trainings that are under way, with their pages."""
    running = [job for job in jobs(ckpt_root()) if job.label.startswith("train ") and status(job).running]
    for job in running:
        dataset, run = Path(job.target).parent.name, Path(job.target).name
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge("Training", icon=":material/play_circle:", color="blue")
            st.page_link("pages/train.py", label=f"{plain(dataset)} / {plain(run)}",
                         query_params={"dataset": dataset, "run": run})


def demo_offer() -> None:
    """Make the demo, where there is none."""
    root = data_root() / "demo"
    job = job_of(root)
    if root.is_dir() and not (job and status(job).running):
        return
    st.fragment(_demo_offer, run_every="1s" if job and status(job).running else None)(root)


def _demo_offer(root: Path) -> None:
    job = job_of(root)
    running = bool(job and status(job).running)
    with st.container(border=True):
        st.subheader("Demo", anchor=False)
        st.caption("Short drawn videos with exact annotations and features, made on this machine in about a minute.")
        if job:
            job_progress(job)
        if running:
            return
        if root.is_dir():
            st.rerun()
        arguments = ["demo", "--out", str(root)]
        if st.button("Make the demo", icon=":material/movie:", type="primary"):
            _start(arguments, "demo", root)
        st.code(shell(relative_to_cwd(arguments)), language=None)


def made() -> None:
    """What there is to say of the project that was just made."""
    for message in st.session_state.pop("project notes", []):
        st.info(plain(message))


def new_project(expanded: bool) -> None:
    """A form that makes a project of videos on this machine, or of uploaded ones."""
    with st.expander("New project from videos", icon=":material/create_new_folder:", expanded=expanded):
        _new_project()


@st.fragment
def _new_project() -> None:
    name = st.text_input("Name", placeholder="my-project").strip()
    folder = st.text_input("Folder of videos on this machine", placeholder="/home/me/videos",
                           help="The videos are linked, not moved; copied where the disk differs.").strip()
    uploads = st.file_uploader("Or upload videos", accept_multiple_files=True,
                               type=sorted(suffix[1:] for suffix in VIDEO_SUFFIXES))
    classes = st.text_area("Kinds of action, one a line", placeholder="pour\nstir",
                           help="More can be added while annotating.").split("\n")
    words = ["create", name or "NAME", folder or "VIDEOS_FOLDER", "--data_path", str(data_root()),
             *(["--classes", *filter(None, classes)] if any(classes) else [])]
    st.code(shell(relative_to_cwd(words)), language=None)
    arrived = f" of {len(uploads)} upload{'s' * (len(uploads) > 1)}" if uploads else ""    # more may be on their way
    if st.button(f"Make the project{arrived}", type="primary", key="make project"):
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
    st.session_state["project notes"] = [f"{name} is made; see its card.", *notes]
    st.rerun()
