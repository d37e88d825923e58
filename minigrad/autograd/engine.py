"""The backward pass: a walk through the graph from the outputs to the leaves.

Why the order matters: in ``b = a + a; c = b + b`` the node of ``b`` is reached twice from ``c``. Its rule must run
once, after *both* contributions to db have arrived and been added up; running it on the first one alone would send a
half-finished gradient on. So a node may run only when every node that used its output has run. Nodes are numbered as
they are made, and an op can only use what was made before it. Going through the numbers from the newest to the oldest
is therefore a valid order, and a heap of the numbers waiting gives the next one. The walk is a loop, so a chain of
100,000 ops needs no recursion.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from .. import devices, kernels
from ..errors import GraphError, ShapeError
from ..kernels.machine import large, memory
from .arguments import pairs, starting_points
from .careful import plain, run_carefully
from .hooks import run_hooks
from .modes import set_grad_enabled, watch
from .node import Node, Output, freed_message
from .variable import Variable, overlapping, wrap


class Walk:
    """One walk from some outputs back to the leaves, or to chosen tensors."""

    def __init__(self, create_graph: bool, retain_graph: bool) -> None:
        self.ready: list[int] = []  # heap of the numbers of the nodes that wait for their turn
        self.nodes: dict[int, Any] = {}  # number → node
        self.arrived: dict[int, Any] = {}  # number → sum of the gradients that have arrived (or a list, see arrive)
        self.leaves: dict[Any, Any] = {}  # leaf → sum of the gradients that have arrived
        self.ours: set[Any] = set()  # leaves and numbers whose sum was made here, and may be added to in place
        self.lent: set[int] = set()  # ids of arrays that someone outside may hold: never to become a leaf's own
        self.wanted: dict[Any, Any] | None = None  # for grad(): edge → gradient found
        self.useful: set[int] | None = None  # for grad(): numbers of the nodes that lead to a wanted tensor
        self.create_graph, self.free = create_graph, not retain_graph
        self.careful = create_graph or bool(watch.threads and watch.level)
        self.use_kernels = not self.careful and (not kernels.switch.off or kernels.switch.on)

    def run(self, starts: list[tuple[Any, Any]]) -> None:
        """Carry the starting gradients back; afterwards ``leaves`` and ``wanted`` hold what arrived."""
        ready, nodes, arrived, arrive = self.ready, self.nodes, self.arrived, self.arrive
        for edge, g in starts:
            self.lent.add(id(plain(g)))
            arrive(edge, g)
        while ready:
            number = heappop(ready)
            node, dy = nodes.pop(number), arrived.pop(number)
            if node.hooks is not None:
                dy = self._run_hooks(node, dy)
            if self.wanted is not None:
                self._keep_wanted(node, dy)
                if self.useful is not None and number not in self.useful:
                    continue
            for edge, g in zip(node.edges, self.gradients(node, dy), strict=False):
                if edge is not None and g is not None:
                    arrive(edge, g)

    def arrive(self, edge: Any, g: Any) -> None:
        """Add a gradient to what has arrived at a leaf, at a node, or at one output of a node with several."""
        if isinstance(edge, Variable):
            arrived, key = self.leaves, edge
        elif edge.__class__ is Output:
            number = edge.node.order
            if number not in self.arrived:
                self.nodes[number], self.arrived[number] = edge.node, [None] * len(edge.node.outputs)
                heappush(self.ready, number)
            slots = self.arrived[number]
            slots[edge.index] = g if slots[edge.index] is None else slots[edge.index] + g
            return
        else:
            arrived, key = self.arrived, edge.order
            if key not in arrived:
                self.nodes[key] = edge
                heappush(self.ready, key)
        if key not in arrived:
            arrived[key] = g
        elif key in self.ours and not self.create_graph:
            arrived[key] += g
        else:  # in new memory: the first gradient may be shared (Add sends one both ways)
            self.ours.add(key)
            arrived[key] = large.add(arrived[key], g)

    def gradients(self, node: Any, dy: Any) -> tuple[Any, ...]:
        """What a node's rule, or its kernel, makes of the gradient of its output: one for each edge."""
        saved = node.saved
        if saved is None:
            raise GraphError(freed_message(node))
        for _, version, changes, _ in node.guard:
            if version[0] != changes:
                node.check_versions()
        grads = NotImplemented
        if self.use_kernels and node.kernel is not None:
            # A kernel's further outputs are indices, without a gradient.
            first = dy if node.outputs is None else dy[0]
            grads = node.kernel.gradients(node.needs, first, *saved, *node.options)
        if grads is NotImplemented:
            with np.errstate(all="ignore"):  # 0/0 and overflow raise no warning, as in PyTorch
                if self.careful or node.outputs is not None or node.takes_tensors:
                    grads = run_carefully(node, dy, self.create_graph)
                else:
                    grads = node.backward(node, dy)
        if self.free and saved:
            node.saved = None
        return grads if type(grads) is tuple else (grads,)

    def only(self, op: str, inputs: Sequence[Any], starts: list[tuple[Any, Any]]) -> None:
        """Walk only to these tensors."""
        for i, t in enumerate(inputs):
            if not isinstance(t, Variable) or not t._requires_grad:
                raise GraphError(f"{op}: input {i} does not require a gradient")
        targets = [t._node or t for t in inputs]
        self.wanted = {edge: None for edge in targets if not isinstance(edge, Variable)}
        self.useful = _nodes_that_lead_to(targets, [edge for edge, _ in starts])

    def arrived_at(self, t: Any) -> Any:
        """The gradient of one of those tensors; None if the outputs do not depend on it."""
        return self.leaves.get(t) if t._node is None or self.wanted is None else self.wanted[t._node]

    def _run_hooks(self, node: Node, g: Any) -> Any:
        for index, hooks in node.hooks.items():
            one = g if node.outputs is None else g[index]
            if one is None:
                continue
            one = self.call(hooks, one)
            if node.outputs is None:
                g = one
            else:
                g[index] = one
        return g

    def call(self, hooks: Any, g: Any) -> Any:
        """Run hooks on a gradient, and remember that they may have kept it."""
        g = run_hooks(hooks, g, self.create_graph)
        self.lent.add(id(g._array) if self.create_graph else id(g))
        return g

    def _keep_wanted(self, node: Node, g: Any) -> None:
        assert self.wanted is not None
        if node.outputs is None:
            if node in self.wanted:
                self.wanted[node] = g
        else:
            for i, one in enumerate(g):
                if one is not None and Output(node, i) in self.wanted:
                    self.wanted[Output(node, i)] = one

    def deliver(self) -> None:
        """Hand the collected gradients to their leaves, each in memory of its own."""
        leaves, lent, new_tensor = self.leaves, self.lent, Variable._wrap
        for leaf, g in leaves.items():
            if leaf._hooks and leaf._requires_grad:
                g = leaves[leaf] = self.call(leaf._hooks, g)
            if g.shape != leaf._array.shape:
                raise ShapeError(f"backward: a gradient of shape {g.shape} reached a leaf of shape {leaf._array.shape}")
        for leaf, g in leaves.items():
            if not leaf._requires_grad:
                continue  # switched off since it was used
            old = leaf._grad
            if self.create_graph:
                with set_grad_enabled(True):
                    leaf._grad = g.clone() if old is None else old + g
            elif old is None:
                if g.dtype is not leaf._array.dtype:
                    g = g.astype(leaf._array.dtype)
                elif id(g) in lent or not (memory.owns_memory(g) and g.flags.c_contiguous):
                    g = large.copy(g)
                lent.add(id(g))
                leaf._grad = new_tensor(g) if g.__class__ is np.ndarray else wrap(g)
            elif overlapping(old._array) or not getattr(old._array.flags, "writeable", True):
                # The user has set it: expanded, or the memory of a read-only array.
                leaf._grad = wrap((old._array + g).astype(old._array.dtype, copy=False))
            else:
                old._array += g
                old._version[0] += 1


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add d(tensors)/d(leaf), weighted by ``grad_tensors``, to ``.grad`` of every leaf the tensors depend on.

    Args:
        tensors: a tensor or a sequence of them; those with more than one element need a gradient of their shape.
        grad_tensors: ∂L/∂tensor for each, or None for a scalar (then 1).
        retain_graph: keep the saved arrays so that the graph can be walked again; defaults to ``create_graph``.
        create_graph: record the walk itself, so that the gradients can be differentiated.
        inputs: only these tensors receive a gradient; they need not be leaves.

    Raises:
        GraphError: nothing to differentiate, a non-scalar without a gradient, a freed graph, or an array changed in
            place. No ``.grad`` has changed then.

    Source: torch.autograd.backward.
    """
    outputs, weights = pairs("backward", tensors, grad_tensors)
    walk = Walk(create_graph, create_graph if retain_graph is None else retain_graph)
    starts = starting_points("backward", outputs, weights, create_graph)
    if inputs is None:
        walk.run(starts)
    else:
        chosen = [inputs] if isinstance(inputs, Variable) else list(inputs)
        walk.only("backward", chosen, starts)
        walk.run(starts)
        walk.leaves = {t: g for t in chosen if (g := walk.arrived_at(t)) is not None}
    walk.deliver()


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """d(outputs)/d(inputs), weighted by ``grad_outputs``, returned rather than added to ``.grad``.

    The inputs may be any tensors of the graph, not only leaves. An input that the outputs do not depend on is an
    error unless ``allow_unused`` (then its gradient is None) or ``materialize_grads`` (then zeros).

    Source: torch.autograd.grad.
    """
    outs, weights = pairs("grad", outputs, grad_outputs)
    ins = [inputs] if isinstance(inputs, Variable) else list(inputs)
    walk = Walk(create_graph, create_graph if retain_graph is None else retain_graph)
    starts = starting_points("grad", outs, weights, create_graph)
    walk.only("grad", ins, starts)
    walk.run(starts)
    found = []
    for i, t in enumerate(ins):
        g = walk.arrived_at(t)
        if g is not None and t._hooks:
            g = walk.call(t._hooks, g)
        if g is not None and plain(g).shape != t._array.shape:
            raise ShapeError(f"grad: a gradient of shape {plain(g).shape} reached input {i} of shape {t._array.shape}")
        if g is None:
            if not allow_unused and not materialize_grads:
                raise GraphError(
                    f"grad: the outputs do not depend on input {i}; pass allow_unused=True to get None for it"
                )
            g = (
                wrap(devices.array_module(devices.of_array(t._array)).zeros_like(t._array))
                if materialize_grads
                else None
            )
        elif not isinstance(g, Variable):
            if id(g) in walk.lent or not memory.owns_memory(g):
                g = large.copy(g)
            walk.lent.add(id(g))
            g = wrap(g)
        found.append(g)
    return tuple(found)


def _nodes_that_lead_to(targets: list[Any], roots: list[Any]) -> set[int]:
    """The numbers of the nodes between the roots and the targets: the only ones ``grad`` has to run."""
    leaves = {id(t) for t in targets if isinstance(t, Variable)}
    nodes = {t.node.order if isinstance(t, Output) else t.order for t in targets if not isinstance(t, Variable)}
    seen: dict[int, Node] = {}
    stack = [r.node if isinstance(r, Output) else r for r in roots if not isinstance(r, Variable)]
    while stack:
        node = stack.pop()
        if node.order in seen:
            continue
        seen[node.order] = node
        inner = [edge for edge in node.edges if edge is not None and not isinstance(edge, Variable)]
        stack += [edge.node if isinstance(edge, Output) else edge for edge in inner]
    useful: set[int] = set()
    for order in sorted(seen, reverse=True):  # the oldest node first
        for edge in seen[order].edges:
            if edge is None:
                continue
            if isinstance(edge, Variable):
                hit = id(edge) in leaves
            else:
                number = edge.node.order if isinstance(edge, Output) else edge.order
                hit = number in useful or number in nodes
            if hit:
                useful.add(order)
                break
    return useful
