"""The data sets, their problems, and the ways to create one."""

import streamlit as st

from app.projects import new_project, notes, overview

st.title("Projects")
notes()
overview()
new_project()
