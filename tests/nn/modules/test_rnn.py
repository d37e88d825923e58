"""Recurrent layers and cells against PyTorch: outputs, last states and gradients, whatever the options."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from op_suite import torch

import minigrad
from minigrad import nn
from minigrad.errors import ShapeError

T, N, FEATURES, H = 4, 3, 5, 6
RNG = np.random.default_rng(11)


def pair(cls: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    """A layer of minigrad's and one of PyTorch's with the same weights, in float64."""
    theirs = getattr(torch.nn, cls)(*args, **options, dtype=torch.float64)
    ours = getattr(nn, cls)(*args, **options, dtype=minigrad.float64)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: minigrad.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    return ours, theirs


def flat(x: Any) -> list[Any]:
    return [leaf for part in x for leaf in flat(part)] if isinstance(x, (tuple, list)) else [x]


def agree(ours: Any, theirs: Any, x: Any, states: Any = None, pack: Any = None) -> None:
    """Everything that comes out, and the gradients of everything that goes in, for random upstream gradients."""
    found = []
    for lib, layer in ((minigrad, ours), (torch, theirs)):
        fed = lib.tensor(x, requires_grad=True)
        first = [lib.tensor(s, requires_grad=True) for s in states or ()]
        hx = None if states is None else tuple(first) if len(first) == 2 else first[0]
        out = layer(fed if pack is None else pack(lib, fed), hx)
        results = [t for t in flat(tuple(out) if not isinstance(out, lib.Tensor) else out) if lib.is_tensor(t)]
        results = [t for t in results if t.requires_grad]
        rng = np.random.default_rng(2)
        sum((t * lib.tensor(rng.standard_normal(tuple(t.shape)))).sum() for t in results).backward()
        gradients = [fed.grad, *[s.grad for s in first], *[p.grad for p in layer.parameters()]]
        found.append([t.detach().numpy() for t in results] + [g.numpy() for g in gradients])
    for a, b in zip(*found, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


KINDS: list[tuple[str, dict[str, Any]]] = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu"}),
    ("LSTM", {}),
    ("LSTM", {"proj_size": 2}),
    ("GRU", {}),
]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False, "batch_first": True},
    {"num_layers": 2, "bidirectional": True},
]


def first_states(kind: str, options: dict[str, Any], *batch: int) -> list[Any]:
    count = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    sizes = [options.get("proj_size") or H] + [H] * (kind == "LSTM")
    return [RNG.standard_normal((count, *batch, n)) for n in sizes]


@pytest.mark.parametrize(("kind", "options"), [(k, {**own, **o}) for (k, own), o in itertools.product(KINDS, OPTIONS)])
def test_layers(kind: str, options: dict[str, Any]) -> None:
    ours, theirs = pair(kind, FEATURES, H, **options)
    x = RNG.standard_normal((N, T, FEATURES) if options.get("batch_first") else (T, N, FEATURES))
    agree(ours, theirs, x)
    agree(ours, theirs, x, first_states(kind, options, N))
    agree(ours, theirs, RNG.standard_normal((T, FEATURES)), first_states(kind, options))
    agree(ours, theirs, x[:1, :1])


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("ordered", [True, False])
def test_packed_sequences(kind: str, options: dict[str, Any], ordered: bool) -> None:
    options = {**options, "num_layers": 2, "bidirectional": True}
    ours, theirs = pair(kind, FEATURES, H, **options)
    lengths = [4, 2, 1] if ordered else [2, 4, 1]

    def pack(lib: Any, x: Any) -> Any:
        return lib.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=ordered)

    agree(ours, theirs, RNG.standard_normal((T, N, FEATURES)), first_states(kind, options, N), pack)


@pytest.mark.parametrize(
    ("kind", "options"), [("RNNCell", {"nonlinearity": "relu"}), ("LSTMCell", {}), ("GRUCell", {})]
)
def test_cells(kind: str, options: dict[str, Any]) -> None:
    for bias in (True, False):
        ours, theirs = pair(kind, FEATURES, H, bias=bias, **options)
        for batch in ((N,), ()):
            states = [RNG.standard_normal((*batch, H)) for _ in range(2 if kind == "LSTMCell" else 1)]
            agree(ours, theirs, RNG.standard_normal((*batch, FEATURES)), states)
            agree(ours, theirs, RNG.standard_normal((*batch, FEATURES)))


def test_dropout_acts_between_layers_while_training() -> None:
    layer = nn.GRU(FEATURES, H, 2, dropout=0.5)
    x = minigrad.randn(T, N, FEATURES)
    assert not minigrad.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    assert minigrad.equal(layer(x)[0], layer(x)[0])
    with pytest.warns(UserWarning, match="dropout acts between layers"):
        nn.GRU(FEATURES, H, dropout=0.5)


def test_saturated_gates_stay_finite() -> None:
    for kind in ("LSTM", "GRU", "RNN"):
        layer = getattr(nn, kind)(FEATURES, H)
        x = (minigrad.randn(T, N, FEATURES) * 1e4).requires_grad_()
        y, _ = layer(x)
        y.backward(minigrad.randn(*y.shape))
        assert y.isfinite().all()
        assert x.grad.isfinite().all()


def test_weights_start_within_the_size_of_the_state() -> None:
    layer = nn.LSTM(FEATURES, 100)
    assert all(abs(p).max() <= 0.1 for p in layer.parameters())
    assert layer.weight_hh_l0.std().item() == pytest.approx(0.1 / np.sqrt(3), rel=0.05)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="nonlinearity must be 'tanh' or 'relu', got 'sin'"):
        nn.RNN(FEATURES, H, nonlinearity="sin")
    with pytest.raises(ValueError, match=r"proj_size \(6\) must be smaller than hidden_size \(6\)"):
        nn.LSTM(FEATURES, H, proj_size=6)
    layer = nn.LSTM(FEATURES, H)
    with pytest.raises(ShapeError, match=r"with 5 features, got shape \(4, 3, 6\)"):
        layer(minigrad.randn(T, N, 6))
    with pytest.raises(
        ShapeError, match=r"must have shape \(1, 3, 6\) and \(1, 3, 6\), got \(1, 2, 6\) and \(1, 3, 6\)"
    ):
        layer(minigrad.randn(T, N, FEATURES), (minigrad.zeros(1, 2, H), minigrad.zeros(1, 3, H)))
    with pytest.raises(ShapeError, match="no steps"):
        layer(minigrad.randn(0, N, FEATURES))
    with pytest.raises(ShapeError, match=r"the state must have shape \(3, 6\), got \(2, 6\)"):
        nn.GRUCell(FEATURES, H)(minigrad.randn(N, FEATURES), minigrad.zeros(2, H))
