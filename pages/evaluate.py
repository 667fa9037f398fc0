"""Scores of a run's detections, and their mistakes."""

import streamlit as st

from app.evaluate import choose_other, choose_stage, curves, kept_tabs, mistakes, overview, per_class
from app.results import NO_TRUTH, load_dataset, result
from app.state import choose_dataset, choose_run, why_this_run
from app.text import plain
from hrpro.errors import InputError

columns = st.columns([2, 2, 2, 3], vertical_alignment="bottom")
with columns[0]:
    root = choose_dataset()
with columns[1]:
    run = choose_run(root, "evaluate", results=True)
if run is None:
    st.info("No run of this data set yet. Train one; its detections are measured here.")
    st.page_link("pages/train.py", label="Go to Train", icon=":material/model_training:")
    st.stop()
why_this_run(run)
with columns[2]:
    stage = choose_stage(run)
if stage is None:
    st.info("This run has no detections yet. They appear with its first test; see its progress on the Train page.")
    st.page_link("pages/train.py", label="Go to Train", icon=":material/model_training:")
    st.stop()
try:
    dataset = load_dataset(root)
    measured = result(dataset, run, stage)
except InputError as error:
    st.error("\n\n".join(plain(fault) for fault in error.faults))
    st.stop()
if measured.precision is None:
    st.info(NO_TRUTH)
    st.page_link("pages/explore.py", label="Go to Explore", icon=":material/search:")
    st.stop()
with columns[3]:
    other = choose_other(dataset, measured)
results = [measured, other] if other and other.precision else [measured]
overview(dataset, results)
classes, recall, wrong = kept_tabs(["Classes", "Precision and recall", "Mistakes"])
with classes:
    per_class(results)
with recall:
    curves(dataset, measured.precision)
with wrong:
    mistakes(dataset, measured)
