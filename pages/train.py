"""Start training runs and follow them."""

import streamlit as st

from app.runs import begun, run_panel
from app.state import choose_dataset, choose_run
from app.training import new_run

left, right = st.columns([2, 3], gap="large")
with left:
    dataset = choose_dataset()
with right:
    run = choose_run(dataset, "train", begun=begun(dataset))
with left:
    new_run(dataset)
with right:
    if run:
        run_panel(run)
    else:
        st.info("No run of this data set yet. Start one on the left; its curves appear here during training.")
