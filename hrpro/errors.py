"""Errors in user input, reported as sentences that include the remedy."""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Iterable, Sequence

LONGEST = 4000                                          # characters of a message


def printable(text: str) -> str:
    """Escape non-printable characters, so that a terminal or browser shows any text on one line."""
    return text if text.isprintable() else "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def as_message(text: str) -> str:
    """Make a text printable and leave out the middle of one that is longer than a message needs to be."""
    return printable(text if len(text) <= LONGEST else f"{text[:LONGEST // 2]} […] {text[-LONGEST // 2:]}")


class InputError(Exception):
    """Invalid input. `faults` holds one printable sentence per fault: file, place, remedy. Commands exit with 2."""

    def __init__(self, faults: str | Iterable[str]):
        self.faults = [as_message(fault) for fault in ([faults] if isinstance(faults, str) else faults)]
        super().__init__("\n".join(self.faults))


def raise_if(faults: list[str]) -> None:
    """Report all faults of an input together.

    Raises:
        InputError: there are faults.
    """
    if faults:
        raise InputError(faults)


def preview(names: Sequence[str]) -> str:
    """The first five names, quoted, for use in a sentence."""
    return ", ".join(map(repr, names[:5])) + (" …" if len(names) > 5 else "")


_REMEDIES = {
    "Free some space, then try again.": (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    "Change its permissions, then try again.": (errno.EACCES, errno.EPERM, errno.EROFS),
    "Check the path.": (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
    "Use a shorter name.": (errno.ENAMETOOLONG,),
    "Remove this link, then try again.": (errno.ELOOP,),
}


def system_remedy(error: OSError) -> str:
    """The remedy for an error from the operating system, as a sentence."""
    return next((remedy for remedy, codes in _REMEDIES.items() if error.errno in codes),
                "Check the disk and the path, then try again.")


def number_of(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun: `1 point`, `3,000 points`. plural: for nouns that need more than an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def naming(names: Sequence[str], does: str, do: str = "", noun: str = "video") -> str:
    """State a fact about one or many things.

    For example `video 'a' has no fps`, or `3,000 videos have no fps: 'a', 'b', 'c', 'd', 'e' …`.

    Args:
        names: one or more names.
        does, do: the rest of the sentence for one and for many; `do` defaults to `does`.
        noun: what the things are, in the singular.
    """
    if len(names) == 1:
        return f"{noun} {names[0]!r} {does}"
    return f"{len(names):,} {noun}{'es' if noun.endswith('s') else 's'} {do or does}: {preview(names)}"


def condensed(path: object, faults: Iterable[tuple[str, str, str]]) -> list[str]:
    """One message per fault of a file, or one message with a count for more than five faults with the same remedy.

    Args:
        path: the file, for the messages.
        faults: (where, what, remedy) such as ("line 3", "has 2 columns, 5 are needed", "Complete or remove the line.").
    """
    faults, alike = list(faults), defaultdict(list)
    for where, _, remedy in faults:
        alike[remedy].append(where)
    messages = []
    for where, what, remedy in faults:
        first, *others = alike[remedy]
        if len(others) < 5:
            messages.append(f"{path}: {where} {what}. {remedy}")
        elif where == first:
            messages.append(f"{path}: {where} {what} (and {len(others):,} more: {', '.join(others[:4])} …). {remedy}")
    return messages


class Cancelled(Exception):
    """A user or the system asked a run to stop, and its state is saved. Commands exit with 130."""
