"""The kernels of products and layers against the textbook, over shapes that fill tiles and shapes that do not."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.ops.fused import LinearActivation

ROOT = Path(__file__).resolve().parents[3]
SIZES = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 11, 12, 13, 16, 24, 31, 32, 33, 48, 63, 64, 65, 100, 128, 200, 513, 600])


def both_ways(function, *arrays, seed=0):
    """Outputs and gradients of ``function`` with kernels and by the textbook in float64."""
    results = []
    for dtype in (np.float32, np.float64):
        tensors = [minigrad.tensor(a.astype(dtype), requires_grad=True) for a in arrays]
        y = function(*tensors)
        upstream = np.random.default_rng(seed).standard_normal(y.shape).astype(np.float32)
        y.backward(minigrad.tensor(upstream.astype(dtype)))
        results.append([y.detach().numpy(), *[t.grad.numpy() for t in tensors]])
    return results


def assert_close(found, expected, length):
    """Sums of ``length`` float32 products of numbers around 1 differ from exact ones by rounding only."""
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == np.float32
        assert a.shape == b.shape
        bound = 4e-7 * (length**0.5 + 4) * (1 + np.abs(b).max(initial=0))
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=bound)


def draw(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(m=SIZES, k=SIZES, n=SIZES, seed=st.integers(0, 2**16))
def test_matmul(m, k, n, seed):
    rng = np.random.default_rng(seed)
    found, expected = both_ways(lambda a, b: a @ b, draw(rng, m, k), draw(rng, k, n), seed=seed)
    assert_close(found, expected, max(m, k, n))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(m=SIZES, k=SIZES, n=SIZES, seed=st.integers(0, 2**16), bias=st.booleans())
def test_linear(m, k, n, seed, bias):
    rng = np.random.default_rng(seed)
    arrays = [draw(rng, m, k), draw(rng, n, k)] + ([draw(rng, n)] if bias else [])
    found, expected = both_ways(F.linear, *arrays, seed=seed)
    assert_close(found, expected, max(m, k, n))


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize(
    ("m", "k", "n"), [(256, 1, 64), (256, 64, 1), (50, 2, 16), (33, 5, 7), (64, 100, 48), (40, 600, 10), (9, 3, 3)]
)
def test_linear_with_activation_is_linear_then_activation(name, m, k, n):
    rng = np.random.default_rng(1)
    x, w, b = draw(rng, m, k), draw(rng, n, k) / k**0.5, draw(rng, n)
    fused = both_ways(lambda x, w, b: LinearActivation.apply(x, w, b, name), x, w, b)
    apart = both_ways(lambda x, w, b: getattr(minigrad, name)(F.linear(x, w, b)), x, w, b)
    assert_close(fused[0], apart[1], max(m, k, n))
    for a, c in zip(fused[1], apart[1], strict=True):  # the textbook rule of the pair, in float64
        np.testing.assert_allclose(a, c, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid, nn.Tanh])
def test_sequential_fuses_only_what_nobody_looks_at(activation):
    minigrad.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 6), activation(), nn.Linear(6, 2))
    x = minigrad.randn(8, 5)
    y = net(x)
    seen = []
    handle = net[1].register_forward_hook(lambda module, args, out: seen.append(out.detach().clone()))
    hooked = net(x)
    handle.remove()
    assert len(seen) == 1
    assert seen[0].shape == (8, 6)
    assert minigrad.allclose(y, hooked, atol=1e-6)


def test_non_contiguous_operands():
    rng = np.random.default_rng(2)
    a, b = draw(rng, 70, 50), draw(rng, 60, 70)
    found, expected = both_ways(lambda a, b: a.T @ b.T, a, b)
    assert_close(found, expected, 70)
    x, w = draw(rng, 50, 140), draw(rng, 30, 140)
    found, expected = both_ways(lambda x, w: F.linear(x[:, ::2], w[:, ::-2]), x, w)
    assert_close(found, expected, 70)


def test_gradients_wanted_of_one_operand_only():
    rng = np.random.default_rng(3)
    for shape_a, shape_b in [((64, 40), (40, 96)), ((30, 2), (2, 50)), ((600, 3), (3, 600))]:
        a, b, g = draw(rng, *shape_a), draw(rng, *shape_b), draw(rng, shape_a[0], shape_b[1])
        for wanted in (0, 1):
            ts = [minigrad.tensor(x, requires_grad=i == wanted) for i, x in enumerate((a, b))]
            (ts[0] @ ts[1]).backward(minigrad.tensor(g))
            exact = g.astype(np.float64) @ b.T if wanted == 0 else a.T.astype(np.float64) @ g
            np.testing.assert_allclose(ts[wanted].grad.numpy(), exact, rtol=1e-4, atol=1e-4)
            assert ts[1 - wanted].grad is None


PROGRAM = """
import sys
import numpy as np
import minigrad
from minigrad import nn
threads = int(sys.argv[1])
minigrad.set_num_threads(threads)
minigrad.manual_seed(0)
net = nn.Sequential(nn.Linear(600, 96), nn.ReLU(), nn.Linear(96, 150), nn.Tanh(), nn.Linear(150, 10))
x = minigrad.randn(64, 600)
out = []
for _ in range(2):
    net.zero_grad()
    y = net(x)
    y.backward(minigrad.ones_like(y) * minigrad.arange(10).float())
    out.append(np.concatenate([y.detach().numpy().ravel(), *[p.grad.numpy().ravel() for p in net.parameters()]]))
assert np.array_equal(out[0], out[1]), "two runs differ"
np.save(sys.argv[2], out[0])
"""


def test_threads_and_vector_widths_change_rounding_only(tmp_path):
    """One network, its output and gradients: on 1 and 2 threads, and with registers of 4, 8 and 16 numbers."""
    results = {}
    for threads, lanes in [(1, "16"), (2, "16"), (2, "8"), (2, "4")]:
        target = tmp_path / f"{threads}-{lanes}.npy"
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(threads), str(target)],
            env={**os.environ, "MINIGRAD_SIMD": lanes, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        results[threads, lanes] = np.load(target)
    reference = results[1, "16"]
    for found in results.values():
        np.testing.assert_allclose(found, reference, rtol=1e-4, atol=1e-4 * np.abs(reference).max())


def test_a_width_that_no_register_has():
    run = subprocess.run(
        [sys.executable, "-c", "import minigrad.kernels.matmul.gemm"],
        env={**os.environ, "MINIGRAD_SIMD": "5", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "MINIGRAD_SIMD" in run.stderr
    assert "4, 8 or 16" in run.stderr


def test_a_product_deeper_and_wider_than_the_cache():
    rng = np.random.default_rng(4)
    found, expected = both_ways(lambda a, b: a @ b, draw(rng, 300, 1300), draw(rng, 1300, 700))
    assert_close(found, expected, 1300)
