"""The data sets, what is wrong with them, and ways to get one."""

import streamlit as st

from app.projects import new_project, notes, overview

st.title("Projects")
notes()
overview()
new_project()
