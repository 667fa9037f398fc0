"""The form that starts a training run; used by the Train page."""

from __future__ import annotations

import re
from pathlib import Path

import streamlit as st

from app.checks import checked
from app.paths import ckpt_root
from app.runs import begun, job_of, show_command, training_now
from app.settings import field_key, missing_devices, settings_form
from app.state import choose
from app.text import plain, said_of
from hrpro.config import DEVICES, Config, cfg_of, config_of
from hrpro.data.run import STAGES, Run, find_runs
from hrpro.errors import InputError
from hrpro.jobs.background import status
from hrpro.jobs.train import start_training, train_arguments

CHAINS = {"Both stages": STAGES, "Stage 1": (1,), "Stage 2": (2,)}


@st.fragment
def new_run(dataset: Path) -> None:
    """The settings of a new run, the command that does the same, and the button."""
    st.subheader("New run")
    try:
        base = config_of(dataset)
    except InputError as error:
        st.error("\n\n".join(plain(fault) for fault in error.faults))
        return
    chain = CHAINS[st.segmented_control("Stages", CHAINS, default="Both stages", required=True, width="stretch",
                                        key=f"stages {dataset.name}", persist_state="session",
                                        help="Stage 1 learns where actions are; stage 2 learns whole instances from "
                                             "stage 1's proposals.")]
    # Each part has its own container, so that the button keeps its place, and with it its fragment (see `part`).
    with st.container():
        name, obstacles = _name(dataset, base, chain)
    with st.container():
        config = settings_form(base, {"dataset": dataset.name, "data_path": str(dataset),
                                      "ckpt_path": str(ckpt_root()), "task_info": name, "device": _device(base)})
    command = st.container()
    if isinstance(config, list):
        _start(dataset, None, chain, [*obstacles, f"Fix the highlighted settings: {', '.join(config)}."])
        return
    command.caption("The same on the command line:")
    with command:
        show_command(train_arguments(cfg_of(dataset), config, chain))
    _start(dataset, config, chain, obstacles)


@st.fragment(run_every="2s")
def _start(dataset: Path, config: Config | None, chain: tuple[int, ...], obstacles: list[str]) -> None:
    """The button, and why it is disabled. It polls checks and jobs, so that the form above is never redrawn for them.

    config: None if settings are invalid; `obstacles` then says so.
    """
    data_obstacles = _data_obstacles(dataset)
    running = training_now(dataset)
    if config and config.task_info in running:
        obstacles = [*obstacles, "A run of this name is in progress. Wait until it ends, cancel it, or choose another "
                                 "name."]
    obstacles = [*data_obstacles, *obstacles]
    with st.container():
        confirmed = _running_is_known(dataset, running)
    # The key changes with each start, so that the second click of a double click belongs to a button that is gone.
    count = f"starts {dataset.name}"
    if st.button("Start training", type="primary", icon=":material/play_arrow:", width="stretch",
                 key=f"start {dataset.name} {st.session_state.setdefault(count, 0)}",
                 disabled=bool(obstacles) or not confirmed) and confirmed and not obstacles:
        try:
            start_training(cfg_of(dataset), config, chain)
        except InputError as error:
            st.error(plain(str(error)))
        else:
            st.session_state[count] += 1
            choose("run", config.task_info, dataset.name)
            for key in ("wish", "suggested name", "started"):
                st.session_state[f"{key} {dataset.name}"] = config.task_info
            st.rerun()
    if obstacles:
        st.warning("\n\n".join(obstacles), icon=":material/block:")
    if data_obstacles:
        st.page_link("pages/projects.py", label="See it on Projects", icon=":material/folder:")


def _running_is_known(dataset: Path, running: set[str]) -> bool:
    """Show what was started here and what else is running; returns whether another run may start beside it."""
    started = st.session_state.get(f"started {dataset.name}")
    if started in running:
        st.success(f"Started **{plain(started)}**. [See its progress](#run)", icon=":material/play_circle:")
    elif started and (job := job_of(ckpt_root() / dataset.name / started)):
        st.info(f"**{plain(started)}** was started here: {status(job).word}. [See it](#run)")
    if others := sorted(running - {started}):
        st.info(f"Running: {', '.join(f'**{plain(name)}**' for name in others)}.")
    return not running or st.checkbox("Train another run at the same time",
                                      key=f"beside {dataset.name} {sorted(running)}",
                                      help="Runs share the processor, so each takes longer.")


def _data_obstacles(dataset: Path) -> list[str]:
    """Why the data set cannot be trained on yet, as sentences in Markdown."""
    report = checked(dataset)
    if report is None:
        return ["The data set is being checked."]
    return [said_of(dataset, finding.message) for finding in report.findings if finding.blocks]


def _name(dataset: Path, base: Config, chain: tuple[int, ...]) -> tuple[str, list[str]]:
    """The run's name, and why it cannot be used. Stage 2 alone continues a run that has stage 1's proposals."""
    runs = {run.name: run for run in find_runs(ckpt_root(), dataset.name)}
    if chain == (2,):
        ready = [name for name, run in runs.items() if run.stage(1).proposals_file.exists()]
        name = st.selectbox("Run to continue", ready, placeholder="No run has finished stage 1",
                            key=f"continue {dataset.name} {bool(ready)}", persist_state="session")
        return (name, _replaced(runs[name], 2)) if name else (base.task_info, ["Train stage 1 first."])
    wish = st.session_state.get(f"wish {dataset.name}", base.task_info)
    free = _free_name(wish, {*runs, *(run.name for run in begun(dataset))})
    key, suggested = f"name {dataset.name}", f"suggested name {dataset.name}"
    if st.session_state.get(key) in (None, st.session_state.get(suggested)):            # what was typed stays
        st.session_state[key] = free
    st.session_state[suggested] = free
    name = st.text_input("Run name", key=key, persist_state="session",
                         help="Also the name of its folder, under ckpt and the data set's name. Setting: task_info."
                         ).strip()
    return name, _replaced(runs[name], 1) if name in runs else []


def _replaced(run: Run, stage: int) -> list[str]:
    if stage not in run.stages or st.checkbox(
            f"Replace what {plain(run.name)} trained", key=f"replace {run.root}",
            help="Its checkpoints and results of this stage, and of what follows it, are deleted."):
        return []
    return ["A run of this name has been trained. Choose another name, or tick that it may be replaced."]


def _free_name(wish: str, taken: set[str]) -> str:
    """`wish`, else the first free one of wish-2, wish-3 …; if "a" is taken, "a-5" counts as "a"."""
    stem = re.sub(r"-\d+$", "", wish)
    wish = stem if stem in taken else wish
    return next(name for name in (wish, *(f"{wish}-{number}" for number in range(2, len(taken) + 3)))
                if name not in taken)


def _device(base: Config) -> str:
    missing = missing_devices()
    present = [name for name in DEVICES if name not in missing]
    here, away = st.columns(2)
    chosen = here.segmented_control("Device", present, default=base.device if base.device in present else "auto",
                                    key=field_key(base, "device"), persist_state="session", required=True,
                                    help="auto takes a GPU if there is one.")
    if missing:
        away.segmented_control("Not on this machine", list(missing), disabled=True, key="missing devices")
        st.caption("; ".join(f"{name}: {reason}" for name, reason in missing.items()))
    return chosen
