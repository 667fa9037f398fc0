"""The panel of a run during and after training; used by the Train page."""

from __future__ import annotations

import math
import os
import shlex
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from app.figures.training import averages, loss_figure, map_figure
from app.paths import ckpt_root, data_root
from app.results import NO_TRUTH, load_dataset
from app.run_log import StageLog
from app.text import plain
from hrpro.config import cfg_of
from hrpro.data.run import STAGES, Run, find_runs
from hrpro.errors import InputError
from hrpro.files import real_path
from hrpro.jobs.background import (
    STATE_WORDS,
    Job,
    Status,
    cancel,
    jobs,
    last_line,
    progress,
    running_on,
    status,
    tail,
)
from hrpro.jobs.train import resume_training, shell, start_training

BADGES = {"running": (":material/play_circle:", "blue"), "stopping": (":material/stop:", "orange"),
          "finished": (":material/check_circle:", "green"), "cancelled": (":material/cancel:", "gray"),
          "failed": (":material/error:", "red"), "died": (":material/heart_broken:", "red")}
UNITS = {1: "step", 2: "epoch"}
LATELY = 86_400                                         # seconds for which a run without any files stays listed
LOG_LINES = 15
SILENCE = 60                                            # seconds without an event after which the page reports it
ELSEWHERE = "A process that this page did not start, such as a command in a terminal, is training this run. "


def job_of(target: Path) -> Job | None:
    """The job running on a folder, else its latest one; the clock may have been set back between two jobs."""
    latest = next((job for job in jobs(ckpt_root()) if job.target == str(real_path(target))), None)
    return running_on(ckpt_root(), target) or latest


def begun(dataset: Path) -> list[Run]:
    """Runs of a data set that may have no files yet: their job is running, or ended recently without finishing."""
    folder, latest = ckpt_root() / dataset.name, {}
    for job in jobs(ckpt_root()):
        if Path(job.target).parent == folder:
            latest.setdefault(job.target, job)
    return [Run(Path(target)) for target, job in latest.items() if (now := status(job)).running
            or (now.state != "finished" and time.time() - job.started < LATELY)]


def training_now(dataset: Path) -> set[str]:
    """Names of the data set's runs that are being trained, by a job or another process."""
    folder = ckpt_root() / dataset.name
    by_jobs = {Path(job.target).name for job in jobs(ckpt_root())
               if Path(job.target).parent == folder and status(job).running}
    return by_jobs | {run.name for run in find_runs(ckpt_root(), dataset.name) if run.busy()}


def relative_to_cwd(words: Sequence[str]) -> list[str]:
    """A command's words with paths relative to the working directory, as a person would type them."""
    here = f"{Path.cwd()}{os.sep}"
    # "./" keeps a folder that begins with a dash from being read as an option.
    return [f"./{word.removeprefix(here)}" if word.startswith(f"{here}-") else word.removeprefix(here)
            for word in words]


def show_command(words: Sequence[str]) -> None:
    """Show the command line of `python -m hrpro` with these arguments."""
    st.code(shell(relative_to_cwd(words)), language=None, wrap_lines=True)


@st.fragment(run_every="5s")
def run_panel(run: Run) -> None:
    """State, progress, curves, figures and log of one run, updated every second during training.

    Like the cards on Projects, it redraws itself and never reruns the page.
    """
    part(_panel, run, live=bool(running_on(ckpt_root(), run.root)) or run.busy())


def _panel(run: Run) -> None:
    job = job_of(run.root)
    now = status(job) if job else None
    ours = bool(now and now.running)
    live = ours or run.busy()                           # read once: it may end at any moment
    read = [_log(run, stage).read() for stage in STAGES]
    logs = [log for log in read if log.mode]
    state = _state(job, now, logs, live)
    message = now.message if now and now.state == state else ""
    _headline(run, job, state, elsewhere=live and not ours)
    if message:
        st.error(plain(message) + (" *Resume* continues from the last checkpoint." if state == "died" else ""))
    for log in logs:
        st.progress(log.fraction, text=_progress_text(log, state))
    silent = time.time() - max((log.heard for log in logs), default=math.inf)
    if state == "running" and silent > SILENCE:
        st.caption(f"No progress for {_duration(silent)}.")
    if not logs and not message:
        st.info(plain(f"Getting ready. {last_line(job)}" if ours else
                      "Getting ready." if live else "Nothing was trained yet."))
    _figures_of_merit(run)
    for log in logs:
        if log.steps or log.tests:
            left, right = st.columns(2)
            losses = loss_figure(log, _loss_weights(run, log.stage))
            left.plotly_chart(losses, key=f"loss {log.stage}", config={"displaylogo": False})
            if _measurable(run, log):
                right.plotly_chart(map_figure(log), key=f"mAP {log.stage}", config={"displaylogo": False})
            else:
                right.info(NO_TRUTH)
    notes = list(dict.fromkeys(note for log in read for note in log.notes))
    if notes:
        with st.expander(f"Data notes ({len(notes)})", key=f"notes {run.root}"):
            st.markdown("\n".join(f"- {plain(note)}" for note in notes))
    if job:
        with st.expander("Log and command", expanded=bool(message), key=f"log {run.root}"):
            st.code("\n".join(tail(job, LOG_LINES)) or "Nothing printed yet.", language=None)
            st.caption("Full log:")
            show_command(["jobs", "--ckpt_path", str(ckpt_root()), "--log", job.id])
            st.caption("Started with:")
            st.code(shell(relative_to_cwd(job.arguments)) if job.arguments else shlex.join(job.command),
                    language=None, wrap_lines=True)


def _measurable(run: Run, log: StageLog) -> bool:
    """Whether tests measure mAP: they already have, or the test split has ground truth."""
    if log.tests:
        return any(test["mAP"] for test in log.tests)
    try:
        return bool(len(load_dataset(data_root() / run.dataset).test_truth(run.config(log.stage).blocked_videos)))
    except InputError:                                  # the run itself reports it
        return True


def _loss_weights(run: Run, stage: int) -> dict[str, float]:
    """Weights of the loss terms in the run's settings; empty if these cannot be read."""
    try:
        return run.config(stage).loss_weights(stage)
    except InputError:
        return {}


def _log(run: Run, stage: int) -> StageLog:
    """This browser tab's reader of a stage's events."""
    logs = st.session_state.setdefault("stage logs", {})
    return logs.setdefault((str(run.root), stage), StageLog(run, stage))


def _state(job: Job | None, now: Status | None, logs: Sequence[StageLog], live: bool) -> str:
    """The run's state, a key of BADGES. live: a job or the run's lock shows that it is training, even if silent."""
    if live:
        return "stopping" if now and now.running and now.stopping else "running"
    last = max(logs, key=lambda log: log.heard, default=None)
    if now and (last is None or last.heard <= _end_of(job, now) + 1):
        return now.state
    event = last.ended.get("event") if last else None   # of a training after the job, or without one
    return {"finish": "finished", "cancelled": "cancelled", "error": "failed"}.get(event, "died")


def _end_of(job: Job, now: Status) -> float:
    """When a job ended, Unix seconds; if that was not recorded, when it last printed."""
    return now.ended or (job.log.stat().st_mtime if job.log.exists() else job.started)


def _headline(run: Run, job: Job | None, state: str, *, elsewhere: bool) -> None:
    """Name, state and buttons. elsewhere: the process that trains it is not a job of this app."""
    icon, color = BADGES[state]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f"{plain(run.dataset)} / {plain(run.name)}", anchor="run", width="content")
        started = f"Started {time.strftime('%d %b, %H:%M', time.localtime(job.started))}." if job else None
        st.badge(STATE_WORDS[state].capitalize(), icon=icon, color=color,
                 help=ELSEWHERE.strip() if elsewhere else started)
        if elsewhere:
            st.button("Resume", icon=":material/play_arrow:", disabled=True,
                      help=f"{ELSEWHERE}It can be resumed once that has ended.")
        elif state in ("running", "stopping"):
            cancel_button(job, "Stops after this step; what was trained is kept and can be resumed.")
        elif state != "finished":
            job_button("Resume", partial(_resume, run, job), job, key=f"resume {run.root}",
                       icon=":material/play_arrow:", help="Continues from the last checkpoint.")
        if run.stages and state not in ("running", "stopping"):
            for page, label in (("explore", "Explore"), ("evaluate", "Evaluate")):
                st.page_link(f"pages/{page}.py", label=label, icon=":material/arrow_forward:",
                             query_params={"dataset": run.dataset, "run": run.name})


def cancel_button(job: Job, effect: str) -> None:
    """Button that cancels a job and shows that it has been pressed.

    Args:
        effect: help text that says what cancelling does.
    """
    asked = status(job).stopping
    st.button("Cancelling …" if asked else "Cancel", icon=":material/stop:", key=f"cancel {job.id}", disabled=asked,
              help="Waiting for the process to stop." if asked else effect, on_click=cancel, args=(job,))


def part(draw: Callable[..., None], *arguments: Any, live: bool) -> None:
    """Draw a part of a fragment that redraws itself; a live part is redrawn every second in between.

    Live or not, it is one and the same fragment: Streamlit drops a click on a button whose fragment is gone, and the
    browser may draw the change late. A still part has a very long interval, because none would keep the previous one.
    """
    st.fragment(draw, run_every="1s" if live else "1h")(*arguments)


def job_button(label: str, begin: Callable[[], object], last: Job | None, *, key: str, **looks: Any) -> None:
    """Button that starts a job, with an error below it if the job cannot be started.

    It acts in a callback, which runs even if the fragment no longer draws the button when the click arrives. The key
    changes with each job, so that the second click of a double click belongs to a button that is gone.

    Args:
        begin: starts the job; InputError if it cannot.
        last: the latest job of the same kind.
        key: first part of the widget key.
        looks: further arguments of `st.button`.
    """
    key = f"{key} {last.id if last else ''}"
    fault = f"{key} fault"

    def pressed() -> None:
        try:
            begin()
        except InputError as error:
            st.session_state[fault] = str(error)
        st.rerun()

    st.button(label, key=key, on_click=pressed, **looks)
    if fault in st.session_state:
        st.error(plain(st.session_state[fault]))


def _resume(run: Run, job: Job | None) -> None:
    if job:
        resume_training(job)
    else:
        start_training(cfg_of(data_root() / run.dataset), run.config(run.stages[0]), resume=True)


def _progress_text(log: StageLog, state: str) -> str:
    doing = {"train": "training", "test": "making proposals" if log.stage == 1 else "testing"}
    text = f"**Stage {log.stage}** · {plain(log.position)}"
    if log.ended.get("event") == "finish":
        return f"{text} · {'trained' if log.mode == 'train' else 'trained and tested'} in {_duration(log.seconds)}"
    if state != "running" or log.ended:                 # same word as on the badge
        return f"{text} · {STATE_WORDS[state]}"
    text += f" · {doing.get(log.mode) or plain(log.mode)}"
    if log.now.get("event") == "step":
        rate, left = log.now["rate"], _duration(log.now["eta"])
        return f"{text} · {rate:.0f} videos per second · {left} left · {plain(log.device)}"
    if log.now.get("event") == "progress":
        return f"{text} · {plain(log.now['what'])} {log.now['done']} of {log.now['total']}"
    return text


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _figures_of_merit(run: Run) -> None:
    """Scores of both checkpoints of both stages."""
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
                             **{plain(span): f"{value:.1%}" for span, value in values.items()}})
    if rows:
        st.table(rows, hide_index=True)
        st.caption("mAP on the test split, averaged over tIoU thresholds. *Best on test* is chosen on the test split, "
                   "as published, so it is optimistic; *last* is unbiased.")


def job_progress(job: Job) -> None:
    """A job other than a training: a progress bar while it runs, its message if it failed."""
    now = status(job)
    if now.running:
        fraction, text = progress(job)
        st.progress(fraction or 0., text=plain(f"{job.label}: {text or 'starting'}"))
        cancel_button(job, "What was done so far is kept.")
    elif now.state in ("failed", "died"):
        st.error(plain(f"{job.label}: {now.message}"))
