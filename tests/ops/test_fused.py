"""A convolution and the activation behind it as one op in nn.Sequential: the two ops written out, and PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from op_suite import torch

import minigrad
from minigrad import nn

# A convolution and what it is fed.
LAYERS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "few channels": (lambda nn: nn.Conv2d(3, 8, 3, padding=1), (3, 3, 9, 10)),
    "many channels": (lambda nn: nn.Conv2d(17, 33, 3, padding=1), (3, 17, 9, 10)),
    "stride": (lambda nn: nn.Conv2d(16, 20, 5, 2, 2), (3, 16, 11, 9)),
    "groups": (lambda nn: nn.Conv2d(6, 4, 3, padding=(0, 2), dilation=(2, 1), groups=2), (3, 6, 8, 9)),
    "depthwise": (lambda nn: nn.Conv2d(6, 12, 3, padding=1, groups=6), (3, 6, 8, 9)),
    "no bias": (lambda nn: nn.Conv2d(16, 20, 3, bias=False), (2, 16, 8, 9)),
    "one image": (lambda nn: nn.Conv2d(3, 8, 3, padding=1), (3, 9, 10)),
    "same": (lambda nn: nn.Conv2d(3, 8, (3, 5), padding="same"), (2, 3, 9, 10)),
    "reflect": (lambda nn: nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"), (2, 3, 9, 10)),
}
ACTIVATIONS = {"relu": "ReLU", "sigmoid": "Sigmoid", "tanh": "Tanh"}
each_layer = pytest.mark.parametrize("layer", LAYERS)
each_activation = pytest.mark.parametrize("name", ACTIVATIONS)


def nets(layer: str, name: str, dtype: str) -> tuple[Any, Any, Any]:
    """The net in both libraries with the same weights, and an input."""
    make, shape = LAYERS[layer]
    theirs = torch.nn.Sequential(make(torch.nn), getattr(torch.nn, ACTIVATIONS[name])()).to(getattr(torch, dtype))
    ours = nn.Sequential(make(nn), getattr(nn, ACTIVATIONS[name])())
    ours = ours.double() if dtype == "float64" else ours
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for p in theirs.parameters():  # larger than PyTorch's own, so that an activation bends
            p.copy_(torch.tensor(rng.standard_normal(tuple(p.shape)) / np.sqrt(max(1, p[0].numel()))))
    ours.load_state_dict({k: minigrad.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    return ours, theirs, rng.standard_normal(shape).astype(dtype)


def derivatives(lib: Any, net: Callable[[Any], Any], parameters: list[Any], x: Any) -> list[Any]:
    """y, its derivatives by input and parameters, and those of a random sum of these; all upstreams are random."""
    rng = np.random.default_rng(1)
    leaves = [lib.tensor(x, requires_grad=True), *parameters]
    y = net(leaves[0])

    def upstream(t: Any) -> Any:
        return lib.tensor(rng.standard_normal(tuple(t.shape)).astype(x.dtype))

    weights = upstream(y).requires_grad_()
    first = lib.autograd.grad(y, leaves, weights, create_graph=True)
    second = lib.autograd.grad(first, [weights, *leaves], [upstream(g) for g in first], allow_unused=True)
    zeros = [np.zeros(tuple(t.shape), x.dtype) for t in (weights, *leaves)]
    return [t.detach().numpy() for t in (y, *first)] + [
        zero if t is None else t.detach().numpy() for t, zero in zip(second, zeros, strict=True)
    ]


def ops_of(y: Any) -> set[str]:
    """The names of the ops that made a tensor."""
    names, waiting = set(), [y.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None:
            names.add(node.name().removesuffix("Backward"))
            waiting += [n for n, _ in node.next_functions]
    return names


def is_one_op(y: Any) -> bool:
    return "Conv2dActivation" in ops_of(y)


@each_layer
@each_activation
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_pair_is_what_pytorch_computes(layer: str, name: str, dtype: str) -> None:
    ours, theirs, x = nets(layer, name, dtype)
    assert is_one_op(ours(minigrad.tensor(x)))
    want = derivatives(torch, theirs, list(theirs.parameters()), x)
    together = derivatives(minigrad, ours, list(ours.parameters()), x)
    apart = derivatives(minigrad, lambda x: getattr(ours[0](x), name)(), list(ours.parameters()), x)
    tolerance = 1e-10 if dtype == "float64" else 2e-5
    for found in (together, apart):
        for a, b in zip(found, want, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max()))


@each_activation
def test_plain_gradients_are_those_of_the_two_ops(name: str) -> None:
    """Through ``backward()``, where kernels run both ways."""
    for layer in LAYERS:
        results = []
        ours, _, x = nets(layer, name, "float32")
        for fused in (True, False):
            ours.zero_grad()
            t = minigrad.tensor(x, requires_grad=True)
            y = ours(t) if fused else getattr(ours[0](t), name)()
            y.backward(minigrad.tensor(np.random.default_rng(2).standard_normal(y.shape).astype(np.float32)))
            results.append([y.detach().numpy(), t.grad.numpy(), *[p.grad.numpy().copy() for p in ours.parameters()]])
        for a, b in zip(*results, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * max(1, np.abs(b).max()))


@each_activation
def test_gradients_of_one_argument_alone(name: str) -> None:
    ours, theirs, x = nets("many channels", name, "float32")
    dy = np.random.default_rng(3).standard_normal((3, 33, 9, 10)).astype(np.float32)
    for wanted in ("x", "weight", "bias"):
        grads = []
        for lib, net in ((minigrad, ours), (torch, theirs)):
            t = lib.tensor(x, requires_grad=wanted == "x")
            for key, p in net[0].named_parameters():
                p.requires_grad_(key == wanted)
                p.grad = None
            net(t).backward(lib.tensor(dy))
            assert [p.grad is None for p in net[0].parameters()] == [wanted != "weight", wanted != "bias"]
            grads.append((t if wanted == "x" else getattr(net[0], wanted)).grad.numpy())
        np.testing.assert_allclose(grads[0], grads[1], rtol=2e-5, atol=2e-5 * np.abs(grads[1]).max())


@each_activation
def test_hooks_on_either_keep_them_two(name: str) -> None:
    """What looks at a layer sees the layer's own output and gradient."""
    ours, _, array = nets("few channels", name, "float32")
    x = minigrad.tensor(array, requires_grad=True)
    y = ours(x)
    assert is_one_op(y)
    between = ours[0](x)
    close = {"rtol": 1e-5, "atol": 1e-6}
    for i, (before, after) in enumerate([(x, between), (between, y)]):
        seen: list[Any] = []
        handle = ours[i].register_forward_hook(lambda module, args, out, seen=seen: seen.append(out.detach()))
        hooked = ours(x)
        handle.remove()
        assert not is_one_op(hooked)
        np.testing.assert_allclose(seen.pop().numpy(), after.detach().numpy(), **close)
        np.testing.assert_allclose(hooked.detach().numpy(), y.detach().numpy(), **close)
        handle = ours[i].register_forward_pre_hook(lambda module, args, seen=seen: seen.append(args[0].detach()))
        assert not is_one_op(ours(x))
        handle.remove()
        np.testing.assert_allclose(seen.pop().numpy(), before.detach().numpy(), **close)
        handle = ours[i].register_full_backward_hook(lambda module, dx, dy, seen=seen: seen.append((dx[0], dy[0])))
        upstream = minigrad.randn(*y.shape)
        ours(x).backward(upstream)
        handle.remove()
        dx, dy = seen.pop()
        assert dx.shape == before.shape
        assert dy.shape == after.shape
        assert i == 0 or np.array_equal(dy.numpy(), upstream.numpy())
    assert is_one_op(ours(x))


def test_only_what_the_two_would_do_is_one_op() -> None:
    class Own(nn.ReLU):
        def forward(self, input: Any) -> Any:
            return super().forward(input) + 1

    x = minigrad.randn(2, 3, 8, 8)
    conv = nn.Conv2d(3, 4, 3)
    plain = conv(x).relu().detach().numpy()
    np.testing.assert_allclose(nn.Sequential(conv, Own())(x).detach().numpy(), plain + 1, rtol=1e-5, atol=1e-6)
    assert not is_one_op(nn.Sequential(conv, nn.ReLU(inplace=True))(x))
    twice = nn.Sequential(conv, nn.ReLU(), nn.ReLU())(x)
    np.testing.assert_allclose(twice.detach().numpy(), plain, rtol=1e-5, atol=1e-6)
    last = nn.Sequential(nn.ReLU(), conv)(x)
    np.testing.assert_allclose(last.detach().numpy(), conv(x.relu()).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_a_forward_put_on_one_module_is_called() -> None:
    x = minigrad.randn(2, 3, 8, 8)
    for place in (0, 1):
        net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())
        net[place].forward = lambda x: x * 0 - 2
        expected = 0 if place == 0 else -2
        assert (net(x).detach().numpy() == expected).all()
