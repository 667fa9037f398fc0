"""Text from files is escaped for Markdown and for figures."""

import pytest

from app.text import plain, plain_in_figure

JOINER = "\u2060"


@pytest.mark.parametrize(("text", "kept_apart"), [
    ("see http://a.org", f"http:{JOINER}//"), ("HTTPS://a.org", f"HTTPS:{JOINER}//"), ("www.a.org", f"www{JOINER}."),
    ("WWW.a.org", f"WWW{JOINER}."), ("me@a.org", f"me@{JOINER}a"), (":smile:", f":{JOINER}smile:"),
    (":material/home:", f":{JOINER}material/home:")])
def test_addresses_and_icons_are_broken_up(text, kept_apart):
    shown = plain(text).replace("\\", "")
    assert kept_apart in shown and shown.replace(JOINER, "") == text


@pytest.mark.parametrize("text", ["12:30", "mAP@0.5", "a: b", "stage 1, step 3.5 of 10", "C:x", "AVG 0.1:0.7"])
def test_ordinary_text_has_no_invisible_characters(text):
    assert plain(text).replace("\\", "") == text


def test_indented_text_is_not_a_code_block():
    assert plain("    a\n\n\tb") == "\u00a0\u00a0\u00a0\u00a0a  \n\u00a0b"


def test_figures_show_tags_as_text():
    assert plain_in_figure('<a href="http://a.org">x</a> & y') == '&lt;a href="http://a.org"&gt;x&lt;/a&gt; &amp; y'
