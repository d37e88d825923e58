"""The transformer's layers against PyTorch's: the same weights, outputs and gradients, whatever the options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from op_suite import torch

import minigrad
import minigrad.nn.functional as F
from minigrad import nn

from .test_attention import agree, pair

RNG = np.random.default_rng(3)
T, S, N, E = 3, 4, 2, 8
CAUSAL = np.triu(np.ones((S, S), bool), 1)
PADDING = np.array([[0, 0, 0, 1], [0, 0, 0, 0]], bool)
OPTIONS: list[dict[str, Any]] = [
    {},
    {"norm_first": True, "activation": "gelu"},
    {"batch_first": True, "bias": False, "layer_norm_eps": 1e-2},
]


def sequence(length: int, batch_first: bool = False) -> Any:
    return RNG.standard_normal((N, length, E) if batch_first else (length, N, E))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_layers(options: dict[str, Any]) -> None:
    first = options.get("batch_first", False)
    ours, theirs = pair("TransformerEncoderLayer", E, 2, 16, 0.0, **options)
    agree(ours, theirs, [sequence(S, first)])
    agree(ours, theirs, [sequence(S, first)], src_mask=CAUSAL, src_key_padding_mask=PADDING)
    agree(ours, theirs, [sequence(S, first)], src_mask=CAUSAL, is_causal=True)
    ours, theirs = pair("TransformerDecoderLayer", E, 2, 16, 0.0, **options)
    target, memory = sequence(T, first), sequence(S, first)
    agree(ours, theirs, [target, memory])
    agree(ours, theirs, [target, memory], tgt_mask=CAUSAL[:T, :T], memory_key_padding_mask=PADDING)
    assert list(ours.state_dict()) == list(theirs.state_dict())


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_whole(options: dict[str, Any]) -> None:
    first = options.get("batch_first", False)
    ours, theirs = pair("Transformer", E, 2, 2, 1, 16, 0.0, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    masks = {"src_key_padding_mask": PADDING, "memory_key_padding_mask": PADDING, "tgt_mask": CAUSAL[:T, :T]}
    agree(ours, theirs, [sequence(S, first), sequence(T, first)], **masks)


def test_stacks_are_copies_with_a_norm_behind() -> None:
    layer = nn.TransformerEncoderLayer(E, 2, 16)
    stack = nn.TransformerEncoder(layer, 3, nn.LayerNorm(E))
    assert len(stack.layers) == 3
    assert stack.layers[0].linear1.weight is not layer.linear1.weight
    assert minigrad.equal(stack.layers[2].linear1.weight, layer.linear1.weight)
    assert list(stack.state_dict())[-2:] == ["norm.weight", "norm.bias"]


def test_the_mask_of_later_positions() -> None:
    ours = nn.Transformer.generate_square_subsequent_mask(4)
    assert np.array_equal(ours.numpy(), torch.nn.Transformer.generate_square_subsequent_mask(4).numpy())


def test_the_activation_is_a_name_or_a_function() -> None:
    x = minigrad.randn(S, N, E)
    layer = nn.TransformerEncoderLayer(E, 2, 16, 0.0, activation=lambda z: F.gelu(z))
    named = nn.TransformerEncoderLayer(E, 2, 16, 0.0, activation="gelu")
    named.load_state_dict(layer.state_dict())
    assert minigrad.equal(layer(x), named(x))
    with pytest.raises(ValueError, match="activation must be 'relu', 'gelu' or a function, got 'tanh'"):
        nn.TransformerEncoderLayer(E, 2, activation="tanh")
    with pytest.raises(TypeError, match="got int"):
        nn.TransformerEncoderLayer(E, 2, activation=3)
