"""Normalization layers: PyTorch's states, settings, printing and numbers, over several steps of training."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import numpy as np
import pytest
from op_suite import dtype_name, torch

import minigrad
from minigrad import nn
from minigrad.errors import ShapeError

# fmt: off
LAYERS: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    *[
        ("BatchNorm1d", (5,), {"momentum": m, "affine": a, "track_running_stats": t}, shape)
        for m, a, t, shape in itertools.product((0.1, None), (True, False), (True, False), ((6, 5), (4, 5, 3)))
    ],
    ("BatchNorm1d", (5, 0.5, 1.0), {}, (6, 5)),
    ("BatchNorm1d", (5,), {"bias": False}, (6, 5)),
    *[
        ("BatchNorm2d", (3,), {"momentum": m, "affine": a, "track_running_stats": t}, (2, 3, 4, 5))
        for m, a, t in itertools.product((0.3, None), (True, False), (True, False))
    ],
    ("BatchNorm2d", (3, 1e-3, 0.0), {}, (2, 3, 4, 5)),
    *[
        (name, (3,), {"affine": a, "track_running_stats": t}, shape)
        for a, t in itertools.product((True, False), (True, False))
        for name, shape in (("InstanceNorm1d", (2, 3, 7)), ("InstanceNorm2d", (2, 3, 4, 5)))
    ],
    ("InstanceNorm1d", (3,), {"affine": True, "bias": False, "eps": 0.1}, (2, 3, 7)),
    ("InstanceNorm1d", (3,), {"affine": True}, (3, 7)),
    ("InstanceNorm2d", (3,), {"track_running_stats": True, "momentum": 0.4}, (3, 4, 5)),
    ("LayerNorm", (5,), {}, (4, 5)),
    ("LayerNorm", (5,), {"bias": False}, (2, 4, 5)),
    ("LayerNorm", ((4, 5),), {"eps": 0.1}, (2, 4, 5)),
    ("LayerNorm", ([4, 5],), {"elementwise_affine": False}, (2, 4, 5)),
    ("LayerNorm", ((2, 4, 5),), {}, (2, 4, 5)),
    ("RMSNorm", (5,), {}, (4, 5)),
    ("RMSNorm", ((4, 5),), {"eps": 0.1}, (2, 4, 5)),
    ("RMSNorm", (5,), {"elementwise_affine": False}, (4, 5)),
    ("GroupNorm", (2, 4), {}, (3, 4, 5)),
    ("GroupNorm", (4, 4, 0.1), {}, (3, 4, 5, 2)),
    ("GroupNorm", (1, 4), {"affine": False}, (3, 4)),
    ("GroupNorm", (2, 4), {"bias": False}, (3, 4, 5)),
    ("LocalResponseNorm", (3,), {}, (2, 5, 4)),
    ("LocalResponseNorm", (2, 0.5, 0.6, 2.0), {}, (2, 5, 4, 3)),
]
# fmt: on


def named(row: tuple[Any, ...]) -> str:
    name, args, options, shape = row
    return f"{name}{(*args, *(f'{k}={v}' for k, v in options.items()))} of {shape}"


def history(lib: Any, row: tuple[Any, ...], dtype: str) -> list[Any]:
    """Three steps of training, with weights that move; then evaluation; then training again. All that can be seen."""
    name, args, options, shape = row
    rng = np.random.default_rng(0)
    layer = getattr(lib.nn, name)(*args, **options).to(getattr(lib, dtype))
    with lib.no_grad():
        for p in layer.parameters():
            p.copy_(lib.tensor(rng.standard_normal(tuple(p.shape)).astype(dtype)))
    seen: list[Any] = []
    for step in range(6):
        layer.train(step not in (3, 4))
        x = lib.tensor((rng.standard_normal(shape) * (step + 1) + step).astype(dtype), requires_grad=True)
        y = layer(x)
        y.backward(lib.tensor(rng.standard_normal(shape).astype(dtype)))
        seen += [y.detach().numpy(), x.grad.numpy(), *[p.grad.numpy().copy() for p in layer.parameters()]]
        seen += [b.numpy().copy() for b in layer.buffers()]
        with lib.no_grad():
            for p in layer.parameters():
                p -= 0.1 * p.grad
    return seen


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("row", LAYERS, ids=named)
def test_steps_of_training_and_evaluation_are_pytorchs(row: Any, dtype: str) -> None:
    got, want = history(minigrad, row, dtype), history(torch, row, dtype)
    tolerance = {"rtol": 1e-10, "atol": 1e-10} if dtype == "float64" else {"rtol": 2e-4, "atol": 2e-4}
    for i, (a, b) in enumerate(zip(got, want, strict=True)):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, **tolerance, err_msg=f"number {i} of what was seen")


@pytest.mark.parametrize("row", LAYERS, ids=named)
def test_states_and_printing_are_pytorchs(row: Any) -> None:
    name, args, options, _ = row
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    assert repr(ours).split("  #")[0] == repr(theirs)
    mine, other = ours.state_dict(), theirs.state_dict()
    assert [(k, tuple(v.shape), dtype_name(v)) for k, v in mine.items()] == [
        (k, tuple(v.shape), dtype_name(v)) for k, v in other.items()
    ]
    for key in mine:
        np.testing.assert_array_equal(mine[key].numpy(), other[key].numpy())
    ours.load_state_dict({k: v + 1 for k, v in other.items()})
    for key, value in ours.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), other[key].numpy() + 1)


@pytest.mark.parametrize("name", sorted({row[0] for row in LAYERS}))
def test_signatures_are_pytorchs(name: str) -> None:
    def arguments(layer: Any) -> list[tuple[str, Any]]:
        return [(p.name, p.default) for p in inspect.signature(layer).parameters.values()]

    assert arguments(getattr(nn, name)) == arguments(getattr(torch.nn, name))


def test_forgetting_what_has_been_seen() -> None:
    for layer in (nn.BatchNorm1d(3), nn.InstanceNorm1d(3, affine=True, track_running_stats=True)):
        layer(minigrad.randn(4, 3, 5))
        with minigrad.no_grad():
            layer.weight.fill_(5.0)
        layer.reset_running_stats()
        assert (layer.running_mean.tolist(), layer.running_var.tolist()) == ([0, 0, 0], [1, 1, 1])
        assert (layer.num_batches_tracked.item(), layer.weight.tolist()) == (0, [5, 5, 5])
        layer.reset_parameters()
        assert (layer.weight.tolist(), layer.bias.tolist()) == ([1, 1, 1], [0, 0, 0])
    nn.BatchNorm1d(3, track_running_stats=False).reset_running_stats()


def test_the_buffers_stay_the_same_tensors() -> None:
    layer = nn.BatchNorm2d(3)
    held = [layer.running_mean, layer.running_var, layer.num_batches_tracked]
    versions = [t._version[0] for t in held]
    layer(minigrad.randn(2, 3, 4, 4))
    now = [layer.running_mean, layer.running_var, layer.num_batches_tracked]
    assert all(a is b for a, b in zip(now, held, strict=True))
    assert all(t._version[0] > v for t, v in zip(held, versions, strict=True))
    assert layer.num_batches_tracked.dtype == minigrad.int64


def test_a_layer_in_half_precision_and_in_double() -> None:
    x = minigrad.randn(64, 3)
    layer = nn.BatchNorm1d(3).half()
    y = layer(x.half())
    assert (y.dtype, layer.running_var.dtype, layer.num_batches_tracked.dtype) == (
        minigrad.float16,
        minigrad.float16,
        minigrad.int64,
    )
    assert nn.BatchNorm1d(3)(x.half()).dtype == minigrad.float16  # PyTorch's mixture: float32 weights
    assert nn.LayerNorm(3, dtype=minigrad.float64)(x.double()).dtype == minigrad.float64


def test_evaluation_does_not_depend_on_the_company() -> None:
    layer = nn.BatchNorm1d(3)
    for _ in range(5):
        layer(minigrad.randn(8, 3))
    layer.eval()
    x = minigrad.randn(8, 3)
    np.testing.assert_allclose(layer(x)[2:3].detach().numpy(), layer(x[2:3]).detach().numpy(), rtol=1e-6)
    assert layer.num_batches_tracked.item() == 5


def test_a_refused_call_leaves_no_trace() -> None:
    layer = nn.BatchNorm1d(3)
    for x in (minigrad.ones(1, 3), minigrad.ones(2, 4), minigrad.ones(2), minigrad.ones(4, 3).double()):
        with pytest.raises((ValueError, TypeError)):
            layer(x)
    assert layer.num_batches_tracked.item() == 0
    assert (layer.running_mean.tolist(), layer.running_var.tolist()) == ([0, 0, 0], [1, 1, 1])


def test_refusals() -> None:
    ones = minigrad.ones
    for call, message in [
        (lambda: nn.BatchNorm1d(3)(ones(2, 3, 4, 5)), r"BatchNorm1d: expected an input \(N, C\) or \(N, C, L\), got"),
        (lambda: nn.BatchNorm2d(3)(ones(2, 3)), r"BatchNorm2d: expected an input \(N, C, H, W\), got shape \(2, 3\)"),
        (lambda: nn.InstanceNorm2d(3)(ones(2, 3)), r"InstanceNorm2d: expected an input .* or \(C, H, W\), got shape"),
        (lambda: nn.BatchNorm2d(3)(ones(2, 4, 5, 5)), r"input has 4 channels .* expects 3"),
        (lambda: nn.InstanceNorm1d(3, affine=True)(ones(2, 4, 5)), r"input has 4 channels .*weight expects 3"),
        (lambda: nn.LayerNorm((3, 4))(ones(2, 4)), r"normalized_shape \(3, 4\).*shape \(2, 4\)"),
        (lambda: nn.GroupNorm(2, 4)(ones(2, 6, 3)), r"input has 6 channels .*weight expects 4"),
        (lambda: nn.LocalResponseNorm(2)(ones(2, 3)), r"at least 3 axes"),
    ]:  # fmt: skip
        with pytest.raises(ShapeError, match=message):
            call()
    for call, message in [
        (lambda: nn.BatchNorm1d(2.5), r"BatchNorm1d: num_features must be a non-negative integer, got 2\.5"),
        (lambda: nn.GroupNorm(3, 4), r"GroupNorm: num_channels \(4\) must be divisible by num_groups \(3\)"),
        (lambda: nn.GroupNorm(0, 4), r"num_groups must be a positive integer, got 0"),
        (lambda: nn.BatchNorm1d(3)(ones(1, 3)), r"1 value per channel"),
        (lambda: nn.InstanceNorm1d(3)(ones(2, 3, 1)), r"1 value per channel of a sample"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="normalized_shape must be an integer or a tuple of integers"):
        nn.LayerNorm("a")
    with pytest.raises(TypeError, match="input must be a Tensor"):
        nn.LayerNorm(3)(np.ones((2, 3)))


def test_another_number_of_channels_where_it_makes_no_difference_is_a_warning() -> None:
    with pytest.warns(UserWarning, match=r"InstanceNorm1d: the input has 4 channels, num_features is 3"):
        nn.InstanceNorm1d(3)(minigrad.randn(2, 4, 5))


def test_sequential_does_batch_norm_and_its_relu_as_one_op() -> None:
    """The numbers, the statistics and the count are those of the two layers alone."""
    for make, shape in ((lambda: nn.BatchNorm1d(6), (9, 6)), (lambda: nn.BatchNorm2d(6), (3, 6, 8, 8))):
        runs = []
        for together in (True, False):
            minigrad.manual_seed(0)
            layer, relu = make(), nn.ReLU()
            with minigrad.no_grad():
                layer.weight.copy_(minigrad.randn(6))
                layer.bias.copy_(minigrad.randn(6))
            network = nn.Sequential(layer, relu)
            x = minigrad.randn(*shape, requires_grad=True)
            seen = []
            for training in (True, True, False):
                network.train(training)
                y = network(x) if together else relu(layer(x))
                assert (type(y.grad_fn).__name__ != "ReLU") is together
                y.backward(minigrad.randn(*shape))
                seen.append(y.detach().numpy())
            seen += [x.grad.numpy(), layer.weight.grad.numpy(), layer.bias.grad.numpy()]
            runs.append(seen + [b.numpy() for b in layer.buffers()])
        for one, two in zip(*runs, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-5)


def test_layers_that_are_looked_at_stay_two() -> None:
    x, seen = minigrad.randn(9, 6), []
    for watched in (0, 1):
        network = nn.Sequential(nn.BatchNorm1d(6), nn.ReLU())
        network[watched].register_forward_hook(lambda module, args, out: seen.append(out))
        network(x)
        assert len(seen) == watched + 1
    assert (seen[0].detach().numpy() < 0).any()
    for network in (
        nn.Sequential(nn.BatchNorm1d(6), nn.ReLU(inplace=True)),
        nn.Sequential(nn.BatchNorm1d(6), nn.Tanh()),
        nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 2), nn.ReLU()),
        nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.BatchNorm1d(6)),
    ):
        y, z = network(x), x
        for module in network:
            z = module(z)
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-4, atol=1e-5)
