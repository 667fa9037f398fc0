"""Entry point of the app: the server's own routes and the pages."""

import streamlit as st
from starlette.middleware import Middleware
from streamlit.runtime.pages_manager import PagesManager

from app.guard import Guard, known_hosts
from app.paths import ASSETS, ROOT
from app.routes import answer_at_once, routes

PAGES = {"projects": ("Projects", ":material/folder:"), "annotate": ("Annotate", ":material/edit:"),
         "train": ("Train", ":material/model_training:"), "explore": ("Explore", ":material/search:"),
         "evaluate": ("Evaluate", ":material/monitoring:")}


def ui() -> None:
    # Before st.navigation, or the browser would load the page's icon from Google as the favicon.
    st.set_page_config(page_icon=str(ASSETS / "icon.svg"), layout="wide")
    st.logo(str(ASSETS / "logo.svg"), size="large")
    st.html(ASSETS / "app.css")
    pages = [st.Page(ROOT / "pages" / f"{name}.py", title=title, icon=icon) for name, (title, icon) in PAGES.items()]
    page = st.navigation(pages, position="top")
    st.set_page_config(f"{page.title} · HR-Pro Studio")
    st.html(f"<script>{(ASSETS / 'history.js').read_text()}</script>", unsafe_allow_javascript=True)
    page.run()


if __name__ == "__main__":
    ui()
else:
    # Until st.navigation has run once, Streamlit treats pages/ as its older kind of multipage app and skips ui().
    PagesManager.uses_pages_directory = False
    app = st.App(__file__, routes=routes(), middleware=[Middleware(Guard, names=known_hosts())],
                 lifespan=answer_at_once)
