"""Interpolation and pixel shuffles against PyTorch."""

# ruff: noqa: E501  (a line of a table stays a line)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from derivatives import thirds_agree
from hypothesis import assume, settings
from hypothesis import given as examples
from hypothesis import strategies as st
from op_suite import Case, OpSuite, agree, real, torch

import minigrad
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.errors import DtypeError, ShapeError

SIGNALS, IMAGES, VOLUMES = real(2, 3, 5), real(2, 3, 5, 4), real(1, 2, 3, 4, 2)


def resized(mode: str, **options: Any) -> Any:
    return lambda lib, x: lib.nn.functional.interpolate(x, mode=mode, **options)


# fmt: off
class TestInterpolation(OpSuite):
    cases = [
        Case(f"interpolate {mode} {' '.join(f'{k}={v}' for k, v in options.items())}", resized(mode, **options), [images])
        for mode, images, options in [
            ("nearest", SIGNALS, {"size": 8}),
            ("nearest", SIGNALS, {"scale_factor": 0.5}),
            ("nearest", IMAGES, {"scale_factor": 2}),
            ("nearest", IMAGES, {"scale_factor": (3.0, 1.7)}),
            ("nearest", IMAGES, {"scale_factor": (1.7, 0.7), "recompute_scale_factor": True}),
            ("nearest", IMAGES, {"size": (3, 9)}),
            ("nearest", IMAGES, {"size": (1, 1)}),
            ("nearest", VOLUMES, {"scale_factor": 2}),
            ("nearest-exact", SIGNALS, {"size": 3}),
            ("nearest-exact", IMAGES, {"scale_factor": 1.7}),
            ("linear", SIGNALS, {"size": 5}),
            ("linear", SIGNALS, {"size": 1}),
            ("linear", SIGNALS, {"size": 1, "align_corners": True}),
            ("linear", SIGNALS, {"scale_factor": 2.3}),
            ("linear", SIGNALS, {"scale_factor": 2.3, "align_corners": True}),
            ("linear", SIGNALS, {"scale_factor": 0.7, "recompute_scale_factor": True}),
            ("linear", real(2, 3, 1), {"size": 4, "align_corners": True}),
            ("bilinear", IMAGES, {"scale_factor": 2}),
            ("bilinear", IMAGES, {"scale_factor": 2, "align_corners": True}),
            ("bilinear", IMAGES, {"scale_factor": (1.7, 0.6)}),
            ("bilinear", IMAGES, {"size": [9, 3], "align_corners": False}),
            ("bilinear", IMAGES, {"size": (7, 2), "align_corners": True}),
            ("bilinear", IMAGES, {"size": 2}),
            ("trilinear", VOLUMES, {"scale_factor": 2}),
            ("trilinear", VOLUMES, {"size": (2, 5, 3), "align_corners": True}),
            ("bicubic", IMAGES, {"scale_factor": (1.7, 0.6)}),
            ("bicubic", IMAGES, {"size": (9, 2), "align_corners": True}),
            ("bicubic", IMAGES, {"size": 1}),
            ("area", SIGNALS, {"size": 3}),
            ("area", IMAGES, {"scale_factor": (1.7, 0.6)}),
            ("area", VOLUMES, {"size": (2, 7, 1)}),
        ]
    ]


class TestPixels(OpSuite):  # PyTorch has no gradient for pictures without pixels
    cases = [
        Case("pixel_shuffle", lambda lib, x: lib.nn.functional.pixel_shuffle(x, 2), [real(2, 8, 3, 5)], empty=False),
        Case("pixel_shuffle 3, no batch", lambda lib, x: lib.nn.functional.pixel_shuffle(x, 3), [real(9, 2, 1)], empty=False),
        Case("pixel_shuffle 1", lambda lib, x: lib.nn.functional.pixel_shuffle(x, 1), [real(3, 2, 2)], empty=False),
        Case("pixel_shuffle, two batch axes", lambda lib, x: lib.nn.functional.pixel_shuffle(x, 2), [real(3, 2, 4, 5, 1)], empty=False),
        Case("pixel_unshuffle", lambda lib, x: lib.nn.functional.pixel_unshuffle(x, 2), [real(2, 3, 4, 6)], empty=False),
        Case("pixel_unshuffle 3, no batch", lambda lib, x: lib.nn.functional.pixel_unshuffle(x, 3), [real(2, 3, 6)], empty=False),
        Case("pixels there and back", lambda lib, x: lib.nn.functional.pixel_unshuffle(lib.nn.functional.pixel_shuffle(x * 2, 2), 2), [real(2, 8, 3, 5)], empty=False),
    ]
# fmt: on


@pytest.mark.parametrize(("mode", "shape"), [("nearest", (2, 2, 5)), ("linear", (2, 2, 5)), ("bilinear", (2, 2, 4, 3))])
def test_the_third_derivative(mode: str, shape: tuple[int, ...]) -> None:
    thirds_agree(lambda lib, x: lib.nn.functional.interpolate(x, scale_factor=1.7, mode=mode), shape)


@st.composite
def resizings(draw: Any) -> tuple[list[int], str, dict[str, Any]]:
    kind, axes = draw(st.sampled_from(["nearest", "nearest-exact", "linear", "cubic", "area"])), draw(st.integers(1, 2))
    axes = 2 if kind == "cubic" else axes
    mode = {"linear": {1: "linear", 2: "bilinear"}[axes], "cubic": "bicubic"}.get(kind, kind)
    sizes = draw(st.lists(st.integers(1, 9), min_size=axes, max_size=axes))
    options: dict[str, Any] = {}
    if draw(st.booleans()):
        options["size"] = tuple(draw(st.integers(1, 14)) for _ in sizes)
    else:
        factors = tuple(draw(st.floats(0.3, 4) | st.sampled_from([2.0, 3.0, 0.5, 1 / 3, 0.7])) for _ in sizes)
        found = [int(n * f) for n, f in zip(sizes, factors, strict=True)]
        assume(min(found) > 0)
        options["scale_factor"] = factors
        if draw(st.booleans()):
            options["recompute_scale_factor"] = True
        elif mode == "nearest":
            # PyTorch's kernels, its rule among them, take the factor for 1 or 2 where the size comes out so, or do not.
            assume(all(m not in (n, 2 * n) or f in (1, 2) for n, m, f in zip(sizes, found, factors, strict=True)))
    if kind in ("linear", "cubic"):
        options["align_corners"] = draw(st.booleans())
    return sizes, mode, options


@settings(max_examples=150, deadline=None)
@examples(resizings(), st.sampled_from(["float64", "float32"]))
def test_any_size_and_factor(case: Any, dtype: str) -> None:
    sizes, mode, options = case
    tolerance = 1e-10 if dtype == "float64" else 3e-6
    agree(resized(mode, **options), real(2, 2, *sizes), dtype=dtype, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", [(0, 8, 4, 6), (2, 0, 4, 6), (2, 8, 0, 6), (2, 8, 4, 0)])
def test_pixels_of_empty_pictures(shape: tuple[int, ...]) -> None:
    for name in ("pixel_shuffle", "pixel_unshuffle"):
        x = minigrad.zeros(*shape, requires_grad=True)
        y = getattr(F, name)(x, 2)
        n, c, h, w = shape
        assert y.shape == ((n, c // 4, 2 * h, 2 * w) if name == "pixel_shuffle" else (n, 4 * c, h // 2, w // 2))
        y.backward(minigrad.zeros(*y.shape))
        assert x.grad is not None
        assert x.grad.shape == shape


def test_half_precision_is_computed_in_single() -> None:
    x = np.random.default_rng(0).standard_normal((2, 2, 5, 6)).astype(np.float16)
    y = F.interpolate(minigrad.from_numpy(x), scale_factor=2.3, mode="bilinear")
    z = torch.nn.functional.interpolate(torch.from_numpy(x).float(), scale_factor=2.3, mode="bilinear").half()
    assert y.dtype == minigrad.float16
    np.testing.assert_allclose(y.numpy(), z.numpy(), rtol=1e-3, atol=1e-4)  # a unit in the last place


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("n", "m"), [(2, 82), (4, 94), (6, 74)])
def test_places_are_rounded_as_the_numbers_are(n: int, m: int, dtype: str) -> None:
    """⌊i n/m⌋ in float32 is not that in float64. (PyTorch's gradient takes float32's in both.)"""
    x = np.arange(n, dtype=dtype).reshape(1, 1, n)
    y = torch.nn.functional.interpolate(torch.from_numpy(x), size=m)
    np.testing.assert_array_equal(F.interpolate(minigrad.from_numpy(x), size=m).numpy(), y.numpy())


def test_integers_are_repeated_but_not_averaged() -> None:
    labels = minigrad.arange(6).reshape(1, 1, 2, 3)
    np.testing.assert_array_equal(F.interpolate(labels, scale_factor=2).numpy()[0, 0, ::2, ::2], labels.numpy()[0, 0])
    with pytest.raises(DtypeError, match="interpolate"):
        F.interpolate(labels, scale_factor=2, mode="bilinear")


def test_an_infinity_reaches_its_neighbours_only() -> None:
    x = minigrad.zeros(1, 1, 8)
    x[0, 0, 2] = float("inf")
    y = F.interpolate(x, scale_factor=2, mode="linear").numpy()[0, 0]
    assert np.isfinite(y[[0, 1, 2, 8, 9, 15]]).all()


@pytest.mark.parametrize("fill", [float("nan"), float("inf")])
def test_a_neighbour_without_weight_is_not_read(fill: float) -> None:
    """Every output at an input's own place is that input, whatever its neighbours are; so it is on the way back."""
    x = minigrad.tensor([[[1.0, fill, 3.0, fill, 5.0]]], requires_grad=True)
    y = F.interpolate(x, size=3, mode="linear", align_corners=True)
    assert y.tolist() == [[[1.0, 3.0, 5.0]]]
    y = F.interpolate(x, size=9, mode="linear", align_corners=True)
    assert y[0, 0, ::4].tolist() == [1.0, 3.0, 5.0]
    dy = minigrad.full((1, 1, 9), fill)
    dy[0, 0, 3:6] = 0.5
    y.backward(dy)
    assert x.grad is not None
    np.testing.assert_array_equal(np.isfinite(x.grad.numpy())[0, 0], [False, False, True, False, False])
    assert x.grad[0, 0, 2] == 1.0


def test_a_gradient_reaches_what_was_read_only() -> None:
    x = minigrad.ones(1, 1, 6, requires_grad=True)
    F.interpolate(x, size=3).backward(minigrad.full((1, 1, 3), float("nan")))
    assert x.grad is not None
    np.testing.assert_array_equal(np.isnan(x.grad.numpy())[0, 0], [True, False] * 3)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((1, 1, 4), {}),
        ((1, 1, 4), {"size": 3, "scale_factor": 2.0}),
        ((1, 1, 4), {"size": (3, 3)}),
        ((1, 1, 4, 4), {"scale_factor": (2.0,)}),
        ((1, 1, 4), {"size": 0}),
        ((1, 1, 4), {"size": -1}),
        ((1, 1, 4), {"scale_factor": 0.1}),
        ((1, 1, 4), {"scale_factor": -1.0}),
        ((1, 1, 4), {"scale_factor": float("nan")}),
        ((1, 1, 4), {"scale_factor": "2"}),
        ((1, 1, 4), {"size": 2.5}),
        ((1, 1, 4), {"size": (2.5,)}),
        ((1, 4), {"size": 3}),
        ((1, 1, 4), {"size": 3, "mode": "bilinear"}),
        ((1, 1, 4, 4), {"size": 3, "mode": "linear"}),
        ((1, 1, 4, 4), {"size": 3, "mode": "cubic"}),
        ((1, 1, 4, 4), {"size": 3, "align_corners": False}),
        ((1, 1, 4), {"size": 3, "recompute_scale_factor": True}),
        ((1, 1, 4), {"size": 3, "antialias": True}),
        ((1, 0, 4), {"size": 3}),
        ((1, 1, 0), {"size": 3}),
    ],
)
def test_what_pytorch_refuses(shape: tuple[int, ...], options: dict[str, Any]) -> None:
    kinds = (RuntimeError, ValueError, TypeError, NotImplementedError)
    with pytest.raises(kinds):
        torch.nn.functional.interpolate(torch.ones(shape), **options)
    with pytest.raises(kinds, match="interpolate: "):
        F.interpolate(minigrad.ones(*shape), **options)


def test_a_mode_that_is_missing_is_named() -> None:
    with pytest.raises(NotImplementedError, match=r"'lanczos' is not in minigrad; it has 'nearest', .*'bilinear'"):
        F.interpolate(minigrad.ones(1, 1, 4, 4), scale_factor=2, mode="lanczos")
    with pytest.raises(NotImplementedError, match="antialias"):
        F.interpolate(minigrad.ones(1, 1, 4, 4), scale_factor=2, mode="bilinear", antialias=True)


def test_errors_say_what_came_and_what_fits() -> None:
    x = minigrad.ones(2, 6, 4, 5)
    with pytest.raises(ShapeError, match=r"'linear' takes 3 axes, got shape \(2, 6, 4, 5\); mode 'bilinear' takes it"):
        F.interpolate(x, size=3, mode="linear")
    with pytest.raises(ShapeError, match=r"size \(2, 3, 4\) has 3 numbers, .* has 2 axes"):
        F.interpolate(x, size=(2, 3, 4))
    with pytest.raises(ShapeError, match=r"6 channels .* not divisible by upscale_factor² = 4"):
        F.pixel_shuffle(x, 2)
    with pytest.raises(ShapeError, match=r"downscale_factor 3 does not divide"):
        F.pixel_unshuffle(x, 3)
    for shuffle in (F.pixel_shuffle, F.pixel_unshuffle):
        with pytest.raises(ShapeError, match=r"expected input \(..., C, H, W\), got shape \(4, 4\)"):
            shuffle(minigrad.ones(4, 4), 2)
        for factor in (0, -1, 1.5, True):
            with pytest.raises(ValueError, match="must be a positive integer"):
                shuffle(x, factor)


LAYERS = {
    "Upsample": lambda nn: nn.Upsample(scale_factor=2),
    "Upsample to a size": lambda nn: nn.Upsample((7, 3), mode="bilinear", align_corners=True),
    "Upsample by two factors": lambda nn: nn.Upsample(scale_factor=(1.5, 3), mode="bilinear", recompute_scale_factor=True),
    "UpsamplingNearest2d": lambda nn: nn.UpsamplingNearest2d(scale_factor=3),
    "UpsamplingBilinear2d": lambda nn: nn.UpsamplingBilinear2d(size=(9, 9)),
    "PixelShuffle": lambda nn: nn.PixelShuffle(2),
    "PixelUnshuffle": lambda nn: nn.PixelUnshuffle(2),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    ours, theirs = LAYERS[name](nn), LAYERS[name](torch.nn)
    assert repr(ours) == repr(theirs)
    agree(lambda lib, x: (ours if lib is minigrad else theirs)(x), real(2, 4, 6, 4))
