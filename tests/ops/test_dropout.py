"""Dropout of channels and alpha dropout: what is dropped together, what stays as it was, PyTorch's warnings."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from op_suite import Case, OpSuite, real, torch

import minigrad
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.errors import DtypeError, ShapeError

rng = np.random.default_rng(0)
IMAGES = real(2, 3, 4, 5)

# name → (shape, number of leading axes that have a mask of their own)
CHANNELS = {
    "dropout1d": [((40, 30, 5), 2), ((900, 5), 1)],
    "dropout2d": [((40, 30, 5, 2), 2), ((40, 30, 5), 2), ((40, 30), 2), ((40, 30, 2, 1, 2), 2)],
    "dropout3d": [((40, 30, 2, 3, 2), 2), ((900, 2, 3, 2), 1), ((900, 5), 1)],
}


def functional(name: str, *args: Any, **kwargs: Any) -> Any:
    return lambda lib, x: getattr(lib.nn.functional, name)(x, *args, **kwargs)


class TestWithoutChance(OpSuite):
    cases = [
        Case(f"{name} {p} training {training}", functional(name, p, training), [IMAGES], smooth=p != 1)
        for name in ("dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
        for p, training in ((0.0, True), (1.0, True), (0.4, False))
    ]


@pytest.mark.filterwarnings("ignore:dropout")
@pytest.mark.parametrize(("name", "shape", "own"), [(k, *v) for k, rows in CHANNELS.items() for v in rows])
def test_whole_channels_are_dropped(name: str, shape: tuple[int, ...], own: int) -> None:
    minigrad.manual_seed(1)
    p = 0.3
    x = minigrad.tensor(rng.uniform(1, 2, shape), requires_grad=True)
    y = getattr(F, name)(x, p)
    scale = (y / x).detach().numpy().reshape(int(np.prod(shape[:own])), -1)  # (channels, elements of one)
    np.testing.assert_allclose(scale, np.broadcast_to(scale[:, :1], scale.shape), rtol=1e-12)
    np.testing.assert_allclose(np.unique(scale.round(10)), [0, 1 / (1 - p)], rtol=1e-9)
    assert abs((scale == 0).mean() - p) < 5 * np.sqrt(p * (1 - p) / len(scale))
    upstream = rng.standard_normal(shape)
    y.backward(minigrad.tensor(upstream))
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), upstream * scale.reshape(shape), rtol=1e-12)


def test_a_batch_has_a_mask_for_each_sample() -> None:
    y = F.dropout2d(minigrad.ones(50, 4, 2, 2), 0.5).numpy()[:, :, 0, 0]
    assert len(np.unique(y, axis=0)) > 5


@pytest.mark.parametrize("whole", [False, True])
def test_alpha_dropout_keeps_mean_and_variance(whole: bool) -> None:
    minigrad.manual_seed(0)
    x = minigrad.tensor(rng.standard_normal((400, 300, 2)), requires_grad=True)
    for p in (0.1, 0.5, 0.8):
        y = F.feature_alpha_dropout(x, p, True) if whole else F.alpha_dropout(x, p, True)
        assert abs(y.detach().mean().item()) < 0.02
        assert abs(y.detach().var().item() - 1) < 0.03
        s, a = -1.7580993408473766, ((1 - p) * (1 + 1.7580993408473766**2 * p)) ** -0.5
        dropped = np.isclose(y.detach().numpy(), a * s * (1 - p), rtol=1e-12)  # a s + b
        assert abs(dropped.mean() - p) < 0.01
        np.testing.assert_allclose(
            y.detach().numpy()[~dropped], a * x.detach().numpy()[~dropped] - a * s * p, rtol=1e-9, atol=1e-12
        )
        assert (dropped == dropped[..., :1]).all() == whole
        upstream = rng.standard_normal(x.shape)
        (g,) = minigrad.autograd.grad(y, x, minigrad.tensor(upstream))
        np.testing.assert_allclose(g.numpy(), np.where(dropped, 0, a * upstream), rtol=1e-9)


def test_pytorchs_own_numbers_for_the_values_put_in() -> None:
    ours = F.alpha_dropout(minigrad.zeros(200), 0.3, True).numpy()
    theirs = torch.nn.functional.alpha_dropout(torch.zeros(200), 0.3, True).numpy()
    np.testing.assert_allclose(np.unique(ours), np.unique(theirs), rtol=1e-6)


NAMES = ["dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"]


@pytest.mark.filterwarnings("ignore:dropout")
@pytest.mark.parametrize("name", NAMES)
def test_in_place_repeats_with_the_seed_and_keeps_the_dtype(name: str) -> None:
    for dtype in ("float16", "float32", "float64"):
        x = minigrad.tensor(rng.standard_normal((20, 5, 3)).astype(dtype))
        minigrad.manual_seed(3)
        y = getattr(F, name)(x, 0.5, True)
        minigrad.manual_seed(3)
        z = x.clone()
        assert getattr(F, name)(z, 0.5, True, True)._array is z._array
        np.testing.assert_array_equal(z.numpy(), y.numpy())
        assert str(y.dtype) == f"minigrad.{dtype}"


@pytest.mark.filterwarnings("ignore:dropout")
@pytest.mark.parametrize("name", NAMES)
def test_the_second_derivative_passes_the_same_mask(name: str) -> None:
    x = minigrad.tensor(rng.uniform(1, 2, (6, 5, 3)), requires_grad=True)
    y = getattr(F, name)(x, 0.5, True)
    (g,) = minigrad.autograd.grad(y, x, x, create_graph=True)  # x m
    (h,) = minigrad.autograd.grad(g, x, minigrad.tensor(rng.standard_normal(x.shape)))
    assert ((h.numpy() == 0) == (g.detach().numpy() == 0)).all()


@pytest.mark.parametrize(
    ("name", "shape"), [("dropout2d", (2, 3, 4)), ("dropout2d", (2, 3)), ("dropout3d", (2, 3, 4)), ("dropout2d", (5,))]
)
def test_pytorchs_warnings(name: str, shape: tuple[int, ...]) -> None:
    for lib in (torch, minigrad):
        with pytest.warns(UserWarning, match=f"{name}: .*use dropout|{name}: .*dropout1d") as seen:
            getattr(lib.nn.functional, name)(lib.ones(*shape), 0.5, False)
        assert seen[0].filename == __file__ or lib is torch


@pytest.mark.parametrize(
    ("name", "shape"),
    [("dropout1d", (2, 3, 4)), ("dropout1d", (3, 4)), ("dropout2d", (2, 3, 4, 5)), ("dropout3d", (3, 4, 5, 2))],
)
def test_no_warning_for_what_is_meant(name: str, shape: tuple[int, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(F, name)(minigrad.ones(*shape), 0.5)


@pytest.mark.filterwarnings("ignore:dropout")
def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(
        ShapeError, match=r"dropout1d: expected input \(N, C, L\) or \(C, L\), got shape \(2, 3, 4, 5\)"
    ):
        F.dropout1d(minigrad.ones(2, 3, 4, 5))
    for name in ("dropout2d", "feature_alpha_dropout"):
        with pytest.raises(ShapeError, match=name):
            getattr(F, name)(minigrad.ones(3), 0.5, True)
    for name in NAMES:
        for p in (-0.1, 1.5, float("nan")):
            with pytest.raises(ValueError, match=f"{name}: p .*between 0 and 1"):
                getattr(F, name)(minigrad.ones(2, 3, 4), p)
        with pytest.raises(DtypeError, match=name):
            getattr(F, name)(minigrad.ones(2, 3, 4).long(), 0.5, True)


LAYERS = ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"]


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    layer = getattr(nn, name)(0.4)
    assert repr(layer) == repr(getattr(torch.nn, name)(0.4))
    x = minigrad.ones(20, 3, 2, 2, 2) if name == "Dropout3d" else minigrad.ones(20, 3, 4)
    if name == "Dropout2d":
        x = minigrad.ones(20, 3, 2, 2)
    assert layer.eval()(x) is x
    y = layer.train()(x)
    assert not (y == 1).all()
    with pytest.raises(ValueError, match=rf"{name}: p must be a probability between 0 and 1, got 2"):
        getattr(nn, name)(2)
