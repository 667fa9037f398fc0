"""Checks on the structure of parsed files: declared once per file type, checked where the file is read."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import Any

LARGEST = 1e15                                          # no time, count or loss beyond it makes sense


class _Short(reprlib.Repr):
    def repr_int(self, value: int, level: int) -> str:
        return f"a whole number of {value.bit_length()} bits" if value.bit_length() > 200 else repr(value)


_SHORT = _Short()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxtuple, _SHORT.maxset, _SHORT.maxdict = 2, 4, 4, 4, 4


def short_repr(value: Any, limit: int = 60) -> str:
    """An untrusted value, quoted for a message; short and cheap however large the value is."""
    if not isinstance(value, str):
        value = _SHORT.repr(value)
    return repr(value[:limit] + ("…" if len(value) > limit else ""))


@dataclass(frozen=True)
class Number:
    """A form: a finite number from low to high, both included; not a bool.

    Attributes:
        whole: only integers.
    """

    low: float = -LARGEST
    high: float = LARGEST
    whole: bool = False

    def __str__(self) -> str:
        words = "a whole number" if self.whole else "a number"
        if self.low > -LARGEST:
            words += f" of {self.low:g} or more" if self.high >= LARGEST else f" of {self.low:g} to {self.high:g}"
        return words

    def takes(self, value: Any) -> bool:
        return type(value) in ((int,) if self.whole else (int, float)) and self.low <= value <= self.high


_WORDS = {str: "a string", bool: "true or false", None: "null"}


def mismatch(value: Any, form: Any, place: str = "") -> str:
    """Describe the first difference between a parsed value and its form.

    Args:
        value: result of a JSON, YAML or checkpoint reader.
        form: `str`, `bool`, `None` or a `Number`; a class, for its instances; a tuple of alternatives; `[form]` for a
            list; `{str: form}` for an object with any keys; `{"key": form, "other?": form}` for an object that must
            have `key`, may have `other`, and may have more.
        place: name of the value, for the message.

    Returns:
        A text such as `<place> must be …, not …`; empty if the value fits.
    """
    if isinstance(form, tuple):
        found = [mismatch(value, each, place) for each in form]
        return "" if "" in found else max(found, key=lambda text: text.partition(" must ")[0].count("."))
    if isinstance(form, list):
        if not isinstance(value, list):
            return _must(place, "a list", value)
        return next(filter(None, (mismatch(part, form[0], f"{place}[{row}]") for row, part in enumerate(value))), "")
    if isinstance(form, dict):
        if not isinstance(value, dict):
            return _must(place, "an object", value)
        dot = f"{place}." if place else ""
        if str in form:
            parts = ((key, form[str]) for key in value)
        else:
            parts = ((key.rstrip("?"), part) for key, part in form.items() if key[-1] != "?" or key[:-1] in value)
        for key, part in parts:
            if not isinstance(key, str):
                return f"{place or 'its keys'} must have strings as keys, not {short_repr(key)}"
            if key not in value:
                return f"{dot}{key} is missing"
            if found := mismatch(value[key], part, f"{dot}{short_repr(key)[1:-1]}"):
                return found
        return ""
    if isinstance(form, Number):
        return "" if form.takes(value) else _must(place, str(form), value)
    fits = value is None if form is None else type(value) is form if form in _WORDS else isinstance(value, form)
    return "" if fits else _must(place, _WORDS.get(form) or f"a {form.__name__}", value)


def _must(place: str, words: str, value: Any) -> str:
    return f"{place or 'it'} must be {words}, not {short_repr(value)}"
