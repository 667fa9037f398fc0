"""Names and sentences from outside, shown as they are."""

from __future__ import annotations

import re


def plain(text: str) -> str:
    """Text for places that read Markdown, with whatever Markdown would act on made harmless."""
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:&^=])", r"\\\1", text).replace("\n", "  \n")
