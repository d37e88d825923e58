"""The layout of a graph's boxes: in rows, each above all that use it, with few crossings and straight main lines.

Three steps, after Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures",
1981:

1. A box's row is its longest path to the last box. So a box stands right above the first one that uses it.
2. An edge over several rows gets a bend in each row between, which takes a place like a box. The edges of one box share
   their bends as far as they run.
3. Sweeps over the rows, up and down: every place wants to be at the mean of its neighbours' places, long lines and
   chains of ops more than leaves. Sorting a row by that (the barycentre rule) unties crossings; what then stands too
   close is moved apart with the least sum of squares, which is an isotonic regression.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Point = tuple[float, float]

_BETWEEN = 18.0  # pixels between neighbours in a row
_ROW_GAP = 36.0  # between rows
_BEND_WIDTH = 8.0
_SWEEPS = 40  # the first half of them sorts the rows, too
_STRAIGHT = 200.0  # how much more an edge from an op or its bends weighs than one from a leaf
_BESIDE = 30.0  # pixels by which a leaf is sorted to the right of an op above the same box


@dataclass
class Layout:
    """The centre of each box, the points that each edge runs through, and the size of all.

    An edge runs down from its source, or from where it parts from an edge of the same source that is drawn already.
    """

    centres: list[Point]
    routes: list[list[Point]]
    width: float
    height: float


@dataclass
class _Place:
    """A box or a bend in its row. ``links`` are neighbours in the rows above and below: (place, weight)."""

    number: int
    row: int
    width: float
    leaf: bool = False
    x: float = 0.0
    links: list[tuple[_Place, float]] = field(default_factory=list)

    @property
    def wanted(self) -> float:
        total = sum(weight for _, weight in self.links)
        return sum(place.x * weight for place, weight in self.links) / total if total else self.x

    @property
    def weight(self) -> float:
        return max((weight for _, weight in self.links), default=1.0)


def layered(sizes: Sequence[Point], edges: Sequence[tuple[int, int]], leaves: Collection[int]) -> Layout:
    """Place boxes of these (width, height).

    Args:
        sizes: of the boxes, each box after all that it uses; from each, a path leads to the last one.
        edges: (source, target), each once.
        leaves: the boxes that stand beside the main line rather than on it.
    """
    after: list[list[int]] = [[] for _ in sizes]
    for source, target in edges:
        after[source].append(target)
    steps = [0] * len(sizes)
    for box in reversed(range(len(sizes))):
        steps[box] = 1 + max((steps[target] for target in after[box]), default=-1)
    row_of = [max(steps) - n for n in steps]

    places = [_Place(i, row_of[i], sizes[i][0], i in leaves) for i in range(len(sizes))]
    bends: dict[tuple[int, int], _Place] = {}  # (source, row) → bend
    for source, targets in enumerate(after):
        above = places[source]
        weight = 1.0 if source in leaves else _STRAIGHT
        for row in range(row_of[source] + 1, max((row_of[t] for t in targets), default=0)):
            bend = bends[source, row] = _Place(source, row, _BEND_WIDTH, source in leaves)
            _link(above, bend, weight)
            above = bend
        for target in targets:
            _link(bends.get((source, row_of[target] - 1), places[source]), places[target], weight)

    rows: list[list[_Place]] = [[] for _ in range(max(row_of) + 1)]
    for place in sorted([*places, *bends.values()], key=lambda place: (place.leaf, place.number)):
        rows[place.row].append(place)
    for sweep in range(_SWEEPS):
        for places_in_row in rows if sweep % 2 else reversed(rows):
            if sweep < _SWEEPS // 2:  # to ten pixels, so that neighbours of equal rank keep their order
                places_in_row.sort(key=lambda place: round(place.wanted + _BESIDE * place.leaf, -1))
            _move_apart(places_in_row)

    left = min(place.x - place.width / 2 for place in [*places, *bends.values()])
    for place in [*places, *bends.values()]:
        place.x -= left
    heights = [max((sizes[i][1] for i in range(len(sizes)) if row_of[i] == r), default=0.0) for r in range(len(rows))]
    tops = [sum(heights[:r]) + r * _ROW_GAP for r in range(len(rows))]
    centres = [(place.x, tops[place.row] + heights[place.row] / 2) for place in places]
    ports = _ports(sizes, edges, places, bends)
    routes: dict[tuple[int, int], list[Point]] = {}
    shared: dict[int, int] = {}  # source → the row down to which its common line is drawn already
    for source, target in sorted(edges, key=lambda edge: (edge[0], row_of[edge[1]])):
        start = shared.get(source)
        if start is None:
            start = row_of[source]
            route = [(centres[source][0], centres[source][1] + sizes[source][1] / 2)]
        else:
            route = [(bends[source, start].x, tops[start] + heights[start])]
        for row in range(start + 1, row_of[target]):
            x = bends[source, row].x
            route += [(x, tops[row]), (x, tops[row] + heights[row])]
            shared[source] = row
        route.append((ports[source, target], centres[target][1] - sizes[target][1] / 2))
        routes[source, target] = route
    width = max(place.x + place.width / 2 for place in [*places, *bends.values()])
    return Layout(centres, [routes[edge] for edge in edges], width, tops[-1] + heights[-1])


def _link(above: _Place, below: _Place, weight: float) -> None:
    above.links.append((below, weight))
    below.links.append((above, weight))


def _move_apart(row: list[_Place]) -> None:
    """Move the places of a row, in their order, as near to where they want to be as their widths allow."""
    from scipy.optimize import isotonic_regression

    gaps = [(a.width + b.width) / 2 + _BETWEEN for a, b in itertools.pairwise(row)]
    offsets = np.concatenate([[0.0], np.cumsum(gaps)])
    wanted = np.array([place.wanted for place in row])
    fitted: Any = isotonic_regression(wanted - offsets, weights=[place.weight for place in row])
    for place, x in zip(row, fitted.x + offsets, strict=True):
        place.x = float(x)


def _ports(
    sizes: Sequence[Point], edges: Sequence[tuple[int, int]], places: list[_Place], bends: dict[tuple[int, int], _Place]
) -> dict[tuple[int, int], float]:
    """Where each edge meets the top of its target: side by side, in the order they come from."""
    incoming: dict[int, list[tuple[float, int]]] = {}
    for source, target in edges:
        last = bends.get((source, places[target].row - 1), places[source])
        incoming.setdefault(target, []).append((last.x, source))
    ports = {}
    for target, coming in incoming.items():
        step = min(16.0, 0.7 * sizes[target][0] / len(coming))
        for i, (_, source) in enumerate(sorted(coming)):
            ports[source, target] = places[target].x + (i - (len(coming) - 1) / 2) * step
    return ports
