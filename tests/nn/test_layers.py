"""Layers and activations against PyTorch: the same weights in, the same outputs and gradients out."""

import numpy as np
import pytest

import minigrad
from minigrad import nn

torch = pytest.importorskip("torch")

rng = np.random.default_rng(0)
PYTORCHS_SIXTH = 1e-7  # its gradient of Hardsigmoid is 1/6 as a float32, in float64 too
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


ACTIVATIONS = {
    "ReLU": lambda nn: nn.ReLU(),
    "ReLU6": lambda nn: nn.ReLU6(),
    "LeakyReLU": lambda nn: nn.LeakyReLU(0.2),
    "PReLU": lambda nn: nn.PReLU(),
    "PReLU per channel": lambda nn: nn.PReLU(5, init=0.4),
    "ELU": lambda nn: nn.ELU(1.3),
    "Sigmoid": lambda nn: nn.Sigmoid(),
    "Tanh": lambda nn: nn.Tanh(),
    "SiLU": lambda nn: nn.SiLU(),
    "GELU": lambda nn: nn.GELU(),
    "GELU tanh": lambda nn: nn.GELU(approximate="tanh"),
    "Softplus": lambda nn: nn.Softplus(2.0, 3.0),
    "Hardtanh": lambda nn: nn.Hardtanh(-0.7, 1.2),
    "Hardsigmoid": lambda nn: nn.Hardsigmoid(),
    "Hardswish": lambda nn: nn.Hardswish(),
    "Softmax": lambda nn: nn.Softmax(dim=1),
    "LogSoftmax": lambda nn: nn.LogSoftmax(dim=-1),
    "Identity": lambda nn: nn.Identity(3, whatever=4),
    "Dropout in evaluation": lambda nn: nn.Dropout(0.7).eval(),
    "Flatten": lambda nn: nn.Flatten(),
    "Flatten some": lambda nn: nn.Flatten(0, -2),
    "Unflatten": lambda nn: nn.Unflatten(2, (2, 2)),
    "Unflatten with -1": lambda nn: nn.Unflatten(-1, (-1, 4)),
    "in a row": lambda nn: nn.Sequential(nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 2, bias=False)),
}


@DTYPES
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_same_as_pytorch(name, dtype, tolerance):
    ours, theirs = twins(ACTIVATIONS[name], dtype)
    x = (3 * rng.standard_normal((3, 5, 4))).astype(dtype)
    if name == "Hardsigmoid":
        tolerance = max(tolerance, PYTORCHS_SIXTH)
    compare(ours, theirs, x, dtype, tolerance)
    assert repr(ours).split("  # ")[0] == repr(theirs).split("\n")[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda nn: nn.ReLU(inplace=True),
        lambda nn: nn.ReLU6(inplace=True),
        lambda nn: nn.LeakyReLU(0.1, inplace=True),
        lambda nn: nn.ELU(inplace=True),
        lambda nn: nn.SiLU(inplace=True),
        lambda nn: nn.Hardtanh(inplace=True),
        lambda nn: nn.Hardswish(inplace=True),
        lambda nn: nn.Hardsigmoid(inplace=True),
    ],
)
def test_in_place_writes_over_the_input(make):
    ours, theirs = twins(make, "float64")
    x = 3 * rng.standard_normal((3, 5))
    # A leaf may not be overwritten; what is computed from it may.
    tolerance = PYTORCHS_SIXTH if isinstance(ours, nn.Hardsigmoid) else 1e-10
    compare(lambda a: ours(a * 2), lambda b: theirs(b * 2), x, "float64", tolerance)
    a = minigrad.tensor(x)
    assert ours(a)._array is a._array
    np.testing.assert_allclose(a.numpy(), theirs(torch.tensor(x)).numpy(), rtol=1e-10)
    assert repr(ours) == repr(theirs)


@DTYPES
@pytest.mark.parametrize("shape", [(4,), (6, 4), (2, 3, 4), (0, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape, bias, dtype, tolerance):
    ours, theirs = twins(lambda nn: nn.Linear(4, 3, bias=bias), dtype)
    compare(ours, theirs, rng.standard_normal(shape).astype(dtype), dtype, tolerance)


def test_linear_arguments():
    layer = nn.Linear(3, 2, dtype=minigrad.float64, device="cpu")
    assert layer.weight.dtype == layer.bias.dtype == minigrad.float64
    assert nn.Linear(3, 2, bias=False).bias is None
    nn.Linear(0, 2)
    for arguments in ((3.5, 2), (3, -1), (True, 2), ("3", 2)):
        with pytest.raises(ValueError, match=r"Linear: (in|out)_features must be a non-negative integer, got"):
            nn.Linear(*arguments)
    with pytest.raises(RuntimeError, match=r"784.*\(64, 784\).*512"):
        nn.Linear(512, 256)(minigrad.zeros(64, 784))


@DTYPES
@pytest.mark.parametrize("padding", [None, 2, -1])
def test_embedding(padding, dtype, tolerance):
    ours, theirs = twins(lambda nn: nn.Embedding(6, 3, padding_idx=padding), dtype)
    compare(ours, theirs, np.array([[0, 2, 5], [2, 2, 1]]), dtype, tolerance)
    assert repr(ours).split("  # ")[0] == repr(theirs)
    if padding is not None:
        fresh = nn.Embedding(6, 3, padding_idx=padding)
        assert (fresh.weight[padding] == 0).all()
        assert (fresh.weight[0] != 0).all()


def test_embedding_from_a_table():
    table = minigrad.randn(4, 3)
    layer = nn.Embedding.from_pretrained(table)
    assert not layer.weight.requires_grad
    assert minigrad.equal(layer(minigrad.tensor([2, 0])), table[[2, 0]])
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad
    with pytest.raises(ValueError, match=r"2 axes \(rows, length\), got shape \(3,\)"):
        nn.Embedding.from_pretrained(minigrad.ones(3))


def test_embedding_says_what_it_cannot_do():
    with pytest.raises(NotImplementedError, match="max_norm is not in minigrad"):
        nn.Embedding(3, 2, max_norm=1.0)
    with pytest.raises(NotImplementedError, match="sparse=True"):
        nn.Embedding(3, 2, sparse=True)
    with pytest.raises(NotImplementedError, match="scale_grad_by_freq=True"):
        nn.Embedding.from_pretrained(minigrad.ones(3, 2), scale_grad_by_freq=True)
    with pytest.raises(ValueError, match="padding_idx 3 is outside the table of 3 rows"):
        nn.Embedding(3, 2, padding_idx=3)
    with pytest.raises(ValueError, match="embedding_dim must be"):
        nn.Embedding(3, 2.5)


def test_dropout_trains_and_evaluates():
    layer = nn.Dropout(0.25)
    x = minigrad.ones(4000, requires_grad=True)
    minigrad.manual_seed(1)
    y = layer(x)
    minigrad.manual_seed(1)
    assert minigrad.equal(layer(x), y)
    kept = (y != 0).numpy()
    assert 0.7 < kept.mean() < 0.8
    np.testing.assert_allclose(y.detach().numpy()[kept], 1 / 0.75, rtol=1e-6)
    upstream = minigrad.randn(4000)
    y.backward(upstream)
    np.testing.assert_allclose(x.grad.numpy(), np.where(kept, upstream.numpy() / 0.75, 0), rtol=1e-6)
    assert minigrad.equal(layer.eval()(x), x)
    assert (nn.Dropout(1.0)(x) == 0).all()
    for p in (-0.1, 1.5):
        with pytest.raises(ValueError, match="p must be a probability between 0 and 1, got"):
            nn.Dropout(p)


@pytest.mark.parametrize("beta", [0.0, 1.0, 1.7])
def test_swish(beta):
    x = rng.standard_normal((4, 3))
    upstream = rng.standard_normal((4, 3))
    t = torch.tensor(x, requires_grad=True)
    b = torch.tensor(beta, dtype=torch.float64, requires_grad=True)
    y = t * torch.sigmoid(b * t)
    y.backward(torch.tensor(upstream))
    fixed, trained = nn.Swish(beta), nn.Swish(beta, trainable=True, dtype=minigrad.float64)
    for layer in (fixed, trained):
        a = minigrad.tensor(x, requires_grad=True)
        out = layer(a)
        out.backward(minigrad.tensor(upstream))
        np.testing.assert_allclose(out.detach().numpy(), y.detach().numpy(), rtol=1e-10)
        np.testing.assert_allclose(a.grad.numpy(), t.grad.numpy(), rtol=1e-10)
    np.testing.assert_allclose(trained.beta.grad.numpy(), b.grad.numpy(), rtol=1e-10)
    assert list(fixed.parameters()) == []
    assert repr(trained) == f"Swish(beta={beta:g}, trainable=True)  # 1 parameter"


def test_bad_settings_of_activations():
    with pytest.raises(ValueError, match="approximate must be 'none' or 'tanh', got 'fast'"):
        nn.GELU("fast")
    with pytest.raises(ValueError, match="min_val must lie below max_val"):
        nn.Hardtanh(1, 1)
    with pytest.raises(ValueError, match="num_parameters"):
        nn.PReLU(0.25)
    with pytest.raises(TypeError, match="minigrad has no named axes"):
        nn.Unflatten("C", (2, 2))
    with pytest.raises(TypeError, match="tuple of integers, got 4"):
        nn.Unflatten(1, 4)


def test_layers_that_are_not_there_are_named():
    with pytest.raises(AttributeError, match="Transformer"):
        nn.Transformer  # noqa: B018
