"""The autograd graph as SVG: its boxes and arrows are those of the graph, and nothing is disturbed by drawing it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from graph_support import SVG, arrows_of, boxes_of

import minigrad
from minigrad import nn, plot
from minigrad.autograd import Function
from minigrad.nn.inspection.graph_walk import nodes_behind


def notes_of(picture):
    return " ".join(t.text for t in ET.fromstring(picture.svg).iter(f"{SVG}text") if t.get("class") == "note")


def norm(t):
    return f"‖∇‖ {np.linalg.norm(t.numpy(force=True).astype(np.float64)):.3g}"


XOR_ARROWS = [
    "0.bias → Linear",
    "0.weight → Linear",
    "2.bias → Linear",
    "2.weight → Linear",
    "GELU → Linear",
    "Linear → BCEWithLogits",
    "Linear → GELU",
    "input → Linear",
]


def test_a_tensor_as_it_stands(xor):
    model, x, y = xor
    loss = nn.BCEWithLogitsLoss()(model(x), y)
    picture = plot.graph(loss, model, x)
    boxes = {box.name: box for box in boxes_of(picture)}
    assert boxes["input"].kind == "input"
    assert boxes["input"].lines == ["(50, 2)"]
    assert boxes["0.weight"].kind == "parameter"
    assert boxes["0.weight"].lines == ["(16, 2)"]
    assert boxes["GELU"].kind == "op"
    assert boxes["GELU"].lines == ["(50, 16)"]
    assert boxes["BCEWithLogits"].kind == "loss"
    assert boxes["BCEWithLogits"].lines == ["()"]
    assert [arrow for arrow, _ in arrows_of(picture)] == XOR_ARROWS
    assert "Backward: up" in notes_of(picture)
    assert "‖∇‖" not in notes_of(picture)
    assert model[0].weight.grad is None


def test_norms_of_the_leaves_after_backward_and_a_freed_graph(xor):
    model, x, y = xor
    loss = nn.BCEWithLogitsLoss()(model(x), y)
    loss.backward(retain_graph=True)
    boxes = {box.name: box for box in boxes_of(plot.graph(loss, model, x))}
    for name, parameter in model.named_parameters():
        assert boxes[name].lines == [f"{tuple(parameter.shape)} · {norm(parameter.grad)}"]
    assert boxes["GELU"].lines == ["(50, 16)"]
    model.zero_grad()
    loss.backward()  # this one frees what the ops saved
    freed = plot.graph(loss, model, x)
    assert [arrow for arrow, _ in arrows_of(freed)] == XOR_ARROWS
    boxes = {box.name: box for box in boxes_of(freed)}
    assert boxes["GELU"].lines == []
    assert boxes["2.bias"].lines == [f"(1,) · {norm(model[2].bias.grad)}"]
    assert "‖∇‖: " in notes_of(freed)


def test_a_fused_op_says_what_it_does():
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
    loss = model(minigrad.randn(4, 2)).sum()
    assert [box.name for box in boxes_of(plot.graph(loss, model)) if box.kind == "op"] == ["LinearActivation (tanh)"]


def test_bare_tensors_inputs_by_name_and_leaves_without_one():
    x, t = minigrad.randn(4, 2), minigrad.randn(4, 1)
    w, secret = minigrad.randn(2, 1, requires_grad=True), minigrad.randn(4, 1, requires_grad=True)
    loss = (x @ w * t * secret.exp()).sum()
    picture = plot.graph(loss, {"w": w}, {"x": x, "target": t})
    assert {(box.kind, box.name) for box in boxes_of(picture) if box.kind not in ("op", "loss")} == {
        ("parameter", "w"),
        ("input", "x"),
        ("input", "target"),
        ("leaf", "leaf"),
    }
    arrows = [arrow for arrow, _ in arrows_of(picture)]
    assert {"x → MatMul", "w → MatMul", "target → Mul", "leaf → Exp"} <= set(arrows)


def test_inputs_that_are_views_of_one_memory_are_told_apart():
    data = minigrad.randn(4, 2)
    a, b = data[:, :1], data[:, 1:]
    w = minigrad.randn(4, 1, requires_grad=True)
    picture = plot.graph(((a * w).exp() + (b * w).tanh()).sum(), {"w": w}, {"a": a, "b": b})
    assert [arrow for arrow, _ in arrows_of(picture)].count("a → Mul") == 1
    assert [arrow for arrow, _ in arrows_of(picture)].count("b → Mul") == 1
    image = minigrad.randn(4, 3, 2)  # flattened without a copy on its way to the first op
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 1))
    assert ("input → Linear", "") in arrows_of(plot.graph(model(image).sum(), model, image))


def test_a_function_shows_shapes_and_gradients_everywhere(residual):
    model, x, t = residual
    seen = {}

    def watch(name, value):
        value.retain_grad()
        seen[name] = value
        return value

    def loss():
        h = watch("Conv2d", model[0](x))
        return nn.CrossEntropyLoss()(model[4](model[3](watch("Add", h + h.exp()))), t)

    picture = plot.graph(loss, model, x)
    boxes = {box.name: box for box in boxes_of(picture)}
    value = loss()
    value.backward()
    assert boxes["Conv2d"].lines == [f"(5, 4, 4, 4) · {norm(seen['Conv2d'].grad)}"]
    assert boxes["Add"].lines == [f"(5, 4, 4, 4) · {norm(seen['Add'].grad)}"]
    assert boxes["4.weight"].lines == [f"(3, 64) · {norm(model[4].weight.grad)}"]
    assert boxes["CrossEntropy"].lines == ["() · ‖∇‖ 1"]


def test_drawing_disturbs_nothing(residual):
    model, x, t = residual
    earlier = nn.CrossEntropyLoss()(model(x), t)
    model[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state, flags = minigrad.get_rng_state(), [m.training for m in model.modules()]
    first = plot.graph(lambda: nn.CrossEntropyLoss()(model(x), t), model, x)
    again = plot.graph(lambda: nn.CrossEntropyLoss()(model(x), t), model, x)
    assert first.svg == again.svg
    plot.graph(lambda: earlier, model)  # a graph made before keeps its saved arrays, and no hook of ours
    assert all(minigrad.equal(value, before[name]) for name, value in model.state_dict().items())
    assert minigrad.get_rng_state() == state
    assert [m.training for m in model.modules()] == flags
    assert all(p.grad is None for p in model.parameters())
    assert not any(m._hooks for m in model.modules())
    assert not any(hooks for node in nodes_behind([earlier]) for hooks in (node.hooks or {}).values())
    earlier.backward()
    assert model[0].weight.grad is not None


def test_modules_as_boxes(residual):
    model, x, t = residual
    picture = plot.graph(lambda: nn.CrossEntropyLoss()(model(x), t), model, x, fold=True)
    boxes = {box.name: box for box in boxes_of(picture)}
    assert [(box.kind, name) for name, box in boxes.items()] == [
        ("input", "input"),
        ("module", "0"),
        ("parameter", "1.conv.weight"),
        ("parameter", "1.conv.bias"),
        ("module", "1.conv"),
        ("op", "Tanh"),
        ("module", "1.conv, call 2"),
        ("module", "1.norm"),
        ("op", "Add"),
        ("module", "2"),
        ("module", "3"),
        ("module", "4"),
        ("loss", "CrossEntropy"),
    ]
    assert boxes["0"].lines[0] == "Conv2d"
    assert boxes["0"].lines[1].startswith("(5, 4, 4, 4) · ‖∇‖ ")
    assert boxes["0"].lines[2].startswith("40 parameters · ‖∇‖ ")
    assert boxes["1.conv"].lines[-1].startswith("(5, 4, 4, 4)")  # its parameters are shared: they stand outside
    arrows = arrows_of(picture)
    assert ("1.conv.weight → 1.conv", "") in arrows
    assert ("1.conv.weight → 1.conv, call 2", "") in arrows
    assert ("0 → Add", "") in arrows


def test_outer_modules_where_the_inner_ones_are_too_many(residual):
    model, x, t = residual
    picture = plot.graph(lambda: nn.CrossEntropyLoss()(model(x), t), model, x, limit=8)
    boxes = {box.name: box for box in boxes_of(picture)}
    assert list(boxes) == ["input", "0", "1", "2", "3", "4", "CrossEntropy"]
    assert boxes["1"].lines[0] == "Block, 5 ops"
    assert boxes["1"].lines[2].startswith("156 parameters")
    assert ("0 → 1", "2×") in arrows_of(picture)
    assert "2×: " in notes_of(picture)


def test_auto_folds_only_beyond_the_limit(residual):
    model, x, t = residual

    def loss():
        return nn.CrossEntropyLoss()(model(x), t)

    every = plot.graph(loss, model, x, fold=False)
    count = len(boxes_of(every))
    assert {box.kind for box in boxes_of(every)} == {"input", "parameter", "op", "loss"}
    assert plot.graph(loss, model, x, limit=count).svg == every.svg
    folded = plot.graph(loss, model, x, limit=count - 1)
    assert folded.svg == plot.graph(loss, model, x, fold=True, limit=count - 1).svg != every.svg


def test_a_value_used_twice_and_an_op_with_two_outputs():
    class Parts(Function):
        @staticmethod
        def forward(ctx, x):
            return x[:1].clone(), x[1:].clone()

        @staticmethod
        def backward(ctx, first, rest):
            return minigrad.cat([first, rest])

    x = minigrad.randn(3, requires_grad=True)
    first, rest = Parts.apply(x * x)
    loss = (first.exp() + rest.tanh().sum()).sum()
    for picture in (plot.graph(loss, {"x": x}), plot.graph(lambda: loss, {"x": x})):
        arrows = arrows_of(picture)
        assert ("x → Mul", "2×") in arrows
        assert ("Parts → Exp", "(1,)") in arrows
        assert ("Parts → Tanh", "(2,)") in arrows


def test_too_many_boxes_are_refused_and_long_chains_do_not_recurse():
    x = minigrad.ones(2, requires_grad=True)
    y = x
    for _ in range(5000):
        y = y * 1.0
    with pytest.raises(ValueError, match=r"5002 boxes to draw, at most 300 .*give the loss as a function"):
        plot.graph(y.sum())

    class Chain(nn.Module):
        def forward(self, x):
            for _ in range(3000):
                x = x * 1.0
            return x

    model = Chain()
    picture = plot.graph(lambda: model(x).sum(), model)
    assert [(box.kind, box.name) for box in boxes_of(picture)] == [
        ("leaf", "leaf"),
        ("module", "Chain"),
        ("loss", "Sum"),
    ]
    with pytest.raises(ValueError, match="3002 boxes to draw, at most 300 can be; fold them"):
        plot.graph(lambda: model(x).sum(), model, fold=False)


def test_what_cannot_be_drawn(xor):
    model, x, _ = xor
    loss = model(x).sum()
    for nothing in (minigrad.ones(1), minigrad.ones(1, requires_grad=True), loss.detach()):
        with pytest.raises(RuntimeError, match="the loss has no graph"):
            plot.graph(nothing)
    with minigrad.no_grad():  # a function is run with gradients all the same
        assert len(boxes_of(plot.graph(lambda: model(x).sum(), model))) == 8
    with pytest.raises(TypeError, match=r"loss is a float, expected a Tensor or a function"):
        plot.graph(1.5)
    with pytest.raises(TypeError, match=r"the function given as loss returned a float"):
        plot.graph(lambda: model(x).sum().item())
    with pytest.raises(TypeError, match=r"model is a Tensor, expected a Module or \{name: tensor\}"):
        plot.graph(loss, x)
    with pytest.raises(TypeError, match=r"model has a int under 'w'"):
        plot.graph(loss, {"w": 3})
    with pytest.raises(TypeError, match=r"inputs is a ndarray, expected a tensor"):
        plot.graph(loss, model, np.ones(3))
    with pytest.raises(ValueError, match=r"fold is 'modules', expected True, False or \"auto\""):
        plot.graph(loss, fold="modules")
    with pytest.raises(ValueError, match=r"limit is 0, expected a whole number of at least 1"):
        plot.graph(loss, limit=0)
    ran = []
    for bad in ((loss, model), (lambda: ran.append(1), {"w": model[0].weight})):
        with pytest.raises(ValueError, match="fold=True must see the modules run"):
            plot.graph(*bad, fold=True)
    assert not ran


def test_a_result_of_many_elements_is_drawn_too(xor):
    model, x, _ = xor
    boxes = {box.name: box for box in boxes_of(plot.graph(lambda: model(x), model, fold=True))}
    assert boxes["2"].kind == "module"
    assert boxes["2"].lines == ["Linear", "(50, 1)", "17 parameters"]
