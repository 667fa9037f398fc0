"""What goes wrong with a person's input, in sentences that say what to do about it."""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Iterable, Sequence


def printable(text: str) -> str:
    """Text on one line that a terminal and a browser can show, whatever is in a name from outside."""
    return text if text.isprintable() else "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


class InputError(Exception):
    """Bad input. `faults` holds one printable sentence per fault: file, place, remedy. Command lines exit with 2."""

    def __init__(self, faults: str | Iterable[str]):
        self.faults = [printable(fault) for fault in ([faults] if isinstance(faults, str) else faults)]
        super().__init__("\n".join(self.faults))


def raise_if(faults: list[str]) -> None:
    """Report every fault of an input together.

    Raises:
        InputError: if there is any.
    """
    if faults:
        raise InputError(faults)


def preview(names: Sequence[str]) -> str:
    """The first few names, quoted, for a sentence."""
    return ", ".join(map(repr, names[:5])) + (" …" if len(names) > 5 else "")


_REMEDIES = {
    "Free some space, then try again.": (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    "Change its permissions, then try again.": (errno.EACCES, errno.EPERM, errno.EROFS),
    "Check the path.": (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
    "Use a shorter name.": (errno.ENAMETOOLONG,),
    "Remove the link that leads back to itself.": (errno.ELOOP,),
}


def system_remedy(error: OSError) -> str:
    """What a person can do about an error of the operating system."""
    return next((remedy for remedy, codes in _REMEDIES.items() if error.errno in codes),
                "Check the disk and the path, then try again.")


def number_of(count: int, noun: str, plural: str = "") -> str:
    """`1 point`, `3,000 points`; plural: of nouns that take more than an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def naming(names: Sequence[str], does: str, do: str = "", noun: str = "video") -> str:
    """What one or many things share: `video 'a' has no fps`, or `3,000 videos have no fps: 'a', 'b', 'c', 'd', 'e' …`.

    Args:
        names: one or more.
        does, do: the rest of the sentence for one and for many, where they differ.
    """
    if len(names) == 1:
        return f"{noun} {names[0]!r} {does}"
    return f"{len(names):,} {noun}{'es' if noun.endswith('s') else 's'} {do or does}: {preview(names)}"


def condensed(path: object, faults: Iterable[tuple[str, str, str]]) -> list[str]:
    """A message for each fault of a file; of more than five with the same remedy, one message that counts them.

    Args:
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
    """A person or the system asked a run to stop; its state is saved. Command lines exit with 130."""
