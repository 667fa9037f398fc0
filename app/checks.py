"""Data set checks on a background thread, cached by the state of the files."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import streamlit as st

from hrpro.data.validate import Report, signature, validate
from hrpro.errors import InputError

PATIENCE = .3                                           # seconds that a page waits for a check


def checked(root: Path, patience: float = PATIENCE) -> Report | None:
    """Return the data set's report, or None if the check takes longer than `patience` seconds; call again later."""
    future = _check(root, signature(root))
    try:
        report = future.result(patience)
    except TimeoutError:
        return None
    _latest()[root] = report
    return report


def last_report(root: Path) -> Report | None:
    """The latest report of a data set; its files may have changed since."""
    return _latest().get(root)


@st.cache_resource
def _latest() -> dict[Path, Report]:
    return {}


@st.cache_resource
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="check")


@st.cache_resource(max_entries=64, show_spinner=False)
def _check(root: Path, state: tuple[int, int]) -> Future[Report]:
    """Start the check of a data set, once per state of its files."""
    return _pool().submit(_report, root)


def _report(root: Path) -> Report:
    try:
        return validate(root)
    except InputError as error:
        return Report.unreadable(root, error.faults)
