"""Data sets checked off the page's own thread, once for each state of their files."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import streamlit as st

from hrpro.data.validate import Report, signature, validate

PATIENCE = .3                                           # seconds that a page waits; small data sets need less


def checked(root: Path) -> Report | None:
    """The data set's report, or None while the check is under way: ask again."""
    future = _check(root, signature(root))
    try:
        return future.result(PATIENCE)
    except TimeoutError:
        return None


@st.cache_resource
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="check")


@st.cache_resource(max_entries=64, show_spinner=False)
def _check(root: Path, state: tuple[int, int]) -> Future[Report]:
    """The check of a data set in one state of its files."""
    return _pool().submit(validate, root)
