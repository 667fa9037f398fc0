"""The data sets at hand, what is wrong with them, and ways to get one."""

import streamlit as st

from app.paths import data_root, data_sets
from app.projects import card, demo_offer, made, new_project, working

names = data_sets()
st.title("Projects")
made()
working()
if not names:
    st.info("There is no data set yet. Make the demo to see everything at work, or a project of your own videos. "
            "A data set laid out as in dataset/README.md appears here by itself.")
for name in names:
    card(data_root() / name)
demo_offer()
new_project(expanded=not names)
