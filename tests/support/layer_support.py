"""A layer beside PyTorch's of the same settings and weights."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad
from minigrad import nn

torch = pytest.importorskip("torch")


rng = np.random.default_rng(0)


DTYPES = pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 2e-5)])


def twins(make, dtype):
    """The same module in both libraries, with the same weights."""
    ours, theirs = make(nn), make(torch.nn)
    theirs = theirs.to(getattr(torch, dtype))
    ours.to(getattr(minigrad, dtype)).load_state_dict(theirs.state_dict())
    assert list(ours.state_dict()) == list(theirs.state_dict())
    return ours, theirs


def compare(ours, theirs, x, dtype, tolerance):
    """Outputs, and gradients of the input and of every parameter for a random upstream gradient."""
    x = np.asarray(x)
    a = minigrad.tensor(x, requires_grad=x.dtype.kind == "f")
    b = torch.tensor(x, requires_grad=x.dtype.kind == "f")
    y, z = ours(a), theirs(b)
    assert tuple(y.shape) == tuple(z.shape)
    upstream = rng.standard_normal(z.shape).astype(dtype)
    y.backward(minigrad.tensor(upstream))
    z.backward(torch.tensor(upstream))
    pairs = [(y, z)]
    if a.requires_grad:
        pairs.append((a.grad, b.grad))
    if isinstance(ours, nn.Module):
        pairs += [(p.grad, q.grad) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True)]
    for mine, other in pairs:
        assert str(mine.dtype) == f"minigrad.{dtype}"
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=tolerance, atol=tolerance)
