"""The chosen data set and run: shared by all pages and kept in the URL, so that links and reloads restore them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from app.paths import ckpt_root, data_root, data_sets
from app.text import plain
from hrpro.data.run import Run, find_runs, newest_result

MOMENT = ("t", "class", "mistake", "of", "least", "by")  # URL parameters of a moment, besides its video


def choose_dataset() -> Path:
    """Show a box with the data sets and return the chosen one; if there are none, say so and stop the page."""
    names = data_sets()
    if not names:
        st.info("There is no data set yet. Make the demo or a project of your own videos first.")
        st.page_link("pages/projects.py", label="Go to Projects", icon=":material/folder:")
        st.stop()
    return data_root() / _choose("dataset", "Data set", names)


def choose_run(dataset: Path, *, begun: Sequence[Run] = (), results: bool = False) -> Run | None:
    """Show a box with the data set's runs and return the chosen one; None if there are none.

    Args:
        begun: runs to list first that may not have written anything yet.
        results: unless the user has chosen a run, open the newest finished one that has detections.
    """
    found = find_runs(ckpt_root(), dataset.name)
    runs = {run.name: run for run in (*begun, *found)}
    if not runs:
        return None
    best = newest_result(found) if results else None
    return runs[_choose("run", "Run", list(runs), best.name if best else next(iter(runs)))]


def why_this_run(run: Run) -> None:
    """Explain why the page opened an older run, if the newest one has no results."""
    newest = find_runs(ckpt_root(), run.dataset)[0]
    if run != newest and st.session_state.get("run guessed") == run.name:
        why = {"cancelled": "was cancelled", "error": "failed"}.get(newest.outcome(max(newest.stages)),
                                                                    "has not finished")
        st.caption(f"{plain(run.name)} is the newest finished run. {plain(newest.name)} is newer, but {why}.")


def choose(key: str, value: str) -> None:
    """Set the choice `?key=` for this and all other pages."""
    st.session_state[key] = value
    if st.query_params.get(key) != value:
        st.query_params[key] = value


def in_address(name: str, key: str, read: Callable[[str], Any], write: Callable[[Any], str] = str, *,
               default: Any = None) -> Callable[[], None]:
    """Let `?name=` set the value of the widget `key`, so that links and reloads restore it.

    The widget itself must not have a default: one that changes between runs would reset it.

    Args:
        read: converts text of the URL to the widget's value; None if it is invalid.
        write: converts the value to text; "" to omit it from the URL.
        default: value if neither the URL nor the session has one.

    Returns:
        The widget's `on_change`, which writes the choice into the URL.
    """
    text = st.query_params.get(name)
    value = None if text is None else read(text)
    if value is None:
        value = st.session_state.get(key, default)
    if value is not None:
        st.session_state[key] = value                   # in every run: the browser may not have drawn the last one

    def changed() -> None:
        if text := write(st.session_state[key]):
            st.query_params[name] = text
        else:
            st.query_params.pop(name, None)

    return changed


def moment() -> float:
    """The time in `?t=` in seconds; 0 if it is missing or invalid."""
    try:
        seconds = float(st.query_params.get("t") or 0)
    except ValueError:
        return 0.
    return seconds if 0 <= seconds < math.inf else 0.


def previous_next(names: tuple[str, str], key: str, here: int, count: int, go: Callable[[int], None],
                  ends: tuple[str, str] = ("The list ends here.",) * 2) -> None:
    """Buttons to the places before and after `here`.

    Args:
        names: labels of the two buttons.
        key: prefix of their widget keys.
        here: current place, 0 to `count` - 1.
        go: called with the new place.
        ends: help texts of the two buttons when disabled.
    """
    for column, name, to, end in zip(st.columns(2), names, (here - 1, here + 1), ends, strict=True):
        beyond = not 0 <= to < count
        column.button(name, key=f"{key} {to - here}", width="stretch", disabled=beyond, on_click=go, args=(to,),
                      help=end if beyond else None)


def _choose(key: str, label: str, options: Sequence[str], default: str | None = None) -> str:
    """A select box whose choice is kept in the URL and the session. The URL takes precedence: the user opened it.

    default: what the page opens if the user has chosen nothing; other pages do not treat it as the user's choice.
    """
    box, guessed = f"{key} box", f"{key} guessed"

    def changed() -> None:
        st.session_state.pop(guessed, None)
        if key == "dataset":                            # the moment belongs to the other data set
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
