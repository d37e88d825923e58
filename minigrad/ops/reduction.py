"""Ops that fold axes away: sums, means, extrema, norms.

A reduction sends each gradient element back to every input element that was folded into it. So each rule first puts
the reduced axes back with size 1 (``dy.reshape(kept)``), and broadcasting does the rest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.engine import grad
from ..autograd.op import Op
from ..autograd.variable import Variable, namespace, wrap
from ..errors import DtypeError, ShapeError
from .common import (
    DOUBLE,
    HALF,
    axes_of,
    axis_of,
    cast,
    fill,
    floating,
    in_dtype,
    in_single,
    kept,
    pick,
    require_floating,
    select,
    tensor_of,
    values_indices,
)
from .indexing import gather
from .sums import accumulated, running_total, total, wider


class Sum(Op, kernel="pointwise.reduction.sum"):
    """y = Σ x over some axes.   Every summand counts once: dx = dy, repeated along those axes."""

    @staticmethod
    def compute(x: Any, axes: Any, keepdims: bool) -> Any:
        return total(x, axes, keepdims)

    @staticmethod
    def keep(ctx: Any, result: Any, *args: Any) -> Any:
        x, axes, _ = args
        ctx.options = x.shape, axes
        return result

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        shape, axes = ctx.options
        return fill(dy.reshape(kept(shape, axes)), shape)


class Mean(Op, kernel="pointwise.reduction.mean"):
    """y = (1/n) Σ x over some axes with n elements.   dx = dy / n, repeated along those axes."""

    @staticmethod
    def compute(x: Any, axes: Any, keepdims: bool) -> Any:
        y = accumulated(x, axes, keepdims)  # in float16 the sum of 70,000 ones is infinite, their mean is not
        with np.errstate(all="ignore"):  # the mean of nothing is NaN
            return in_dtype(y / y.dtype.type(_count(x.shape, axes)), x.dtype)

    keep = staticmethod(Sum.keep)

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        shape, axes = ctx.options
        return fill((dy * (1.0 / max(_count(shape, axes), 1))).reshape(kept(shape, axes)), shape)


class Prod(Op):
    """y = Π x over some axes.   ∂y/∂xᵢ = Π_{j≠i} xⱼ, which is y / xᵢ where no factor is 0.

    Where there is a zero the products without xᵢ are formed directly: row i of an n × n table holds the factors with
    the i-th replaced by 1.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, axes: Any, keepdims: bool) -> Any:
        ctx.axes, ctx.kept = tuple(range(x.ndim)) if axes is None else axes, kept(x.shape, axes)
        with np.errstate(all="ignore"):
            y = in_dtype(x.prod(axis=axes, keepdims=keepdims, dtype=wider(x.dtype)), x.dtype)
        ctx.saved = (x,)
        ctx.has_zero = bool((x == 0).any())
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        xp = namespace(dy)
        dy = dy.reshape(ctx.kept)
        if not ctx.has_zero:
            return dy * x.prod(axis=ctx.axes, keepdims=True) / x
        rest = [a for a in range(x.ndim) if a not in ctx.axes]
        order = (*rest, *ctx.axes)
        front = tuple(x.shape[a] for a in rest)
        n = _count(x.shape, ctx.axes)
        rows = xp.transpose(x, order).reshape((*front, 1, n))  # (…, 1, n)
        arrays = namespace(x._array if isinstance(x, Variable) else x)
        others = xp.where(arrays.eye(n, dtype=bool), 1.0, rows).prod(axis=-1)  # (…, n, n) → (…, n)
        others = xp.transpose(others.reshape(tuple(x.shape[a] for a in order)), tuple(np.argsort(order).tolist()))
        return dy * others


class Var(Op):
    """y = Σ (x − x̄)² / (n − k) over some axes, k the correction (1: unbiased, 0: the population's).

    The mean moves with every xᵢ, but Σ (x − x̄) = 0 cancels that term, and what is left is dx = dy · 2 (x − x̄)/(n − k).
    In float64 also for a float32 x: beside a large mean the deviations need its digits, and squares soon overflow.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, axes: Any, keepdims: bool, correction: float) -> Any:
        return in_dtype(Var.variance(ctx, x, axes, keepdims, correction), x.dtype)

    @staticmethod
    def variance(ctx: Any, x: Any, axes: Any, keepdims: bool, correction: float) -> Any:
        """y in float64."""
        ctx.axes, ctx.kept, ctx.dtype = axes, kept(x.shape, axes), x.dtype
        ctx.saved = (x,)
        n = _count(x.shape, axes)
        with np.errstate(all="ignore"):  # of no more than k numbers it is infinite, or NaN if they are equal
            ctx.scale = np.float64(1.0) / np.float64(max(n - correction, 0.0))
            centred = _centred(x, axes)
            left = total(centred, axes, keepdims)  # what the mean's own rounding left
            return (total(centred * centred, axes, keepdims) - left * left / max(n, 1)) * ctx.scale

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        (x,) = ctx.saved
        return in_dtype(dy.reshape(ctx.kept) * _centred(x, ctx.axes) * float(2.0 * ctx.scale), ctx.dtype)


def _centred(x: Any, axes: Any) -> Any:
    """x − x̄ in float64, of an array or a Tensor."""
    wide = in_dtype(x, DOUBLE)
    return wide - total(wide, axes, True) * (1.0 / max(_count(x.shape, axes), 1))


class Std(Op):
    """y = √Var(x).   dx = dy / (2y) · 2 (x − x̄)/(n − k) = dy (x − x̄) / ((n − k) y); 0 where y = 0, as in PyTorch."""

    @staticmethod
    def forward(ctx: Any, x: Any, axes: Any, keepdims: bool, correction: float) -> Any:
        y = in_dtype(np.sqrt(Var.variance(ctx, x, axes, keepdims, correction)), x.dtype)
        ctx.saved = x, y
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        x, y = ctx.saved
        xp = namespace(dy)
        slope = xp.where(y == 0, 0.0, dy / xp.where(y == 0, 1.0, y))
        return in_dtype(slope.reshape(ctx.kept) * _centred(x, ctx.axes) * float(ctx.scale), ctx.dtype)


class Extreme(Op):
    """y = max x (or min x) over some axes.   The element that is y gets dy; m equal ones get dy / m each, and so do
    NaNs, which win."""

    @staticmethod
    def forward(ctx: Any, x: Any, axes: Any, keepdims: bool, name: str) -> Any:
        ctx.kept = kept(x.shape, axes)
        y = getattr(x, name)(axis=axes, keepdims=keepdims)
        if ctx.needs(0):
            ctx.saved = shares(x, y.reshape(ctx.kept), axes)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        hit, share = ctx.saved
        return select(hit, dy.reshape(ctx.kept) * share)


def shares(x: Any, y: Any, axes: Any) -> tuple[Any, Any]:
    """Which elements of x are y, the one chosen from each group over ``axes``, and the share 1/m of each of m such."""
    hit = x == y
    if x.dtype.kind == "f":
        hit |= np.isnan(x) & np.isnan(y)
    return hit, (1.0 / hit.sum(axis=axes, keepdims=True)).astype(x.dtype)


class Median(Op):
    """y = the middle of all elements.   The element that is y gets dy; m equal ones get dy / m each."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        flat = x.reshape(-1)
        y = flat[_middle(flat, 0)].reshape(())
        if ctx.needs(0):
            ctx.saved = shares(x, y, None)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        hit, share = ctx.saved
        return select(hit, dy * share)


def _middle(x: Any, axis: int) -> Any:
    """Where the middle element stands along an axis, which keeps size 1: the lower of two, but a NaN where one is."""
    order = x.argsort(axis=axis, kind="stable")
    size = order.shape[axis]
    index = order[(slice(None),) * axis + (slice((size - 1) // 2, (size - 1) // 2 + 1),)]
    if x.dtype.kind != "f":
        return index
    nan = np.isnan(x)
    return np.where(nan.any(axis=axis, keepdims=True), nan.argmax(axis=axis, keepdims=True), index)


class Norm(Op):
    """y = (Σ |x|ᵖ)^(1/p) over some axes.

    ∂y/∂x = 1/p (Σ|x|ᵖ)^(1/p − 1) · p |x|ᵖ⁻¹ sign x = sign x (|x|/y)ᵖ⁻¹; for p = 2 that is x / y. At y = 0 no
    derivative is defined and 0 is taken, as in PyTorch.

    Its own derivative is ȳ/y there for p = 2, which has a limit where ȳ vanishes with y: dȳ/dy (L'Hôpital). So the
    second derivative of ‖x‖², for which ȳ = 2y, is 2 at 0 as everywhere.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, p: float, axes: Any, keepdims: bool) -> Any:
        ctx.p, ctx.kept = p, kept(x.shape, axes)
        if p == 0:  # how many are not 0
            return total((x != 0).astype(x.dtype), axes, keepdims)
        with np.errstate(all="ignore"):
            size = abs(in_dtype(x, DOUBLE))
            unit = _unit(size, axes) if x.dtype == DOUBLE or p != 2 else 1.0  # float32's squares fit in float64
            y = unit * total((size / unit) ** p, axes, True) ** (1.0 / p)
        y = in_dtype(y if keepdims else y.reshape(_left(x.shape, axes)), x.dtype)
        ctx.saved = x, y
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        if ctx.p == 0:
            return None  # constant between its jumps
        x, y = ctx.saved
        xp = namespace(dy)
        limit = Norm.limit(dy, y) if ctx.p == 2 and isinstance(dy, Variable) else None
        y, dy = y.reshape(ctx.kept), dy.reshape(ctx.kept)
        zero = y == 0
        y = xp.where(zero, 1.0, y)
        # At x = 0 the sign makes the derivative 0; the power there, infinite for p < 1, must not turn that into NaN.
        slope = x / y if ctx.p == 2 else xp.sign(x) * xp.where(x == 0, 1.0, abs(x) / y) ** (ctx.p - 1)
        dx = xp.where(zero, 0.0, dy) * slope
        return dx if limit is None else xp.where(zero, x * limit.reshape(ctx.kept), dx)

    @staticmethod
    def limit(dy: Any, y: Any) -> Any:
        """dȳ/dy as constants (0 where it is not finite), if ȳ depends on y and some y is 0."""
        if not dy._requires_grad or y._array.all():
            return None
        (found,) = grad(dy.sum(), y, retain_graph=True, allow_unused=True)
        return None if found is None else wrap(np.where(np.isfinite(found._array), found._array, 0))


def _unit(size: Any, axes: Any) -> Any:
    """A power of two near the largest of ``size``: divided by it, no power overflows, and nothing is rounded."""
    if not _count(size.shape, axes):
        return 1.0
    largest = size.max(axis=axes, keepdims=True)
    usual = (largest > 0) & (largest < math.inf)
    return np.exp2(np.floor(np.log2(np.where(usual, largest, 1.0))))


class LogSumExp(Op):
    """y = ln Σ eˣ, computed as m + ln Σ e^(x − m) with m = max x, so that no exponential overflows.

    ∂y/∂xᵢ = e^xᵢ / Σ eˣ = e^(xᵢ − y): the softmax.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, axes: Any, keepdims: bool) -> Any:
        m = x.max(axis=axes, keepdims=True) if _count(x.shape, axes) else x.sum(axis=axes, keepdims=True)
        m = np.where(np.isfinite(m), m, x.dtype.type(0))
        with np.errstate(all="ignore"):
            y = np.log(total(np.exp(x - m), axes, True)) + m
        ctx.kept = y.shape
        y = y if keepdims else y.reshape(_left(x.shape, axes))
        ctx.saved = x, y
        return y

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        x, y = ctx.saved
        xp = namespace(dy)
        share = xp.exp(x - y.reshape(ctx.kept))
        return xp.where(x == -math.inf, 0.0, dy.reshape(ctx.kept) * share)  # −∞ has no share, not even of −∞


class CumSum(Op):
    """yᵢ = x₁ + … + xᵢ.   xᵢ is part of yᵢ, yᵢ₊₁, …, so dxᵢ = dyᵢ + dyᵢ₊₁ + …: the sum from the other end."""

    @staticmethod
    def forward(ctx: Any, x: Any, axis: int) -> Any:
        ctx.axis = axis
        return running_total(x, axis) if x.ndim else x.copy()

    @staticmethod
    def backward(ctx: Any, dy: Any) -> Any:
        if not dy.ndim:
            return dy
        xp = namespace(dy)
        return xp.flip(running_total(xp.flip(dy, ctx.axis), ctx.axis), ctx.axis)


def _count(shape: tuple[int, ...], axes: tuple[int, ...] | None) -> int:
    n = 1
    for i in range(len(shape)) if axes is None else axes:
        n *= shape[i]
    return n


def _left(shape: tuple[int, ...], axes: tuple[int, ...] | None) -> tuple[int, ...]:
    """``shape`` without the reduced axes."""
    return tuple(n for i, n in enumerate(shape) if axes is not None and i not in axes)


# --- the functions users call ----------------------------------------------------------------------------------------


def sum_(
    input: Any, dim: Any = None, keepdim: Any = False, *, dtype: Any = None, axis: Any = None, keepdims: Any = None
) -> Any:
    """Σ input over ``dim`` (one axis, several, or all). Integers and bools give int64."""
    tensor_of(input, "sum")
    dim, keepdim = pick(dim, axis, keepdim, keepdims)
    if dtype is not None:
        input = cast(input, dtypes.as_dtype(dtype).numpy)
    elif input._array.dtype.kind != "f":
        input = cast(input, np.dtype(np.int64))
    return Sum.apply(input, axes_of(dim, input._array.ndim, "sum"), bool(keepdim))


def mean(
    input: Any, dim: Any = None, keepdim: Any = False, *, dtype: Any = None, axis: Any = None, keepdims: Any = None
) -> Any:
    """The mean of input over ``dim``. Floating tensors only."""
    dim, keepdim = pick(dim, axis, keepdim, keepdims)
    input = tensor_of(input, "mean") if dtype is None else cast(input, dtypes.as_dtype(dtype).numpy)
    return Mean.apply(require_floating(input, "mean"), axes_of(dim, input._array.ndim, "mean"), bool(keepdim))


def prod(
    input: Any, dim: Any = None, keepdim: Any = False, *, dtype: Any = None, axis: Any = None, keepdims: Any = None
) -> Any:
    """Π input over ``dim``."""
    tensor_of(input, "prod")
    dim, keepdim = pick(dim, axis, keepdim, keepdims)
    if dtype is not None:
        input = cast(input, dtypes.as_dtype(dtype).numpy)
    elif input._array.dtype.kind != "f":
        input = cast(input, np.dtype(np.int64))
    return Prod.apply(input, axes_of(dim, input._array.ndim, "prod"), bool(keepdim))


def _correction(correction: Any, unbiased: Any, ddof: Any) -> float:
    if unbiased is not None:
        return float(bool(unbiased))
    given = correction if ddof is None else ddof
    return 1.0 if given is None else float(given)


def var(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: Any = False,
    *,
    correction: Any = 1,
    axis: Any = None,
    keepdims: Any = None,
    ddof: Any = None,
) -> Any:
    """The variance over ``dim``: Σ (x − x̄)² / (n − correction)."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    dim, keepdim = pick(dim, axis, keepdim, keepdims)
    require_floating(input, "var")
    axes = axes_of(dim, input._array.ndim, "var")
    return Var.apply(input, axes, bool(keepdim), _correction(correction, unbiased, ddof))


def std(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: Any = False,
    *,
    correction: Any = 1,
    axis: Any = None,
    keepdims: Any = None,
    ddof: Any = None,
) -> Any:
    """The standard deviation over ``dim``: the square root of :func:`var`."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    dim, keepdim = pick(dim, axis, keepdim, keepdims)
    require_floating(input, "std")
    axes = axes_of(dim, input._array.ndim, "std")
    return Std.apply(input, axes, bool(keepdim), _correction(correction, unbiased, ddof))


def _extreme(input: Any, dim: Any, keepdim: Any, name: str) -> Any:
    tensor_of(input, f"a{name}")
    axes = axes_of(dim, input._array.ndim, f"a{name}")
    _not_empty(input, axes, f"a{name}")
    return Extreme.apply(input, axes, bool(keepdim), name)


def _not_empty(input: Any, axes: Any, name: str) -> None:
    if _count(input._array.shape, axes) == 0:
        raise ShapeError(f"{name}: there is no element to choose in shape {input._array.shape}")


def amax(input: Any, dim: Any = None, keepdim: Any = False, *, axis: Any = None, keepdims: Any = None) -> Any:
    """The largest element over ``dim``; equal ones share the gradient."""
    dim, keepdim = pick(dim, axis, keepdim, keepdims)
    return _extreme(input, dim, keepdim, "max")


def amin(input: Any, dim: Any = None, keepdim: Any = False, *, axis: Any = None, keepdims: Any = None) -> Any:
    """The smallest element over ``dim``; equal ones share the gradient."""
    dim, keepdim = pick(dim, axis, keepdim, keepdims)
    return _extreme(input, dim, keepdim, "min")


def argmax(input: Any, dim: Any = None, keepdim: Any = False, *, axis: Any = None, keepdims: Any = None) -> Any:
    """Where the (first) largest element is: an int64 index along ``dim``, or into the flattened tensor."""
    return _arg(input, dim, keepdim, axis, keepdims, "argmax")


def argmin(input: Any, dim: Any = None, keepdim: Any = False, *, axis: Any = None, keepdims: Any = None) -> Any:
    """Where the (first) smallest element is: an int64 index along ``dim``, or into the flattened tensor."""
    return _arg(input, dim, keepdim, axis, keepdims, "argmin")


def _arg(input: Any, dim: Any, keepdim: Any, axis: Any, keepdims: Any, name: str) -> Any:
    tensor_of(input, name)
    dim, keepdim = pick(dim, axis, keepdim, keepdims)
    x = input._array
    if dim is None:
        _not_empty(input, None, name)
        flat = getattr(x, name)()
        return wrap(namespace(x).asarray(flat).reshape((1,) * x.ndim if keepdim else ()).astype(np.int64))
    d = axis_of(dim, x.ndim, name)
    x = x.reshape(1) if x.ndim == 0 else x
    if x.shape[d] == 0:
        raise ShapeError(f"{name}: axis {d} of shape {x.shape} has no element to choose")
    found = namespace(x).asarray(getattr(x, name)(axis=d))
    return wrap(namespace(x).expand_dims(found, d) if keepdim and input._array.ndim else found.reshape(found.shape))


def _with_indices(input: Any, dim: Any, keepdim: Any, name: str) -> Any:
    index = _arg(input, dim, True, None, None, name)
    if input._array.ndim == 0:
        return values_indices(input.clone(), wrap(index._array.reshape(())))
    d = axis_of(dim, input._array.ndim, name)
    values = gather(input, d, index)
    return values_indices(values, index) if keepdim else values_indices(values.squeeze(d), index.squeeze(d))


def max_(
    input: Any, dim: Any = None, keepdim: Any = False, *, other: Any = None, axis: Any = None, keepdims: Any = None
) -> Any:
    """The largest element; with ``dim``, (values, indices) along it (the first of equals); with a tensor, maximum."""
    if isinstance(dim, Variable) or other is not None:
        from_two = namespace(input).maximum
        return from_two(input, dim if other is None else other)
    dim, keepdim = pick(dim, axis, keepdim, keepdims)
    if dim is None:
        return _extreme(input, None, keepdim, "max")
    return _with_indices(tensor_of(input, "max"), dim, keepdim, "argmax")


def min_(
    input: Any, dim: Any = None, keepdim: Any = False, *, other: Any = None, axis: Any = None, keepdims: Any = None
) -> Any:
    """The smallest element; with ``dim``, (values, indices) along it (the first of equals); with a tensor, minimum."""
    if isinstance(dim, Variable) or other is not None:
        from_two = namespace(input).minimum
        return from_two(input, dim if other is None else other)
    dim, keepdim = pick(dim, axis, keepdim, keepdims)
    if dim is None:
        return _extreme(input, None, keepdim, "min")
    return _with_indices(tensor_of(input, "min"), dim, keepdim, "argmin")


def norm(
    input: Any,
    p: Any = 2,
    dim: Any = None,
    keepdim: Any = False,
    *,
    dtype: Any = None,
    axis: Any = None,
    keepdims: Any = None,
) -> Any:
    """(Σ |x|ᵖ)^(1/p) over ``dim``; p may be ``inf`` or ``-inf`` (largest or smallest |x|), 0 (how many are not 0),
    or "fro" (p = 2)."""
    dim, keepdim = pick(dim, axis, keepdim, keepdims)
    input = require_floating(input, "norm") if dtype is None else cast(input, dtypes.as_dtype(dtype).numpy)
    p = 2.0 if p in ("fro", None) else p
    if not isinstance(p, (int, float)):
        raise ValueError(f"norm: p must be a number, inf or 'fro', got {p!r}")
    axes = axes_of(dim, input._array.ndim, "norm")
    if p in (float("inf"), float("-inf")):
        return _extreme(input.abs(), axes, keepdim, "max" if p > 0 else "min")
    return Norm.apply(input, float(p), axes, bool(keepdim))


def logsumexp(input: Any, dim: Any = None, keepdim: Any = False, *, axis: Any = None, keepdims: Any = None) -> Any:
    """ln Σ eˣ over ``dim``, without overflow."""
    dim, keepdim = pick(dim, axis, keepdim, keepdims)
    input = floating(input, "logsumexp")
    if input._array.dtype == HALF:
        return in_single(lambda x: logsumexp(x, dim, keepdim), input)
    return LogSumExp.apply(input, axes_of(dim, input._array.ndim, "logsumexp"), bool(keepdim))


def cumsum(input: Any, dim: Any = None, *, dtype: Any = None, axis: Any = None) -> Any:
    """The running sum along ``dim``."""
    dim = dim if axis is None else axis
    tensor_of(input, "cumsum")
    if dim is None:
        raise TypeError("cumsum: dim is missing; say along which axis to sum")
    if dtype is not None:
        input = cast(input, dtypes.as_dtype(dtype).numpy)
    elif input._array.dtype.kind != "f":
        input = cast(input, np.dtype(np.int64))
    return CumSum.apply(input, axis_of(dim, input._array.ndim, "cumsum"))


def all_(input: Any, dim: Any = None, keepdim: Any = False, *, axis: Any = None, keepdims: Any = None) -> Any:
    """Whether all elements over ``dim`` are true (not 0): a bool, of uint8 a uint8 as in PyTorch."""
    return _truth("all", input, *pick(dim, axis, keepdim, keepdims))


def any_(input: Any, dim: Any = None, keepdim: Any = False, *, axis: Any = None, keepdims: Any = None) -> Any:
    """Whether any element over ``dim`` is true (not 0): a bool, of uint8 a uint8 as in PyTorch."""
    return _truth("any", input, *pick(dim, axis, keepdim, keepdims))


def _truth(name: str, input: Any, dim: Any, keepdim: Any) -> Any:
    x = tensor_of(input, name)._array
    y = getattr(x, name)(axis=axes_of(dim, x.ndim, name), keepdims=bool(keepdim))
    return wrap(y.astype(np.uint8) if x.dtype == np.uint8 else y)


def count_nonzero(input: Any, dim: Any = None) -> Any:
    """How many elements over ``dim`` are not 0."""
    return sum_(tensor_of(input, "count_nonzero") != 0, dim)


def median(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The middle element (the lower of two; NaN if there is one), over all or along ``dim`` as (values, indices)."""
    if dim is None:
        _not_empty(tensor_of(input, "median"), None, "median")
        return Median.apply(input)
    d = axis_of(dim, tensor_of(input, "median")._array.ndim, "median")
    _not_empty(input, (d,) if input._array.ndim else None, "median")
    if input._array.ndim == 0:
        return values_indices(input.clone(), wrap(namespace(input._array).zeros((), np.int64)))
    index = wrap(_middle(input._array, d))
    values = gather(input, d, index)
    return values_indices(values, index) if keepdim else values_indices(values.squeeze(d), index.squeeze(d))


def var_mean(
    input: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = 1
) -> tuple[Any, Any]:
    """(variance, mean) over ``dim``."""
    if input._array.dtype.kind != "f":
        raise DtypeError("var_mean: expected a floating tensor")
    variance = var(input, dim, unbiased, keepdim, correction=correction)
    return variance, mean(input, None if isinstance(dim, bool) else dim, keepdim)


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """x / max(‖x‖ₚ, eps) along ``dim``: vectors of length 1."""
    if tensor_of(input, "normalize")._array.dtype == HALF:
        return in_single(lambda x: normalize(x, p, dim, eps), input)
    return input / norm(input, p, dim, keepdim=True).clamp(min=eps)
