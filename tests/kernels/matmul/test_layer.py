"""A linear layer with its activation in one go, against the textbook: every size around those of tiles and vectors."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_checks import UNIT, ByKernel, Fences, Guards, both_ways, draw, passes_between_fences

import minigrad.nn.functional as F
from minigrad.kernels.machine import threads
from minigrad.kernels.matmul import choose as matmul
from minigrad.kernels.matmul import layer
from minigrad.ops.fused import ACTIVATIONS, LinearActivation
from minigrad.ops.matmul import Linear

pytestmark = pytest.mark.usefixtures("one_core")

NAMES = [None, "relu", "sigmoid", "tanh"]
# Around multiples of a tile's 6 or 12 rows and of vectors of 4, 8, 16 and 32 numbers.
SIZES = [5, 11, 12, 13, 15, 16, 17, 23, 24, 25, 31, 32, 33, 35, 36, 37, 47, 48, 49, 63, 64, 65, 95, 96, 97, 128, 129]
each_activation = pytest.mark.parametrize("name", NAMES, ids=str)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every layer is computed in one go, however small, and shared among threads; which way was taken is noted."""
    taken: list[str] = []

    def recorded(way: str, kernel: Any) -> Any:
        def call(*args: Any) -> Any:
            taken.append(way)
            return kernel(*args)

        return call

    monkeypatch.setattr(matmul, "SMALLEST", 0)
    monkeypatch.setattr(threads, "WORTH", 1e-9)
    for way in ("forward", "backward"):
        kernel = getattr(layer, way)
        monkeypatch.setattr(kernel, "launch", recorded(way, kernel.launch))
    return taken


def apply(name: str | None, x: Any, w: Any, b: Any = None) -> Any:
    return F.linear(x, w, b) if name is None else LinearActivation.apply(x, w, b, name)


def kernel_of(name: str | None, needs: tuple[bool, ...] = (True, True, True)) -> ByKernel:
    return ByKernel(Linear if name is None else LinearActivation, needs)


def named(name: str | None) -> tuple[str, ...]:
    return () if name is None else (name,)


def arrays(n: int, inputs: int, outputs: int, seed: int) -> list[Any]:
    """x, w, b; the layer's sums are around 1, where activations bend."""
    rng = np.random.default_rng(seed)
    w = (draw(rng, outputs, inputs) / np.float32(inputs**0.5)).astype(np.float32)
    return [draw(rng, n, inputs), w, draw(rng, outputs)]


def assert_close(found: list[Any], exact: list[Any], n: int, inputs: int, outputs: int) -> None:
    """y, dx, dw, db sum K = in, out, N, N products: an error of u (4 + 2 √K), as for convolutions, and a few u
    more for an activation and its slope."""
    for a, b, length in zip(found, exact, (inputs, outputs, n, n), strict=True):
        assert a.dtype == np.float32
        assert a.shape == b.shape
        bound = UNIT * (8 + 2 * length**0.5) * max(1, np.abs(b).max())
        np.testing.assert_allclose(a, b, rtol=0, atol=bound)


@settings(max_examples=60)
@given(
    n=st.integers(1, 260),
    inputs=st.sampled_from(SIZES),
    outputs=st.sampled_from(SIZES),
    count=st.integers(1, 4),
    seed=st.integers(0, 2**16),
)
@each_activation
def test_any_size(
    calls: list[str], threads: Any, name: str | None, n: int, inputs: int, outputs: int, count: int, seed: int
) -> None:
    threads(count)
    numba.set_num_threads(1)  # shares are shares, whoever does them, and nobody has to wait for a busy core
    calls.clear()
    found, exact = both_ways(lambda *ts: apply(name, *ts), *arrays(n, inputs, outputs, seed), seed=seed)
    few = n <= matmul.FEW_SAMPLES  # else output and gradients are products, made one by one
    assert calls[:1] == ["forward"] * few
    assert not few or outputs < 48 or calls[1:] == ["backward"]
    assert_close(found, exact, n, inputs, outputs)


@each_activation
def test_every_number_of_samples(calls: list[str], name: str | None) -> None:
    for n in range(1, 261):
        found, exact = both_ways(lambda *ts: apply(name, *ts), *arrays(n, 33, 13, n), seed=n)
        assert_close(found, exact, n, 33, 13)


@each_activation
def test_threads_change_rounding_only_and_runs_repeat_bit_for_bit(
    calls: list[str], threads: Any, name: str | None
) -> None:
    sizes = (70, 65, 37)
    given_arrays = arrays(*sizes, 0)
    for count in (1, 2, 5, 50):  # 50: more threads than outputs
        threads(count)
        found, exact = both_ways(lambda *ts: apply(name, *ts), *given_arrays)
        assert_close(found, exact, *sizes)
        for a, b in zip(both_ways(lambda *ts: apply(name, *ts), *given_arrays)[0], found, strict=True):
            np.testing.assert_array_equal(a, b)


@each_activation
def test_a_bad_sample_stays_its_own(calls: list[str], threads: Any, name: str | None) -> None:
    threads(2)
    x, w, b = arrays(67, 33, 29, 0)
    dy = draw(np.random.default_rng(1), 67, 29)
    results = []
    for bad in (0, np.nan):
        x[40, 5] = bad
        kernel = kernel_of(name)
        y = kernel.forward(x, w, b, *named(name))
        results.append([y, *kernel.backward(dy)[:2]])
    others = [i for i in range(67) if i != 40]
    (y, dx, dw), (y_bad, dx_bad, dw_bad) = results
    np.testing.assert_array_equal(y_bad[others], y[others])
    np.testing.assert_array_equal(dx_bad[others], dx[others])
    assert np.isnan(y_bad[40]).all()
    inputs = [i for i in range(33) if i != 5]
    assert np.isnan(dw_bad[:, 5]).all()
    if name is None:  # else dz of this sample is NaN itself, and reaches all of dw
        np.testing.assert_array_equal(dw_bad[:, inputs], dw[:, inputs])


@each_activation
def test_nothing_beside_the_arrays_is_read_or_written(
    calls: list[str], guards: Guards, threads: Any, name: str | None
) -> None:
    rng = np.random.default_rng(0)
    for i in range(60):
        threads(1 + i % 5)
        numba.set_num_threads(1)
        n, (inputs, outputs) = int(rng.integers(1, 256)), (int(s) for s in rng.choice(SIZES, 2))
        x, w, b = (guards.around(a) for a in arrays(n, inputs, outputs, i))
        dy = guards.around(draw(rng, n, outputs))
        kernel = kernel_of(name)
        found = [kernel.forward(x, w, b, *named(name))]
        found += kernel.backward(dy)
        guards.check()
        function, rule = ACTIVATIONS.get(name, (lambda z: z, lambda dy, y: dy))
        x, w, b, dy = (a.astype(np.float64) for a in (x, w, b, dy))
        y = function(x @ w.T + b)
        dz = rule(dy, y)
        assert_close(found, [y, dz @ w, dz.T @ x, dz.sum(0)], n, inputs, outputs)


@pytest.mark.skipif(Fences.protect is None, reason="memory is fenced by a call of Linux")
def test_no_address_beyond_the_arrays_is_touched() -> None:
    passes_between_fences(f"{__file__}::test_nothing_beside_the_arrays_is_read_or_written")


def test_what_does_not_fit_is_left_to_the_textbook(calls: list[str]) -> None:
    x, w, b = arrays(20, 33, 29, 0)
    kernel = kernel_of(None)
    for wrong in (
        (x[:, :32].copy(), w, b),
        (x, w[:, :32].copy(), b),
        (x, w, b[:28].copy()),
        (x, w, b[None].copy()),
        (x[0], w, b),
        (x[None], w, b),
        (x[:0], w, b),
        (x, w[:0], b[:0]),
        (x.astype(np.float64), w, b),
        (x, w.astype(np.float64), b),
        (x, w, b.astype(np.float64)),
        (np.asfortranarray(x), w, b),
        (x, np.asfortranarray(w), b),
    ):
        assert kernel.forward(*wrong) is NotImplemented
    y = kernel.forward(x, w, b)
    for dy in (y.astype(np.float64), np.asfortranarray(y), y[:, ::-1]):
        assert kernel.backward(dy) is NotImplemented
