"""A node of the graph: one applied op, with what its backward rule needs, and where its gradients go."""

from __future__ import annotations

import itertools
from typing import Any, ClassVar, NamedTuple

from ..errors import GraphError
from .anomaly import look_at_forward
from .modes import NUMBERS, watch
from .variable import Variable, line_text, user_line, wrap

# Nodes are numbered downwards, so that a heap of these numbers gives the newest node first (see engine.py).
next_order = itertools.count(-1, -1).__next__


class Seen(NamedTuple):
    """An array that an op met: what it was then, so that a later change of it is noticed."""

    key: int  # id of the array
    version: list[Any]  # the tensor's, which counts changes in place
    changes: int  # what it counted then
    place: Any  # an argument's edge, or the number of an output


class Node:
    """One applied op. It doubles as the ``ctx`` that its ``forward`` and ``backward`` share.

    Attributes:
        edges: for each argument, where its gradient goes: the node that made it, the leaf itself, or None for what
            needs no gradient.
        saved: the arrays that ``backward`` needs; None once the graph was freed.
        options: what else a kernel needs for the gradients (see :class:`Op`).
        guard: what :class:`Seen` holds, of each tensor argument and each output where something is saved; bare tuples,
            since a named one takes three times as long to make, and every op makes some.
    """

    order: int
    edges: Any = ()
    saved: Any = ()
    options: Any = ()
    guard: Any = ()
    kernel: Any = None  # the kernel that has computed, if one has
    outputs: Any = None  # for ops with several outputs: (shape, dtype) of each, else None
    hooks: Any = None  # {output number: [functions]} called with the gradient before this node's backward
    takes_tensors: ClassVar[bool] = False  # whether ``backward`` wants Tensors (user-made ops) instead of arrays
    called_at: str | None = None  # the user's line, under anomaly detection
    shapes: Any = None  # of the arguments, where rules are watched and in a user's op

    @property
    def seen(self) -> list[Seen]:
        """``guard`` with names."""
        return [Seen(*entry) for entry in self.guard]

    def needs(self, i: int) -> bool:
        """Whether argument ``i`` needs a gradient."""
        return self.edges[i] is not None

    def name(self) -> str:
        return f"{type(self).__name__}Backward"

    def __repr__(self) -> str:
        return f"<{self.name()}>"

    def noted(self, arrays: list[Any], out: Any) -> None:
        """Where the thread is watched: remember what errors will have to say, and look at the result."""
        self.shapes = [getattr(a, "shape", None) for a in arrays]
        if watch.level == NUMBERS:
            self.called_at = user_line()
            look_at_forward(self, arrays, out)

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """PyTorch's view of the graph: (node, output number) per argument; a leaf appears as an ``AccumulateGrad``."""
        found: list[tuple[Any, int]] = []
        for edge in self.edges:
            if isinstance(edge, Variable):
                found.append((AccumulateGrad(edge), 0))
            elif isinstance(edge, Output):
                found.append((edge.node, edge.index))
            elif edge is not None or not found:
                found.append((edge, 0))
        return tuple(found)

    def saved_as_tensors(self) -> tuple[Any, ...]:
        """The saved arrays as Tensors that stand where they stood in the graph, for rules of rules.

        An array that was an argument is tied to that argument's edge, one that was the output to this node. Other
        floating arrays become constant Tensors, so that a rule never meets a mixture; masks and indices stay arrays.
        """
        if self.saved is None:
            raise GraphError(freed_message(self))
        known: dict[int, Any] = {}
        for seen in self.seen:
            place = seen.place
            if isinstance(place, int):
                place = self if self.outputs is None else Output(self, place)
            known[seen.key] = place, seen.version
        tensors = []
        for array in self.saved:
            place, version = known.get(id(array), (None, None))
            if isinstance(place, Variable) and place._array is array:
                tensors.append(place)
            elif getattr(getattr(array, "dtype", None), "kind", "") == "f" or (
                self.takes_tensors and array is not None
            ):
                t = wrap(array)
                t._node, t._requires_grad = place, place is not None
                if version is not None:
                    t._version = version  # a rule that changes it in place is seen by whoever else needs it
                tensors.append(t)
            else:
                tensors.append(array)
        return tuple(tensors)

    def check_versions(self) -> None:
        """Refuse if an array that ``backward`` needs was changed in place since ``forward`` saved it."""
        needed = {id(array) for array in self.saved}
        for seen in self.seen:
            box = seen.version
            if box[0] != seen.changes and seen.key in needed:
                where = f", called at {self.called_at}" if self.called_at else ""
                change = f" by {box[1]} ({line_text(*box[2:])})" if len(box) > 1 else ""
                raise GraphError(
                    f"{type(self).__name__}{where}: an array that its backward rule needs was changed in place{change} "
                    f"after the op saved it (version {box[0]}, expected {seen.changes}). Use the out-of-place form, or "
                    "change a clone()."
                    + ("" if where else " minigrad.autograd.detect_anomaly() shows where the op was called.")
                )


class Output:
    """Where gradients of one output of a many-output node arrive."""

    __slots__ = ("index", "node")

    def __init__(self, node: Node, index: int) -> None:
        self.node = node
        self.index = index

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Output) and self.node is other.node and self.index == other.index

    def __hash__(self) -> int:
        return hash((id(self.node), self.index))

    def __repr__(self) -> str:
        return repr(self.node)


class AccumulateGrad:
    """The end of a path through the graph, as ``next_functions`` shows it: a leaf that collects its gradient."""

    def __init__(self, variable: Any) -> None:
        self.variable = variable
        self.next_functions: tuple[Any, ...] = ()

    def name(self) -> str:
        return "AccumulateGrad"

    def __repr__(self) -> str:
        return "<AccumulateGrad>"


def freed_message(node: Node) -> str:
    return (
        f"backward: the graph through {type(node).__name__} was already walked and its saved arrays freed. "
        "Call the first backward with retain_graph=True to walk it a second time."
    )
