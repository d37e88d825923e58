"""What a program says: also where the terminal knows few letters (ASCII, cp1252), and where there is none (pythonw)."""

from __future__ import annotations

import codecs
import sys
from typing import Any

_PLAIN = {
    "µ": "u",
    "×": "x",
    "·": "*",
    "−": "-",
    "–": "-",
    "—": "-",
    "…": "~",
    "→": ">",
    "←": "<",
    "±": "+-",
    "²": "^2",
}


def _in_plain_letters(error: UnicodeError) -> tuple[str, int]:
    """Codecs' error handler: a look-alike for each character that the encoding lacks, or a question mark."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_PLAIN.get(c, "?") for c in lacking), error.end


codecs.register_error("minigrad.plain", _in_plain_letters)


def readable_output() -> None:
    """For the beginning of a program: from now on stdout replaces the characters that it lacks."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="minigrad.plain")


def fitting(text: str, stream: Any = None) -> str:
    """The text as a stream (stdout, if None) can show it."""
    encoding = getattr(sys.stdout if stream is None else stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "minigrad.plain").decode(encoding)


def say(text: str) -> None:
    """Print to stdout, if there is one, at once."""
    print(fitting(text), flush=True)


def is_terminal(stream: Any) -> bool:
    """Whether somebody looks at a stream as it is written."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # there is none, it is no file, or it is closed
        return False


def shown(value: Any) -> str:
    """A value as a reader wants it: `0.8100`, `0.002257`, `1.2e-06`, `yes`, `10, 10`, and `—` for None."""
    if value is None:
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if value == 0:
            return "0"
        if not 1e-2 <= abs(value) < 1e6:
            return f"{value:.4g}"
        return f"{value:.4f}" if abs(value) < 100 else f"{value:.2f}"
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(item) for item in value)
    return str(value)
