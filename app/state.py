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
# URL parameters that another data set or run makes invalid. A moment stays, to compare two runs at it.
BELONGS = {"dataset": ("run", "video", *MOMENT), "run": ("mistake", "least")}
GUESSED = "run guessed"                                 # session key: (page, data set, run), if the page chose the run


def choose_dataset() -> Path:
    """Show a box with the data sets and return the chosen one; if there are none, say so and stop the page."""
    names = data_sets()
    if not names:
        st.info("There is no data set yet. Make the demo or a project of your own videos first.")
        st.page_link("pages/projects.py", label="Go to Projects", icon=":material/folder:")
        st.stop()
    return data_root() / _choose("dataset", "Data set", names)


def choose_run(dataset: Path, page: str, *, begun: Sequence[Run] = (), results: bool = False) -> Run | None:
    """Show a box with the data set's runs and return the chosen one; None if there are none.

    Args:
        page: name of the page. A run that it opened is guessed again; one that a link from another page names is not.
        begun: runs to list first that may not have written anything yet.
        results: unless the user has chosen a run, open the newest finished one that has detections.
    """
    found = find_runs(ckpt_root(), dataset.name)
    runs = {run.name: run for run in (*begun, *found)}
    if not runs:
        return None
    best = newest_result(found) if results else None
    return runs[_choose("run", "Run", list(runs), best.name if best else next(iter(runs)), dataset.name, page)]


def why_this_run(run: Run) -> None:
    """Explain why the page opened an older run, if the newest one has no results."""
    newest = find_runs(ckpt_root(), run.dataset)[0]
    if run != newest and st.session_state.get(GUESSED, ())[1:] == (run.dataset, run.name):
        why = {"cancelled": "was cancelled", "error": "failed"}.get(newest.outcome(max(newest.stages)),
                                                                    "has not finished")
        st.caption(f"{plain(run.name)} is the newest finished run. {plain(newest.name)} is newer, but {why}.")


def choose(key: str, value: str, dataset: str = "") -> None:
    """Set the choice `?key=` for this and all other pages.

    Args:
        dataset: name of the data set that the choice is limited to.
    """
    st.session_state[f"chosen {key} {dataset}"] = value
    _write(key, value)


def in_address(name: str, key: str, read: Callable[[str], Any], write: Callable[[Any], str] = str, *,
               default: Any = None, drop: str = "") -> Callable[[], None]:
    """Let `?name=` set the value of the widget `key`, so that links and reloads restore it.

    The widget itself must not have a default: one that changes between runs would reset it.

    Args:
        read: converts text of the URL to the widget's value; None if it is invalid.
        write: converts the value to text; "" to omit it from the URL.
        default: value if neither the URL nor the session has one.
        drop: URL parameter that another value makes invalid.

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
        st.query_params.pop(drop, None)

    return changed


def moment() -> float:
    """The time in `?t=` in seconds; 0 if it is missing or invalid."""
    try:
        seconds = float(st.query_params.get("t") or 0)
    except ValueError:
        return 0.
    return seconds if 0 <= seconds < math.inf else 0.


def previous_next(names: tuple[str, str], key: str, here: int, count: int, go: Callable[[int], None],
                  ends: tuple[str, str] = ("The list ends here.",) * 2, listed: bool = True) -> None:
    """Buttons to the places before and after `here`.

    Args:
        names: labels of the two buttons.
        key: prefix of their widget keys.
        here: current place, 0 to `count` - 1.
        go: called with the new place.
        ends: help texts of the two buttons when disabled.
        listed: False if the current place is not in the list, but would be just before `here`.
    """
    for column, name, step, end in zip(st.columns(2), names, (-1, 1), ends, strict=True):
        to = here + min(step, int(listed))
        beyond = not 0 <= to < count
        column.button(name, key=f"{key} {step}", width="stretch", disabled=beyond, on_click=go, args=(to,),
                      help=end if beyond else None)


def _write(key: str, value: str) -> None:
    """Write a choice into the URL; what belongs to the choice that it replaces leaves the URL."""
    before = st.query_params.get(key)
    if before == value:
        return
    if before is not None:
        for of_another in BELONGS[key]:
            st.query_params.pop(of_another, None)
    st.query_params[key] = value


def _choose(key: str, label: str, options: Sequence[str], guess: str | None = None, dataset: str = "",
            page: str = "") -> str:
    """A select box whose choice is kept in the URL and the session. The URL takes precedence: the user opened it.

    Args:
        guess: what the page opens if the user has chosen nothing. It follows later guesses, and other pages do not
            treat it as the user's choice. By default, the first option, which then stays.
        dataset: name of the data set that the choice is limited to.
        page: name of the page that guesses.
    """
    box, named = f"{key} box", st.query_params.get(key)

    def changed() -> None:
        choose(key, st.session_state[box], dataset)

    if guess is not None and st.session_state.get(GUESSED) == (page, dataset, named):
        named = None
    chosen = next((name for name in (named, st.session_state.get(f"chosen {key} {dataset}")) if name in options),
                  None)
    if chosen is None and guess is not None:
        chosen, st.session_state[GUESSED] = guess, (page, dataset, guess)
        _write(key, guess)
    else:
        chosen = chosen or options[0]
        if guess is not None:
            st.session_state.pop(GUESSED, None)
        choose(key, chosen, dataset)
    st.session_state[box] = chosen
    return st.selectbox(label, options, key=box, on_change=changed)
