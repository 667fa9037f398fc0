"""Opens a page with Streamlit's own test driver."""

from streamlit.testing.v1 import AppTest

from app.paths import ROOT


def open_page(page: str | None = None, **query: str) -> AppTest:
    """The page `pages/<page>.py`, or the app's first one, as the query parameters of its address ask; no exception."""
    test = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    for key, value in query.items():
        test.query_params[key] = value
    if page:
        test.switch_page(f"pages/{page}.py")
    test.run()
    assert not test.exception
    return test
