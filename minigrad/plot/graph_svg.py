"""A placed graph as SVG: boxes, arrows, and a legend that says what they mean.

The picture stands for itself: no script, no font from elsewhere, no ids that could clash with another picture's on the
same page. It has a background of its own and follows the reader's choice of a light or dark page.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from ..files import write_text
from .graph_layout import Point, layered

_TITLE_CHARACTER, _CHARACTER = 7.6, 6.7  # pixels; letters are wider in some fonts, so both are generous
_LINE = 15.0
_PADDING = 9.0
_MARGIN = 20.0
_LONGEST = 44  # characters of a line

KINDS = {  # kind of box → what the legend calls it
    "input": "input",
    "parameter": "parameter",
    "leaf": "leaf",
    "op": "op",
    "module": "module with its ops",
    "loss": "result",
}

_STYLE = """
.minigrad-graph{--page:#ffffff;--ink:#1c2127;--soft:#5b6673;--line:#8b97a5;--input:#fff4d6;--input-edge:#c79a2b;
--parameter:#e2f3e6;--parameter-edge:#2a8f4f;--leaf:#eef0f2;--leaf-edge:#8b97a5;--op:#e6effb;--op-edge:#1f5fbf;
--module:#ece6fa;--module-edge:#7a5fd0;--loss:#fbe3e6;--loss-edge:#b5202c}
@media (prefers-color-scheme:dark){.minigrad-graph{--page:#16191d;--ink:#e8ebee;--soft:#a3adb8;--line:#717d8a;
--input:#3a3117;--input-edge:#c79a2b;--parameter:#17331f;--parameter-edge:#4fb274;--leaf:#2a2f35;--leaf-edge:#717d8a;
--op:#16294a;--op-edge:#6da0ea;--module:#2b2348;--module-edge:#a48df0;--loss:#45191e;--loss-edge:#e5707a}}
.minigrad-graph text{font-family:system-ui,sans-serif;font-size:11px;fill:var(--soft);text-anchor:middle}
.minigrad-graph .name{font-size:12px;font-weight:600;fill:var(--ink)}
.minigrad-graph .heading{font-size:15px;font-weight:600;fill:var(--ink);text-anchor:start}
.minigrad-graph .note{text-anchor:start}
.minigrad-graph .label{stroke:var(--page);stroke-width:4px;paint-order:stroke}
.minigrad-graph .page{fill:var(--page)}
.minigrad-graph .edge{fill:none;stroke:var(--line);stroke-width:1.4}
.minigrad-graph .head{fill:var(--line)}
""" + "\n".join(
    f".minigrad-graph .{kind} rect{{fill:var(--{kind});stroke:var(--{kind}-edge);stroke-width:1.3}}" for kind in KINDS
)


@dataclass
class Box:
    """A box of the picture: its kind (one of KINDS), its name, the lines under it, and what the mouse shows over it."""

    kind: str
    name: str
    lines: list[str]
    hint: str

    @property
    def size(self) -> Point:
        width = max(len(_short(self.name)) * _TITLE_CHARACTER, *[len(_short(s)) * _CHARACTER for s in self.lines], 30.0)
        return width + 2 * _PADDING, _LINE * (1 + len(self.lines)) + _PADDING


@dataclass(frozen=True)
class GraphPicture:
    """A picture as SVG: ``svg`` is its text, ``save`` writes it, and a notebook shows it."""

    svg: str = field(repr=False)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file whose name ends in .svg; ValueError for another ending."""
        path = Path(path)
        if path.suffix.lower() != ".svg":
            raise ValueError(f"GraphPicture.save: path is {str(path)!r}; the picture is SVG, so give a name.svg")
        write_text(path, self.svg)

    def _repr_svg_(self) -> str:
        return self.svg


def draw(boxes: Sequence[Box], edges: Mapping[tuple[int, int], str], notes: Sequence[str], title: str) -> GraphPicture:
    """Lay out and draw boxes, edges {(source, target): label} between them, a title and a legend with notes below."""
    leaves = {i for i, box in enumerate(boxes) if box.kind in ("input", "parameter", "leaf")}
    layout = layered([box.size for box in boxes], list(edges), leaves)
    kinds = [kind for kind in KINDS if any(box.kind == kind for box in boxes)]
    swatches = sum(38 + len(KINDS[kind]) * _CHARACTER for kind in kinds)
    inner = max(layout.width, swatches, *[len(note) * _CHARACTER for note in notes], len(title) * 9.5)
    top = _MARGIN + (34 if title else 0)
    left = _MARGIN + (inner - layout.width) / 2
    foot = top + layout.height + 40
    width, height = inner + 2 * _MARGIN, foot + 20 * len(notes) + _MARGIN

    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" class="minigrad-graph" role="img" '
        f'aria-label="{_escaped(title or "graph")}" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" '
        'style="max-width:100%;height:auto">',
        f"<style>{_STYLE}</style>",
        '<rect class="page" width="100%" height="100%" rx="6"/>',
    ]
    if title:
        parts.append(f'<text class="heading" x="{_MARGIN}" y="{_MARGIN + 12}">{_escaped(title)}</text>')
    parts.append(f'<g transform="translate({left:.1f} {top:.1f})">')
    for ((source, target), label), route in zip(edges.items(), layout.routes, strict=True):
        parts.append(_edge(route, label, f"{boxes[source].name} → {boxes[target].name}"))
    parts += [_box(box, centre) for box, centre in zip(boxes, layout.centres, strict=True)]
    parts.append("</g>")
    x = _MARGIN
    for kind in kinds:
        parts.append(f'<g class="{kind}"><rect x="{x:.1f}" y="{foot - 11:.1f}" width="18" height="13" rx="3"/></g>')
        parts.append(f'<text class="note" x="{x + 24:.1f}" y="{foot:.1f}">{KINDS[kind]}</text>')
        x += 38 + len(KINDS[kind]) * _CHARACTER
    for i, note in enumerate(notes):
        parts.append(f'<text class="note" x="{_MARGIN}" y="{foot + 20 * (i + 1):.1f}">{_escaped(note)}</text>')
    return GraphPicture("\n".join([*parts, "</svg>"]) + "\n")


def _box(box: Box, centre: Point) -> str:
    (x, y), (w, h) = centre, box.size
    top = y - h / 2
    lines = [f'<text class="name" x="{x:.1f}" y="{top + _LINE + 1:.1f}">{_escaped(_short(box.name))}</text>']
    for i, line in enumerate(box.lines, 2):
        lines.append(f'<text x="{x:.1f}" y="{top + _LINE * i + 1:.1f}">{_escaped(_short(line))}</text>')
    return (
        f'<g class="{box.kind}"><title>{_escaped(box.hint)}</title>'
        f'<rect x="{x - w / 2:.1f}" y="{top:.1f}" width="{w:.1f}" height="{h:.1f}" rx="6"/>{"".join(lines)}</g>'
    )


def _edge(route: Sequence[Point], label: str, hint: str) -> str:
    """A line that leaves and arrives vertically and runs straight through the rows between; its label at the arrow."""
    (x, y), (end, tip) = route[0], route[-1]
    path = [f"M{x:.1f} {y:.1f}"]
    for i, (to, below) in enumerate(route[1:]):
        if i % 2:
            path.append(f"V{below:.1f}")
        else:
            middle = (y + below) / 2
            path.append(f"C{x:.1f} {middle:.1f} {to:.1f} {middle:.1f} {to:.1f} {below:.1f}")
        x, y = to, below
    head = f"M{end:.1f} {tip:.1f}l-3.6 -7.5h7.2z"
    lines = f'<path class="edge" d="{"".join(path)}"/><path class="head" d="{head}"/>'
    if label:
        lines += f'<text class="label" x="{end:.1f}" y="{tip - 11:.1f}">{_escaped(label)}</text>'
    return f"<g><title>{_escaped(hint)}</title>{lines}</g>"


def _short(text: str) -> str:
    """Long names without their beginning, which says less than the end."""
    return text if len(text) <= _LONGEST else "…" + text[1 - _LONGEST :]


def _escaped(text: str) -> str:
    """Text that may stand in XML, whatever it holds."""
    return escape("".join(c if c.isprintable() else "\ufffd" for c in text))
