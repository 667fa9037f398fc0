"""The palette: contrast on both backgrounds, distinct for every type of vision, the same in every process."""

import re
import subprocess
import sys
import tomllib
from itertools import combinations

import numpy as np
import pytest

from app import colours
from app.paths import ROOT


def test_every_colour_stands_out_on_light_and_dark():
    names = colours.palette()
    assert len(set(names)) == colours.COUNT == 200
    assert all(re.fullmatch("#[0-9a-f]{6}", name) for name in names)
    for ground in (colours.LIGHT_GROUND, colours.DARK_GROUND):
        assert min(colours.contrast(name, ground) for name in names) >= 3


@pytest.mark.parametrize(("classes", "least"), [(5, .1), (7, .075), (10, .055), (20, .038), (30, .02)])
def test_first_classes_differ_with_colour_blindness(classes, least):
    assert min(colours.difference(*pair) for pair in combinations(colours.palette()[:classes], 2)) >= least


@pytest.mark.parametrize(("classes", "normal", "blind"), [(7, 23, 11.5), (10, 16, 8.5), (15, 12.5, 6), (20, 11, 5.8)])
def test_first_classes_differ_by_ciede2000(classes, normal, blind):
    """Smallest distances for normal vision, and for protan, deutan and tritan vision; the previous palette had 11.8 and
    9.1 for 7 classes, 11.7 and 7.5 for 10, 8.4 and 4.1 for 20."""
    linear = np.stack([colours._linear(name) for name in colours.palette()[:classes]])
    seen = np.clip(np.einsum("eij,nj->eni", colours._EYES, linear), 0, 1)
    row, column = np.triu_indices(classes, 1)
    least = [ciede2000(eye[row], eye[column]).min() for eye in lab(seen)]
    assert least[0] >= normal and min(least[1:]) >= blind


def test_ciede2000_matches_published_values():
    """Pairs 1, 7, 16 and 25 of Sharma, Wu, Dalal 2005, table 1."""
    one = np.array([[50, 2.6772, -79.7751], [50, 0, 0], [50, 2.5, 0], [60.2574, -34.0099, 36.2677]])
    other = np.array([[50, 0, -82.7485], [50, -1, 2], [50, 0, -2.5], [60.4626, -34.1751, 39.4387]])
    assert ciede2000(one, other) == pytest.approx([2.0425, 2.3669, 4.3065, 1.2644], abs=1e-4)


def lab(linear):
    """CIE L*a*b* (D65) of linear RGB [..., 3]."""
    xyz = linear @ np.array([[.4124564, .2126729, .0193339], [.3575761, .7151522, .1191920],
                             [.1804375, .0721750, .9503041]]) / [.95047, 1, 1.08883]
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def ciede2000(one, other):
    """Colour difference of L*a*b* [N, 3], in the notation of Sharma, Wu, Dalal 2005."""
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(one, -1, 0), np.moveaxis(other, -1, 0)
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    g = .5 * (1 - np.sqrt(mean ** 7 / (mean ** 7 + 25. ** 7)))
    c1, c2 = np.hypot((1 + g) * a1, b1), np.hypot((1 + g) * a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, (1 + g) * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = (h2 - h1 + 180) % 360 - 180
    dl, dc, dh = l2 - l1, c2 - c1, 2 * np.sqrt(c1 * c2) * np.sin(np.radians(np.where(c1 * c2 == 0, 0, turn) / 2))
    ml, mc = (l1 + l2) / 2, (c1 + c2) / 2
    mh = np.where(c1 * c2 == 0, h1 + h2, (h1 + turn / 2) % 360)
    t = (1 - .17 * np.cos(np.radians(mh - 30)) + .24 * np.cos(np.radians(2 * mh))
         + .32 * np.cos(np.radians(3 * mh + 6)) - .2 * np.cos(np.radians(4 * mh - 63)))
    sl, sc, sh = 1 + .015 * (ml - 50) ** 2 / np.sqrt(20 + (ml - 50) ** 2), 1 + .045 * mc, 1 + .015 * mc * t
    rt = -2 * np.sqrt(mc ** 7 / (mc ** 7 + 25. ** 7)) * np.sin(np.radians(60 * np.exp(-((mh - 275) / 25) ** 2)))
    return np.sqrt((dl / sl) ** 2 + (dc / sc) ** 2 + (dh / sh) ** 2 + rt * dc / sc * dh / sh)


def test_contrast_and_difference_of_known_pairs():
    assert colours.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert colours.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=.01)   # WCAG's own example
    red, green, blue = "#c24040", "#6d6d10", "#2c7ad3"
    assert colours.difference(red, green) < colours.difference(red, blue) / 2       # deutan vision confuses these


def test_colours_are_stable():
    command = "from app.colours import colour; print(colour(0), colour(7), colour(200))"
    out = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert out.split() == [colours.colour(0), colours.colour(7), colours.colour(0)]


def test_streamlit_charts_use_the_same_colours():
    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
    assert theme["chartCategoricalColors"] == list(colours.palette()[:8])


def test_backgrounds_match_the_theme():
    theme = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
    assert theme["light"]["backgroundColor"] == colours.LIGHT_GROUND
    assert theme["dark"]["backgroundColor"] == colours.DARK_GROUND
