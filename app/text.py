"""Names and sentences from outside, shown as they are."""

from __future__ import annotations

import re
from pathlib import Path


def plain(text: str) -> str:
    """Text for places that read Markdown, with whatever Markdown would act on made harmless."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:&^=])", r"\\\1", text).replace("\n", "  \n")


def said_of(root: Path, message: str) -> str:
    """A sentence about a data set's files, for a place where it is plain whose files they are; as Markdown."""
    if message.startswith(f"{root}: "):
        message = message.removeprefix(f"{root}: ")
        message = message[0].upper() + message[1:]
    return plain(message.replace(f"{root}/", ""))
