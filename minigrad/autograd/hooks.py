"""Hooks on gradients: where they are kept, and how they are called."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from ..errors import ShapeError
from ..kernels.machine import large
from .modes import set_grad_enabled
from .node import Output
from .variable import Variable, wrap

RETAIN = "retain_grad"  # the place of that one hook among those of its tensor: it runs last


def hooks_of(edge: Any, make: bool = False) -> dict[Any, Any]:
    """The hooks of the tensor that stands at an edge: what a node, or one output of it, calls before its rule runs."""
    node, index = (edge.node, edge.index) if isinstance(edge, Output) else (edge, 0)
    if not make:
        return (node.hooks or {}).get(index) or {}
    if node.hooks is None:
        node.hooks = {}
    return node.hooks.setdefault(index, OrderedDict())


def run_hooks(hooks: Any, g: Any, create_graph: bool) -> Any:
    """Call gradient hooks in order; each may return a replacement, or change in place what it is given."""
    with set_grad_enabled(create_graph):
        t = (g if isinstance(g, Variable) else wrap(g)) if hooks.keys() == {RETAIN} else owned(g)
        for hook in list(hooks.values()):
            new = hook(t)
            if new is None:
                continue
            if not isinstance(new, Variable) or new._array.shape != t._array.shape:
                got = f"shape {new._array.shape}" if isinstance(new, Variable) else type(new).__name__
                raise ShapeError(
                    f"register_hook: a hook must return None or a gradient of shape {t._array.shape}, got {got}"
                )
            t = new if create_graph or new is t else wrap(new._array.copy())
    return t if create_graph else t._array


def owned(g: Any) -> Any:
    """A gradient as a Tensor of its own. What users write may change it in place; the array may have other readers
    (a sum sends one array to all its terms)."""
    return g.clone() if isinstance(g, Variable) else wrap(large.copy(g))  # type: ignore[attr-defined]
