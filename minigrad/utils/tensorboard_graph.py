"""A network's graph in TensorBoard's format, read off the graph that one forward pass leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..autograd import enable_grad
from ..nn import Module
from ..tensor import Tensor


def graph_of(model: Module, inputs: Any) -> Any:
    """A ``GraphDef`` message of the ops of ``model(inputs)``, gathered in the modules that called them.

    A module's hook sees its outputs as soon as it returns, and the modules inside it have returned before. So the
    nodes behind an output that nobody has claimed yet belong to this module: that is how ops find their place.
    """
    if not isinstance(model, Module):
        raise TypeError(f"add_graph: model is a {type(model).__name__}; expected an nn.Module")
    if inputs is None:
        raise ValueError(
            "add_graph: input_to_model is None; give an input, since the graph is found by running the model"
        )
    arguments = [_followed(x) for x in (inputs if isinstance(inputs, tuple) else (inputs,))]
    draft = _Draft(model, arguments)
    handles = [module.register_forward_hook(draft.claim) for module in model.modules()]
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()  # so that running it changes no statistics and draws no random numbers
        with enable_grad():
            output = model(*arguments)
    finally:
        for module, training in modes:
            module.training = training
        for handle in handles:
            handle.remove()
    return draft.finished(output)


def _followed(x: Any) -> Any:
    """A float tensor that the graph reaches back to; anything else as it is."""
    return x.detach().requires_grad_() if isinstance(x, Tensor) and x.is_floating_point() else x


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [t for item in value for t in _tensors(item)] if isinstance(value, (list, tuple)) else []


class _Draft:
    """Names for the nodes of the graph while it grows, and the message at the end."""

    def __init__(self, model: Module, inputs: list[Any]) -> None:
        from tensorboardX.proto.graph_pb2 import GraphDef

        root = type(model).__name__
        self.scope = {
            id(m): "/".join([root, *name.split(".")] if name else [root]) for name, m in model.named_modules()
        }
        self.names: dict[int, str] = {}  # id of a node or leaf → its name in the message
        self.taken: dict[str, int] = {}
        self.alive: list[Any] = []  # keeps the ids valid
        self.graph = GraphDef()
        for i, x in enumerate(inputs):
            if isinstance(x, Tensor):
                self.leaf(x, f"input/{i}", "input")
        for name, parameter in model.named_parameters():
            self.leaf(parameter, "/".join([root, *name.split(".")]), "parameter")

    def claim(self, module: Module, inputs: Any, output: Any) -> None:
        """The forward hook: what is new behind this module's output was made by it."""
        for t in _tensors(output):
            if t.grad_fn is not None:
                self.visit(t.grad_fn, self.scope[id(module)])

    def visit(self, start: Any, scope: str) -> None:
        """Write the nodes behind ``start`` that have no name yet, each after those it takes its inputs from."""
        stack = [(start, False)]
        while stack:
            node, inputs_done = stack.pop()
            if self.key(node) in self.names:
                continue
            before = [n for n, _ in node.next_functions if n is not None] if not hasattr(node, "variable") else []
            if inputs_done or not before:
                kind = node.name().removesuffix("Backward")
                self.write(node, f"{scope}/{kind}", kind, [self.names[self.key(n)] for n in before])
            else:
                stack += [(node, True), *[(n, False) for n in before]]

    def key(self, node: Any) -> int:
        """A leaf appears in the graph as a fresh ``AccumulateGrad`` each time; the tensor in it is what stays."""
        return id(getattr(node, "variable", node))

    def leaf(self, t: Tensor, name: str, kind: str) -> None:
        if id(t) not in self.names:
            self.write(t, name, kind, [], tuple(t.shape))

    def write(self, what: Any, name: str, kind: str, inputs: list[str], shape: tuple[int, ...] | None = None) -> None:
        count = self.taken.get(name, 0)
        self.taken[name] = count + 1
        self.names[self.key(what)] = name if count == 0 else f"{name}_{count}"
        self.alive.append(what)
        node = self.graph.node.add(name=self.names[self.key(what)], op=kind, input=inputs)
        if shape is not None:
            node.attr["_output_shapes"].list.shape.add().dim.extend(_dimensions(shape))

    def finished(self, output: Any) -> Any:
        made = [t for t in _tensors(output) if t.grad_fn is not None]
        if not made:
            raise ValueError("add_graph: no output of the model depends on a parameter or on an input of float dtype")
        for i, t in enumerate(made):
            self.write(t, f"output/{i}", "output", [self.names[self.key(t.grad_fn)]], tuple(t.shape))
        self.graph.versions.producer = 22
        return self.graph


def _dimensions(shape: tuple[int, ...]) -> list[Any]:
    from tensorboardX.proto.tensor_shape_pb2 import TensorShapeProto

    return [TensorShapeProto.Dim(size=n) for n in shape]
