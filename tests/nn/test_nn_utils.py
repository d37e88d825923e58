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
    with pytest.raises(ValueError, match=r"the vector has shape \(3,\), the parameters hold 26 numbers"):
        nn.utils.vector_to_parameters(minigrad.ones(3), ours)
    with pytest.raises(TypeError, match="expected a Tensor, got list"):
        nn.utils.vector_to_parameters([1.0], ours)
    with pytest.raises(TypeError, match="clip_grad_norm_: expected tensors, got str"):
        nn.utils.clip_grad_norm_(["weight"], 1.0)
    with pytest.raises(ValueError, match="norm_type must be positive"):
        nn.utils.clip_grad_norm_(ours, 1.0, 0)
