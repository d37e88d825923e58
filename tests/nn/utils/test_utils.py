"""Clipping and flattening of parameters, against PyTorch."""

import math

import numpy as np
import pytest

import minigrad
from minigrad import nn

torch = pytest.importorskip("torch")

SHAPES = [(3, 4), (5,), (), (2, 3, 1)]


def pairs(dtype="float64", scale=1.0):
    """Parameters with equal gradients in both libraries; the last one has none."""
    rng = np.random.default_rng(0)
    ours, theirs = [], []
    for shape in SHAPES:
        value, grad = (np.asarray(rng.standard_normal(shape), dtype) for _ in range(2))
        ours.append(nn.Parameter(minigrad.tensor(value)))
        theirs.append(torch.nn.Parameter(torch.tensor(value)))
        ours[-1].grad = minigrad.tensor(scale * grad)
        theirs[-1].grad = torch.tensor(scale * grad)
    return [*ours, nn.Parameter(minigrad.ones(2))], [*theirs, torch.nn.Parameter(torch.ones(2))]


def same_gradients(ours, theirs, tolerance=1e-12):
    for p, q in zip(ours, theirs, strict=True):
        if q.grad is None:
            assert p.grad is None
        else:
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-6)])
@pytest.mark.parametrize("max_norm", [0.5, 1e3])
@pytest.mark.parametrize("norm_type", [2, 1, 3.5, math.inf])
def test_clip_grad_norm(norm_type, max_norm, dtype, tolerance):
    ours, theirs = pairs(dtype)
    mine = nn.utils.clip_grad_norm_(iter(ours), max_norm, norm_type)
    other = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert mine.shape == ()
    assert mine.numpy().dtype == dtype
    np.testing.assert_allclose(mine.item(), other.item(), rtol=tolerance)
    same_gradients(ours, theirs, tolerance)


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_the_norm_of_very_large_and_very_small_gradients(scale):
    """Their squares do not fit into float32."""
    ours, _ = pairs("float32", scale)
    exact = math.sqrt(sum((p.grad.numpy().astype("float64") ** 2).sum() for p in ours[:-1]))
    assert nn.utils.clip_grad_norm_(ours, 1.0).item() == pytest.approx(exact, rel=1e-6)
    total = math.sqrt(sum((p.grad.numpy().astype("float64") ** 2).sum() for p in ours[:-1]))
    assert total == pytest.approx(min(1.0, exact), rel=1e-4)


def test_one_tensor_or_none():
    p = nn.Parameter(minigrad.zeros(2))
    assert nn.utils.clip_grad_norm_([p], 1.0).item() == 0
    p.grad = minigrad.tensor([3.0, 4.0])
    assert nn.utils.clip_grad_norm_(p, 1.0).item() == 5
    np.testing.assert_allclose(p.grad.numpy(), [0.6, 0.8], rtol=1e-5)
    p.grad = minigrad.zeros(2)
    assert nn.utils.clip_grad_norm_(p, 1.0).item() == 0
    assert p.grad.tolist() == [0, 0]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_norms_that_are_not_finite(bad):
    ours, theirs = pairs()
    ours[0].grad[0, 0] = bad
    theirs[0].grad[0, 0] = bad
    before = [p.grad.numpy().copy() for p in ours[:-1]]
    with pytest.raises(RuntimeError, match=f"the norm of the gradients is {bad}"):
        nn.utils.clip_grad_norm_(ours, 1.0, error_if_nonfinite=True)
    for p, grad in zip(ours, before, strict=False):
        np.testing.assert_array_equal(p.grad.numpy(), grad)
    nn.utils.clip_grad_norm_(ours, 1.0)
    torch.nn.utils.clip_grad_norm_(theirs, 1.0)
    same_gradients(ours, theirs)


def test_clip_grad_value():
    ours, theirs = pairs()
    held = ours[0].grad
    nn.utils.clip_grad_value_(ours, 0.4)
    torch.nn.utils.clip_grad_value_(theirs, 0.4)
    same_gradients(ours, theirs)
    assert ours[0].grad is held
    assert abs(held).max().item() == 0.4


def test_vectors_and_back():
    ours, theirs = pairs()
    vector = nn.utils.parameters_to_vector(ours)
    expected = torch.nn.utils.parameters_to_vector(theirs)
    np.testing.assert_array_equal(vector.detach().numpy(), expected.detach().numpy())
    upstream = minigrad.randn(*vector.shape, dtype=minigrad.float64)
    for p in ours:
        p.grad = None
    vector.backward(upstream)
    np.testing.assert_allclose(np.concatenate([p.grad.numpy().ravel() for p in ours]), upstream.numpy(), rtol=1e-6)
    nn.utils.vector_to_parameters(upstream, ours)
    np.testing.assert_allclose(np.concatenate([p.detach().numpy().ravel() for p in ours]), upstream.numpy(), rtol=1e-6)
    assert ours[0].is_leaf


def test_bad_input_is_explained():
    ours, _ = pairs()
    with pytest.raises(ValueError, match=r"the vector has shape \(3,\), the parameters hold 26 elements"):
        nn.utils.vector_to_parameters(minigrad.ones(3), ours)
    with pytest.raises(TypeError, match="expected a Tensor, got list"):
        nn.utils.vector_to_parameters([1.0], ours)
    with pytest.raises(TypeError, match="clip_grad_norm_: expected tensors, got str"):
        nn.utils.clip_grad_norm_(["weight"], 1.0)
    with pytest.raises(ValueError, match="norm_type must be positive"):
        nn.utils.clip_grad_norm_(ours, 1.0, 0)


def gradients(*arrays):
    """Parameters with these gradients."""
    parameters = [nn.Parameter(minigrad.zeros(*a.shape, dtype=minigrad.tensor(a).dtype)) for a in arrays]
    for p, a in zip(parameters, arrays, strict=True):
        p.grad = minigrad.Tensor._wrap(a)
    return parameters


def test_float16_gradients_are_measured_in_float32():
    """[300, 300] squared, and the norm of the whole, are beyond float16."""
    p = gradients(np.full(2, 300, np.float16))
    assert nn.utils.clip_grad_norm_(p, 30.0).item() == pytest.approx(300 * math.sqrt(2), rel=1e-6)
    np.testing.assert_allclose(p[0].grad.numpy(), 30 / math.sqrt(2), rtol=1e-3)
    assert p[0].grad.dtype == minigrad.float16
    p = gradients(*(np.full(100, 60000, np.float16) for _ in range(2)))
    total = nn.utils.clip_grad_norm_(p, 1.0)
    assert total.item() == pytest.approx(60000 * math.sqrt(200), rel=1e-6)
    np.testing.assert_allclose(p[1].grad.numpy(), 1 / math.sqrt(200), rtol=1e-3)
    p = gradients(np.full(70000, 1, np.float16))
    assert nn.utils.clip_grad_norm_(p, 1e9, norm_type=1).item() == 70000
    p = gradients(np.full(70000, 2, np.float16))
    assert nn.utils.clip_grad_norm_(p, 1e9, norm_type=3).item() == pytest.approx(2 * 70000 ** (1 / 3), rel=1e-6)


@pytest.mark.parametrize("norm_type", [1, 2, 3])
def test_long_gradients_keep_their_digits(norm_type):
    p = gradients(np.full(3_000_000, 0.1, np.float32), np.full((2, 2**17), 0.3, np.float32))
    exact = float((3e6 * np.float64(np.float32(0.1)) ** norm_type + 2**18 * 0.3**norm_type) ** (1 / norm_type))
    assert nn.utils.clip_grad_norm_(p, 1e9, norm_type).item() == pytest.approx(exact, rel=2e-6)


def test_a_norm_beyond_the_dtype_still_clips():
    p = gradients(np.full(4, 3e38, np.float32), np.full(4, -3e38, np.float32))
    assert nn.utils.clip_grad_norm_(p, 1.0, error_if_nonfinite=True).item() == math.inf  # as far as float32 can tell
    np.testing.assert_allclose(p[0].grad.numpy(), 1 / math.sqrt(8), rtol=1e-6)


@pytest.mark.parametrize("clip", [nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_])
def test_gradients_of_every_layout(clip):
    """Expanded and read-only ones, in which an element has no place of its own, get memory first."""
    one = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    frozen = one.copy()
    frozen.flags.writeable = False
    row = np.lib.stride_tricks.as_strided(one[0].copy(), (4, 6), (0, 4))  # writable, as `expand` gives it
    views = [one.copy(), one.copy()[::-1, ::2], one.copy().T, frozen, np.broadcast_to(one[:1], (4, 6)), row, one[:0]]
    ours = gradients(*views, np.array(one[0, 0]))
    plain = gradients(*(view.copy() for view in views), np.array(one[0, 0]))
    clip(ours, 0.5, foreach=True)
    clip(plain, 0.5, foreach=False)
    for p, q in zip(ours, plain, strict=True):
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-6)
    np.testing.assert_array_equal(frozen, one)


@pytest.mark.parametrize("parameters", [[], [nn.Parameter(minigrad.ones(2))]], ids=["none", "without gradients"])
def test_nothing_to_clip(parameters):
    total = nn.utils.clip_grad_norm_(iter(parameters), 1.0, error_if_nonfinite=True)
    assert (total.item(), total.shape, total.dtype) == (0, (), minigrad.float32)
    nn.utils.clip_grad_value_(parameters, 1.0)


def test_values_that_no_number_bounds():
    for dtype in ("float16", "float32", "float64"):
        (p,) = gradients(np.array([np.nan, np.inf, -np.inf, 3, -3], dtype))
        nn.utils.clip_grad_value_(p, 1e5)
        expected = min(1e5, float(np.finfo(dtype).max))
        np.testing.assert_array_equal(p.grad.numpy(), np.array([np.nan, expected, -expected, 3, -3], dtype))
    with pytest.raises(ValueError, match=r"clip_value must not be negative, got -1\.0"):
        nn.utils.clip_grad_value_(p, -1)
    with pytest.raises(ValueError, match="max_norm must not be negative, got nan"):
        nn.utils.clip_grad_norm_(p, math.nan)
