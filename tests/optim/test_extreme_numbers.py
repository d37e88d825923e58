"""Every optimizer over the whole range of its dtype, with its kernels on and off."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest

import minigrad
from minigrad import optim

RULES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "weight_decay": 0.1, "maximize": True}),
    ("AdamW", {"lr": 0.1}),
    ("RMSprop", {"lr": 0.1}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5}),
    ("Adadelta", {"lr": 0.1}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.1, "betas": (0.9, 0.99)}),
    ("Adamax", {"lr": 0.1, "weight_decay": 0.1}),
    ("Rprop", {"lr": 0.1}),
]
IDS = [f"{name}-{'-'.join(settings)}" for name, settings in RULES]
EVERY_RULE = pytest.mark.parametrize(("name", "settings"), RULES, ids=IDS)
DIVIDES_BY_SIZE = [rule for rule in RULES if rule[0] not in ("SGD",)]


def numbers(dtype: str) -> Any:
    """Zero, the smallest and largest numbers, those around the root of the largest, ordinary ones, infinity, NaN."""
    info = np.finfo(dtype)
    root = float(info.max) ** 0.5
    positive = [info.smallest_subnormal, info.tiny, 1e-3, 1.0, 3.0, root / 3, root * 0.99, root, root * 1.63]
    positive += [info.max / 2, info.max, np.inf]
    return np.array([0.0, -0.0, *positive, *(-x for x in positive), np.nan]).astype(dtype)


def steps(name: str, settings: dict[str, Any], kernels: bool, start: Any, gradients: list[Any]) -> tuple[Any, Any]:
    p = minigrad.nn.Parameter(minigrad.tensor(start))
    optimizer = getattr(optim, name)([p], **settings)
    with contextlib.nullcontext() if kernels else minigrad.kernels.disabled():
        for g in gradients:
            p.grad = minigrad.tensor(g)
            optimizer.step()
    kept = [value.numpy() for value in optimizer.state[p].values() if isinstance(value, minigrad.Tensor)]
    return p.detach().numpy(), kept


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@EVERY_RULE
def test_kernels_compute_what_the_textbook_computes(name: str, settings: dict[str, Any], dtype: str) -> None:
    """All weights against all gradients, three steps: each gradient meets each memory."""
    values = numbers(dtype)
    start, g = (np.ascontiguousarray(a) for a in np.meshgrid(values, values))
    gradients = [g, np.roll(g, 5, axis=0), np.roll(g, 11, axis=0)]
    (a, kept_a), (b, kept_b) = (steps(name, settings, on, start, gradients) for on in (True, False))
    info = np.finfo(dtype)
    # A weight near 0 has the rounding errors of what it was before, and of its steps.
    passed = abs(start) + (0 if name == "SGD" else 1)
    for x, y in zip([a, *kept_a], [b, *kept_b], strict=True):
        # Beside the largest number a rounding decides between it and infinity.
        edge = (abs(x) > info.max * 0.9999) | (abs(y) > info.max * 0.9999)
        np.testing.assert_array_equal(np.isnan(x), np.isnan(y))
        np.testing.assert_array_equal(np.sign(x[edge]), np.sign(y[edge]))
        sums = x is a or "momentum" in settings  # which may have come near 0
        with np.errstate(all="ignore"):
            near = abs(y) + (passed if sums else 0)
            assert (abs(x - y) <= 40 * info.eps * near + 100 * info.tiny)[~edge & np.isfinite(y)].all()


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "textbook"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@EVERY_RULE
def test_infinity_and_nan_are_not_hidden_and_finite_gradients_give_finite_steps(
    name: str, settings: dict[str, Any], dtype: str, kernels: bool
) -> None:
    g = numbers(dtype)
    weights, kept = steps(name, settings, kernels, np.ones_like(g), [g])
    finite = abs(g) < np.finfo(dtype).max / 2 if "momentum" in settings else np.isfinite(g)  # momentum adds up
    assert np.isfinite(weights[finite]).all()
    assert all(np.isfinite(array[finite]).all() for array in kept)
    assert np.isnan(weights[np.isnan(g)]).all()
    if name != "Rprop":  # which knows signs only
        assert not np.isfinite(weights[np.isinf(g)]).any()


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "textbook"])
@pytest.mark.parametrize(("name", "settings"), DIVIDES_BY_SIZE, ids=IDS[3:])
def test_a_huge_gradient_steps_as_in_exact_numbers_and_does_not_stop_the_weight(
    name: str, settings: dict[str, Any], kernels: bool
) -> None:
    """float32 against float64, which holds the squares of all numbers of float32."""
    settings = {**settings, "weight_decay": 0} if name != "Rprop" else settings
    huge = np.array([3e19, -3e19, 1e25, 1e30, -3e38, 1.0], np.float32)
    if name == "RAdam":
        settings = {**settings, "betas": (0.9, 0.5)}  # long enough a memory only later: see the next test
        huge = huge[-1:]
    start = np.ones_like(huge)
    ours, kept = steps(name, settings, kernels, start, [huge, start, start])
    exact, _ = steps(
        name, settings, False, start.astype("float64"), [g.astype("float64") for g in (huge, start, start)]
    )
    np.testing.assert_allclose(ours, exact, rtol=1e-5, atol=1e-6)
    assert all(np.isfinite(array).all() for array in kept)


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "textbook"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", ["Adam", "AdamW", "RMSprop", "Adadelta", "NAdam", "RAdam", "Adamax"])
def test_a_weight_moves_again_after_a_huge_gradient(name: str, dtype: str, kernels: bool) -> None:
    """With short memories, so that it is forgotten soon. (RAdam's first steps do not divide by the size.)"""
    short = {"alpha": 0.5} if name == "RMSprop" else {"rho": 0.5} if name == "Adadelta" else {"betas": (0.5, 0.7)}
    settings = {"lr": 0.25, "weight_decay": 0, **short}
    huge, one = np.array([np.finfo(dtype).max], dtype), np.ones(1, dtype)
    gradients = [one] * 20 + [huge] * 3 + [one] * {"float16": 50, "float32": 300, "float64": 2100}[dtype]
    before, _ = steps(name, settings, kernels, one, gradients)
    after, _ = steps(name, settings, kernels, one, gradients + [one] * 4)
    assert np.isfinite(before).all()
    assert (after < before).all()


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "textbook"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("momentum", [0, 0.5])
def test_centered_rmsprop_with_constant_gradients(momentum: float, dtype: str, kernels: bool) -> None:
    g = np.random.default_rng(0).standard_normal(200).astype(dtype)
    settings = {"lr": 1e-6, "alpha": 0.5, "centered": True, "momentum": momentum, "eps": 1e-3}
    weights, _ = steps("RMSprop", settings, kernels, np.zeros_like(g), [g] * 100)
    assert np.isfinite(weights).all()
    assert (np.sign(weights) == -np.sign(g)).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@EVERY_RULE
def test_zero_gradients_leave_weights_alone(name: str, settings: dict[str, Any], dtype: str) -> None:
    settings = {key: value for key, value in settings.items() if key != "weight_decay"}
    settings |= {"weight_decay": 0} if name == "AdamW" else {}
    start = np.array([1.0, -2.0, 0.0], dtype)
    for kernels in (True, False):
        weights, _ = steps(name, settings, kernels, start, [np.zeros(3, dtype)] * 3)
        np.testing.assert_array_equal(weights, start)


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "textbook"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@EVERY_RULE
def test_every_layout_gives_the_same_numbers(name: str, settings: dict[str, Any], dtype: str, kernels: bool) -> None:
    """Empty, 0-d, transposed, strided, reversed and expanded gradients and weights, against plain copies of them."""
    rng = np.random.default_rng(3)

    def draw(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(dtype)

    layouts = {
        "empty": (draw(0, 3), draw(0, 3)),
        "0-d": (draw(), draw()),
        "transposed": (draw(4, 3).T, draw(4, 3).T),
        "strided": (draw(6, 8)[::2, ::2], draw(3, 8)[:, ::2]),
        "reversed": (draw(3, 4)[::-1], draw(3, 4)[:, ::-1]),
        "an expanded gradient": (draw(3, 4), np.broadcast_to(draw(1, 4), (3, 4))),
    }
    with contextlib.nullcontext() if kernels else minigrad.kernels.disabled():
        for start, g in layouts.values():
            ends = []
            for weight, gradient in ((start.copy(), g.copy()), (start, g)):
                p = minigrad.nn.Parameter(minigrad.from_numpy(weight))
                optimizer = getattr(optim, name)([p], **settings)
                for _ in range(2):
                    p.grad = minigrad.Tensor._wrap(gradient)
                    optimizer.step()
                ends.append(p.detach().numpy())
            np.testing.assert_allclose(ends[1], ends[0], rtol=10 * np.finfo(dtype).eps, atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", ["Adam", "RMSprop", "Adagrad", "Adadelta", "NAdam", "RAdam", "Adamax", "SGD"])
def test_float16_is_rounded_once_a_step(name: str) -> None:
    rng = np.random.default_rng(1)
    start, g = rng.standard_normal((2, 50)).astype("float16")
    weights, _ = steps(name, {"lr": 0.1}, True, start, [g])
    exact, _ = steps(name, {"lr": 0.1}, True, start.astype("float64"), [g.astype("float64")])
    assert (abs(weights - exact) <= 0.51 * np.spacing(abs(exact).astype("float16")).astype("float64")).all()


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "textbook"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", ["Adagrad", "Adam", "RMSprop", "Adadelta", "NAdam", "RAdam", "Adamax"])
def test_many_of_the_largest_gradients(name: str, dtype: str, kernels: bool) -> None:
    """Of both signs, and one after the other: no sum of squares and no difference overflows, weights go on moving."""
    largest = np.finfo(dtype).max
    same, turning = np.array([largest, -largest], dtype), np.array([-largest, largest], dtype)
    weights, kept = steps(name, {"lr": 1e-3}, kernels, np.zeros(2, dtype), [same] * 10)
    assert all(np.isfinite(array).all() for array in (weights, *kept))
    more, _ = steps(name, {"lr": 1e-3}, kernels, np.zeros(2, dtype), [same] * 12)
    assert abs(more[0]) > abs(weights[0]) > 0 or name == "RAdam"  # whose first steps are as long as the gradients
    weights, kept = steps(name, {"lr": 1e-3}, kernels, np.zeros(2, dtype), [same, turning] * 5)
    assert all(np.isfinite(array).all() for array in (weights, *kept))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_rprop_sees_the_signs_of_the_smallest_gradients(dtype: str) -> None:
    """Whose product is 0."""
    small = np.array([np.finfo(dtype).tiny, -np.finfo(dtype).tiny], dtype)
    weights, _ = steps("Rprop", {"lr": 0.5, "etas": (0.5, 2.0)}, True, np.zeros(2, dtype), [small, small])
    np.testing.assert_array_equal(weights, [-1.5, 1.5])  # 0.5, then twice as far
    weights, _ = steps("Rprop", {"lr": 0.5, "etas": (0.5, 2.0)}, True, np.zeros(2, dtype), [small, -small, -small])
    np.testing.assert_array_equal(weights, [-0.25, 0.25])  # back by half as far, a step later
