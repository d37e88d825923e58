"""Multi-head attention against PyTorch: every option, every mask, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from op_suite import torch

import minigrad
from minigrad import nn
from minigrad.errors import DtypeError, ShapeError

L, S, N, E, H = 3, 5, 2, 8, 2
RNG = np.random.default_rng(7)
PADDING = np.array([[0, 0, 1, 0, 1], [0, 0, 0, 0, 1]], bool)
HIDDEN = np.array([[0, 1, 1, 0, 1], [0, 0, 0, 1, 0], [1, 1, 0, 0, 0]], bool)


def pair(cls: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    """A layer of minigrad's and PyTorch's with the same weights, none of which is zero, in float64."""
    theirs = getattr(torch.nn, cls)(*args, **options, dtype=torch.float64)
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(torch.tensor(np.random.default_rng(p.numel()).standard_normal(tuple(p.shape)) * 0.5))
    ours = getattr(nn, cls)(*args, **options, dtype=minigrad.float64)
    ours.load_state_dict({k: minigrad.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    return ours, theirs


def agree(ours: Any, theirs: Any, inputs: list[Any], **masks: Any) -> None:
    """Outputs and gradients of inputs and parameters, for a random upstream gradient of each output."""
    found = []
    for lib, layer in ((minigrad, ours), (torch, theirs)):
        tensors = [lib.tensor(x, requires_grad=True) for x in inputs]
        if len(inputs) == 1 and type(layer).__name__ == "MultiheadAttention":
            tensors *= 3
        given = {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in masks.items()}
        result = layer(*tensors, **given)
        results = [y for y in (result if isinstance(result, tuple) else (result,)) if y is not None]
        rng = np.random.default_rng(1)
        sum((y * lib.tensor(rng.standard_normal(tuple(y.shape)))).sum() for y in results).backward()
        gradients = {k: p.grad for k, p in layer.named_parameters()}
        found.append(([y.detach().numpy() for y in results], [t.grad.numpy() for t in tensors], gradients))
    for a, b in zip(found[0][0] + found[0][1], found[1][0] + found[1][1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)
    assert found[0][2].keys() == found[1][2].keys()
    for name, gradient in found[0][2].items():
        np.testing.assert_allclose(gradient.numpy(), found[1][2][name].numpy(), rtol=1e-9, atol=1e-10, err_msg=name)


def inputs(batch_first: bool = False, kdim: int = E, vdim: int = E) -> list[Any]:
    shapes = [(L, N, E), (S, N, kdim), (S, N, vdim)]
    return [RNG.standard_normal((n, length, f) if batch_first else (length, n, f)) for length, n, f in shapes]


OPTIONS: list[dict[str, Any]] = [
    {},
    {"bias": False},
    {"batch_first": True},
    {"kdim": 4, "vdim": 6},
    {"add_bias_kv": True},
    {"add_zero_attn": True},
    {"add_bias_kv": True, "add_zero_attn": True, "kdim": 3},
]
MASKS: list[dict[str, Any]] = [
    {},
    {"attn_mask": HIDDEN},
    {"key_padding_mask": PADDING},
    {"attn_mask": np.where(HIDDEN, -np.inf, 0.3), "key_padding_mask": PADDING},
    {"attn_mask": RNG.standard_normal((N * H, L, S))},
]


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")
@pytest.mark.parametrize("weights", [{"need_weights": False}, {}, {"average_attn_weights": False}])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_with_every_mask(options: dict[str, Any], weights: dict[str, Any]) -> None:
    ours, theirs = pair("MultiheadAttention", E, H, **options)
    sizes = {k: v for k, v in options.items() if k in ("batch_first", "kdim", "vdim")}
    for masks in MASKS:
        agree(ours, theirs, inputs(**sizes), **masks, **weights)


def test_one_input_for_all_three_and_none_of_a_batch() -> None:
    ours, theirs = pair("MultiheadAttention", E, H)
    agree(ours, theirs, [RNG.standard_normal((L, N, E))])
    agree(ours, theirs, [RNG.standard_normal((L, E))], need_weights=False)
    agree(ours, theirs, [x[:, 0] for x in inputs()], key_padding_mask=PADDING[0])
    causal = np.triu(np.ones((L, L), bool), 1)
    agree(ours, theirs, [RNG.standard_normal((L, N, E))], attn_mask=causal, is_causal=True, need_weights=False)


def test_a_query_that_sees_no_key_is_zero_and_has_no_gradient() -> None:
    layer = nn.MultiheadAttention(E, H, bias=False)
    for need_weights in (True, False):
        x = minigrad.randn(L, N, E, requires_grad=True)
        y, _ = layer(x, x, x, attn_mask=minigrad.ones(L, L, dtype=minigrad.bool), need_weights=need_weights)
        y.backward(minigrad.randn(L, N, E))
        assert (y == 0).all()
        assert (x.grad == 0).all()


def test_dropout_acts_while_training_alone() -> None:
    layer = nn.MultiheadAttention(E, H, dropout=0.5)
    x = minigrad.randn(20, N, E)
    assert not minigrad.equal(layer(x, x, x)[0], layer(x, x, x)[0])
    layer.eval()
    assert minigrad.equal(layer(x, x, x)[0], layer(x, x, x)[0])


def test_it_starts_as_pytorchs_does() -> None:
    layer = nn.MultiheadAttention(64, 4, add_bias_kv=True)
    assert abs(layer.in_proj_weight).max() <= np.sqrt(6 / (64 + 192))
    assert layer.in_proj_weight.std().item() == pytest.approx(np.sqrt(2 / (64 + 192)), rel=0.1)
    assert (layer.in_proj_bias == 0).all()
    assert (layer.out_proj.bias == 0).all()
    assert layer.bias_k.std() > 0


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"embed_dim \(8\) must be a positive multiple of num_heads \(3\)"):
        nn.MultiheadAttention(8, 3)
    with pytest.raises(ValueError, match="dropout must be a probability"):
        nn.MultiheadAttention(8, 2, dropout=2.0)
    layer = nn.MultiheadAttention(E, H)
    q, k, v = (minigrad.tensor(x, dtype=minigrad.float32) for x in inputs())
    with pytest.raises(ShapeError, match=r"key must have axes .* and 8 features, got shape \(5, 2, 4\)"):
        layer(q, k[..., :4], v)
    with pytest.raises(ShapeError, match="one batch size, and key and value one length"):
        layer(q, k, v[:4])
    with pytest.raises(ShapeError, match=r"attn_mask must have shape \(3, 5\) or \(4, 3, 5\), got \(5, 3\)"):
        layer(q, k, v, attn_mask=minigrad.zeros(5, 3))
    with pytest.raises(ShapeError, match=r"key_padding_mask must have shape \(2, 5\), got \(5, 2\)"):
        layer(q, k, v, key_padding_mask=minigrad.zeros(5, 2))
    with pytest.raises(DtypeError, match="attn_mask must be bool or floating"):
        layer(q, k, v, attn_mask=minigrad.zeros(3, 5, dtype=minigrad.int64))
    with pytest.raises(ValueError, match="is_causal is a hint"):
        layer(q, k, v, is_causal=True)
