"""The annotation desk of one data set."""

import streamlit as st

from app.paths import data_sets
from app.timeline import desk

st.html("<style>.stMainBlockContainer { padding: 4rem 1.5rem .5rem; }</style>")
names = data_sets()
if not names:
    st.info("There is no data set yet. Make one on the Projects page, or run `python -m hrpro demo`.")
    st.stop()
wanted = st.query_params.get("dataset")
dataset = st.selectbox("Data set", names, index=names.index(wanted) if wanted in names else 0, key="annotate-dataset",
                       label_visibility="collapsed")
at = st.query_params if dataset == wanted else {}
desk(dataset, video=at.get("video"), seek=float(at.get("at", 0)))
