"""Large matrix products, alone and as layers of many samples, against the textbook: every edge of tiles and panels."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_checks import UNIT, Fences, Guards, draw, passes_between_fences

from minigrad.kernels.machine.simd import COLUMNS, LANES, ROWS
from minigrad.kernels.matmul import choose as matmul
from minigrad.kernels.matmul import gemm, layer
from minigrad.kernels.pointwise.activation import NONE, RELU, SIGMOID, TANH
from minigrad.ops.fused import ACTIVATIONS

from .test_layer import apply, arrays, assert_close, both_ways, each_activation, kernel_of, named

pytestmark = pytest.mark.usefixtures("one_core")

CODES = {NONE: lambda z: z, RELU: ACTIVATIONS["relu"][0], SIGMOID: ACTIVATIONS["sigmoid"][0], TANH: np.tanh}
# Around multiples of a tile's rows, of its columns, of a block of rows and of a piece of the depth.
MULTIPLES = [1, LANES, ROWS, 2 * ROWS, gemm.FEW, COLUMNS * LANES, 3 * COLUMNS * LANES, gemm.BLOCK, gemm.DEPTH]
SIZES = sorted({max(1, size + extra) for size in MULTIPLES for extra in (-1, 0, 1, 5)})
sizes = st.sampled_from(SIZES)
orders = pytest.mark.parametrize(("a_turned", "b_turned"), [(False, False), (True, False), (False, True), (True, True)])


def laid_out(matrix: Any, turned: bool) -> Any:
    return np.ascontiguousarray(matrix.T) if turned else matrix


def assert_product(found: Any, exact: Any, depth: int) -> None:
    assert found.dtype == np.float32
    assert found.shape == exact.shape
    np.testing.assert_allclose(found, exact, rtol=0, atol=UNIT * (8 + 2 * depth**0.5) * max(1, np.abs(exact).max()))


@settings(max_examples=40)
@given(
    m=sizes, depth=sizes, n=sizes, f=st.sampled_from([None, *CODES]), count=st.integers(1, 4), seed=st.integers(0, 99)
)
@orders
def test_any_size_and_order(
    threads: Any, a_turned: bool, b_turned: bool, m: int, depth: int, n: int, f: int | None, count: int, seed: int
) -> None:
    threads(count)
    numba.set_num_threads(1)
    rng = np.random.default_rng(seed)
    a, b, bias = draw(rng, m, depth), (draw(rng, depth, n) / np.float32(depth**0.5)).astype(np.float32), draw(rng, n)
    exact, extra = a.astype(np.float64) @ b, ()
    if f is not None:
        exact, extra = CODES[f](exact + bias), (bias, f)
    found = gemm.product(laid_out(a, a_turned), a_turned, laid_out(b, b_turned), b_turned, *extra)
    assert_product(found, exact, depth)


# Shared out by rows, with panels of B that each thread makes for itself or all make together; by columns; by depth.
@pytest.mark.parametrize("shape", [(300, 450, 70), (200, 801, 701), (ROWS + 2, 40, 500), (ROWS + 1, 3000, 30)])
@orders
def test_threads_change_rounding_only_and_runs_repeat_bit_for_bit(
    threads: Any, shape: tuple[int, int, int], a_turned: bool, b_turned: bool
) -> None:
    m, depth, n = shape
    rng = np.random.default_rng(0)
    a, b, bias = draw(rng, m, depth), (draw(rng, depth, n) / np.float32(depth**0.5)).astype(np.float32), draw(rng, n)
    exact = np.tanh(a.astype(np.float64) @ b + bias)
    for count in (1, 2, 5):
        threads(count)
        given_arrays = laid_out(a, a_turned), a_turned, laid_out(b, b_turned), b_turned, bias, TANH
        found = gemm.product(*given_arrays)
        assert_product(found, exact, depth)
        np.testing.assert_array_equal(gemm.product(*given_arrays), found)


@orders
def test_nothing_beside_the_arrays_is_read_or_written(
    guards: Guards, threads: Any, a_turned: bool, b_turned: bool
) -> None:
    rng = np.random.default_rng(0)
    for i in range(40):
        threads(1 + i % 4)
        numba.set_num_threads(1)
        m, depth, n = (int(s) for s in rng.choice(SIZES, 3))
        left, right = draw(rng, m, depth), draw(rng, depth, n)
        a, b = guards.around(laid_out(left, a_turned)), guards.around(laid_out(right, b_turned))
        found = gemm.product(a, a_turned, b, b_turned)
        guards.check()
        assert_product(found, left.astype(np.float64) @ right, depth)


@pytest.mark.skipif(Fences.protect is None, reason="memory is fenced by a call of Linux")
def test_no_address_beyond_the_arrays_is_touched() -> None:
    passes_between_fences(f"{__file__}::test_nothing_beside_the_arrays_is_read_or_written")


def test_bad_numbers_stay_in_their_row_and_column(threads: Any) -> None:
    threads(2)
    rng = np.random.default_rng(0)
    a, b = draw(rng, 2 * gemm.BLOCK + 5, 40), draw(rng, 40, 75)
    clean = gemm.product(a, False, b, False)
    a[gemm.BLOCK + 1, 3], b[7, 70] = np.nan, np.inf
    found = gemm.product(a, False, b, False)
    touched = np.zeros(found.shape, bool)
    touched[gemm.BLOCK + 1], touched[:, 70] = True, True
    assert not np.isfinite(found[touched]).any()
    np.testing.assert_array_equal(found[~touched], clean[~touched])


@pytest.mark.parametrize("n", [matmul.FEW_SAMPLES + 1, 400, 1024])
@each_activation
def test_layers_of_many_samples(monkeypatch: pytest.MonkeyPatch, threads: Any, name: str | None, n: int) -> None:
    """Through the products, and with the slopes shared out over threads: 1024 · 70 elements are enough for that."""

    def never(*args: Any) -> None:
        raise AssertionError("a layer of many samples went the way of those with few")

    monkeypatch.setattr(layer.forward, "launch", never)
    monkeypatch.setattr(layer.backward, "launch", never)
    for count in (1, 3):
        threads(count)
        found, exact = both_ways(lambda *ts: apply(name, *ts), *arrays(n, 100, 70, n), seed=n)
        assert_close(found, exact, n, 100, 70)


@each_activation
def test_the_input_of_a_first_layer_gets_no_gradient(monkeypatch: pytest.MonkeyPatch, name: str | None) -> None:
    x, w, b = arrays(300, 60, 40, 0)
    made: list[tuple[int, ...]] = []
    monkeypatch.setattr(matmul, "times", lambda dz, w: made.append(dz.shape))
    kernel = kernel_of(name, (False, True, True))
    dy = np.ones_like(kernel.forward(x, w, b, *named(name)))
    dx, dw, db = kernel.backward(dy)
    assert dx is None
    assert not made
    assert dw.shape == w.shape
    assert db.shape == b.shape
