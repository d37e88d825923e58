"""What a graph's picture shows: what is known of its nodes, and the boxes and arrows that they make when folded."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autograd import grad
from ..autograd.hooks import hooks_of
from ..autograd.node import Output
from ..nn.inspection.graph_walk import Call, Calls, nodes_behind, sources
from ..tensor import Tensor
from .canvas import to_array
from .graph_svg import Box

_RECORD = "plot.graph"  # the key of the hooks that look at gradients on the way

Shape = tuple[int, ...]
Slot = tuple[int, int]  # (id of a node, number of its output)


class Draft:
    """What is known of the graph, and the boxes and edges that it makes at a level of folding.

    A *group* is what becomes one box: a node, or a call of a module with all nodes in it.
    """

    def __init__(
        self, result: Tensor, names: list[tuple[Tensor, str]], inputs: list[tuple[Tensor, str]], calls: Calls | None
    ) -> None:
        self.result = result
        self.calls = calls
        self.nodes = nodes_behind([result])
        self.names = {id(t): name for t, name in [*names, *inputs]}
        self.inputs = inputs
        self.parameters = {id(t) for t, _ in names}
        self.shapes: dict[Slot, Shape] = {_slot(result._node): tuple(result.shape)}
        self.norms: dict[Any, float] = {}  # id of a leaf, or slot → norm of its gradient
        self.users: dict[int, list[Any]] = {}  # id of a leaf or an input → the nodes that use it
        self.leaves: list[Tensor] = []  # in the order of their first use
        for node in self.nodes:
            for x in self.taken_by(node):
                if id(x) not in self.users:
                    self.users[id(x)] = []
                    self.leaves.append(x)
                self.users[id(x)].append(node)
            self.shapes.update(_saved_shapes(node))
        for leaf in self.leaves:
            if leaf.grad is not None:
                self.norms[id(leaf)] = _norm(leaf.grad)

    def taken_by(self, node: Any) -> list[Tensor]:
        """The leaves and the given inputs that a node uses. Inputs without a gradient are not in the graph itself:
        they are known by the version list, which a tensor shares with its views and its node remembers."""
        kept = [seen for seen in node.seen if seen.place is None]
        found = []
        for t, _ in self.inputs:
            ours = [seen for seen in kept if seen.version is t._version]
            same = any(seen.key == id(t._array) for seen in ours)
            if same or (ours and not any(other is not t and other._version is t._version for other, _ in self.inputs)):
                found.append(t)
        return found + [x for x in sources(node) if isinstance(x, Tensor)]

    def measure(self) -> None:
        """Differentiate the result; note shape and norm of every gradient on the way."""

        def record(slot: Slot) -> Callable[[Tensor], None]:
            def look(g: Tensor) -> None:
                self.shapes[slot] = tuple(g.shape)
                self.norms[slot] = _norm(g)

            return look

        edges = [
            e for node in self.nodes for e in ([Output(node, i) for i in range(len(node.outputs or ()))] or [node])
        ]
        leaves = [leaf for leaf in self.leaves if leaf.requires_grad]
        try:
            for edge in edges:
                hooks_of(edge, make=True)[_RECORD] = record(_slot(edge))
            gradients = grad(self.result, leaves, retain_graph=True, allow_unused=True)
        finally:
            for edge in edges:
                hooks_of(edge, make=True).pop(_RECORD, None)
        for leaf, g in zip(leaves, gradients, strict=True):
            if g is not None:
                self.norms[id(leaf)] = _norm(g)

    # ------------------------------------------------------------------------------------------------- folding

    def group(self, node: Any, level: int | None) -> Any:
        """The call at this depth that made a node (0 is the model), or one of a module without children above it."""
        call = self.calls.of(node) if self.calls is not None and level is not None else None
        if call is None or level is None:
            return node
        path = call.path
        if len(path) > level:
            return path[level]
        return node if call.module._modules else call

    def hidden(self, leaf: Tensor, level: int | None) -> Any:
        """The one call that a parameter vanishes in, or None."""
        groups = [self.group(node, level) for node in self.users[id(leaf)]]
        alone = all(group is groups[0] for group in groups) and isinstance(groups[0], Call)
        return groups[0] if alone and id(leaf) in self.parameters else None

    def count(self, level: int | None) -> int:
        shown = sum(self.hidden(leaf, level) is None for leaf in self.leaves)
        return len({id(self.group(node, level)) for node in self.nodes}) + shown

    def level(self, fold: bool | str, limit: int) -> int | None:
        """How deep to fold: None draws every op, else the deepest level that keeps to the limit, if one does."""
        if self.calls is None or fold is False or (fold == "auto" and self.count(None) <= limit):
            return None
        deepest = max((len(call.path) - 1 for node in self.nodes if (call := self.calls.of(node))), default=0)
        return next((n for n in range(deepest, 1, -1) if self.count(n) <= limit), min(deepest, 1))

    # --------------------------------------------------------------------------------------------------- boxes

    def boxes(self, level: int | None) -> tuple[list[Box], dict[tuple[int, int], str]]:
        """The boxes, each after all that it uses, and the edges (source, target) with their labels."""
        members: dict[int, list[Any]] = {}  # by id of the group
        groups: dict[int, Any] = {}
        held: dict[int, list[Tensor]] = {}  # parameters inside
        for node in self.nodes:
            group = self.group(node, level)
            groups.setdefault(id(group), group)
            members.setdefault(id(group), []).append(node)
        for leaf in self.leaves:
            if (group := self.hidden(leaf, level)) is not None:
                held.setdefault(id(group), []).append(leaf)

        place: dict[int, int] = {}  # id of a leaf or a group → its box
        order: list[Any] = []
        for key, group in groups.items():
            for node in members[key]:
                for x in self.taken_by(node):
                    if id(x) not in place and self.hidden(x, level) is None:
                        place[id(x)] = len(order)
                        order.append(x)
            place[key] = len(order)
            order.append(group)

        arrows: dict[tuple[int, int], list[Slot | None]] = {}  # what runs along each edge: slots, None from leaves
        for node in self.nodes:
            target = place[id(self.group(node, level))]
            for x in self.taken_by(node):
                if id(x) in place:
                    arrows.setdefault((place[id(x)], target), []).append(None)
            for edge in node.edges:
                if edge is None or isinstance(edge, Tensor):
                    continue
                source = place[id(self.group(edge.node if isinstance(edge, Output) else edge, level))]
                if source != target:
                    arrows.setdefault((source, target), []).append(_slot(edge))
        given_on: dict[int, set[Slot]] = {}
        for (source, _), slots in arrows.items():
            given_on.setdefault(source, set()).update(slot for slot in slots if slot is not None)

        boxes = []
        for i, what in enumerate(order):
            last = i == len(order) - 1
            outputs = {_slot(self.result._node)} if last else given_on.get(i, set())
            slot = next(iter(outputs)) if len(outputs) == 1 else None
            if isinstance(what, Tensor):
                boxes.append(self.leaf_box(what))
            elif isinstance(what, Call):
                boxes.append(self.call_box(what, len(members[id(what)]), held.get(id(what), []), slot))
            else:
                boxes.append(self.op_box(what, slot, last))
        edges = {}
        for (source, target), slots in arrows.items():
            several = len(given_on.get(source, ())) > 1
            shapes = [str(self.shapes[s]) for s in dict.fromkeys(slots) if several and s in self.shapes]
            times = [f"{len(slots)}×"] if len(slots) > 1 and len(set(slots)) == 1 else []
            edges[source, target] = " ".join([*times, ", ".join(shapes)]).strip()
        return boxes, edges

    def leaf_box(self, leaf: Tensor) -> Box:
        name = self.names.get(id(leaf), "")
        is_input = any(leaf is t for t, _ in self.inputs)
        kind = "input" if is_input else "parameter" if id(leaf) in self.parameters else "leaf"
        value = _value(tuple(leaf.shape), self.norms.get(id(leaf)))
        return Box(kind, name or "leaf", [value], f"{name or 'a leaf'} ({kind}), {leaf.dtype}: {value}")

    def op_box(self, node: Any, slot: Slot | None, last: bool) -> Box:
        name = node.name().removesuffix("Backward")
        activation = getattr(node, "activation", None)
        if isinstance(activation, str):  # of a fused op
            name += f" ({activation})"
        value = self.value(slot)
        call = self.calls.of(node) if self.calls is not None else None
        where = f", called in {_called(call)}" if call is not None else ""
        return Box("loss" if last else "op", name, [value] if value else [], f"{node.name()}{where}: {value or '?'}")

    def call_box(self, call: Call, ops: int, parameters: list[Tensor], slot: Slot | None) -> Box:
        lines = [type(call.module).__name__ + (f", {ops} ops" if ops > 1 else "")] if call.name else []
        if value := self.value(slot):
            lines.append(value)
        if parameters:
            norms = [self.norms[id(p)] for p in parameters if id(p) in self.norms]
            held = f"{sum(p.numel() for p in parameters):,} parameters"
            lines.append(held + (f" · ‖∇‖ {math.hypot(*norms):.3g}" if norms else ""))
        return Box("module", _called(call), lines, f"{_called(call)}: {type(call.module).__name__}, {ops} ops")

    def value(self, slot: Slot | None) -> str:
        return "" if slot is None or slot not in self.shapes else _value(self.shapes[slot], self.norms.get(slot))


def _called(call: Call) -> str:
    return (call.name or type(call.module).__name__) + (f", call {call.number + 1}" if call.number else "")


def _slot(edge: Any) -> Slot:
    return (id(edge.node), edge.index) if isinstance(edge, Output) else (id(edge), 0)


def _saved_shapes(node: Any) -> dict[Slot, Shape]:
    """Shapes that a node knows: of its outputs if it has several, and of the arrays that it saved for ``backward``."""
    shapes = {(id(node), i): tuple(shape) for i, (shape, _) in enumerate(node.outputs or ())}
    saved = {id(array): tuple(array.shape) for array in node.saved or () if hasattr(array, "shape")}
    for key, _, _, place in node.seen:
        if key in saved and place is not None and not isinstance(place, Tensor):
            shapes[(id(node), place) if isinstance(place, int) else _slot(place)] = saved[key]
    return shapes


def _norm(g: Tensor) -> float:
    return float(np.linalg.norm(to_array(g).astype(np.float64)))


def _value(shape: Shape, norm: float | None) -> str:
    return str(shape) + (f" · ‖∇‖ {norm:.3g}" if norm is not None else "")
