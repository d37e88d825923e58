"""Who shares memory with whom: PyTorch's views are views, its copies copies, and the graph knows of every view.

A result that shows its argument's memory without the graph knowing it makes wrong gradients in silence: a change in
place of one changes the other, and no version tells.
"""

# ruff: noqa: E501  (a line of a table stays a line)

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from op_suite import known_views, quiet, torch

import minigrad

# fmt: off
METHODS = [
    "abs", "ceil", "clone", "contiguous", "detach", "double", "float", "half", "exp", "flatten", "floor", "long",
    "relu", "sigmoid", "round", "sort", "squeeze", "sum", "mean", "prod", "std", "t", "trunc", "unbind", "neg",
    "nonzero", "amax", "amin", "max", "min", "median", "argmax", "norm", "square", "sqrt", "reciprocal", "tanh",
    "logical_not", "cpu", "argsort", "count_nonzero", "var", "T", "mT", "requires_grad_",
]
ALONG = [
    "sort", "sum", "mean", "prod", "max", "min", "median", "amax", "amin", "unsqueeze", "squeeze", "unbind",
    "argsort", "cumsum", "softmax", "log_softmax", "logsumexp", "std", "flatten", "all", "flip",
]
WINDOWS = ("avg_pool", "max_pool", "lp_pool", "adaptive_avg_pool", "adaptive_max_pool")
POINTWISE = ["elu", "gelu", "hardtanh", "leaky_relu", "logsigmoid", "relu", "relu6", "sigmoid", "silu", "softplus", "tanh"]
INDICES: dict[str, Any] = {
    "...": ..., "None": None, "()": (), "0": 0, "-1": -1, ":": slice(None), ":1": slice(0, 1), "::2": slice(None, None, 2),
    ":, 0": (slice(None), 0), "0, 0": (0, 0), "[0]": [0], ":, [0]": (slice(None), [0]), "0, [0]": (0, [0]),
    "..., None": (..., None), "True": True, "..., 0": (..., 0),
}
OPS: dict[str, Any] = {
    **{n: lambda lib, x, n=n: v() if callable(v := getattr(x, n)) else v for n in METHODS},
    **{f"{n}({d})": lambda lib, x, n=n, d=d: getattr(x, n)(d) for n in ALONG for d in (0, -1)},
    **{f"{n}(0, keepdim)": lambda lib, x, n=n: getattr(x, n)(0, keepdim=True) for n in ("sum", "mean", "max", "amax")},
    **{f"x[{n}]": lambda lib, x, i=i: x[i] for n, i in INDICES.items()},
    **{n: lambda lib, x, n=n: getattr(lib.nn.functional, n)(x) for n in POINTWISE},
    **{f"{n}{d}d": lambda lib, x, n=n, d=d: getattr(lib.nn.functional, f"{n}{d}d")(x, *[2.0] * (n == "lp_pool"), tuple(x.shape[-d:]) if "adaptive" in n else 1) for n in WINDOWS for d in (1, 2)},
    **{f"{n} of {e}": lambda lib, x, e=e: lib.einsum(e, x) for n, e in enumerate(("...->...", "ij->ij", "ij->ji", "ii->i", "bii->bi", "i->i", "ii", "iij->ij", "iji->ji", "ij->i", "...ij->...ji", "...ii->...i", "iii->i"))},
    "x[a 0-d tensor]": lambda lib, x: x[lib.tensor(0)],
    "x[mask]": lambda lib, x: x[x == x],
    "x[a 0-d mask]": lambda lib, x: x[lib.tensor(True)],
    "+x": lambda lib, x: +x,
    "x + 0": lambda lib, x: x + 0,
    "x * 1": lambda lib, x: x * 1,
    "x ** 1": lambda lib, x: x**1,
    "maximum": lambda lib, x: lib.maximum(x, x),
    "where": lambda lib, x: lib.where(lib.tensor(True), x, x),
    "masked_fill": lambda lib, x: x.masked_fill(x != x, 0.0),
    "masked_select": lambda lib, x: x.masked_select(x == x),
    "clamp": lambda lib, x: x.clamp(-9, 9),
    "gather": lambda lib, x: x.gather(0, lib.zeros(x.shape, dtype=lib.int64)),
    "topk": lambda lib, x: x.topk(1, 0),
    "index_select": lambda lib, x: x.index_select(0, lib.tensor([0])),
    "scatter": lambda lib, x: x.scatter(0, lib.zeros(x.shape, dtype=lib.int64), 1.0),
    "cat": lambda lib, x: lib.cat([x]),
    "stack": lambda lib, x: lib.stack([x]),
    "split": lambda lib, x: x.split(1),
    "chunk": lambda lib, x: x.chunk(2),
    "iteration": lambda lib, x: tuple(x),
    "roll": lambda lib, x: x.roll(0, 0),
    "flip nothing": lambda lib, x: x.flip(()),
    "expand": lambda lib, x: x.expand(x.shape),
    "expand to more": lambda lib, x: x.expand((2, *x.shape)),
    "broadcast_to": lambda lib, x: lib.broadcast_to(x, tuple(x.shape)),
    "repeat": lambda lib, x: x.repeat(*(1,) * max(1, x.ndim)),
    "tile": lambda lib, x: x.tile(1),
    "repeat_interleave": lambda lib, x: x.repeat_interleave(1),
    "reshape": lambda lib, x: x.reshape(-1),
    "reshape to itself": lambda lib, x: x.reshape(x.shape),
    "view": lambda lib, x: x.view(x.shape),
    "view_as": lambda lib, x: x.view_as(x),
    "unflatten": lambda lib, x: x.unflatten(-1, (x.shape[-1], 1)),
    "permute": lambda lib, x: x.permute(tuple(range(x.ndim))),
    "transpose": lambda lib, x: x.transpose(0, -1),
    "movedim": lambda lib, x: x.movedim(0, -1),
    "diagonal": lambda lib, x: x.diagonal(),
    "diagonal of the last axes": lambda lib, x: x.diagonal(0, -2, -1),
    "diag": lambda lib, x: x.diag(),
    "tril": lambda lib, x: x.tril(9),
    "to its dtype": lambda lib, x: x.to(x.dtype),
    "to a copy": lambda lib, x: x.to(x.dtype, copy=True),
    "sum over nothing": lambda lib, x: x.sum(()),
    "squeeze nothing": lambda lib, x: x.squeeze(()),
    "unfold by one": lambda lib, x: lib.nn.functional.unfold(x, (x.shape[-2], x.shape[-1])),
    "fold": lambda lib, x: lib.nn.functional.fold(x, (1, x.shape[-1]), (1, 1)),
    "pixel_shuffle(1)": lambda lib, x: lib.nn.functional.pixel_shuffle(x, 1),
    "pixel_shuffle(2)": lambda lib, x: lib.nn.functional.pixel_shuffle(x, 2),
    "pixel_unshuffle(1)": lambda lib, x: lib.nn.functional.pixel_unshuffle(x, 1),
    "pixel_unshuffle(2)": lambda lib, x: lib.nn.functional.pixel_unshuffle(x, 2),
    "pad": lambda lib, x: lib.nn.functional.pad(x, (0, 0)),
    "replicate nothing": lambda lib, x: lib.nn.functional.pad(x, (0, 0), mode="replicate"),
    "max_pool with indices": lambda lib, x: lib.nn.functional.max_pool2d(x, 1, return_indices=True),
    "dropout at rest": lambda lib, x: lib.nn.functional.dropout(x, 0.5, False),
    "dropout of nothing": lambda lib, x: lib.nn.functional.dropout(x, 0.0, True),
    "interpolate": lambda lib, x: lib.nn.functional.interpolate(x, scale_factor=1.0),
    "bilinear": lambda lib, x: lib.nn.functional.interpolate(x, scale_factor=1.0, mode="bilinear"),
    "mse_loss": lambda lib, x: lib.nn.functional.mse_loss(x, x * 0, reduction="none"),
    "layer_norm": lambda lib, x: lib.nn.functional.layer_norm(x, x.shape),
    "embedding": lambda lib, x: lib.nn.functional.embedding(lib.tensor(0), x),
    "normalize": lambda lib, x: lib.nn.functional.normalize(x, dim=0),
    "outer": lambda lib, x: lib.outer(x, lib.ones(1)),
    "matmul": lambda lib, x: x @ lib.eye(3),
    "hstack": lambda lib, x: lib.hstack([x]),
    "vstack": lambda lib, x: lib.vstack([x]),
    "meshgrid": lambda lib, x: lib.meshgrid(x, lib.ones(2), indexing="ij"),
    "as_tensor": lambda lib, x: lib.as_tensor(x),
    "tensor(x)": lambda lib, x: lib.tensor(x),
    "Tensor(x)": lambda lib, x: lib.Tensor(x),
    "Parameter": lambda lib, x: lib.nn.Parameter(x),
    "deepcopy": lambda lib, x: copy.deepcopy(x),
}
# fmt: on
SHAPES = [(), (1,), (3,), (1, 1), (3, 3), (1, 3), (2, 2, 2), (1, 1, 2, 2), (1, 4, 1, 1)]
LAYOUTS: dict[str, Any] = {
    "whole": lambda lib, a: lib.tensor(a),
    "a row": lambda lib, a: lib.tensor(np.stack([a, a]))[1],
    "transposed": lambda lib, a: lib.tensor(np.array(a.T, order="C")).permute(tuple(reversed(range(a.ndim)))),
}
SEVERAL = ("split", "chunk", "unbind", "iteration")  # PyTorch lets no view of several change in place, minigrad does
REFUSALS = (RuntimeError, ValueError, IndexError, TypeError)


def flat(out: Any) -> list[Any]:
    if isinstance(out, (tuple, list)):
        return [t for o in out for t in flat(o)]
    return [out] if isinstance(out, (minigrad.Tensor, torch.Tensor)) else []


def outputs(lib: Any, op: Any, x: Any) -> list[Any] | None:
    try:
        with quiet():
            return flat(op(lib, x))
    except REFUSALS:
        return None


@pytest.mark.parametrize("name", OPS)
def test_views_are_views_and_copies_copies(name: str) -> None:
    seen = 0
    for shape in SHAPES:
        a = np.random.default_rng(0).uniform(0.5, 2.0, shape)
        a = np.asarray(a, np.float32)
        for layout in LAYOUTS.values():
            x, y = layout(minigrad, a), layout(torch, a)
            got, want = outputs(minigrad, OPS[name], x), outputs(torch, OPS[name], y)
            if got is None:
                continue
            known_views(x, got)
            for ours, theirs in zip(got, want or (), strict=False):
                seen += 1
                if theirs.numel():
                    shares = theirs.untyped_storage().data_ptr() == y.untyped_storage().data_ptr()
                    assert np.shares_memory(ours._array, x._array) == shares, shape
            if len(got) == 1 and got[0]._version is x._version and not name.startswith(SEVERAL):
                changes_agree(OPS[name], a, layout)
    assert seen


def changes_agree(op: Any, a: Any, layout: Any) -> None:
    """After a view or its base was changed in place all gradients are PyTorch's, or both refuse."""
    for which in ("view", "base"):
        for constant in (True, False):
            with quiet():
                got, want = (gradients(lib, op, a, layout, which, constant) for lib in (minigrad, torch))
            assert (got is None) == (want is None)
            for ours, theirs in zip(got or (), want or (), strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5, err_msg=f"{which} {a.shape}")


def gradients(lib: Any, op: Any, a: Any, layout: Any, which: str, constant: bool) -> Any:
    w = lib.tensor(np.resize([0.5, -1.5, 2.0], a.shape).astype(np.float32), requires_grad=True)
    x = layout(lib, a).mul_(w) if constant else lib.tensor(a) * w
    (y,) = flat(op(lib, x))
    try:
        if which == "base":
            x.mul_(w)
        else:
            y.mul_(3.0)
            y += y.detach()
        loss = (x * x).sum() + (y * lib.arange(1.0, 1.0 + y.numel()).reshape(y.shape)).sum()
        loss.backward()
    except RuntimeError:
        return None
    return x.tolist(), y.tolist(), loss.item(), w.grad.tolist()


def test_a_diagonal_reads_nothing_beside_it() -> None:
    x = minigrad.tensor([[1.0, np.inf], [np.nan, 2.0]], requires_grad=True)
    y = minigrad.einsum("ii->i", x)
    assert y.tolist() == [1.0, 2.0]
    y.backward(minigrad.tensor([3.0, 4.0]))
    assert x.grad.tolist() == [[3.0, 0.0], [0.0, 4.0]]
    assert minigrad.einsum("ii", x).item() == 3.0


def test_a_view_made_by_the_constructor_is_seen() -> None:
    x = minigrad.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1.0
    z = y * y
    minigrad.Tensor(y).add_(1)
    with pytest.raises(RuntimeError, match="changed in place"):
        z.backward(minigrad.tensor([1.0, 2.0]))
