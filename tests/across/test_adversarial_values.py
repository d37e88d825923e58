"""Every op and loss at the values where implementations part from the mathematics.

Values and gradients are PyTorch's in the same dtype, or those of the same op in float64, rounded once (see
:mod:`adversarial`); float32 runs with kernels and without. Memory layouts and sizes of zero change nothing.
What minigrad does otherwise on purpose stands in ``DIFFERENCES``.
"""

# ruff: noqa: E501  (a line of a table stays a line)

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from adversarial import DTYPES, NEAR, Array, Outcome, faults, outcome, rows, specials, torch

import minigrad
import minigrad.nn.functional
from minigrad import kernels

Call = Callable[..., Any]


def method(name: str, *args: Any, **options: Any) -> Call:
    return lambda lib, x, *rest: getattr(x, name)(*args, *rest, **options)


def functional(name: str, *args: Any, **options: Any) -> Call:
    return lambda lib, *xs: getattr(lib.nn.functional, name)(*xs, *args, **options)


def function(name: str, *args: Any, **options: Any) -> Call:
    return lambda lib, *xs: getattr(lib, name)(*xs, *args, **options)


def classes(lib: Any, *labels: int) -> Any:
    return lib.tensor(list(labels))


def like(lib: Any, x: Any, numbers: Array) -> Any:
    """A constant of x's dtype."""
    return lib.from_numpy(numbers).to(x.dtype)


def written(x: Any) -> Any:
    y = x.clone()
    y[1:3, ::2] = 0.0
    return y


# fmt: off
EACH: dict[str, Call] = {  # element by element
    **{name: method(name) for name in ["abs", "ceil", "cos", "sin", "tan", "erf", "exp", "expm1", "floor", "log", "log10", "log1p", "log2", "neg", "reciprocal", "round", "rsqrt", "sigmoid", "sign", "sqrt", "square", "tanh", "trunc", "relu", "isnan", "isinf", "isfinite", "logical_not", "clone", "half", "float", "double"]},
    **{name: functional(name) for name in ["relu6", "elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "logsigmoid", "silu", "softplus"]},
    # PyTorch passes what comes to a NaN in short arrays only, minigrad in all.
    **{name: (lambda lib, x, name=name: getattr(lib.nn.functional, name)(lib.where(x == x, x, 0.5))) for name in ("relu6", "hardtanh")},
    "elu, alpha 2": functional("elu", 2.0),
    "gelu by tanh": functional("gelu", approximate="tanh"),
    "softplus, beta 2": functional("softplus", 2.0, 5.0),
    "prelu": lambda lib, x: lib.nn.functional.prelu(x, lib.tensor([0.25], dtype=x.dtype)),
    "clamp": method("clamp", -1.0, 2.0),
    "clamp from below": method("clamp", min=0.0),
    "clamp from above": method("clamp", max=1.0),
    **{f"to the power of {p}": (lambda lib, x, p=p: x**p) for p in (0, 0.5, 1, 2, 3, -1, -0.5, 2.5, -2)},
    **{f"{b} to the power": (lambda lib, x, b=b: b**x) for b in (2.0, 0.5, 0.0, 1.0)},
    "plus 1": lambda lib, x: x + 1.0,
    "times 0": lambda lib, x: x * 0.0,
    "by 3": lambda lib, x: x / 3.0,
    "3 by": lambda lib, x: 3.0 / x,
    "modulo 2": lambda lib, x: x % 2.0,
    "where": lambda lib, x: lib.where(x > 0, x, 0.0),
    "where, both": lambda lib, x: lib.where(x > 0, x, -x),
    "sqrt of where": lambda lib, x: lib.where(x > 0, x, 0.0).sqrt(),
    "masked_fill": lambda lib, x: x.masked_fill(x > 1, 0.0),
    "dropout of nothing": functional("dropout", 0.0),
    "dropout of everything": functional("dropout", 1.0),
    "round to 2 places": function("round", decimals=2),
}
PAIRS: dict[str, Call] = {  # every special value with every other
    **{name: function(name) for name in ["add", "sub", "mul", "div", "remainder", "pow", "maximum", "minimum", "max", "min", "eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor", "isclose"]},
    "div downwards": function("div", rounding_mode="floor"),
    "div towards 0": function("div", rounding_mode="trunc"),
    "where": lambda lib, a, b: lib.where(a > b, a, b),
    "clamp by tensors": lambda lib, a, b: a.clamp(b, b + 1.0),
    **{f"{name} of each": functional(name, reduction="none") for name in ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div"]},
    "kl_div of logarithms": functional("kl_div", reduction="none", log_target=True),
}
VECTORS: dict[str, Call] = {  # of one vector
    **{name: method(name) for name in ["sum", "mean", "prod", "var", "std", "max", "min", "amax", "amin", "argmax", "argmin", "norm", "median", "count_nonzero", "all", "any"]},
    **{f"{name} along the axis": method(name, 0) for name in ["sum", "mean", "prod", "var", "std", "max", "min", "amax", "amin", "argmax", "argmin", "logsumexp", "cumsum", "softmax", "log_softmax"]},
    **{f"norm {p}": method("norm", p) for p in (0, 0.5, 1, 3, np.inf, -np.inf)},
    "sort": lambda lib, x: lib.sort(x, stable=True),
    "sort downwards": lambda lib, x: lib.sort(x, descending=True, stable=True),
    "argsort": function("argsort", stable=True),
    "topk": lambda lib, x: x.detach().topk(3)[0],  # among equals PyTorch chooses others
    "var_mean": function("var_mean"),
    "var of all": method("var", correction=0),
    "normalize": functional("normalize", dim=0),
    "normalize by sums": functional("normalize", dim=0, p=1),
    "glu": functional("glu", 0),
    "dot": lambda lib, x: x.dot(like(lib, x, np.linspace(-1, 2, 36))),
    "outer": lambda lib, x: lib.outer(x, like(lib, x, np.linspace(-1, 2, 3))),
    "einsum": lambda lib, x: lib.einsum("i,i->", x, like(lib, x, np.linspace(-1, 2, 36))),
    "cosine_similarity": lambda lib, x: lib.nn.functional.cosine_similarity(x, like(lib, x, np.linspace(-1, 2, 36)), dim=0),
    "linear": lambda lib, x: lib.nn.functional.linear(x, like(lib, x, np.linspace(-1, 2, 72).reshape(2, 36))),
    **{f"{name}, {reduction}": (lambda lib, x, name=name, reduction=reduction: getattr(lib.nn.functional, name)(x, like(lib, x, np.linspace(0, 1, 36)), reduction=reduction)) for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy_with_logits", "kl_div") for reduction in ("mean", "sum")},
    "masked_select": lambda lib, x: x.masked_select(classes(lib, *[1, 0, 1] * 12).bool()),
    "where a mask": lambda lib, x: lib.where(classes(lib, *[1, 0, 1] * 12).bool(), x, 0.0),
    "cat": lambda lib, x: lib.cat([x, x]),
    "stack": lambda lib, x: lib.stack([x, x]),
}
MATRICES: dict[str, Call] = {  # of (4, 36), whose rows are one vector, turned
    "softmax": method("softmax", -1),
    "log_softmax": method("log_softmax", -1),
    "softmax along axis 0": method("softmax", 0),
    "logsumexp": method("logsumexp", 1),
    "logsumexp of all": method("logsumexp", (0, 1)),
    "cross_entropy": lambda lib, x: lib.nn.functional.cross_entropy(x, classes(lib, 0, 1, 2, -100)),
    "cross_entropy, sum": lambda lib, x: lib.nn.functional.cross_entropy(x, classes(lib, 0, 1, 2, 3), reduction="sum"),
    "cross_entropy, none": lambda lib, x: lib.nn.functional.cross_entropy(x, classes(lib, 0, 1, 2, 3), reduction="none"),
    "cross_entropy, all ignored": lambda lib, x: lib.nn.functional.cross_entropy(x, classes(lib, *[-100] * 4), reduction="sum"),
    "cross_entropy, smoothed": lambda lib, x: lib.nn.functional.cross_entropy(x, classes(lib, 0, 1, 2, 3), label_smoothing=0.1),
    "cross_entropy, weighted": lambda lib, x: lib.nn.functional.cross_entropy(x, classes(lib, 0, 1, 2, -100), weight=lib.arange(36).to(x.dtype)),
    "cross_entropy of probabilities": lambda lib, x: lib.nn.functional.cross_entropy(x, lib.ones(4, 36, dtype=x.dtype) / 36),
    "nll_loss": lambda lib, x: lib.nn.functional.nll_loss(x, classes(lib, 0, 1, 2, -100)),
    "nll_loss, none": lambda lib, x: lib.nn.functional.nll_loss(x, classes(lib, 0, 1, 2, -100), reduction="none"),
    "layer_norm": functional("layer_norm", (36,)),
    "rms_norm": functional("rms_norm", (36,), eps=1e-6),
    "group_norm": functional("group_norm", 2),
    "batch_norm": lambda lib, x: lib.nn.functional.batch_norm(x.t(), None, None, training=True),
    "batch_norm, one sample": lambda lib, x: lib.nn.functional.batch_norm(x.reshape(1, 4, -1), None, None, training=True),
    "batch_norm, running": lambda lib, x: lib.nn.functional.batch_norm(x, lib.zeros(36, dtype=x.dtype), lib.ones(36, dtype=x.dtype)),
    "instance_norm": lambda lib, x: lib.nn.functional.instance_norm(x.unsqueeze(0)),
    "local_response_norm": lambda lib, x: lib.nn.functional.local_response_norm(x.reshape(2, 4, -1), 3),
    **{f"{name} along axis 0": method(name, 0) for name in ["sum", "mean", "var", "prod", "max", "cumsum"]},
    **{f"{name} along axis 1": method(name, 1) for name in ["std", "min", "argmax", "median"]},
    "norm along axis 0": method("norm", dim=0),
    "norm along axis 1": method("norm", dim=1),
    "amax of all": method("amax", (0, 1)),
    "mm": lambda lib, x: x.mm(like(lib, x, np.linspace(-1, 2, 72).reshape(36, 2))),
    "addmm": lambda lib, x: lib.addmm(like(lib, x, np.ones((4, 2))), x, like(lib, x, np.linspace(-1, 2, 72).reshape(36, 2)), beta=0),
    **{name: method(name, *args) for name, args in {"triu": (1,), "tril": (), "flip": (0,), "roll": (1, 0), "t": (), "diagonal": (), "repeat": (2, 1), "repeat_interleave": (2, 0), "unbind": (), "split": (2,)}.items()},
    "expand": lambda lib, x: x.unsqueeze(0).expand(2, *x.shape),
    "index": lambda lib, x: x[classes(lib, 0, 0, 2)],
    "setitem": lambda lib, x: written(x),
    "gather": lambda lib, x: x.gather(1, lib.tensor([[0, 0], [1, 2]])),
    "index_select": lambda lib, x: x.index_select(0, classes(lib, 1, 1)),
    "scatter": lambda lib, x: x.scatter(1, lib.tensor([[0], [1]]), 0.0),
    "scatter_add": lambda lib, x: lib.zeros(4, 36, dtype=x.dtype).scatter_add(1, lib.arange(4 * 36).reshape(4, 36) % 7, x),
    "embedding": lambda lib, x: lib.nn.functional.embedding(classes(lib, 0, 1, 1, 3), x, padding_idx=1),
}
IMAGES: dict[str, Call] = {  # of (1, 2, 6, 6)
    "max_pool2d": functional("max_pool2d", 2),
    "max_pool2d, overlapping": functional("max_pool2d", 3, 1, 1),
    "avg_pool2d": functional("avg_pool2d", 2),
    "avg_pool2d, overlapping": functional("avg_pool2d", 3, 2, 1),
    "lp_pool2d": functional("lp_pool2d", 2, 2),
    "adaptive_avg_pool2d": functional("adaptive_avg_pool2d", 4),
    "adaptive_avg_pool2d to one": functional("adaptive_avg_pool2d", 1),
    "adaptive_max_pool2d": functional("adaptive_max_pool2d", 4),
    **{name: (lambda lib, x, name=name: getattr(lib.nn.functional, name)(x[0], 3, 2)) for name in ("max_pool1d", "avg_pool1d")},
    "lp_pool1d": lambda lib, x: lib.nn.functional.lp_pool1d(x[0], 2, 2),
    "max_unpool2d": lambda lib, x: lib.nn.functional.max_unpool2d(*lib.nn.functional.max_pool2d(x, 2, return_indices=True), 2),
    **{f"pad, {mode}": functional("pad", (1, 2, 0, 1), mode=mode) for mode in ("constant", "reflect", "replicate", "circular")},
    "pad, negative": functional("pad", (-1, 2, 0, -1)),
    "interpolate, nearest": functional("interpolate", scale_factor=2),
    "interpolate, area": functional("interpolate", size=(4, 9), mode="area"),
    "unfold": functional("unfold", 3),
    "fold": lambda lib, x: lib.nn.functional.fold(x.reshape(1, 8, 9), (4, 4), 2),
    "pixel_unshuffle": functional("pixel_unshuffle", 2),
    "batch_norm of images": functional("batch_norm", None, None, training=True),
    "instance_norm of images": functional("instance_norm"),
    "group_norm of images": functional("group_norm", 2),
}
PROBABILITIES: dict[str, Call] = {
    "binary_cross_entropy": functional("binary_cross_entropy", reduction="none"),
    "binary_cross_entropy, mean": functional("binary_cross_entropy"),
}
LOGITS: dict[str, Call] = {
    "binary_cross_entropy_with_logits": functional("binary_cross_entropy_with_logits", reduction="none"),
    "positive examples weighted": lambda lib, x, t: lib.nn.functional.binary_cross_entropy_with_logits(x, t, pos_weight=lib.tensor(3.0, dtype=x.dtype), reduction="none"),
}
# fmt: on
TABLES = {
    "each": EACH,
    "pair": PAIRS,
    "vector": VECTORS,
    "matrix": MATRICES,
    "image": IMAGES,
    "probability": PROBABILITIES,
    "logit": LOGITS,
}
CASES = [(kind, name) for kind, table in TABLES.items() for name in table]
SPIKES = (np.inf, np.nan)


def inputs(kind: str, dtype: str) -> Iterator[tuple[str, list[Array], tuple[float, ...]]]:
    """(what they are, the inputs, what the upstream gradient holds beside random numbers)."""
    values = specials(dtype)
    if kind == "each":
        x = np.resize(np.repeat(values, 5), 1152)  # whole vectors: what is left of one PyTorch computes otherwise
        yield "specials", [x], ()
        yield "specials", [x], SPIKES
    elif kind == "pair":
        pair = [np.resize(m.reshape(-1), 1536) for m in np.meshgrid(values, values)]
        yield "specials", pair, ()
        yield "specials", pair, SPIKES
    elif kind in ("probability", "logit"):
        p = np.array([0, 1e-7, 1e-3, 0.25, 0.5, 1 - 1e-3, 1 - np.finfo(dtype).epsneg, 1], dtype)
        x = p if kind == "probability" else values
        yield "probabilities", [np.ascontiguousarray(m.reshape(-1)) for m in np.meshgrid(x, p)], ()
    else:
        for name, x in rows(dtype, 36).items():
            if kind == "matrix":
                x = np.stack([np.roll(x, i) for i in range(4)])
            elif kind == "image":
                x = np.concatenate([x, np.roll(x, 5)]).reshape(1, 2, 6, 6)
            yield name, [x], ()
            if name in ("ties", "nan and inf"):
                yield name, [x], SPIKES


def references(call: Call, given: list[Array], spikes: tuple[float, ...]) -> list[Outcome]:
    """What PyTorch makes of it in its dtype, and in float64."""
    exact = outcome(torch, call, given, spikes, "float64")
    if given[0].dtype == np.float64:
        return [exact]
    return [outcome(torch, call, given, spikes), exact]


# What minigrad gives where PyTorch gives something else, as masks over (minigrad's numbers, PyTorch's).
def zero_for_nan(g: Array, w: Array) -> Any:
    """What is left out gets 0, whatever comes from upstream; PyTorch multiplies by 0."""
    return (g == 0) & np.isnan(w)


def number_for_nan(g: Array, w: Array) -> Any:
    """The limit of the equation, or the answer of IEEE's functions, where PyTorch meets ∞ − ∞ or 0 · ∞ on its way."""
    return ~np.isnan(g) & np.isnan(w)


def nan_for_zero(g: Array, w: Array) -> Any:
    """NaN passes through gradients as through values; PyTorch's sign of NaN is 0."""
    return np.isnan(g) & (w == 0)


def digits_lost(g: Array, w: Array) -> Any:
    """PyTorch's float64 has lost digits: it uses constants in float32, or subtracts what is nearly equal."""
    return (g.dtype == np.float64) & (np.abs(g - w) <= 1e-7 * np.abs(w) + 2e-15)


DIFFERENCES: list[tuple[str, Callable[[Array, Array], Any]]] = [
    ("abs|amax.*|amin.*|norm -?inf|0.0 to the power|pow|dropout of everything|lp_pool.*", zero_for_nan),
    ("logsumexp.*|(log_)?softmax.*|cross_entropy.*|nll_loss.*|kl_div.*|l1_loss of each", zero_for_nan),
    ("silu|gelu.*|hardswish|to the power of -?0.5|remainder|var_mean|amax.*|amin.*", number_for_nan),
    ("expm1|log10|rsqrt|sigmoid|cross_entropy.*", number_for_nan),  # gradients under an infinite upstream
    ("binary_cross_entropy_with_logits.*|positive examples weighted|kl_div.*", number_for_nan),  # 0 beside −∞
    ("l1_loss.*|norm (1|-?inf)", nan_for_zero),
    ("expm1|gelu.*|hardsigmoid|hardswish|silu|binary_cross_entropy.*|positive examples weighted", digits_lost),
]
# Slopes that are a difference: 1 − y², σ(x) − t, ln t − x + 1. They are off by roundings of 1, in the textbook and in PyTorch.
NOISE = {
    "tanh": 4.0,
    "kl_div of each": 64.0,
    "kl_div of logarithms": 4.0,
    "binary_cross_entropy_with_logits": 4.0,
    "positive examples weighted": 8.0,
}


def allowed(name: str) -> Callable[[Array, Array], Any]:
    masks = [mask for names, mask in DIFFERENCES if re.fullmatch(names, name)]
    return lambda g, w: np.logical_or.reduce([m(g, w) for m in masks]) if masks and g.dtype.kind == "f" else False


@pytest.mark.parametrize(("kind", "name"), CASES)
@np.errstate(all="ignore")
def test_values_and_gradients(kind: str, name: str) -> None:
    call, masks, noise = TABLES[kind][name], allowed(name), NOISE.get(name, 0.0)
    found = []
    for dtype in DTYPES:
        mixes = kind not in ("each", "pair", "logit") and name != "binary_cross_entropy"
        for what, given, spikes in inputs(kind, dtype):
            right = references(call, given, spikes)
            label = f"{dtype}, {what}{', inf and nan upstream' if spikes else ''}"
            got = outcome(minigrad, call, given, spikes)
            found += [f"{label}: {f}" for f in faults(got, right, NEAR[dtype], mixes, noise, masks)]
            if dtype != "float32":
                continue
            with kernels.disabled():
                textbook = outcome(minigrad, call, given, spikes)
            found += [f"{label}, textbook: {f}" for f in faults(textbook, right, NEAR[dtype], mixes, noise, masks)]
    assert not found, f"{len(found)} faults, among them:\n" + "\n".join(found[:: -(-len(found) // 8)])


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "column by column": lambda a: np.array(a, order="F"),
    "every second": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "backwards": lambda a: np.flip(np.flip(a).copy()),
}


@pytest.mark.parametrize(("kind", "name"), [case for case in CASES if case[0] != "pair"])
@np.errstate(all="ignore")
def test_layouts_change_nothing(kind: str, name: str) -> None:
    call = TABLES[kind][name]
    found = []
    for dtype in DTYPES:
        for what, given, spikes in inputs(kind, dtype):
            if what not in ("specials", "ties", "mixed magnitudes", "nan and inf") or spikes:
                continue
            want = outcome(minigrad, call, given)
            for layout, relay in LAYOUTS.items():
                got = outcome(minigrad, call, [relay(a) for a in given])
                differ = faults(got, [want], NEAR[dtype], kind != "each", 2 * NOISE.get(name, 0.0))
                found += [f"{dtype}, {what}, {layout}: {f}" for f in differ]
    assert not found, "\n".join(found[:8])


@pytest.mark.parametrize("name", [*EACH, *PAIRS])
@pytest.mark.parametrize("shape", [(), (0,), (2, 0, 3)])
@np.errstate(all="ignore")
def test_a_number_and_nothing(name: str, shape: tuple[int, ...]) -> None:
    call, arguments = (EACH[name], 1) if name in EACH else (PAIRS[name], 2)
    for dtype in DTYPES:
        for value in (0.0, -np.inf, 2.5) if shape == () else (1.0,):
            given = [np.full(shape, value, dtype)] * arguments
            got, right = outcome(minigrad, call, given), references(call, given, ())
            assert faults(got, right, NEAR[dtype], False, NOISE.get(name, 0.0), allowed(name)) == []


@pytest.mark.parametrize("name", MATRICES)
@np.errstate(all="ignore")
def test_rows_shown_again_are_rows_of_their_own(name: str) -> None:
    call = MATRICES[name]
    for dtype in DTYPES:
        row = rows(dtype, 36)["mixed magnitudes"][None]
        want = outcome(minigrad, call, [np.repeat(row, 4, axis=0)])
        got = outcome(minigrad, lambda lib, x: call(lib, x.expand(4, 36)), [row])
        assert faults(Outcome(got.values, []), [Outcome(want.values, [])], NEAR[dtype], True) == []
        if want.grads[0] is not None:
            summed = [g.sum(axis=0, keepdims=True, dtype=np.float64).astype(dtype) for g in want.grads if g is not None]
            assert faults(Outcome([], got.grads), [Outcome([], summed)], 4 * NEAR[dtype], True, 8.0) == []
