"""The walk back through the graph.

Why the order matters: in ``b = a + a; c = b + b`` the node of ``b`` is reached twice from ``c``. Its rule must run
once, after *both* contributions to db have arrived and been added up; running it on the first one alone would send a
half-finished gradient on. So a node may run only when every node that used its output has run. Nodes are numbered as
they are made, and an op can only use what was made before it. Going through the numbers from the newest to the oldest
is therefore a valid order, and a heap of the numbers waiting gives the next one. The walk is a loop, so a chain of
100,000 ops needs no recursion.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import devices, kernels
from ..errors import AnomalyError, DeviceError, DtypeError, GraphError, RuleError, ShapeError
from ..kernels import large, memory
from .function import RETAIN, Node, Output, _all_finite, _kind_of, freed_message
from .modes import NUMBERS, set_grad_enabled, watch
from .variable import Variable, namespace, overlapping, wrap


class _Walk:
    """One walk from some outputs back to the leaves (or to chosen tensors)."""

    def __init__(self, create_graph: bool, retain_graph: bool) -> None:
        self.create_graph = create_graph
        self.retain_graph = retain_graph
        self.leaves: dict[Any, Any] = {}  # leaf → the gradient gathered for it
        self.wanted: dict[Any, Any] | None = None  # for grad(): edge → gradient found
        self.useful: set[int] | None = None  # for grad(): numbers of the nodes that lead to a wanted tensor
        self.lent: set[int] = set()  # ids of arrays that someone outside may hold: never to become a leaf's own

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

    def run(self, starts: list[tuple[Any, Any]]) -> None:
        """Carry the starting gradients back; afterwards ``leaves`` and ``wanted`` hold what arrived.

        This loop is the engine, and runs once per op of every training step: it is written flat, for speed.
        """
        ready: list[int] = []  # heap of the numbers of the nodes that wait for their turn
        nodes: dict[int, Any] = {}  # number → node
        arrived: dict[int, Any] = {}  # number → sum of the gradients that have arrived (a list for several outputs)
        leaves, ours = self.leaves, set[Any]()  # ours: sums made here, which may be added to in place
        create_graph, free, wanted, useful = self.create_graph, not self.retain_graph, self.wanted, self.useful
        careful = create_graph or (watch.threads and watch.level)
        use_kernels = not kernels.switch.off or kernels.switch.on
        push, pop = heapq.heappush, heapq.heappop
        edges: Any = [edge for edge, _ in starts]
        grads: Any = tuple([g for _, g in starts])
        self.lent.update([id(g._array) if create_graph else id(g) for g in grads])
        while True:
            for edge, g in zip(edges, grads, strict=False):
                if edge is None or g is None:
                    continue
                if isinstance(edge, Variable):
                    if edge not in leaves:
                        leaves[edge] = g
                    else:
                        leaves[edge] = self._sum(leaves[edge], g, edge, ours)
                    continue
                if edge.__class__ is Output:
                    order = edge.node.order
                    if order not in arrived:
                        nodes[order], arrived[order] = edge.node, [None] * len(edge.node.outputs)
                        push(ready, order)
                    slots = arrived[order]
                    slots[edge.index] = g if slots[edge.index] is None else slots[edge.index] + g
                    continue
                order = edge.order
                if order not in arrived:
                    nodes[order], arrived[order] = edge, g
                    push(ready, order)
                else:
                    arrived[order] = self._sum(arrived[order], g, order, ours)
            if not ready:
                return
            order = pop(ready)
            node, g = nodes.pop(order), arrived.pop(order)
            edges = node.edges
            if node.hooks is not None:
                g = self._run_hooks(node, g)
            if wanted is not None:
                self._keep_wanted(node, g)
                if useful is not None and order not in useful:
                    edges = ()
                    continue
            saved = node.saved
            if saved is None:
                raise GraphError(freed_message(node))
            for _, version, seen, _ in node.guard:
                if version[0] != seen:
                    node.check_versions()
            kernel = node.kernel
            if kernel is not None and use_kernels and not careful:
                grads = kernel.backward(node, g)
            else:
                grads = NotImplemented
            if grads is NotImplemented:
                with np.errstate(all="ignore"):  # 0/0 and overflow raise no warning, as in PyTorch
                    if careful or node.outputs is not None or node.takes_tensors:
                        grads = self._run_carefully(node, g)
                    else:
                        grads = node.backward(node, g)
            if type(grads) is not tuple:
                grads = (grads,)
            if free and saved:
                node.saved = node.scratch = None

    def _sum(self, a: Any, b: Any, key: Any, ours: set[Any]) -> Any:
        """a + b; in place if ``a`` was itself summed here (the first array may be shared: Add sends one both ways)."""
        if key in ours and not self.create_graph:
            a += b
            return a
        ours.add(key)
        return large.add(a, b)

    def _run_carefully(self, node: Any, g: Any) -> Any:
        """The rule of a node where something beyond plain arrays is asked: Tensors, several outputs, anomaly mode."""
        if node.outputs is not None and (not node.takes_tensors or node.materialize):
            for i, (shape, kind) in enumerate(node.outputs):
                if g[i] is None:
                    other = next(x for x in g if x is not None)
                    g[i] = namespace(other._array if isinstance(other, Variable) else other).zeros(shape, kind)
                    if self.create_graph:
                        g[i] = wrap(g[i])
        gs = g if node.outputs is not None else [g]
        before = [None if x is None else _plain(x).copy() for x in gs] if watch.level else None
        if node.takes_tensors:
            with set_grad_enabled(self.create_graph):
                gs = [None if x is None else owned(x) for x in gs]
                grads: Any = node.backward(node, *gs)
            grads = node.checked(grads)
            if not self.create_graph:
                # A user's rule may hand back a tensor that it saved or keeps: never let .grad share its memory.
                grads = tuple(None if d is None else d._array.copy() for d in grads)
        elif self.create_graph:
            saved = node.saved
            node.saved = node.saved_as_tensors()
            try:
                with set_grad_enabled(True):
                    grads = node.backward(node, *gs)
            finally:
                node.saved = saved
        else:
            watched = before is not None and node.kernel is not None and kernels.switch.on
            grads = node.kernel.backward(node, g) if watched else NotImplemented
            if grads is NotImplemented:
                grads = node.backward(node, *gs)
        if before is not None:
            grads = grads if isinstance(grads, tuple) else (grads,)
            _hold_to_contract(node, before, [None if x is None else _plain(x) for x in gs], grads)
            if watch.level == NUMBERS:
                _look_for_anomaly(node, before, grads)
        return grads

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
        leaves, lent = self.leaves, self.lent
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
                elif id(g) in lent or not (memory.whole(g) and g.flags.c_contiguous):
                    g = large.copy(g)
                lent.add(id(g))
                leaf._grad = wrap(g)
            elif overlapping(old._array) or not getattr(old._array.flags, "writeable", True):
                # The user has set it: expanded, or the memory of a read-only array.
                leaf._grad = wrap((old._array + g).astype(old._array.dtype, copy=False))
            else:
                old._array += g
                old._version[0] += 1


def _plain(x: Any) -> Any:
    return x._array if isinstance(x, Variable) else x


def owned(g: Any) -> Any:
    """A gradient as a Tensor of its own. What users write may change it in place; the array may have other readers
    (a sum sends one array to all its terms)."""
    return g.clone() if isinstance(g, Variable) else wrap(large.copy(g))  # type: ignore[attr-defined]


def alike(a: Any, b: Any) -> bool:
    """Whether two arrays of one shape are equal; NaN beside NaN is."""
    return bool(((a == b) | ((a != a) & (b != b))).all())


def _hold_to_contract(node: Node, before: list[Any], after: list[Any], grads: tuple[Any, ...]) -> None:
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
        if d is not None and edge is not None and _plain(d).shape != shape:
            raise RuleError(
                f"{rule}: gradient {i} has shape {_plain(d).shape}, but argument {i} of forward has shape {shape}; "
                "a gradient always has the shape of what it belongs to"
            )


def _look_for_anomaly(node: Node, gs: list[Any], grads: tuple[Any, ...]) -> None:
    for i, d in enumerate(grads):
        array = None if d is None else _plain(d)
        if array is not None and not _all_finite(array) and all(x is None or _all_finite(x) for x in gs):
            raise AnomalyError(
                f"{type(node).__name__}: backward made a {_kind_of(array)} in the gradient of argument {i} out of "
                f"finite numbers; the op was called at {node.called_at or 'a line before anomaly detection began'}"
            )


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


def _pairs(op: str, tensors: Any, gradients: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    """As many tensors as gradients, each in a sequence."""
    if isinstance(tensors, Variable) and (gradients is None or isinstance(gradients, Variable)):
        return (tensors,), (gradients,)
    if gradients is not None and not isinstance(gradients, (Variable, Sequence)):
        raise TypeError(
            f"{op}: the gradient is a {type(gradients).__name__}, expected a Tensor of the tensor's shape; make one "
            "with minigrad.tensor(...)"
        )
    if not isinstance(tensors, (Variable, Sequence)):
        raise TypeError(f"{op}: expected a Tensor or a sequence of them, got {type(tensors).__name__}")
    outputs = [tensors] if isinstance(tensors, Variable) else list(tensors)
    if gradients is None:
        return outputs, [None] * len(outputs)
    weights = [gradients] if isinstance(gradients, Variable) else list(gradients)
    if len(weights) != len(outputs):
        raise ValueError(f"{op}: {len(outputs)} tensor(s) but {len(weights)} gradient(s)")
    return outputs, weights


def _start(op: str, tensors: Sequence[Any], gradients: Sequence[Any], create_graph: bool) -> list[tuple[Any, Any]]:
    """(edge, gradient) for each output of a walk. Raises on everything that is wrong with the arguments."""
    starts = []
    for i, (t, g) in enumerate(zip(tensors, gradients, strict=True)):
        which = "the tensor" if len(tensors) == 1 else f"tensor {i}"
        if not isinstance(t, Variable):
            raise TypeError(f"{op}: {which} is a {type(t).__name__}, expected a Tensor")
        if not t._requires_grad:
            raise GraphError(
                f"{op}: {which} does not require a gradient and was made by no op that does. Was it made from leaves "
                "without requires_grad=True, under no_grad(), or detached?"
            )
        array = t._array
        if g is None:
            if array.size != 1:
                raise GraphError(
                    f"{op}: a gradient can be created implicitly only for a scalar, {which} has shape {array.shape}. "
                    "Reduce it first (sum(), mean()) or pass gradient=, a tensor of that shape."
                )
            if create_graph or array.ndim or not isinstance(array, np.ndarray):
                g = devices.array_module(devices.of_array(array)).ones(array.shape, array.dtype)
                g = wrap(g) if create_graph else g
            else:
                g = array.dtype.type(1)
        else:
            if not isinstance(g, Variable):
                raise TypeError(f"{op}: the gradient is a {type(g).__name__}, expected a Tensor")
            if g._array.shape != array.shape:
                raise ShapeError(
                    f"{op}: the gradient has shape {g._array.shape}, expected that of the tensor, {array.shape}"
                )
            if isinstance(g._array, np.ndarray) is not isinstance(array, np.ndarray):
                raise DeviceError(
                    f"{op}: the gradient is on {devices.of_array(g._array)}, {which} on {devices.of_array(array)}; "
                    "move it there with .to(device)"
                )
            if g._array.dtype != array.dtype:
                if g._array.dtype.kind != "f":
                    raise DtypeError(f"{op}: the gradient has dtype {g._array.dtype}, expected {array.dtype}")
                g = wrap(g._array.astype(array.dtype))
            g = g if create_graph else g._array
        starts.append((t._node or t, g))
    return starts


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
    outputs, weights = _pairs("backward", tensors, grad_tensors)
    walk = _Walk(create_graph, create_graph if retain_graph is None else retain_graph)
    starts = _start("backward", outputs, weights, create_graph)
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
    outs, weights = _pairs("grad", outputs, grad_outputs)
    ins = [inputs] if isinstance(inputs, Variable) else list(inputs)
    walk = _Walk(create_graph, create_graph if retain_graph is None else retain_graph)
    starts = _start("grad", outs, weights, create_graph)
    walk.only("grad", ins, starts)
    walk.run(starts)
    found = []
    for i, t in enumerate(ins):
        g = walk.arrived_at(t)
        if g is not None and t._hooks:
            g = walk.call(t._hooks, g)
        if g is not None and _plain(g).shape != t._array.shape:
            raise ShapeError(f"grad: a gradient of shape {_plain(g).shape} reached input {i} of shape {t._array.shape}")
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
            if id(g) in walk.lent or not memory.whole(g):
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
