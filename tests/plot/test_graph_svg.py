"""A graph as SVG text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from graph_support import SVG, boxes_of

import minigrad
from minigrad import plot


def test_the_svg_stands_for_itself_and_escapes_text(tmp_path):
    w = minigrad.ones(2, requires_grad=True)
    name = '<script>&"\x00\n' + "long" * 20
    picture = plot.graph(w.exp().sum(), {name: w}, title="a < b & c")
    root = ET.fromstring(picture.svg)
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "style", "g", "rect", "path", "text", "title"
    }  # fmt: skip
    assert not re.search(r"\bid=|href|url\(|@import|@font-face", picture.svg)
    assert "prefers-color-scheme:dark" in picture.svg
    assert root.get("aria-label") == "a < b & c"
    (leaf,) = [box for box in boxes_of(picture) if box.kind == "parameter"]
    assert leaf.name.startswith("…")
    assert name.replace("\x00", "\ufffd").replace("\n", "\ufffd") in picture.svg.replace("&lt;", "<").replace(
        "&gt;", ">"
    ).replace("&quot;", '"').replace("&amp;", "&")
    assert picture._repr_svg_() == picture.svg
    picture.save(tmp_path / "graph.svg")
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8") == picture.svg
    with pytest.raises(ValueError, match=r"graph\.png'; the picture is SVG"):
        picture.save(tmp_path / "graph.png")
    assert not (tmp_path / "graph.png").exists()
