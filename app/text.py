"""Names and sentences from outside, shown as they are."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path


def plain(text: str) -> str:
    """Text for places that read Markdown, shown as it is: no format, link, picture, icon, emoji or formula.

    Streamlit's pages also look for addresses and for names between colons after backslashes have been taken off. An
    invisible character (word joiner) keeps those apart.
    """
    text = _ACTIVE.sub("\\g<0>\u2060", text)
    text = re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:&^=])", r"\\\1", text)
    # Indented text would be a block of code.
    text = re.sub(r"^[ \t]+|(?<=\n)[ \t]+", lambda space: "\u00a0" * len(space[0]), text)
    return re.sub(r"\n+", "  \n", text)


# What begins an address (http://, www., name@host) or ends at a colon what another colon began (:name:).
_ACTIVE = re.compile(r":(?=//)|\bwww(?=\.)|@(?=[-\w.]*[a-z])|:(?=[\w+/-]+:)", re.IGNORECASE)


def plain_in_figure(text: str) -> str:
    """Text for titles, names and labels of Plotly figures, which read some HTML, such as links, but not &quot;."""
    return escape(text, quote=False)


def said_of(root: Path, message: str) -> str:
    """A sentence about a data set's files, for a place where it is plain whose files they are; as Markdown."""
    if message.startswith(f"{root}: "):
        message = message.removeprefix(f"{root}: ")
        message = message[0].upper() + message[1:]
    return plain(message.replace(f"{root}/", ""))
