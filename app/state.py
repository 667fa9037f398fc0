"""What is chosen, data set and run: one choice for all pages, kept in the URL so that a link or a reload finds it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from app.paths import ckpt_root, data_root, data_sets
from app.text import plain
from hrpro.data.run import Run, find_runs, newest_result

MOMENT = ("t", "class", "mistake", "of", "least", "by")  # what a URL says about a moment, beside its video


def choose_dataset() -> Path:
    """The data set that the person works on, with the box to choose it; without any, says so and ends the page."""
    names = data_sets()
    if not names:
        st.info("There is no data set yet. Make the demo or a project of your own videos first.")
        st.page_link("pages/projects.py", label="Go to Projects", icon=":material/folder:")
        st.stop()
    return data_root() / _choose("dataset", "Data set", names)


def choose_run(dataset: Path, *, begun: Sequence[Run] = (), results: bool = False) -> Run | None:
    """One of the data set's runs, with the box to choose it; None if there is none.

    Args:
        begun: runs to offer first that have not written anything yet.
        results: open the newest run that has finished and has detections, if the person has not chosen one.
    """
    found = find_runs(ckpt_root(), dataset.name)
    runs = {run.name: run for run in (*begun, *found)}
    if not runs:
        return None
    best = newest_result(found) if results else None
    return runs[_choose("run", "Run", list(runs), best.name if best else next(iter(runs)))]


def why_this_run(run: Run) -> None:
    """Says so where a page opened an older run because the newest has no results."""
    newest = find_runs(ckpt_root(), run.dataset)[0]
    if run != newest and st.session_state.get("run guessed") == run.name:
        why = {"cancelled": "was cancelled", "error": "failed"}.get(newest.outcome(max(newest.stages)),
                                                                    "has not finished")
        st.caption(f"{plain(run.name)} is the newest finished run. {plain(newest.name)} is newer, but {why}.")


def choose(key: str, value: str) -> None:
    """Set the choice that `?key=` names, for this page and those to come."""
    st.session_state[key] = value
    if st.query_params.get(key) != value:
        st.query_params[key] = value


def in_address(name: str, key: str, read: Callable[[str], Any], write: Callable[[Any], str] = str, *,
               default: Any = None) -> Callable[[], None]:
    """Let `?name=` decide the choice of the widget `key`, so that a link or a reload finds it again.

    The widget itself must get no default: one that changes between runs would reset it.

    Args:
        read: text of the URL -> value of the widget, or None if it is not one.
        write: value -> text, "" to leave it out.
        default: value where neither the URL nor the session has one.

    Returns:
        The widget's `on_change`, which writes the choice into the URL.
    """
    text = st.query_params.get(name)
    value = None if text is None else read(text)
    if value is None:
        value = st.session_state.get(key, default)
    if value is not None:
        st.session_state[key] = value                   # in every run: a browser may not have drawn the one before

    def changed() -> None:
        if text := write(st.session_state[key]):
            st.query_params[name] = text
        else:
            st.query_params.pop(name, None)

    return changed


def moment() -> float:
    """The second that `?t=` names; 0 for what is none."""
    try:
        seconds = float(st.query_params.get("t") or 0)
    except ValueError:
        return 0.
    return seconds if 0 <= seconds < math.inf else 0.


def previous_next(names: tuple[str, str], key: str, here: int, count: int, go: Callable[[int], None],
          ends: tuple[str, str] = ("The list ends here.",) * 2) -> None:
    """Buttons to the place before and the one after `here` among `count`; ends: why one of them is switched off."""
    for column, name, to, end in zip(st.columns(2), names, (here - 1, here + 1), ends, strict=True):
        beyond = not 0 <= to < count
        column.button(name, key=f"{key} {to - here}", width="stretch", disabled=beyond, on_click=go, args=(to,),
                      help=end if beyond else None)


def _choose(key: str, label: str, options: Sequence[str], default: str | None = None) -> str:
    """A select box whose choice is kept in the URL and the session. The URL goes first: it is what a person opened.

    default: what a page opens if the person has chosen nothing; what was opened so is not a choice for other pages.
    """
    box, guessed = f"{key} box", f"{key} guessed"

    def changed() -> None:
        st.session_state.pop(guessed, None)
        if key == "dataset":                            # a moment in a video of the other one
            for of_another in ("video", *MOMENT):
                st.query_params.pop(of_another, None)
        choose(key, st.session_state[box])

    named, kept = st.query_params.get(key), st.session_state.get(key)
    wanted = named or (kept if default is None or kept != st.session_state.get(guessed) else None)
    if wanted not in options:
        wanted = default or options[0]
        st.session_state[guessed] = wanted
    elif wanted != st.session_state.get(guessed):
        st.session_state.pop(guessed, None)
    st.session_state[box] = wanted
    st.selectbox(label, options, key=box, on_change=changed)
    choose(key, st.session_state[box])
    return st.session_state[box]
