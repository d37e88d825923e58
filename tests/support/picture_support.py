"""Reading a chart back."""

from __future__ import annotations


def labels(legend):
    return [text.get_text() for text in legend.get_texts()]
