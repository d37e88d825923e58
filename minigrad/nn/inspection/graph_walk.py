"""The graph that a forward pass leaves behind: its nodes, and the calls of modules that made them.

Nodes are numbered as they are made. So a call of a module, from its beginning to its end, is an interval of numbers,
and a node was made by the innermost call whose interval holds its number. Two hooks on each module read the counter;
nothing else is asked of the model. (A module that hooks look at is not fused with its neighbour in ``nn.Sequential``:
the ops appear one by one.)
"""

from __future__ import annotations

import bisect
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...autograd.node import Output, next_order
from ...tensor import Tensor
from ..module import Module


def nodes_behind(outputs: Sequence[Tensor]) -> list[Any]:
    """Every node that the outputs were made by, each once and after those it takes its inputs from."""
    seen: dict[int, Any] = {}
    stack = [source_of(t._node) for t in outputs if t._node is not None]
    while stack:
        node = stack.pop()
        if node.order not in seen:
            seen[node.order] = node
            stack += [x for x in sources(node) if not isinstance(x, Tensor)]
    return [seen[order] for order in sorted(seen, reverse=True)]  # numbered downwards: the oldest first


def sources(node: Any) -> list[Any]:
    """Where the arguments of a node came from: nodes and leaves, in their order; one used twice stands there twice."""
    return [source_of(edge) for edge in node.edges if edge is not None]


def source_of(edge: Any) -> Any:
    """The node or leaf at an edge of the graph."""
    return edge.node if isinstance(edge, Output) else edge


@dataclass(eq=False)
class Call:
    """One run of a module's forward.

    Attributes:
        name: the module's dotted name; "" is the model itself.
        number: how many calls of the same module there were before.
        parent: the call that it happened in.
        begin, end: the numbers of its nodes lie between.
    """

    name: str
    module: Module
    number: int
    parent: Call | None
    begin: int
    end: int = 0

    @property
    def path(self) -> list[Call]:
        """This call and those around it, the outermost first."""
        found = [self]
        while found[-1].parent is not None:
            found.append(found[-1].parent)
        return found[::-1]


class Calls:
    """The calls of a model's modules in the order they began, filled by hooks."""

    def __init__(self, model: Module) -> None:
        self.names = {id(module): name for name, module in model.named_modules()}
        self.all: list[Call] = []
        self.running: list[Call] = []
        self.counts: dict[int, int] = {}

    def begin(self, module: Module, args: Any) -> None:
        number = self.counts.get(id(module), 0)
        self.counts[id(module)] = number + 1
        parent = self.running[-1] if self.running else None
        call = Call(self.names[id(module)], module, number, parent, -next_order())
        self.all.append(call)
        self.running.append(call)

    def end(self, module: Module, args: Any, output: Any) -> None:
        self.running.pop().end = -next_order()

    def of(self, node: Any) -> Call | None:
        """The call that made a node; None if no module of the model did."""
        i = bisect.bisect_left(self.all, -node.order, key=lambda call: call.begin)
        call = self.all[i - 1] if i else None
        while call is not None and call.end < -node.order:  # it had ended: then the node is its caller's
            call = call.parent
        return call


@contextlib.contextmanager
def watched(model: Module) -> Iterator[Calls]:
    """The calls of the model's modules while the block runs."""
    calls = Calls(model)
    with contextlib.ExitStack() as hooks:
        for module in model.modules():
            hooks.enter_context(module.register_forward_pre_hook(calls.begin))
            hooks.enter_context(module.register_forward_hook(calls.end, always_call=True))
        yield calls
