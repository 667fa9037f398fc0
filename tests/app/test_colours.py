"""The palette's promises: contrast on both grounds, distinct for every kind of sight, the same in every process."""

import re
import subprocess
import sys
import tomllib
from itertools import combinations

import pytest

from app import colours
from app.paths import ROOT


def test_every_colour_stands_out_on_light_and_dark():
    names = colours.palette()
    assert len(set(names)) == colours.COUNT == 200
    assert all(re.fullmatch("#[0-9a-f]{6}", name) for name in names)
    for ground in (colours.LIGHT_GROUND, colours.DARK_GROUND):
        assert min(colours.contrast(name, ground) for name in names) >= 3


@pytest.mark.parametrize(("classes", "least"), [(5, .1), (10, .055), (20, .03)])
def test_first_classes_differ_for_colour_blind_eyes(classes, least):
    assert min(colours.difference(*pair) for pair in combinations(colours.palette()[:classes], 2)) >= least


def test_known_contrast_and_confusion():
    assert colours.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert colours.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=.01)   # WCAG's own example
    red, green, blue = "#c24040", "#6d6d10", "#2c7ad3"
    assert colours.difference(red, green) < colours.difference(red, blue) / 2       # deutan eyes confuse the first


def test_colours_are_stable():
    command = "from app.colours import colour; print(colour(0), colour(7), colour(200))"
    out = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert out.split() == [colours.colour(0), colours.colour(7), colours.colour(0)]


def test_grounds_are_the_theme_s():
    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
    assert theme["light"]["backgroundColor"] == colours.LIGHT_GROUND
    assert theme["dark"]["backgroundColor"] == colours.DARK_GROUND
