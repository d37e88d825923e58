"""A network's graph for TensorBoard."""

from __future__ import annotations

import pytest
from events import events

import minigrad
from minigrad import nn
from minigrad.utils.tensorboard import SummaryWriter


class Residual(nn.Module):
    """A module in a module, a sum of two paths, and a weight used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Dropout(0.5))

    def forward(self, x):
        return x + self.inner(self.inner(x))


def graph(folder):
    from tensorboardX.proto.graph_pb2 import GraphDef

    (message,) = [GraphDef.FromString(e.graph_def) for e in events(folder) if e.graph_def]
    return {node.name: node for node in message.node}


def test_the_graph_has_the_modules_ops_and_edges(tmp_path):
    model = Residual()
    model.inner[2].eval()
    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(model, minigrad.randn(2, 3))
    nodes = graph(tmp_path)
    layers = [
        name for name in nodes if name.startswith("Residual/inner/0/") and "weight" not in name and "bias" not in name
    ]
    assert len(layers) == 2  # called twice
    assert [list(nodes[name].input)[1:] for name in layers] == [
        ["Residual/inner/0/weight", "Residual/inner/0/bias"]
    ] * 2
    assert sum(name.startswith("Residual/inner/1/Tanh") for name in nodes) == 2
    (last,) = nodes["output/0"].input
    assert last.count("/") == 1  # the sum belongs to the outer module
    assert set(nodes[last].input) == {"input/0", "Residual/inner/1/Tanh_1"}
    assert all(source in nodes for node in nodes.values() for source in node.input)
    shape = nodes["Residual/inner/0/weight"].attr["_output_shapes"].list.shape[0]
    assert [d.size for d in shape.dim] == [3, 3]
    assert model.training
    assert not model.inner[2].training  # each module is left in the mode it was in
    assert model(minigrad.randn(2, 3)).shape == (2, 3)


def test_a_graph_needs_an_input_and_something_that_learns(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        with pytest.raises(ValueError, match="input_to_model is None"):
            writer.add_graph(nn.ReLU())
        with pytest.raises(TypeError, match=r"expected an nn\.Module"):
            writer.add_graph(lambda x: x, minigrad.ones(1))
        with pytest.raises(ValueError, match="no output of the model depends"):
            writer.add_graph(nn.Flatten(), minigrad.ones(2, 3, dtype=minigrad.int64))


class OfContainers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, first, *more):
        first = first["x"] if isinstance(first, dict) else sum(first) if isinstance(first, (list, tuple)) else first
        return self.layer(sum(more, start=first))


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        (lambda x: x, 1),
        (lambda x: (x, x + 1), 2),
        (lambda x: [x, x + 1], 2),
        (lambda x: {"x": x}, 1),
        (lambda x: ([x, x + 1], x), 3),
        (lambda x: [{"x": x}], 1),
    ],
)
def test_inputs_of_a_graph(given, inputs, tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.add_graph(OfContainers(), given(minigrad.ones(1, 3)))
    nodes = graph(tmp_path)
    assert sorted(name for name in nodes if name.startswith("input/")) == [f"input/{i}" for i in range(inputs)]
    used = {source for node in nodes.values() for source in node.input}
    assert {f"input/{i}" for i in range(inputs)} <= used
