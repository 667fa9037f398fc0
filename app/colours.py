"""One colour per class, the same on every page, distinct with colour blindness too, visible on light and dark."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

LIGHT_GROUND, DARK_GROUND = "#ffffff", "#12161c"  # as in .streamlit/config.toml
COUNT = 200
CONTRAST = 3.0  # WCAG 2.2, 1.4.11: graphical objects, here against both backgrounds

# The first 20 classes. Simulated annealing maximised the smallest CIEDE2000 and OKLab distances among the first 5, 7,
# 10, 14 and 20 colours together, for normal and colour-blind vision (tests pin the distances).
_FIRST = ("#0c9bef", "#bc1674", "#b09114", "#476e12", "#2b50f7", "#8b769f", "#bf6a5d", "#d00b0d", "#e95bca", "#58927e",
          "#fe4681", "#5c67a4", "#c87d9e", "#c327c4", "#1f76f5", "#976845", "#22715c", "#ef073e", "#798fca", "#865585")
# Severity 1 of Machado, Oliveira, Fernandes 2009, on linear RGB: protanopia, deuteranopia, tritanopia.
_BLIND = np.array([
    [[.152286, 1.052583, -.204868], [.114503, .786281, .099216], [-.003882, -.048116, 1.051998]],
    [[.367322, .860646, -.227968], [.280085, .672501, .047413], [-.011820, .042940, .968881]],
    [[1.255528, -.076749, -.178779], [-.078411, .930809, .147602], [.004733, .691367, .303900]]])
_EYES = np.concatenate([np.eye(3)[None], _BLIND])
_OKLAB_LMS = np.array([[.4122214708, .5363325363, .0514459929], [.2119034982, .6806995451, .1073969566],
                       [.0883024619, .2817188376, .6299787005]])
_LMS_OKLAB = np.array([[.2104542553, .7936177850, -.0040720468], [1.9779984951, -2.4285922050, .4505937099],
                       [.0259040371, .7827717662, -.8086757660]])


def colour(index: int) -> str:
    """Colour of class `index` as "#rrggbb"; they repeat after 200 classes."""
    return palette()[index % COUNT]


@cache
def palette() -> tuple[str, ...]:
    """200 colours: the first 20 are chosen together, each later one is as far as possible from all before it.

    Distance is Euclidean in OKLab: the minimum over four types of vision, plus a tenth of the distance for normal
    vision. The first colours are the most distinct, so any prefix of the list is a good palette of that size.
    """
    candidates, chosen = _candidates(), np.stack([_linear(name) for name in _FIRST])
    seen = _as_seen(candidates)                                                           # [4, N, 3]
    nearest = np.min([_gap(seen, colour) for colour in chosen], axis=0)
    while len(chosen) < COUNT:
        chosen = np.vstack([chosen, candidates[nearest.argmax()]])
        nearest = np.minimum(nearest, _gap(seen, chosen[-1]))
    return tuple(_hex(colour) for colour in chosen)


def _gap(seen: NDArray, colour: NDArray) -> NDArray[np.float64]:
    """Distances [N] between `colour` in linear RGB and the colours `seen` [4, N, 3] (see `_as_seen`)."""
    gap = np.linalg.norm(seen - _as_seen(colour[None]), axis=2)
    return gap.min(axis=0) + gap[0] / 10


def contrast(one: str, other: str) -> float:
    """WCAG contrast ratio of two colours, 1 to 21."""
    low, high = sorted(float(_luminance(_linear(name))) for name in (one, other))
    return (high + .05) / (low + .05)


def difference(one: str, other: str) -> float:
    """OKLab distance of two colours for the type of vision that separates them least; .02 is just noticeable."""
    pair = _as_seen(np.stack([_linear(one), _linear(other)]))
    return float(np.linalg.norm(pair[:, 0] - pair[:, 1], axis=1).min())


def _candidates() -> NDArray[np.float64]:
    """Linear RGB [N, 3] of colours with moderate OKLab chroma (.03 to .19) that stand out on both backgrounds."""
    level = np.linspace(0, 255, 24).round() / 255
    colours = _linearise(np.stack(np.meshgrid(level, level, level, indexing="ij"), axis=-1).reshape(-1, 3))
    light, dark = (_luminance(_linear(ground)) for ground in (LIGHT_GROUND, DARK_GROUND))
    shown = _luminance(colours)
    stands_out = ((light + .05) / (shown + .05) >= CONTRAST) & ((shown + .05) / (dark + .05) >= CONTRAST)
    chroma = np.linalg.norm(_oklab(colours)[:, 1:], axis=1)
    return colours[stands_out & (chroma >= .03) & (chroma <= .19)]


def _as_seen(colours: NDArray) -> NDArray[np.float64]:
    """OKLab [4, N, 3] of linear RGB [N, 3] as seen with normal, protan, deutan and tritan vision."""
    return _oklab(np.clip(np.einsum("eij,nj->eni", _EYES, colours), 0, 1))


def _oklab(colours: NDArray) -> NDArray[np.float64]:
    return np.cbrt(colours @ _OKLAB_LMS.T) @ _LMS_OKLAB.T


def _luminance(colours: NDArray) -> NDArray[np.float64]:
    return colours @ np.array([.2126, .7152, .0722])


def _linearise(srgb: NDArray) -> NDArray[np.float64]:
    return np.where(srgb <= .04045, srgb / 12.92, ((srgb + .055) / 1.055) ** 2.4)


def _linear(name: str) -> NDArray[np.float64]:
    return _linearise(np.array([int(name[at:at + 2], 16) for at in (1, 3, 5)]) / 255)


def _hex(colour: NDArray) -> str:
    srgb = np.where(colour <= .0031308, colour * 12.92, 1.055 * colour ** (1 / 2.4) - .055)
    return "#" + "".join(f"{round(value * 255):02x}" for value in srgb.tolist())
