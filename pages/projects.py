"""The data sets, their problems, and the ways to create one."""

import streamlit as st

from app.projects import new_project, notes, overview
from app.state import GUESSED

st.session_state.pop(GUESSED, None)                     # the links to runs are the user's choice
st.title("Projects")
notes()
overview()
new_project()
