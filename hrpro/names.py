"""Find the known name that a misspelt or differently written name most likely means."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Collection, Iterable

LONGEST = 300                                           # characters of a name that is compared
CLOSE = .75                                             # minimum similarity of a misspelt name (difflib's ratio)
COMPARED = 500                                          # maximum number of names that a misspelt one is compared with
_WORDS, _LAST_WORD = re.compile(r"[\s_\-]"), re.compile(r"[\s_\-][^\s_\-]*$")
SHARED = 3                                              # number of first or last letters that it must share with them


def nearest(names: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """Find the known name that each name most likely means.

    These are tried in order: the names are equal apart from case, spaces, underscores, hyphens, leading zeros, the
    encoding of accents, folder and file suffix; the same without the first or last word, as in v_<id>; one name is part
    of the other; a misspelling with the same digits.

    Returns:
        {name: known name}, without names that have no likely match.
    """
    plain: dict[str, str] = {}
    for name in known:
        if len(name) <= LONGEST:                        # else it is a whole line or list, not a name
            plain.setdefault(_plain(name), name)
    found = {}
    for name in names:
        if len(name) > LONGEST:
            continue
        key = _plain(name)
        shorter = (_plain(part) for part in (*_WORDS.split(name, maxsplit=1)[1:], _LAST_WORD.sub("", name)))
        likely = plain.get(key) or next(filter(None, map(plain.get, shorter)), None) \
            or plain.get(_affixed(key, plain)) or plain.get(_misspelt(key, plain))
        if likely:
            found[name] = likely
    return found


def _plain(name: str) -> str:
    stem = re.sub(r"\.(mp4|webm|mkv|avi|mov|npy|npz|json)$", "", re.split(r"[/\\]", name)[-1], flags=re.IGNORECASE)
    folded = unicodedata.normalize("NFKC", stem).casefold()
    return re.sub(r"0*(\d+)", r"\1", re.sub(r"[\s_\-]+", "", folded)) or name


def _affixed(key: str, plain: Collection[str]) -> str | None:
    """The longest known key that `key` starts or ends with, else the shortest that starts or ends with `key`."""
    least = max(SHARED, len(key) // 2)
    parts = (part for cut in range(1, len(key) - least + 1) for part in (key[cut:], key[:-cut]))
    inside = next((part for part in parts if part in plain and _extends(key, part)), None)
    if inside or len(key) < SHARED:
        return inside
    around = (other for other in plain if len(key) < len(other) <= 2 * len(key) and _extends(other, key))
    return min(around, key=len, default=None)


def _extends(whole: str, part: str) -> bool:
    """Whether a key is `part` with something before or after it; a number with more digits is a different number."""
    before, after = whole.removesuffix(part), whole.removeprefix(part)
    return (before != whole and not (before[-1:] + part[:1]).isdecimal()) \
        or (after != whole and not (part[-1:] + after[:1]).isdecimal())


def _misspelt(key: str, plain: Iterable[str]) -> str | None:
    digits = re.findall(r"\d+", key)
    alike = [other for other in plain if (other[:SHARED] == key[:SHARED] or other[-SHARED:] == key[-SHARED:])
             and abs(len(other) - len(key)) <= 3 and re.findall(r"\d+", other) == digits]
    return next(iter(difflib.get_close_matches(key, alike[:COMPARED], n=1, cutoff=CLOSE)), None)
