"""One video at a time: its labels and a run's outputs on one time axis."""

import streamlit as st

from app.evidence import evidence
from app.explore import choose_video, missing, viewer
from app.mistakes import watched
from app.results import load_dataset
from app.state import choose_dataset, choose_run, why_this_run
from app.text import plain
from hrpro.errors import InputError

st.html("<style>.stMainBlockContainer { padding: 4rem 1.5rem .5rem; }</style>")
left, right = st.columns([2, 5], gap="medium")
with left:
    root = choose_dataset()
    run = choose_run(root, "explore", results=True)
    if run:
        why_this_run(run)
    try:
        dataset = load_dataset(root)
    except InputError as error:
        st.error("\n\n".join(plain(fault) for fault in error.faults))
        st.page_link("pages/projects.py", label="See the whole check on Projects", icon=":material/folder:")
        st.stop()
    mistake = watched(dataset, run)
    video = choose_video(dataset, run)
    if video is None:
        st.stop()
    known = evidence(dataset, run, video)
    missing(known)
with right:
    viewer(dataset, known, mistake)
