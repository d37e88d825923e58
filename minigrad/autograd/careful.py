"""The backward rule of a node where more than plain arrays is asked for: Tensors, several outputs, checks."""

from __future__ import annotations

from typing import Any

from .. import kernels
from ..errors import RuleError
from .anomaly import look_at_backward
from .hooks import owned
from .modes import NUMBERS, set_grad_enabled, watch
from .node import Node
from .variable import Variable, namespace, wrap


def run_carefully(node: Any, g: Any, create_graph: bool) -> Any:
    """A node's gradients from ``g``, a list of them if the node has several outputs."""
    if node.outputs is not None and (not node.takes_tensors or node.materialize):
        for i, (shape, kind) in enumerate(node.outputs):
            if g[i] is None:
                other = next(x for x in g if x is not None)
                g[i] = namespace(other._array if isinstance(other, Variable) else other).zeros(shape, kind)
                if create_graph:
                    g[i] = wrap(g[i])
    gs = g if node.outputs is not None else [g]
    before = [None if x is None else plain(x).copy() for x in gs] if watch.level else None
    if node.takes_tensors:
        with set_grad_enabled(create_graph):
            gs = [None if x is None else owned(x) for x in gs]
            grads: Any = node.backward(node, *gs)
        grads = node.checked(grads)
        if not create_graph:
            # A user's rule may hand back a tensor that it saved or keeps: never let .grad share its memory.
            grads = tuple(None if d is None else d._array.copy() for d in grads)
    elif create_graph:
        saved = node.saved
        node.saved = node.saved_as_tensors()
        try:
            with set_grad_enabled(True):
                grads = node.backward(node, *gs)
        finally:
            node.saved = saved
    else:
        watched = before is not None and node.kernel is not None and kernels.switch.on
        grads = node.kernel.gradients(node.needs, gs[0], *node.saved, *node.options) if watched else NotImplemented
        if grads is NotImplemented:
            grads = node.backward(node, *gs)
    if before is not None:
        grads = grads if isinstance(grads, tuple) else (grads,)
        hold_to_contract(node, before, [None if x is None else plain(x) for x in gs], grads)
        if watch.level == NUMBERS:
            look_at_backward(node, before, grads)
    return grads


def hold_to_contract(node: Node, before: list[Any], after: list[Any], grads: tuple[Any, ...]) -> None:
    """A rule gives each argument a gradient of its shape, and leaves what it was handed as it is."""
    rule = f"{type(node).__name__}.backward"
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        if new is not None and not alike(old, new):
            raise RuleError(
                f"{rule}: changed in place the gradient of output {i} that it was handed, which other rules may still "
                "have to read; compute a new one (dy * mask instead of dy *= mask)"
            )
    if any(edge is not None for edge in node.edges[len(grads) :]):
        raise RuleError(f"{rule}: returned {len(grads)} gradient(s), expected one per tensor argument")
    for i, (d, edge, shape) in enumerate(zip(grads, node.edges, node.shapes or (), strict=False)):
        if d is not None and edge is not None and plain(d).shape != shape:
            raise RuleError(
                f"{rule}: gradient {i} has shape {plain(d).shape}, but argument {i} of forward has shape {shape}; "
                "a gradient always has the shape of what it belongs to"
            )


def alike(a: Any, b: Any) -> bool:
    """Whether two arrays of one shape are equal; NaN beside NaN is."""
    return bool(((a == b) | ((a != a) & (b != b))).all())


def plain(x: Any) -> Any:
    return x._array if isinstance(x, Variable) else x
