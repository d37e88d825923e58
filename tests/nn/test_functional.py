"""``minigrad.nn.functional``: PyTorch's names and signatures, each the one op that methods and modules use too.

What the functions compute is tested with the ops, in ``tests/ops``.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from op_suite import torch

import minigrad
import minigrad.nn.functional as F

THEIRS = torch.nn.functional
OURS_ALONE = {"normalized_swish", "swish"}
NOT_OURS = {
    "embedding": {"max_norm", "norm_type", "scale_grad_by_freq", "sparse"},
    "normalize": {"out"},
}


def arguments(function: Any) -> list[tuple[str, Any]] | None:
    """Names and defaults, in order; None for what is built in and has none."""
    try:
        signature = inspect.signature(function)
    except (ValueError, TypeError):
        return None
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found = [p for p in signature.parameters.values() if p.kind not in kinds and not p.name.startswith("_")]
    return [(p.name, p.default) for p in found]


@pytest.mark.parametrize("name", F.__all__)
def test_names_and_signatures(name: str) -> None:
    ours = getattr(F, name)
    assert (ours.__doc__ or "").strip()
    if name in OURS_ALONE:
        return
    theirs = arguments(getattr(THEIRS, name))
    if theirs is None:
        return
    theirs = [(argument, default) for argument, default in theirs if argument not in NOT_OURS.get(name, ())]
    found = arguments(ours)
    assert found is not None
    assert found[: len(theirs)] == theirs


# Built-in functions of PyTorch carry no signature for inspect; their documentation gives these.
BUILT_IN = {
    "linear": "input weight bias",
    "gelu": "input approximate",
    "softplus": "input beta threshold",
    "logsigmoid": "input",
    "prelu": "input weight",
    "one_hot": "tensor num_classes",
    "pad": "input pad mode value",
    "cosine_similarity": "x1 x2 dim eps",
    "conv1d": "input weight bias stride padding dilation groups",
    "conv2d": "input weight bias stride padding dilation groups",
    "conv_transpose1d": "input weight bias stride padding output_padding groups dilation",
    "conv_transpose2d": "input weight bias stride padding output_padding groups dilation",
}


@pytest.mark.parametrize("name", BUILT_IN)
def test_signatures_of_what_is_built_in(name: str) -> None:
    found = arguments(getattr(F, name))
    assert found is not None
    assert [argument for argument, _ in found[: len(BUILT_IN[name].split())]] == BUILT_IN[name].split()


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh", "softmax", "log_softmax", "cosine_similarity", "dropout"])
def test_one_definition_per_op(name: str) -> None:
    assert getattr(F, name) is getattr(minigrad, name)
    if hasattr(minigrad.Tensor, name):
        assert getattr(minigrad.Tensor, name) is getattr(F, name)


def test_unknown_names_and_arguments_fail_by_name() -> None:
    with pytest.raises(AttributeError, match="grid_sample"):
        _ = F.grid_sample
    with pytest.raises(TypeError, match="max_norm"):
        F.embedding(minigrad.tensor([0]), minigrad.ones(1, 1), max_norm=1.0)


def test_a_network_of_functions_alone() -> None:
    """Two layers, dropout off, a loss with weights: the same numbers as PyTorch from the same few lines."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in ((8, 5), (6, 5), (6,), (3, 6), (3,))]
    results = []
    for lib in (minigrad, torch):
        f = lib.nn.functional
        x, w1, b1, w2, b2 = (lib.tensor(a, requires_grad=True) for a in arrays)
        t = lib.arange(8) % 3
        h = f.dropout(f.gelu(f.linear(x, w1, b1)), 0.5, training=False)
        loss = f.cross_entropy(f.linear(f.normalize(h), w2, b2), t, lib.tensor([1.0, 2.0, 0.5]).double())
        (loss * 3.0 + f.smooth_l1_loss(h, h.detach() * 0.5, reduction="sum")).backward()
        results.append([loss.item(), *[p.grad.numpy() for p in (x, w1, b1, w2, b2)]])
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9)
