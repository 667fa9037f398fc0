"""Escaping of names and sentences from outside, so that they are shown literally."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path


def plain(text: str) -> str:
    """Escape text for Markdown: no formatting, link, image, icon, emoji or formula.

    Streamlit's pages also detect addresses and names between colons after removing backslashes. An invisible character
    (word joiner) breaks those up.
    """
    text = _ACTIVE.sub("\\g<0>\u2060", text)
    text = re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:&^=])", r"\\\1", text)
    # Indented text would become a code block.
    text = re.sub(r"^[ \t]+|(?<=\n)[ \t]+", lambda space: "\u00a0" * len(space[0]), text)
    return re.sub(r"\n+", "  \n", text)


# The start of an address (http://, www., name@host), or the first colon of :name:.
_ACTIVE = re.compile(r":(?=//)|\bwww(?=\.)|@(?=[-\w.]*[a-z])|:(?=[\w+/-]+:)", re.IGNORECASE)


def plain_in_figure(text: str) -> str:
    """Escape text for Plotly's titles, names and labels, which interpret some HTML, such as links, but not &quot;."""
    return escape(text, quote=False)


def said_of(root: Path, message: str) -> str:
    """A sentence about a data set's files as Markdown, without the data set's path, which is clear from context."""
    if message.startswith(f"{root}: "):
        message = message.removeprefix(f"{root}: ")
        message = message[0].upper() + message[1:]
    return plain(message.replace(f"{root}/", ""))
