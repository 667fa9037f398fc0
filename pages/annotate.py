"""The annotation desk of one data set; ?video= and ?t= (seconds) open a moment."""

import streamlit as st

from app.state import choose_dataset, moment
from app.timeline import desk

st.html("<style>.stMainBlockContainer { padding: 4rem 1.5rem .5rem; }</style>")
dataset = choose_dataset()
desk(dataset.name, video=st.query_params.get("video"), seek=moment())
