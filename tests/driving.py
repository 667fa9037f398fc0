"""Open pages with Streamlit's own test driver."""

from streamlit.testing.v1 import AppTest

from app.paths import ROOT


def open_page(page: str | None = None, **query: str) -> AppTest:
    """Run `pages/<page>.py` (by default, the app's first page) with query parameters; fails on exceptions."""
    test = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60)
    for key, value in query.items():
        test.query_params[key] = value
    if page:
        test.switch_page(f"pages/{page}.py")
    test.run()
    assert not test.exception
    return test
