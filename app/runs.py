"""What a run shows while it works and afterwards; used by the Train page."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from app.figures.training import averages, loss_figure, map_figure
from app.paths import ckpt_root, data_root
from app.results import NO_TRUTH, load_dataset
from app.run_log import StageLog
from app.text import plain
from hrpro.config import cfg_of
from hrpro.data.run import STAGES, Run
from hrpro.errors import InputError
from hrpro.jobs.background import Job, Status, cancel, jobs, last_line, progress, running_on, start, status, tail
from hrpro.jobs.train import shell, start_training

BADGES = {"running": ("Running", ":material/play_circle:", "blue"),
          "stopping": ("Stopping", ":material/stop:", "orange"),
          "finished": ("Finished", ":material/check_circle:", "green"),
          "cancelled": ("Cancelled", ":material/cancel:", "gray"), "failed": ("Failed", ":material/error:", "red"),
          "died": ("Died", ":material/heart_broken:", "red"),
          "elsewhere": ("Running in a terminal", ":material/terminal:", "blue")}
UNITS = {1: "step", 2: "epoch"}
LATELY = 86_400                                         # seconds that a run which left nothing is shown
LOG_LINES = 15
SILENCE = 60                                            # seconds after which a run in a terminal is taken for dead


def job_of(target: Path) -> Job | None:
    """The job that is at work on a folder, else the latest; the clock may have been put back between two."""
    latest = next((job for job in jobs(ckpt_root()) if job.target == str(target.resolve())), None)
    return running_on(ckpt_root(), target) or latest


def begun(dataset: Path) -> list[Run]:
    """Runs of a data set that may have written nothing yet: a job is at work on them, or has failed lately."""
    folder, latest = ckpt_root() / dataset.name, {}
    for job in jobs(ckpt_root()):
        if Path(job.target).parent == folder:
            latest.setdefault(job.target, job)
    return [Run(Path(target)) for target, job in latest.items() if (now := status(job)).running
            or (now.state in ("failed", "died") and time.time() - job.started < LATELY)]


def relative_to_cwd(words: Sequence[str]) -> list[str]:
    """A command's words with paths said from the working directory, as a person would type them."""
    here = f"{Path.cwd()}{os.sep}"
    return [word.removeprefix(here) for word in words]


def run_panel(run: Run) -> None:
    """State, progress, curves, figures and log of one run, by the second while it works."""
    job = job_of(run.root)
    live = bool(job and status(job).running)
    st.fragment(_run_panel, run_every="1s" if live else "5s")(run, live)


def _run_panel(run: Run, live: bool) -> None:
    job = job_of(run.root)
    now = status(job) if job else None
    if bool(now and now.running) != live:
        st.rerun()                                      # the rest of the page hangs on it too
    logs = [log for log in (_log(run, stage).read() for stage in STAGES) if log.mode]
    state = ("stopping" if now.stopping and live else now.state) if now else _state_by(logs)
    _headline(run, job, now, state)
    for log in logs:
        st.progress(log.fraction, text=_progress_text(log, state in ("running", "stopping", "elsewhere")))
    if not logs and not (now and now.message):
        st.info(plain(f"Getting ready. {last_line(job)}" if live else "Nothing was trained yet."))
    _figures_of_merit(run)
    for log in logs:
        if log.steps or log.tests:
            left, right = st.columns(2)
            left.plotly_chart(loss_figure(log), key=f"loss {log.stage}", config={"displaylogo": False})
            if _measurable(run, log):
                right.plotly_chart(map_figure(log), key=f"mAP {log.stage}", config={"displaylogo": False})
            else:
                right.info(NO_TRUTH)
    notes = list(dict.fromkeys(note for log in logs for note in log.notes))
    if notes:
        with st.expander(f"Said of the data ({len(notes)})"):
            st.markdown("\n".join(f"- {plain(note)}" for note in notes))
    if job:
        with st.expander("Log and command", expanded=now.state in ("failed", "died")):
            st.code("\n".join(tail(job, LOG_LINES)) or "Nothing printed yet.", language=None)
            st.caption("All of it:")
            st.code(shell(relative_to_cwd(["jobs", "--ckpt_path", str(ckpt_root()), "--log", job.id])), language=None)
            st.caption("Started by:")
            st.code(shell(relative_to_cwd(job.command[3:])), language=None, wrap_lines=True)


def _measurable(run: Run, log: StageLog) -> bool:
    """Whether tests measure mAP: they have done so, or the test split has ground truth."""
    if log.tests:
        return any(test["mAP"] for test in log.tests)
    try:
        return bool(len(load_dataset(data_root() / run.dataset).test_truth(run.config(log.stage).blocked_videos)))
    except InputError:                                  # the run says so itself
        return True


def _log(run: Run, stage: int) -> StageLog:
    """This tab's own reader of a stage's events."""
    logs = st.session_state.setdefault("stage logs", {})
    return logs.setdefault((str(run.root), stage), StageLog(run, stage))


def _state_by(logs: Sequence[StageLog]) -> str:
    """The state of a run that no job of this program is behind: what it told last, and how long ago."""
    last = max(logs, key=lambda log: log.heard, default=None)
    if last and not last.ended and abs(time.time() - last.heard) < SILENCE:
        return "elsewhere"
    said = last.ended.get("event") if last else None
    return {"finish": "finished", "cancelled": "cancelled", "error": "failed"}.get(said, "died")


def _headline(run: Run, job: Job | None, now: Status | None, state: str) -> None:
    label, icon, color = BADGES[state]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{plain(run.dataset)} / {plain(run.name)}**", width="content")
        st.badge(label, icon=icon, color=color,
                 help=f"Started {time.strftime('%d %b, %H:%M', time.localtime(job.started))}." if job else None)
        if now and now.running:
            if st.button("Cancel", icon=":material/stop:", disabled=now.stopping,
                         help="It has been asked to stop." if now.stopping else
                         "Stops after the present step; what was trained is kept and can be resumed."):
                cancel(job)
                st.rerun(scope="fragment")
        elif state not in ("finished", "elsewhere") and st.button("Resume", icon=":material/play_arrow:",
                                               help="Goes on from the last checkpoint."):
            _resume(run, job)
        if run.stages and not (now and now.running):
            for page, label in (("explore", "Explore"), ("evaluate", "Evaluate")):
                st.page_link(f"pages/{page}.py", label=label, icon=":material/arrow_forward:",
                             query_params={"dataset": run.dataset, "run": run.name})
    if now and now.message:
        st.error(plain(now.message) + (" *Resume* goes on from the last checkpoint." if state == "died" else ""))


def _resume(run: Run, job: Job | None) -> None:
    try:
        if job:
            command = [*job.command, *(["--resume"] if "--resume" not in job.command else [])]
            start(ckpt_root(), command, job.label, run.root)
        else:
            start_training(cfg_of(data_root() / run.dataset), run.config(run.stages[0]), resume=True)
    except InputError as error:
        st.error(plain(str(error)))
    else:
        st.rerun()


def _progress_text(log: StageLog, live: bool) -> str:
    doing = {"train": "training", "test": "making proposals" if log.stage == 1 else "testing"}.get(log.mode, log.mode)
    text = f"**Stage {log.stage}** · {log.position}"
    match log.ended.get("event"):
        case "finish":
            done = "trained" if log.mode == "train" else "trained and tested"
            return f"{text} · {done} in {_duration(log.seconds)}"
        case "cancelled":
            return f"{text} · cancelled"
        case "error":
            return f"{text} · failed"
    text += f" · {doing}"
    if not live:
        return f"{text} broken off"
    if log.now.get("event") == "step":
        return f"{text} · {log.now['rate']:.0f} videos a second · {_duration(log.now['eta'])} left · {log.device}"
    if log.now.get("event") == "progress":
        return f"{text} · {log.now['what']} {log.now['done']} of {log.now['total']}"
    return text


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _figures_of_merit(run: Run) -> None:
    """Both checkpoints of both stages, by their names."""
    rows = []
    for stage in STAGES:
        metrics = {}
        try:
            metrics = run.stage(stage).reports()
        except InputError as error:
            st.warning(plain(str(error)))
        for name, title in (("last", "Last"), ("best", "Best on test")):
            if values := averages(metrics.get(name, {})):
                rows.append({"Stage": f"Stage {stage}", "Checkpoint": title,
                             "At": f"{UNITS[stage]} {metrics[name]['step']}",
                             **{span: f"{value:.1%}" for span, value in values.items()}})
    if rows:
        st.table(rows, hide_index=True)
        st.caption("mAP on the test split, averaged over tIoU thresholds. *Best on test* is chosen on the test split, "
                   "as published, so it is optimistic; *last* is unbiased.")


def job_progress(job: Job) -> None:
    """One line for a job that is no training: its bar while it runs, its last words if it failed."""
    now = status(job)
    if now.running:
        fraction, text = progress(job)
        st.progress(fraction or 0., text=plain(f"{job.label}: {text or 'starting'}"))
        if st.button("Cancel", icon=":material/stop:", key=f"cancel {job.id}", disabled=now.stopping,
                     help="It has been asked to stop." if now.stopping else "What was done so far is kept."):
            cancel(job)
            st.rerun(scope="fragment")
    elif now.state in ("failed", "died"):
        st.error(plain(f"{job.label}: {now.message}"))
