"""Which nodes a forward pass leaves behind, which call made each, and that a model is left as it was."""

from __future__ import annotations

import minigrad
from minigrad import nn
from minigrad.nested import tensors_in
from minigrad.nn.inspection.graph_walk import nodes_behind, sources, watched
from minigrad.nn.inspection.preserved import preserved


class Outer(nn.Module):
    """Ops of its own before, between and after two calls of one child."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(3, 3), nn.Tanh())

    def forward(self, x):
        return self.inner(self.inner(x * 2).relu()).exp()


def test_each_node_belongs_to_the_innermost_call_that_made_it():
    model, x = Outer(), minigrad.randn(2, 3, requires_grad=True)
    with watched(model) as calls:
        y = model(x)
    loss = y.sum()
    made = []
    for node in nodes_behind([loss]):
        call = calls.of(node)
        made.append((node.name().removesuffix("Backward"), None if call is None else (call.name, call.number)))
    assert made == [
        ("Mul", ("", 0)),  # before the child is called, though behind the child's output
        ("Linear", ("inner.0", 0)),
        ("Tanh", ("inner.1", 0)),
        ("ReLU", ("", 0)),
        ("Linear", ("inner.0", 1)),
        ("Tanh", ("inner.1", 1)),
        ("Exp", ("", 0)),
        ("Sum", None),
    ]
    last = calls.of(nodes_behind([y])[-2])
    assert [call.name for call in last.path] == ["", "inner", "inner.1"]
    assert [call.number for call in last.path] == [0, 1, 1]
    with watched(model) as calls:
        pass
    model(x)
    assert calls.all == []  # the hooks are gone


def test_a_call_that_raises_ends_all_the_same():
    class Fails(nn.Module):
        def forward(self, x):
            raise ValueError

    class Catches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fails = Fails()

        def forward(self, x):
            try:
                return self.fails(x)
            except ValueError:
                return x * 2

    model = Catches()
    with watched(model) as calls:
        y = model(minigrad.ones(1, requires_grad=True))
    (node,) = nodes_behind([y])
    assert calls.of(node).module is model


def test_nodes_behind_lists_each_once_after_its_sources():
    x = minigrad.randn(3, requires_grad=True)
    a = x.exp()
    b = a * a + x
    c = a + b
    nodes = nodes_behind([b.sum(), c.sum()])
    assert len(nodes) == 6
    for i, node in enumerate(nodes):
        assert all(source is x or source in nodes[:i] for source in sources(node))
    assert sources(nodes[1]) == [nodes[0], nodes[0]]
    assert nodes_behind([x]) == []


def test_tensors_in():
    a, b, c = minigrad.ones(1), minigrad.ones(1), minigrad.ones(1)
    found = tensors_in({"a": a, "rest": [(b, 3), c, None]})
    assert [id(t) for t in found] == [id(a), id(b), id(c)]
    assert tensors_in("no tensor") == []


def test_undisturbed_puts_flags_buffers_and_random_numbers_back():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5))
    model[1].eval()
    x = minigrad.randn(8, 3)
    state, before = minigrad.get_rng_state(), {k: v.clone() for k, v in model.state_dict().items()}
    with preserved(model):
        model.train()
        model(x)
        assert model[0].num_batches_tracked.item() == 1
    assert [m.training for m in model.modules()] == [True, True, False]
    for name, value in model.state_dict().items():
        assert minigrad.equal(value, before[name]), name
    assert minigrad.get_rng_state() == state
