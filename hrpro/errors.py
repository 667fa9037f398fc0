"""What goes wrong with a person's input, said so that they can mend it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class InputError(Exception):
    """Bad input. `faults` holds one sentence a fault: file, place, what to do. Command lines exit with 2."""

    def __init__(self, faults: str | Iterable[str]):
        self.faults = [faults] if isinstance(faults, str) else list(faults)
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


class Cancelled(Exception):
    """A person or the system asked a run to stop; its state is saved. Command lines exit with 130."""
