"""Reading a graph's picture back: its boxes and arrows."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

SVG = "{http://www.w3.org/2000/svg}"


@dataclass
class Drawn:
    """What a reader sees in a box: its kind, name and lines, and where it stands (left, top, right, bottom)."""

    kind: str
    name: str
    lines: list[str]
    place: tuple[float, float, float, float]


def boxes_of(picture):
    found = []
    for g in ET.fromstring(picture.svg).iter(f"{SVG}g"):
        if g.get("class") and g.find(f"{SVG}title") is not None:
            name, *lines = [text.text for text in g.findall(f"{SVG}text")]
            x, y, w, h = (float(g.find(f"{SVG}rect").get(key)) for key in ("x", "y", "width", "height"))
            found.append(Drawn(g.get("class"), name, lines, (x, y, x + w, y + h)))
    return found


def arrows_of(picture):
    """(source → target, label) of each arrow."""
    arrows = []
    for g in ET.fromstring(picture.svg).iter(f"{SVG}g"):
        if g.find(f"{SVG}path") is not None:
            label = g.find(f"{SVG}text")
            arrows.append((g.find(f"{SVG}title").text, "" if label is None else label.text))
    return sorted(arrows)
