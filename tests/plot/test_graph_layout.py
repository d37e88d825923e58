"""The layout of a graph's boxes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from graph_support import SVG, arrows_of, boxes_of

import minigrad
from minigrad import nn, plot


def test_boxes_stand_apart_and_above_what_uses_them(residual):
    model, x, t = residual
    picture = plot.graph(lambda: nn.CrossEntropyLoss()(model(x), t), model, x, fold=False, title="Residual")
    root = ET.fromstring(picture.svg)
    boxes = boxes_of(picture)
    for i, a in enumerate(boxes):
        assert 0 <= a.place[0] < a.place[2] <= float(root.get("width"))
        for b in boxes[:i]:
            apart = (
                a.place[2] < b.place[0] or b.place[2] < a.place[0] or a.place[3] < b.place[1] or b.place[3] < a.place[1]
            )
            assert apart, (a, b)
    tops = {box.name: box.place[1] for box in boxes}
    bottoms = {box.name: box.place[3] for box in boxes}
    for arrow, _ in arrows_of(picture):
        source, target = arrow.split(" → ")
        if sum(box.name in (source, target) for box in boxes) == 2:  # both names stand for one box
            assert bottoms[source] < tops[target], arrow
    for path in root.iter(f"{SVG}path"):
        if path.get("class") == "head":  # the tip of an arrow lies on the upper edge of a box
            x, y = map(float, re.match(r"M([\d.]+) ([\d.]+)", path.get("d")).groups())
            assert any(box.place[0] <= x <= box.place[2] and abs(box.place[1] - y) < 0.2 for box in boxes)


def test_the_main_line_is_straight_and_parameters_stand_to_its_right(xor):
    model, x, y = xor
    boxes = boxes_of(plot.graph(lambda: nn.BCEWithLogitsLoss()(model(x), y), model))
    middles = [(box.place[0] + box.place[2]) / 2 for box in boxes if box.kind in ("op", "loss")]
    assert max(middles) - min(middles) < 12
    second = [box for box in boxes if box.name.startswith("2.")]
    assert all(box.place[0] > max(middles) for box in second)


def test_branches_do_not_cross():
    x = minigrad.rand(3, requires_grad=True)
    a, b = x.exp(), x.tanh()
    over_b, over_a = b.sigmoid(), a.sqrt()  # made the other way round
    at = {box.name: box.place[0] for box in boxes_of(plot.graph((over_a * over_b).sum()))}
    assert (at["Exp"] < at["Tanh"]) == (at["Sqrt"] < at["Sigmoid"])
