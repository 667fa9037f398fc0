"""The annotation desk of one data set; ?video= and ?t= (seconds) open a moment."""

import streamlit as st

from app.paths import ckpt_root
from app.state import choose_dataset, moment
from app.timeline import desk
from hrpro.data.run import find_runs

st.html("""<style>
.stMainBlockContainer { padding: 4rem 1.5rem .5rem; }
@media (max-height: 620px) { .stSelectbox [data-testid=stWidgetLabel] { display: none; } }
</style>""")
dataset = choose_dataset()
runs = [run.name for run in find_runs(ckpt_root(), dataset.name) if run.stage(1).proposals_file.exists()]
desk(dataset.name, runs, video=st.query_params.get("video"), seek=moment())
