"""A page of blocks (pictures, tables, text) as one self-contained HTML file, which can be sent and opened anywhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..terminal import shown

__all__ = ["Block", "Link", "Page", "Picture", "Table", "Text", "render", "setting_text"]

_PIXELS = 1.3  # of a picture, on each pixel of the page: sharp on fine screens, and its letters as large as the text
_WORDS = 40  # letters: a cell with more is a sentence
_NAME = 16  # letters: a link with no more is not broken into lines


@dataclass
class Picture:
    """A PNG or SVG file, or its content, with a caption.

    On a dark page a "chart" is inverted, an "image" is not: its colours have meaning. A "drawing" (SVG) knows light and
    dark pages itself.
    """

    png: Path | bytes
    caption: str
    kind: Literal["chart", "image", "drawing"] = "chart"

    @property
    def content(self) -> bytes:
        return self.png if isinstance(self.png, bytes) else self.png.read_bytes()

    @property
    def data(self) -> str:
        """The file as a data URL."""
        media = "svg+xml" if self.kind == "drawing" else "png"
        return f"data:image/{media};base64," + base64.b64encode(self.content).decode("ascii")

    @property
    def width(self) -> int | None:
        """On the page, in CSS pixels; a PNG file has its own in bytes 16 to 19. None: a drawing's own."""
        return None if self.kind == "drawing" else round(int.from_bytes(self.content[16:20], "big") / _PIXELS)


@dataclass
class Link:
    """A table's cell that leads to another page, given by its path from this one."""

    text: str
    href: str


@dataclass
class Table:
    """Rows of numbers, text, Links and None under column heads; `note` stands below.

    Without heads, the first cell of each row is the row's own head.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""

    @property
    def numeric(self) -> list[bool]:
        """For each column, whether it holds only numbers (and gaps); such columns are set to the right."""
        cells = [[row[i] for row in self.rows if row[i] is not None] for i in range(len(self.columns))]
        return [bool(column) and all(map(_is_number, column)) for column in cells]


@dataclass
class Text:
    """Text of fixed width, such as a classification report, or (fixed=False) a paragraph."""

    title: str
    text: str
    fixed: bool = True


Block = Picture | Table | Text


@dataclass
class Page:
    """What the template shows: the blocks, and the settings as a table below them."""

    title: str
    subtitle: str = ""
    notices: Sequence[str] = ()
    blocks: Sequence[Block] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    settings_title: str = "Settings"

    @property
    def all_blocks(self) -> list[Block]:
        rows = [(name, setting_text(value)) for name, value in self.settings.items()]
        return [*self.blocks, *([Table(self.settings_title, (), rows)] if rows else [])]


def render(page: Page) -> str:
    """The page as HTML, by `report.html` beside this file. All text is escaped."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["shown"] = shown
    environment.filters["cell_class"] = _cell_class
    environment.filters["kind"] = lambda block: type(block).__name__
    return environment.get_template("report.html").render(page=page)


def setting_text(value: Any) -> str:
    """A setting as a reader wants it: 0.1 as it was given, not as 0.1000."""
    return f"{value:g}" if isinstance(value, float) else shown(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cell_class(value: Any, numeric: bool) -> Any:
    """A cell's class attribute: numbers and names stay on one line, long text is not squeezed into a narrow column."""
    from markupsafe import Markup

    if numeric:
        return Markup(' class="number"')
    if _is_number(value) or (isinstance(value, Link) and len(value.text) <= _NAME):
        return Markup(' class="unbroken"')
    return Markup(' class="words"') if isinstance(value, str) and len(value) > _WORDS else ""
