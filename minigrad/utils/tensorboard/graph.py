"""A network's graph in TensorBoard's format, read off the graph that one forward pass leaves behind."""

from __future__ import annotations

from typing import Any

from ...autograd import enable_grad
from ...nested import mapped, tensors_in
from ...nn import Module
from ...nn.inspection.graph_walk import nodes_behind, source_of, sources, watched
from ...nn.inspection.preserved import preserved
from ...tensor import Tensor


def graph_of(model: Module, inputs: Any) -> Any:
    """A ``GraphDef`` message of the ops of ``model(inputs)``, gathered in the modules that called them."""
    if not isinstance(model, Module):
        raise TypeError(f"add_graph: model is a {type(model).__name__}; expected an nn.Module")
    if inputs is None:
        raise ValueError(
            "add_graph: input_to_model is None; give an input, since the graph is found by running the model"
        )
    arguments = [mapped(x, _followed) for x in (inputs if isinstance(inputs, (tuple, list)) else (inputs,))]
    with preserved(model), watched(model) as calls, enable_grad():
        model.eval()
        output = model(*arguments)
    made = [t for t in tensors_in(output) if t.grad_fn is not None]
    if not made:
        raise ValueError("add_graph: no output of the model depends on a parameter or on an input of float dtype")
    draft = _Draft(model, tensors_in(arguments))
    for node in nodes_behind(made):
        call = calls.of(node)
        draft.op(node, call.name if call is not None else "")
    return draft.finished(made)


def _followed(x: Any) -> Any:
    """A float tensor as a leaf that the graph reaches back to."""
    return x.detach().requires_grad_() if isinstance(x, Tensor) and x.is_floating_point() else x


class _Draft:
    """The message while it grows, and the names of what is in it already."""

    def __init__(self, model: Module, inputs: list[Tensor]) -> None:
        from tensorboardX.proto.graph_pb2 import GraphDef

        self.root = type(model).__name__
        self.names: dict[int, str] = {}  # id of a node or leaf → its name in the message
        self.taken: dict[str, int] = {}
        self.graph = GraphDef()
        for i, x in enumerate(inputs):
            self.leaf(x, f"input/{i}", "input")
        for name, parameter in model.named_parameters():
            self.leaf(parameter, self.path(name), "parameter")

    def path(self, name: str) -> str:
        """A dotted name as TensorBoard nests its boxes."""
        return "/".join([self.root, *name.split(".")] if name else [self.root])

    def op(self, node: Any, module: str) -> None:
        kind = node.name().removesuffix("Backward")
        for x in sources(node):
            if isinstance(x, Tensor):
                self.leaf(x, f"{self.path(module)}/leaf", "leaf")
        self.write(node, f"{self.path(module)}/{kind}", kind, [self.names[id(x)] for x in sources(node)])

    def leaf(self, t: Tensor, name: str, kind: str) -> None:
        if id(t) not in self.names:
            self.write(t, name, kind, [], tuple(t.shape))

    def write(self, what: Any, name: str, kind: str, inputs: list[str], shape: tuple[int, ...] | None = None) -> None:
        count = self.taken.get(name, 0)
        self.taken[name] = count + 1
        self.names[id(what)] = name if count == 0 else f"{name}_{count}"
        node = self.graph.node.add(name=self.names[id(what)], op=kind, input=inputs)
        if shape is not None:
            node.attr["_output_shapes"].list.shape.add().dim.extend(_dimensions(shape))

    def finished(self, outputs: list[Tensor]) -> Any:
        for i, t in enumerate(outputs):
            self.write(t, f"output/{i}", "output", [self.names[id(source_of(t._node))]], tuple(t.shape))
        self.graph.versions.producer = 22
        return self.graph


def _dimensions(shape: tuple[int, ...]) -> list[Any]:
    from tensorboardX.proto.tensor_shape_pb2 import TensorShapeProto

    return [TensorShapeProto.Dim(size=n) for n in shape]
